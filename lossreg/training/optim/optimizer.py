"""The optimizer of a run: built by name, from a function or as an object, and tried out on throw-away weights."""

from __future__ import annotations

import copy
import inspect
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor
from torch.nn import Parameter

from lossreg.errors import BuildError, ConfigError, describe_error
from lossreg.plugins.isolation import is_from_outside
from lossreg.training.loss.gradients import SparseGradient
from lossreg.training.optim.given import make
from lossreg.training.optim.joint import JointOptimizer
from lossreg.training.optim.modes import set_training_mode
from lossreg.training.optim.param_groups import OptimizerGroup

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from lossreg.training.selection import Choice

Replace = Callable[[list[Parameter]], list[Parameter]]
Sparse = Mapping[int, SparseGradient]  # id of a parameter -> its gradient


@attrs.frozen(eq=False)
class OptimizerPlan:
    """All that is needed to build the optimizer, once with the parameters, and before with others in their place.

    Attributes:
        choice: What was named or given.
        groups: The parameters, with the options of each group; one group without options where there are no patterns.
        has_patterns: Whether there are patterns, so that the optimizer is given groups instead of parameters.
        runtime: Runtime name -> value.
        sparse: Ids of parameters -> their gradients, where these are sparse.
        others: The plans of the optimizers that step together with this one, for other parameters.
    """

    choice: Choice
    groups: list[OptimizerGroup]
    has_patterns: bool
    runtime: Mapping[str, Any]
    sparse: Sparse = attrs.field(factory=dict)
    others: tuple[OptimizerPlan, ...] = ()

    def with_sparse(self, found: Sequence[SparseGradient], parameters: Mapping[str, Parameter]) -> OptimizerPlan:
        """The plan for gradients of which these are sparse; parameters by their names."""
        sparse = {id(parameters[gradient.name]): gradient for gradient in found}
        others = tuple(attrs.evolve(other, sparse=sparse) for other in self.others)
        return attrs.evolve(self, sparse=sparse, others=others)

    @property
    def members(self) -> list[OptimizerPlan]:
        """The plan of each optimizer by itself."""
        return [attrs.evolve(self, others=()), *self.others]

    @property
    def parameters(self) -> list[Parameter]:
        """All parameters, optimizer by optimizer and group by group."""
        own = [parameter for group in self.groups for parameter in group.parameters]
        return [*own, *(parameter for other in self.others for parameter in other.parameters)]

    def params(self, replace: Replace | None = None) -> list[Any]:
        """What the optimizer is built from: parameters, or groups of them."""
        if not self.has_patterns:
            (group,) = self.groups
            return group.parameters if replace is None else replace(group.parameters)
        return [
            {"params": group.parameters if replace is None else replace(group.parameters), **group.options}
            for group in self.groups
        ]

    def build(self, replace: Replace | None = None) -> Optimizer:
        """Builds the optimizer, or takes the object.

        Args:
            replace: From the parameters of a group to those that stand in for them in a trial.

        Raises:
            LossregError: If it cannot be built.
        """
        if self.others:
            return JointOptimizer([member.build(replace) for member in self.members])
        params = self.params(replace)
        built = self.choice.build(params, runtime={**self.runtime, "params": params})
        if self.choice.given is not None and makes(built, torch.optim.Optimizer):
            built = make(built, params, self.choice.label, "optimizer", "parameters")
        if not isinstance(built, torch.optim.Optimizer):
            raise ConfigError(f"the optimizer {built!r} is neither a torch.optim.Optimizer nor makes one")
        return built


def try_step(plan: OptimizerPlan, device: torch.device, *, unfused: bool) -> OptimizerPlan:
    """Takes one step with throw-away weights: some optimizers refuse their parameters only then.

    An optimizer that asks for `fused` is built so, if it can step so on these parameters. One kernel for all
    parameters is faster than several for each, on every device that has it (docs/performance.md). Not behind a
    gradient scaler: torch's fused SGD moves its momentum in steps that the scaler leaves out, and the weights are NaN
    soon after.

    Args:
        plan: The optimizer.
        device: Where it steps.
        unfused: Whether it shall not be fused: a gradient scaler comes before it, or some gradients come later.

    Returns:
        The plan that works: fused, or as it was.

    Raises:
        BuildError: If the optimizer cannot step at all.
    """
    if plan.others:
        first, *others = [try_step(member, device, unfused=unfused) for member in plan.members]
        return attrs.evolve(first, others=tuple(others))
    if plan.choice.resolved is None:
        _check_sparse(plan, device)
        return plan
    if not unfused and "fused" in plan.choice.component.runtime_args.values():
        fused = attrs.evolve(plan, runtime={**plan.runtime, "fused": True})
        if _step_failure(fused, device) is None:  # else it does without, or the second trial says why it cannot
            return fused
    failure = _step_failure(plan, device)
    if failure is not None:
        raise _cannot_step(plan, device, failure) from failure
    return plan


def _check_sparse(plan: OptimizerPlan, device: torch.device) -> None:
    """Tries an optimizer that is not a component, where gradients are sparse: it is refused if dense ones would do."""
    if not plan.sparse:
        return
    failure = _step_failure(plan, device)
    if failure is not None and _step_failure(attrs.evolve(plan, sparse={}), device) is None:
        raise _cannot_step(plan, device, failure) from failure


def _cannot_step(plan: OptimizerPlan, device: torch.device, failure: BaseException) -> BuildError:
    label = plan.choice.label
    message = f"optimizer {label} cannot step on {device}: {describe_error(failure)}"
    if plan.sparse:
        names = [gradient.name for gradient in plan.sparse.values()]
        which = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        said = "The gradients" if len(names) == len(plan.parameters) else "Only the gradients"
        message += (
            f". {said} of {which} are sparse: sgd without weight_decay and torch.optim.Adagrad take sparse and dense "
            "ones, torch.optim.SparseAdam takes sparse ones alone; with sparse=False in the model they are dense"
        )
    return BuildError(message, component=label)


def _step_failure(plan: OptimizerPlan, device: torch.device) -> BaseException | None:
    """Why an optimizer cannot step on stand-ins of the parameters, or None; errors of building it are raised."""
    stand_ins = StandIns(device, plan.sparse)
    optimizer = plan.build(stand_ins)
    if plan.choice.component is None:
        check_step(optimizer, plan.choice.label, "closure=True")
        try:
            optimizer = stand_ins.twin(optimizer, plan.parameters)
        except Exception:  # what holds something that cannot be copied is not tried
            return None
    set_training_mode(optimizer)
    try:
        with torch.random.fork_rng(), torch.enable_grad():
            if plan.choice.component is not None and plan.choice.component.closure:
                # torch annotates closures to return a float; the loop's returns a tensor.
                optimizer.step(stand_ins.backward)  # type: ignore[arg-type]  # see above
            else:
                stand_ins.backward()
                optimizer.step()
    except BaseException as error:
        if is_from_outside(error):
            raise
        return error
    return None


class StandIns:
    """Makes small parameters in place of those of a group, and gradients as the model would make them.

    There is one for each type of number, number of dimensions, layout and kind of gradient: optimizers treat these
    differently.

    Args:
        device: Where they are.
        sparse: Ids of parameters -> their gradients, where these are sparse.
    """

    def __init__(self, device: torch.device, sparse: Sparse) -> None:
        self._device = device
        self._sparse = sparse
        self._made: list[tuple[Parameter, int]] = []  # with the number of dimensions that are sparse in its gradient

    def __call__(self, parameters: list[Parameter]) -> list[Parameter]:
        """The stand-ins of a group's parameters."""
        kinds = dict.fromkeys(
            (parameter.dtype, parameter.ndim, _memory_format(parameter), self._dimensions(parameter))
            for parameter in parameters
        )
        made = [(self._make(dtype, ndim, layout), sparse) for dtype, ndim, layout, sparse in kinds]
        self._made += made
        return [parameter for parameter, _ in made]

    def twin(self, optimizer: Optimizer, parameters: Sequence[Parameter]) -> Optimizer:
        """A copy of an optimizer as it is before its first step, of stand-ins in the place of these parameters."""
        memo: dict[int, Any] = {id(parameter): self([parameter])[0] for parameter in parameters}
        memo |= {id(made): made for made, _ in self._made}  # what it was built from already
        memo[id(optimizer.state)] = defaultdict(dict)
        return copy.deepcopy(optimizer, memo)

    def _dimensions(self, parameter: Parameter) -> int:
        gradient = self._sparse.get(id(parameter))
        return 0 if gradient is None else gradient.dimensions

    def _make(self, dtype: torch.dtype, ndim: int, layout: torch.memory_format) -> Parameter:
        values = torch.linspace(-1, 1, 2**ndim).reshape((2,) * ndim)
        return Parameter(values.to(self._device, dtype).contiguous(memory_format=layout))

    def backward(self) -> Tensor:
        """Gives them new gradients, those of the sum of their squares, and returns it; a closure, as the loop's."""
        total = torch.zeros((), device=self._device)
        for parameter, _ in self._made:
            parameter.grad = None
            total = total + parameter.abs().square().sum()
        total.backward()
        for parameter, dimensions in self._made:
            if dimensions and parameter.grad is not None:
                parameter.grad = _as_sparse(parameter.grad, dimensions)
        return total.detach()


def _as_sparse(gradient: Tensor, dimensions: int) -> Tensor:
    """A gradient in the form that embeddings give: sparse and not coalesced."""
    made = gradient.to_sparse(dimensions)
    return torch.sparse_coo_tensor(made.indices(), made.values(), made.shape, check_invariants=False)


def _memory_format(parameter: Parameter) -> torch.memory_format:
    is_plain = parameter.ndim != 4 or parameter.is_contiguous()
    is_last = not is_plain and parameter.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if is_last else torch.contiguous_format


def build_optimizer(plan: OptimizerPlan) -> tuple[Optimizer, str | None]:
    """Builds the optimizer of the run.

    Returns:
        The optimizer, and a sentence to warn with, or None.

    Raises:
        LossregError: If it cannot be built, or an object holds none of the parameters.
    """
    optimizer = plan.build()
    if plan.choice.given is None:
        return optimizer, None
    own = optimizer.members[0] if isinstance(optimizer, JointOptimizer) else optimizer
    for group in plan.groups:
        unknown = [name for name in group.options if name not in own.defaults]
        if unknown:
            raise ConfigError(
                f"param_groups: {group.pattern!r}: {type(own).__name__} has no option {unknown[0]!r}; it "
                f"has {', '.join(own.defaults)}"
            )
    check_step(own, plan.choice.label, "closure=True")
    return optimizer, _left_out(optimizer, plan)


def _left_out(optimizer: Optimizer, plan: OptimizerPlan) -> str | None:
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    left_out = sum(id(parameter) not in held for parameter in plan.parameters)
    if left_out == len(plan.parameters):
        raise ConfigError(f"the optimizer {plan.choice.label} holds no weight of the model")
    if not left_out:
        return None
    count = f"{left_out} of the {len(plan.parameters)} weight tensors of model and loss"
    return f"the optimizer {plan.choice.label} leaves {count} unchanged"


def makes(given: object, made: type) -> bool:
    """Whether an object is a function or class that makes the part, not the part."""
    return callable(given) and not isinstance(given, made)


def check_step(part: Any, label: str, field: str) -> None:
    """Checks that an object's `step` can be called as the loop calls what declares nothing.

    Raises:
        ConfigError: If it needs an argument.
    """
    # torch's schedulers put a function in the place of an optimizer's step; the class has the method itself.
    method = getattr(type(part), "step", None)
    own = [*inspect.signature(method).parameters.values()][1:] if callable(method) else None
    parameters = inspect.signature(part.step).parameters.values() if own is None else own
    needed = [p.name for p in parameters if p.default is p.empty and p.kind < 2]
    if needed:
        raise ConfigError(
            f"{label}: its step() needs {', '.join(needed)}; register it with {field} and name it, so that it gets that"
        )
