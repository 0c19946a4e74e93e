"""Optimizers of which nothing is asked of a model but its parameters: all else goes by texts, and is checked once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs
from torch import nn
from torch.nn import Parameter
from torch.optim import Optimizer

from lossreg.registry.build import ResolvedComponent
from lossreg.registry.levels import nested_in
from lossreg.training.optim.needs import PROBED
from lossreg.training.optim.optimizer import not_an_optimizer

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
    def of(cls, spec: RunSpec, chosen: Selection, runtime: Mapping[str, Any]) -> PlainOptimizer | None:
        """What is chosen, if it is such an optimizer; else None."""
        choice = chosen.optimizer
        of_some = (spec.param_groups, spec.freeze, spec.unfreeze, choice.rest, choice.scheduler)
        if any(of_some) or spec.frozen_mode not in (None, "eval"):
            return None
        if choice.resolved is None or not _says_all(choice.resolved):
            return None
        return cls(choice.resolved.builder(runtime))

    @staticmethod
    def parameters(model: nn.Module, criterion: object) -> list[Parameter] | None:
        """What is trained; None if something is not a usual parameter: a shard, or one without values.

        Args:
            model: The model.
            criterion: The loss, whose own parameters are trained, too.
        """
        parameters = []
        for _, one in model.named_parameters():
            if type(one) is not Parameter or one.is_meta:
                return None
            if one.requires_grad:
                parameters.append(one)
        if isinstance(criterion, nn.Module) and not _is_bare(criterion):
            parameters += _own(criterion, model)
        return parameters

    def build(self, parameters: list[Parameter]) -> Optimizer:
        """Builds it.

        Args:
            parameters: What is trained.

        Raises:
            LossregError: If it cannot be built.
        """
        built = self.builder(parameters)
        if not isinstance(built, Optimizer):
            raise not_an_optimizer(built)
        return built


def _says_all(resolved: ResolvedComponent[Any]) -> bool:
    """Whether an optimizer wraps no other, takes parameters alone, and its record leaves nothing to a trial."""
    component = resolved.entry.component
    if any(nested_in(tuple(resolved.params.values()))) or component.needs:
        return False
    if component.modes or component.closure or component.create_graph:  # its steps are looked at
        return False
    if any(getattr(component, field) is None for field in PROBED):
        return False
    return {"model", "named_params"}.isdisjoint(component.runtime_args.values())


def _is_bare(module: nn.Module) -> bool:
    """Whether a module has no parameters and no children, as most losses; asking for all of them takes longer."""
    return not (module._parameters or module._modules)


def _own(criterion: nn.Module, model: nn.Module) -> list[Parameter]:
    """The parameters of a loss that are not the model's, too."""
    of_model = {id(one) for one in model.parameters()}
    return [one for _, one in criterion.named_parameters() if id(one) not in of_model and one.requires_grad]
