"""The optimizer of a run: built by name, from a function or as an object."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch.nn import Parameter

from lossreg.errors import BuildError, ConfigError
from lossreg.registry.levels import GroupsByLevel, changed
from lossreg.training.loss.gradients import SparseGradient
from lossreg.training.optim.given import make
from lossreg.training.optim.joint import JointOptimizer
from lossreg.training.optim.modes import has_modes
from lossreg.training.optim.needs import Needs, asks_for, union
from lossreg.training.optim.param_groups import MAX_SHOWN, OptimizerGroup
from lossreg.training.optim.stand_ins import Sparse
from lossreg.training.optimizer_choice import ROUTED
from lossreg.values import shown

if TYPE_CHECKING:
    from torch.nn import Module
    from torch.optim import Optimizer

    from lossreg.training.choice import Choice

Replace = Callable[[list[Parameter]], list[Parameter]]


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

    def with_parameters(self, named: Mapping[str, Parameter] | None, model: Module | None) -> OptimizerPlan:
        """The plan for a model whose parameters have the same names.

        Args:
            named: Name -> parameter; None leaves the parameters out.
            model: The model, or None.
        """
        groups = [
            group._replace(parameters=[] if named is None else [named[name] for name in group.names])
            for group in self.groups
        ]
        others = tuple(other.with_parameters(named, model) for other in self.others)
        return attrs.evolve(self, groups=groups, others=others, runtime={**self.runtime, "model": model})

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
        try:
            built = self.choice.build(first, runtime=runtime)
        except BuildError as error:
            error.message += self._not_for_these()
            raise
        if self.choice.given is not None and makes(built, torch.optim.Optimizer):
            built = make(built, params, self.choice.label, "optimizer", "parameters")
        if not isinstance(built, torch.optim.Optimizer):
            raise not_an_optimizer(built)
        return built

    def _not_for_these(self) -> str:
        """What an optimizer that is not for all parameters is for, and what it was given, as the end of a message."""
        routed = self.choice.routed
        if routed is None:
            return ""
        given = [
            f"{name} {tuple(one.shape)}"
            for group in self.groups
            for name, one in zip(group.names, group.parameters, strict=True)
        ]
        more = f" and {len(given) - MAX_SHOWN} more" if len(given) > MAX_SHOWN else ""
        return f"; it is for {ROUTED[routed.routes]}, and is given {', '.join(given[:MAX_SHOWN])}{more}"

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


def not_an_optimizer(built: object) -> ConfigError:
    """The error of what was built in the place of an optimizer."""
    return ConfigError(f"the optimizer {shown(built)} is neither a torch.optim.Optimizer nor makes one")


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
