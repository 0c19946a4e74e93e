"""What was found when an optimizer was first built for a model: patterns that match, trials that went well."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
from torch import nn
from torch.nn import Parameter

from lossreg.embedding.plain import SortedOptimizer

if TYPE_CHECKING:
    from lossreg.embedding.members import Members
    from lossreg.training.optim.optimizer import OptimizerPlan

MOST = 8  # models that are remembered, the last ones


@attrs.frozen(eq=False)
class Found:
    """What an optimizer is built from, and what is said about it.

    Attributes:
        plan: What it is built from.
        sentences: Warnings.
    """

    plan: OptimizerPlan
    sentences: tuple[str, ...]


@attrs.frozen(eq=False)
class Known:
    """What was found of a model, for all that have such members.

    Attributes:
        facts: What it was found by: those of `Members`.
        fused: Whether a fused optimizer was asked for.
        names: The names of all parameters, in their order.
        found: What was found, without the parameters, which would keep the model.
        quick: Builds the optimizer without a plan, where no scheduler has to know it; else None.
        model: The one model that it is about; None for any.
    """

    facts: list[Any]
    fused: bool
    names: tuple[str, ...]
    found: Found
    quick: SortedOptimizer | None
    model: weakref.ref[nn.Module] | None

    def again(self, parameters: Sequence[Parameter], model: nn.Module) -> Found:
        """What the optimizer of these parameters is built from."""
        named = dict(zip(self.names, parameters, strict=True))
        return Found(self.found.plan.with_parameters(named, model), self.found.sentences)


@attrs.define(eq=False)
class KnownModels:
    """What was found of models, for these and for others that are alike.

    Names, shapes, types and devices are compared each time, as far as anything goes by them; patterns and trials, which
    do, take longer.
    """

    _known: tuple[Known, ...] = attrs.field(default=(), init=False)

    def get(self, model: nn.Module, members: Members, *, fused: bool) -> Known | None:
        """What was found of a model, or of one like it, when it was what it is now.

        Args:
            model: The model, with what is wrapped around it.
            members: Its members, and those of the loss.
            fused: Whether a fused optimizer is asked for.
        """
        facts = members.facts
        for known in self._known:
            if known.facts == facts and known.fused is fused and (known.model is None or known.model() is model):
                return known
        return None

    def add(
        self,
        model: nn.Module,
        members: Members,
        named: Mapping[str, Parameter],
        found: Found,
        *,
        fused: bool,
        quick: bool,
    ) -> None:
        """Remembers what was found of a model.

        Args:
            model: The model, with what is wrapped around it.
            members: Its members, and those of the loss, before.
            named: The same parameters by name.
            found: What was found.
            fused: Whether a fused optimizer is asked for.
            quick: Whether optimizers may be built without a plan.
        """
        if [*map(id, named.values())] != [*map(id, members.parameters)]:  # a wrapper that shows others has its reasons
            return
        names = tuple(named)
        sorted_optimizer = SortedOptimizer.of(found.plan, names) if quick else None
        about = weakref.ref(model) if sorted_optimizer is None else None  # it may be given the model itself
        without = Found(found.plan.with_parameters(None, None), found.sentences)
        new = Known(members.facts, fused, names, without, sorted_optimizer, about)
        self._known = (new, *self._known[: MOST - 1])
