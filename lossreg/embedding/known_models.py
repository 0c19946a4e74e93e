"""What was found of a model when an optimizer was first built for it: patterns that match, trials that went well."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import nn

if TYPE_CHECKING:
    from lossreg.training.loss.objective import Objective
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
class _Known:
    seen: tuple[Any, ...]
    found: Found


@attrs.frozen(eq=False)
class KnownModels:
    """What was found of models, as long as they live and stay what they were.

    Names, shapes, types and devices are compared each time; patterns and trials, which go by these, take longer.
    """

    _known: weakref.WeakKeyDictionary[nn.Module, dict[bool, _Known]] = attrs.field(
        factory=weakref.WeakKeyDictionary, init=False
    )

    def find(self, objective: Objective, find: Callable[[], Found], *, fused: bool) -> Found:
        """What was found of a model, or is found now.

        Args:
            objective: Model and loss.
            find: Finds it.
            fused: What it depends on in addition.
        """
        of_model = self._known.setdefault(objective.model, {})
        named = objective.named()
        seen = _seen(objective, named)
        known = of_model.get(fused)
        if known is not None and known.seen == seen:
            plan = known.found.plan.with_parameters(named, objective.model)
            return Found(plan, known.found.sentences)
        found = find()
        # Without the parameters, which would keep the model.
        of_model[fused] = _Known(seen, Found(found.plan.with_parameters(None, None), found.sentences))
        return found


def _seen(objective: Objective, named: Mapping[str, nn.Parameter]) -> tuple[Any, ...]:
    """What patterns and trials go by."""
    return (
        *((name, type(module)) for name, module in objective.named_modules()),
        *((name, one.requires_grad, one.shape, _stride(one), one.dtype, one.device) for name, one in named.items()),
    )


def _stride(parameter: nn.Parameter) -> tuple[int, ...] | None:
    return parameter.stride() if parameter.layout is torch.strided else None  # sparse ones have none
