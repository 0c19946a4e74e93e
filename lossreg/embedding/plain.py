"""Optimizers of which nothing is asked of a model but its parameters: all else is checked, or has been once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

import attrs
from torch import nn
from torch.nn import Parameter
from torch.optim import Optimizer

from lossreg.embedding.members import trained_parameters
from lossreg.registry.build import ResolvedComponent
from lossreg.training.optim.needs import PROBED
from lossreg.training.optim.optimizer import OptimizerPlan, not_an_optimizer

if TYPE_CHECKING:
    from lossreg.run_spec import RunSpec
    from lossreg.training.selection import Selection


@attrs.frozen(eq=False)
class PlainOptimizer:
    """An optimizer that trains all parameters alike, and whose record says all that it needs.

    No pattern has to match, nothing is frozen, and no trial is needed, so that a model is asked for its parameters
    alone.

    Attributes:
        builder: Builds it from parameters.
    """

    builder: Callable[[list[Parameter]], Any]

    @classmethod
    def of(cls, spec: RunSpec, chosen: Selection, builder: Callable[..., Any]) -> PlainOptimizer | None:
        """What is chosen, if it is such an optimizer; else None.

        Args:
            spec: The settings.
            chosen: What is named or given.
            builder: Builds the optimizer that is chosen.
        """
        choice = chosen.optimizer
        of_some = (spec.param_groups, spec.freeze, spec.unfreeze, choice.rest, choice.scheduler)
        if any(of_some) or spec.frozen_mode not in (None, "eval"):
            return None
        if choice.resolved is None or not says_all(choice.resolved):
            return None
        return cls(builder)

    def build(self, model: nn.Module, criterion: object) -> Optimizer | None:
        """Builds it; None if something is not a usual parameter, but a shard, or one without values.

        Args:
            model: The model.
            criterion: The loss, whose own parameters are trained, too.

        Raises:
            LossregError: If it cannot be built.
        """
        parameters = trained_parameters(model)
        if parameters is not None and may_train(criterion):
            parameters += _own(criterion, model)
        if not parameters:
            return None
        built = self.builder(parameters)
        if not isinstance(built, Optimizer):
            raise not_an_optimizer(built)
        return built


@attrs.frozen(eq=False)
class SortedOptimizer:
    """An optimizer whose parameter groups have been found, tried and checked: it is built of others in their places.

    Attributes:
        builder: Builds it from parameters or groups.
        groups: The places of the parameters of each group among all, and the options of the group.
        has_patterns: Whether it is given groups.
    """

    builder: Callable[[list[Any]], Any]
    groups: list[tuple[list[int], dict[str, Any]]]
    has_patterns: bool

    @classmethod
    def of(cls, plan: OptimizerPlan, names: Sequence[str]) -> SortedOptimizer | None:
        """What was planned, if it is one optimizer by name that is given parameters or groups alone; else None.

        Args:
            plan: What was planned.
            names: The names of all parameters.
        """
        resolved, needs = plan.choice.resolved, plan.needs
        if plan.others or plan.made is not None or plan.choice.given is not None or resolved is None:
            return None
        if not _takes_parameters_alone(resolved) or plan.choice.routed is not None or needs.asks_of_loop or needs.first:
            return None
        places = {name: place for place, name in enumerate(names)}
        groups = [([places[name] for name in group.names], group.by_level[0]) for group in plan.groups]
        runtime = {name: value for name, value in plan.runtime.items() if name != "model"}
        return cls(resolved.builder(runtime), groups, plan.has_patterns)

    def build(self, parameters: Sequence[Parameter]) -> Optimizer:
        """Builds it.

        Args:
            parameters: All parameters, in the order of the names.

        Raises:
            LossregError: If it cannot be built.
        """
        get = parameters.__getitem__
        groups = [{"params": [*map(get, places)], **options} for places, options in self.groups]
        built = self.builder(groups if self.has_patterns else groups[0]["params"])
        if not isinstance(built, Optimizer):
            raise not_an_optimizer(built)
        return built


def says_all(resolved: ResolvedComponent[Any]) -> bool:
    """Whether an optimizer needs parameters and gradients alone, and its record leaves nothing to a trial."""
    component = resolved.entry.component
    if component.modes or component.needs or not _takes_parameters_alone(resolved):
        return False
    if component.closure or component.create_graph:  # its steps are looked at
        return False
    return None not in [getattr(component, field) for field in PROBED]


def _takes_parameters_alone(resolved: ResolvedComponent[Any]) -> bool:
    """Whether an optimizer wraps no other, and asks neither for the model nor for names of parameters."""
    return not resolved.nests and _OF_MODELS.isdisjoint(resolved.entry.component.runtime_args.values())


#: What the runtime has of the model and its parameters.
_OF_MODELS = frozenset(("model", "params", "named_params"))


def may_train(criterion: object) -> TypeGuard[nn.Module]:
    """Whether a loss may have parameters: most have none and no children, and asking for all of them takes longer."""
    return isinstance(criterion, nn.Module) and bool(criterion._parameters or criterion._modules)


def _own(criterion: nn.Module, model: nn.Module) -> list[Parameter]:
    """The parameters of a loss that are not the model's, too."""
    of_model = {id(one) for one in model.parameters()}
    return [one for _, one in criterion.named_parameters() if id(one) not in of_model and one.requires_grad]
