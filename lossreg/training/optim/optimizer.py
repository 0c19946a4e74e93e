"""The optimizer of a run: built by name, from a function or as an object, and tried out on throw-away weights."""

from __future__ import annotations

import contextlib
import copy
import inspect
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor
from torch.nn import Parameter

from lossreg.errors import BuildError, ConfigError, describe_error
from lossreg.plugins.isolation import is_from_outside
from lossreg.registry.levels import GroupsByLevel, changed
from lossreg.training.loss.gradients import SparseGradient
from lossreg.training.optim.given import make
from lossreg.training.optim.joint import JointOptimizer
from lossreg.training.optim.modes import has_modes, set_training_mode
from lossreg.training.optim.needs import Needs, asks_for, set_gradients, take_step, union
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
        needs: What this optimizer needs; before a trial what it declares.
        made: What a function made that was given; it is called once.
        sparse: Ids of parameters -> their gradients, where these are sparse.
        others: The plans of the optimizers that step together with this one, for other parameters.
    """

    choice: Choice
    groups: list[OptimizerGroup]
    has_patterns: bool
    runtime: Mapping[str, Any]
    needs: Needs = attrs.field(factory=Needs)
    made: Optimizer | None = None
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

    @property
    def names(self) -> dict[int, str]:
        """The name of each parameter of this optimizer, by its id."""
        return {id(one): name for group in self.groups for one, name in zip(group.parameters, group.names, strict=True)}

    @property
    def all_needs(self) -> Needs:
        """What the loop gives to all optimizers."""
        return union([member.needs for member in self.members])

    @property
    def takes_model(self) -> bool:
        """Whether an optimizer is given the model itself."""
        return any(one.needs.first == "model" or asks_for(one.choice.resolved, "model") for one in self.members)

    def params(self, replace: Replace | None = None) -> list[Any]:
        """What the optimizer is built from: parameters, or groups of them."""
        if not self.has_patterns:
            (group,) = self.groups
            return group.parameters if replace is None else replace(group.parameters)
        members = [group.parameters if replace is None else replace(group.parameters) for group in self.groups]
        return GroupsByLevel.of(members, [group.by_level for group in self.groups])

    def build(self, replace: Replace | None = None) -> Optimizer:
        """Builds the optimizer, or takes the object.

        Args:
            replace: From the parameters of a group to those that stand in for them in a trial.

        Raises:
            LossregError: If it cannot be built.
        """
        if self.others:
            return JointOptimizer([member.build(replace) for member in self.members])
        if self.made is not None:
            return self.made
        params = self.params(replace)
        runtime = {**self.runtime, "params": params, "named_params": self._named(params)}
        if replace is not None and "model" in runtime:
            runtime["model"] = getattr(replace, "model", runtime["model"])
        first = params if self.needs.first is None else runtime.get(self.needs.first, params)
        built = self.choice.build(first, runtime=runtime)
        if self.choice.given is not None and makes(built, torch.optim.Optimizer):
            built = make(built, params, self.choice.label, "optimizer", "parameters")
        if not isinstance(built, torch.optim.Optimizer):
            raise ConfigError(f"the optimizer {built!r} is neither a torch.optim.Optimizer nor makes one")
        return built

    def _named(self, params: list[Any]) -> list[Any]:
        """The same parameters or groups, as pairs of name and parameter; a stand-in has the name of one like it."""
        if self.has_patterns:
            return changed(params, self._pairs)
        return self._pairs(params)

    def _pairs(self, parameters: list[Parameter]) -> list[tuple[str, Parameter]]:
        names = self.names
        left = {id(parameter): parameter for parameter in self.parameters}
        pairs: list[tuple[str, Parameter]] = []
        for parameter in parameters:
            alike = (key for key, one in left.items() if (one.ndim, one.dtype) == (parameter.ndim, parameter.dtype))
            known = id(parameter) if id(parameter) in left else next(alike, None)
            pairs.append((names.get(known or 0, f"weight{len(pairs)}"), parameter))
            left.pop(known or 0, None)
        return pairs


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
    # Nor with a closure: what is not fused is found in the gradients of the first step, which only come in it.
    if not unfused and not plan.needs.closure and asks_for(plan.choice.resolved, "fused"):
        fused = attrs.evolve(plan, runtime={**plan.runtime, "fused": True})
        with contextlib.suppress(BuildError):  # some refuse to be built so
            if _step_failure(fused, device) is None:  # else it does without, or the second trial says why it cannot
                return fused
    failure = _step_failure(plan, device)
    if failure is not None:
        raise cannot_step(plan, device, failure) from failure
    return plan


def _check_sparse(plan: OptimizerPlan, device: torch.device) -> None:
    """Tries an optimizer that is not a component, where gradients are sparse: it is refused if dense ones would do."""
    if not plan.sparse:
        return
    failure = _step_failure(plan, device)
    if failure is not None and _step_failure(attrs.evolve(plan, sparse={}), device) is None:
        raise cannot_step(plan, device, failure) from failure


def cannot_step(plan: OptimizerPlan, device: torch.device, failure: BaseException) -> BuildError:
    """The error of an optimizer that fails in a trial.

    Args:
        plan: The optimizer.
        device: Where it was tried.
        failure: What it raised.
    """
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
    stand_ins = stand_ins_of(plan, device)
    optimizer = plan.build(stand_ins)
    if plan.choice.component is None:
        if not plan.needs.closure:
            check_step(optimizer, plan.choice.label, "closure=True")
        try:
            optimizer = stand_ins.twin(optimizer, plan.parameters)
        except Exception:  # what holds something that cannot be copied is not tried
            return None
    set_training_mode(optimizer)
    try:
        with torch.random.fork_rng(), torch.enable_grad():
            take_step(optimizer, plan.needs, stand_ins.backward)
    except BaseException as error:
        if is_from_outside(error):
            raise
        return error
    return None


def stand_ins_of(plan: OptimizerPlan, device: torch.device) -> StandIns:
    """Throw-away weights for a plan: small ones, or a copy of the model where an optimizer takes that."""
    return ModelCopy(plan, device) if plan.takes_model else StandIns(device, plan.sparse)


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
        return copy_optimizer(optimizer, memo)

    def _dimensions(self, parameter: Parameter) -> int:
        gradient = self._sparse.get(id(parameter))
        return 0 if gradient is None else gradient.dimensions

    def _make(self, dtype: torch.dtype, ndim: int, layout: torch.memory_format) -> Parameter:
        values = torch.linspace(-1, 1, 2**ndim).reshape((2,) * ndim)
        return Parameter(values.to(self._device, dtype).contiguous(memory_format=layout))

    @property
    def parameters(self) -> list[Parameter]:
        """All of them."""
        return [parameter for parameter, _ in self._made]

    def backward(self, *, create_graph: bool = False) -> Tensor:
        """Gives them new gradients, those of the sum of their squares, and returns it; a closure, as the loop's."""
        total = torch.zeros((), device=self._device)
        for parameter in self.parameters:
            parameter.grad = None
            total = total + parameter.abs().square().sum()
        if create_graph:
            set_gradients(total, self.parameters)
        else:
            total.backward()
        for parameter, dimensions in self._made:
            if dimensions and parameter.grad is not None:
                parameter.grad = as_sparse(parameter.grad, dimensions)
        return total.detach()


class ModelCopy(StandIns):
    """The parameters of a copy of the model, in place of the model's own; those of the loss are copied beside it.

    Args:
        plan: The optimizer.
        device: Where they are.

    Raises:
        BuildError: If the model cannot be copied.
    """

    def __init__(self, plan: OptimizerPlan, device: torch.device) -> None:
        super().__init__(device, plan.sparse)
        model = plan.runtime["model"]
        try:
            self.model = copy.deepcopy(model)
        except BaseException as error:
            if is_from_outside(error):
                raise
            label = plan.choice.label
            raise BuildError(
                f"optimizer {label} takes the model, which cannot be copied for a trial: {describe_error(error)}",
                component=label,
            ) from error
        own = dict(self.model.named_parameters())
        self._copies = {id(parameter): own[name] for name, parameter in model.named_parameters()}

    def __call__(self, parameters: list[Parameter]) -> list[Parameter]:
        """The copies of a group's parameters."""
        made = [
            self._copies[id(one)] if id(one) in self._copies else Parameter(one.detach().clone()) for one in parameters
        ]
        self._made += [(one, self._dimensions(old)) for one, old in zip(made, parameters, strict=True)]
        return made


def as_sparse(gradient: Tensor, dimensions: int) -> Tensor:
    """A gradient in the form that embeddings give: sparse and not coalesced."""
    made = gradient.to_sparse(dimensions)
    return torch.sparse_coo_tensor(made.indices(), made.values(), made.shape, check_invariants=False)


def _memory_format(parameter: Parameter) -> torch.memory_format:
    is_plain = parameter.ndim != 4 or parameter.is_contiguous()
    is_last = not is_plain and parameter.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if is_last else torch.contiguous_format


def copy_optimizer(optimizer: Optimizer, memo: Mapping[int, Any] = MappingProxyType({})) -> Optimizer:
    """A copy with weights of its own, and without hooks.

    Not `copy.deepcopy` of the object, for which torch leaves out the attributes that it does not know. A scheduler has
    put a function in the place of `step` that steps the original.

    Args:
        optimizer: What is copied.
        memo: The id of an object -> what has its place in the copy.
    """
    twin: Optimizer = object.__new__(type(optimizer))
    own = {name: value for name, value in vars(optimizer).items() if name != "step"}
    vars(twin).update(copy.deepcopy(own, {**memo, id(optimizer): twin}))
    for hooks in ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks"):
        getattr(twin, hooks, {}).clear()
    return twin


def build_optimizer(plan: OptimizerPlan) -> tuple[Optimizer, str | None]:
    """Builds the optimizer of the run.

    Returns:
        The optimizer, and a sentence to warn with, or None.

    Raises:
        LossregError: If it cannot be built, lacks modes that it declares, or an object holds none of the parameters.
    """
    optimizer = plan.build()
    built = optimizer.members if plan.others and isinstance(optimizer, JointOptimizer) else (optimizer,)
    for member, one in zip(plan.members, built, strict=True):
        if member.needs.modes and not has_modes(one):
            raise ConfigError(
                f"optimizer {member.choice.label} declares modes=True, but has no train() and eval(), which switch "
                "between the weights that are trained and those that are evaluated"
            )
    if plan.choice.given is None:
        return optimizer, _left_out(optimizer, plan) if plan.takes_model else None
    own = built[0]
    for group in plan.groups:
        unknown = [name for name in group.options if name not in own.defaults]
        if unknown:
            raise ConfigError(
                f"param_groups: {group.pattern!r}: {type(own).__name__} has no option {unknown[0]!r}; it "
                f"has {', '.join(own.defaults)}"
            )
    if not plan.needs.closure:
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
