"""What was found of a model when an optimizer was first built for it: patterns that match, trials that went well."""

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
    """What was found of a model, for its parameters as they are now.

    Attributes:
        facts: What it was found by: those of `Members`.
        names: The names of all parameters, in their order.
        found: What was found, without the parameters, which would keep the model.
        quick: Builds the optimizer without a plan, where no scheduler has to know it; else None.
    """

    facts: list[Any]
    names: tuple[str, ...]
    found: Found
    quick: SortedOptimizer | None

    def again(self, parameters: Sequence[Parameter], model: nn.Module) -> Found:
        """What the optimizer of these parameters is built from."""
        return Found(
            self.found.plan.with_parameters(dict(zip(self.names, parameters, strict=True)), model), self.found.sentences
        )


@attrs.frozen(eq=False)
class KnownModels:
    """What was found of models, as long as they live and stay what they were.

    Names, shapes, types and devices are compared each time; patterns and trials, which go by these, take longer.
    """

    _known: weakref.WeakKeyDictionary[nn.Module, dict[bool, Known]] = attrs.field(
        factory=weakref.WeakKeyDictionary, init=False
    )

    def get(self, model: nn.Module, members: Members, *, fused: bool) -> Known | None:
        """What was found of a model when it was what it is now.

        Args:
            model: The model, with what is wrapped around it.
            members: Its members, and those of the loss.
            fused: What it depends on in addition.
        """
        of_model = self._known.get(model)
        known = None if of_model is None else of_model.get(fused)
        return known if known is not None and known.facts == members.facts else None

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
            fused: What it depends on in addition.
            quick: Whether optimizers may be built without a plan.
        """
        if [*map(id, named.values())] != [*map(id, members.parameters)]:  # a wrapper that shows others has its reasons
            return
        names = tuple(named)
        sorted_optimizer = SortedOptimizer.of(found.plan, names) if quick else None
        without = Found(found.plan.with_parameters(None, None), found.sentences)
        self._known.setdefault(model, {})[fused] = Known(members.facts, names, without, sorted_optimizer)
