"""The optimizer of a run: built by name, from a function or as an object, and tried out on throw-away weights."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor
from torch.nn import Parameter

from lossreg.errors import BuildError, ConfigError, LossregError, describe_error
from lossreg.training.optim.needs import Needs, asks_for, declared_needs, has_modes, set_gradients, take_step
from lossreg.training.optim.param_groups import OptimizerGroup, check_options, group_names

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from lossreg.run_spec import ParamGroup
    from lossreg.training.selection import Choice

Replace = Callable[[list[Parameter]], list[Parameter]]


@attrs.frozen(eq=False)
class OptimizerPlan:
    """All that is needed to build the optimizer, once with the parameters, and before with others in their place.

    Attributes:
        choice: What was named or given.
        groups: The parameters, with the options of each group; one group without options where there are no patterns.
        has_patterns: Whether there are patterns, so that the optimizer is given groups instead of parameters.
        runtime: Runtime name -> value.
        sparse: The ids of the parameters whose gradients are sparse.
        names: The name of each parameter, by its id.
        needs: What the optimizer needs; before a trial what it declares.
    """

    choice: Choice
    groups: list[OptimizerGroup]
    has_patterns: bool
    runtime: Mapping[str, Any]
    sparse: frozenset[int] = frozenset()
    names: Mapping[int, str] = attrs.field(factory=dict)
    needs: Needs = attrs.field(factory=Needs)

    @property
    def parameters(self) -> list[Parameter]:
        """All parameters, group by group."""
        return [parameter for group in self.groups for parameter in group.parameters]

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
        params = self.params(replace)
        runtime = {**self.runtime, "params": params, "named_params": self._named(params)}
        if replace is not None and "model" in runtime:
            runtime["model"] = getattr(replace, "model", runtime["model"])
        first = params if self.needs.first is None else runtime.get(self.needs.first, params)
        built = self.choice.build(first, runtime=runtime)
        if self.choice.given is not None and makes(built, torch.optim.Optimizer):
            built = built(first)
        if not isinstance(built, torch.optim.Optimizer):
            raise ConfigError(f"the optimizer {built!r} is neither a torch.optim.Optimizer nor makes one")
        return built

    def _named(self, params: list[Any]) -> list[Any]:
        """The same parameters or groups, as pairs of name and parameter; a stand-in has the name of one like it."""
        if self.has_patterns:
            return [{**group, "params": self._pairs(group["params"])} for group in params]
        return self._pairs(params)

    def _pairs(self, parameters: list[Parameter]) -> list[tuple[str, Parameter]]:
        left = {id(parameter): parameter for parameter in self.parameters}
        pairs: list[tuple[str, Parameter]] = []
        for parameter in parameters:
            alike = (key for key, one in left.items() if (one.ndim, one.dtype) == (parameter.ndim, parameter.dtype))
            known = id(parameter) if id(parameter) in left else next(alike, None)
            pairs.append((self.names.get(known or 0, f"weight{len(pairs)}"), parameter))
            left.pop(known or 0, None)
        return pairs

    def facts(self) -> dict[str, Any] | None:
        """For the run record: full id, all parameters and provenance; None for an object."""
        runtime = {**self.runtime, "params": self.params(), "named_params": "by name", "model": "the model"}
        return self.choice.facts(runtime)

    @property
    def takes_model(self) -> bool:
        """Whether the optimizer is given the model itself."""
        return self.needs.first == "model" or asks_for(self.choice.resolved, "model")


def plan_optimizer(
    choice: Choice,
    patterns: tuple[ParamGroup, ...],
    parameters: Mapping[str, Parameter],
    model: str,
    runtime: Mapping[str, Any],
    sparse: frozenset[int] = frozenset(),
) -> OptimizerPlan:
    """Sorts the parameters into groups and checks the options of each.

    Args:
        choice: What was named or given.
        patterns: The patterns over names of parameters, with options.
        parameters: What is trained, by name.
        model: The model in an error message.
        runtime: Runtime name -> value.
        sparse: The ids of the parameters whose gradients are sparse.

    Raises:
        LossregError: If a pattern or its options are wrong.
    """
    names = {id(parameter): name for name, parameter in parameters.items()}
    needs = declared_needs(choice.component)
    if not patterns:
        whole = [OptimizerGroup({}, list(parameters.values()))]
        return OptimizerPlan(choice, whole, False, runtime, sparse, names, needs)
    if needs.first == "model":
        raise ConfigError(
            f"param_groups has no effect on {choice.label}, which takes the model; it makes its own groups"
        )
    try:
        options = _options(choice, patterns, runtime)
        rest, *matched = group_names(parameters, patterns, model)
    except LossregError as error:
        error.setting = "param_groups"
        raise
    groups = [OptimizerGroup(one, group) for one, group in zip(options, matched, strict=True)]
    groups = [OptimizerGroup({}, rest), *groups] if rest else groups
    return OptimizerPlan(choice, groups, True, runtime, sparse, names, needs)


def _options(choice: Choice, patterns: tuple[ParamGroup, ...], runtime: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The options of each group, in the form that the optimizer takes."""
    if choice.resolved is not None:
        return check_options(patterns, choice.resolved, runtime)
    if makes(choice.given, torch.optim.Optimizer):
        return [dict(group.options) for group in patterns]
    raise ConfigError("param_groups has no effect on an optimizer that is an object; it has groups already")


def try_step(plan: OptimizerPlan, device: torch.device, *, scaled: bool) -> OptimizerPlan:
    """Takes one step with throw-away weights: some optimizers refuse their parameters only then.

    An optimizer that asks for `fused` is built so, if it can step so on these parameters. One kernel for all
    parameters is faster than several for each, on every device that has it (docs/performance.md). Not behind a
    gradient scaler: torch's fused SGD moves its momentum in steps that the scaler leaves out, and the weights are NaN
    soon after.

    Args:
        plan: The optimizer.
        device: Where it steps.
        scaled: Whether a gradient scaler comes before the optimizer.

    Returns:
        The plan that works: fused, or as it was.

    Raises:
        BuildError: If the optimizer cannot step at all.
    """
    if plan.choice.resolved is None:
        return plan
    # Nor with a closure: what is not fused is found in the gradients of the first step, which only come in it.
    if not scaled and not plan.needs.closure and asks_for(plan.choice.resolved, "fused"):
        fused = attrs.evolve(plan, runtime={**plan.runtime, "fused": True})
        try:
            _step_once(fused, device)
        except BuildError:
            pass  # it does without, or the second trial says why it cannot
        else:
            return fused
    _step_once(plan, device)
    return plan


def _step_once(plan: OptimizerPlan, device: torch.device) -> None:
    stand_ins = stand_ins_of(plan, device)
    optimizer = plan.build(stand_ins)
    try:
        with torch.random.fork_rng(), torch.enable_grad():
            if has_modes(optimizer):
                optimizer.train()  # type: ignore[attr-defined]  # it has it
            take_step(optimizer, plan.needs, stand_ins.backward)
    except Exception as error:
        label = plan.choice.label
        raise BuildError(
            f"optimizer {label} cannot step on {device}: {describe_error(error)}", component=label
        ) from error


def stand_ins_of(plan: OptimizerPlan, device: torch.device) -> StandIns:
    """Throw-away weights for a plan: small ones, or a copy of the model where the optimizer takes that."""
    return ModelCopy(plan, device) if plan.takes_model else StandIns(device, plan.sparse)


class StandIns:
    """Makes small parameters in place of those of a group, and gradients as the model would make them.

    There is one for each type of number, number of dimensions, layout and kind of gradient: optimizers treat these
    differently.

    Args:
        device: Where they are.
        sparse: The ids of the parameters whose gradients are sparse.
    """

    def __init__(self, device: torch.device, sparse: frozenset[int]) -> None:
        self._device = device
        self._sparse = sparse
        self._made: list[tuple[Parameter, bool]] = []

    def __call__(self, parameters: list[Parameter]) -> list[Parameter]:
        """The stand-ins of a group's parameters."""
        kinds = dict.fromkeys(
            (parameter.dtype, parameter.ndim, _memory_format(parameter), id(parameter) in self._sparse)
            for parameter in parameters
        )
        made = [(self._make(dtype, ndim, layout), is_sparse) for dtype, ndim, layout, is_sparse in kinds]
        self._made += made
        return [parameter for parameter, _ in made]

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
        for parameter, is_sparse in self._made:
            parameter.grad = None
            rows = torch.arange(len(parameter), device=self._device) if is_sparse else None
            used = parameter if rows is None else torch.nn.functional.embedding(rows, parameter, sparse=True)
            total = total + used.abs().square().sum()
        if create_graph:
            set_gradients(total, self.parameters)
        else:
            total.backward()
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
        self._sparse_ids = plan.sparse
        model = plan.runtime["model"]
        try:
            self.model = copy.deepcopy(model)
        except Exception as error:
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
        self._made += [(one, id(old) in self._sparse_ids) for one, old in zip(made, parameters, strict=True)]
        return made


def _memory_format(parameter: Parameter) -> torch.memory_format:
    is_plain = parameter.ndim != 4 or parameter.is_contiguous()
    is_last = not is_plain and parameter.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if is_last else torch.contiguous_format


def copy_optimizer(optimizer: Optimizer) -> Optimizer:
    """A copy with weights of its own, and without hooks.

    Not `copy.deepcopy` of the object, for which torch leaves out the attributes that it does not know. A scheduler has
    put a function in the place of `step` that steps the original.
    """
    twin: Optimizer = object.__new__(type(optimizer))
    vars(twin).update(copy.deepcopy({k: v for k, v in vars(optimizer).items() if k != "step"}, {id(optimizer): twin}))
    for hooks in ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks"):
        getattr(twin, hooks, {}).clear()
    return twin


def sparse_parameters(module: torch.nn.Module) -> frozenset[int]:
    """The ids of the parameters whose gradients are sparse: the tables of `nn.Embedding(sparse=True)`."""
    tables = (torch.nn.Embedding, torch.nn.EmbeddingBag)
    return frozenset(id(part.weight) for part in module.modules() if isinstance(part, tables) and part.sparse)


def build_optimizer(plan: OptimizerPlan, patterns: tuple[ParamGroup, ...]) -> tuple[Optimizer, str | None]:
    """Builds the optimizer of the run.

    Returns:
        The optimizer, and a sentence to warn with, or None.

    Raises:
        LossregError: If it cannot be built, or an object holds none of the parameters.
    """
    optimizer = plan.build()
    if has_modes(optimizer):
        optimizer.train()  # type: ignore[attr-defined]  # it has it; some refuse to step before
    elif plan.needs.modes:
        raise ConfigError(
            f"optimizer {plan.choice.label} declares modes=True, but has no train() and eval(), which switch between "
            "the weights that are trained and those that are evaluated"
        )
    if plan.choice.given is None:
        return optimizer, _left_out(optimizer, plan) if plan.takes_model else None
    for group in patterns:
        unknown = [name for name, _ in group.options if name not in optimizer.defaults]
        if unknown:
            raise ConfigError(
                f"param_groups: {group.pattern!r}: {type(optimizer).__name__} has no option {unknown[0]!r}; it "
                f"has {', '.join(optimizer.defaults)}"
            )
    if not plan.needs.closure:
        check_step(optimizer, plan.choice.label, "closure=True")
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
