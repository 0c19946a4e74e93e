"""A loss and its gradient over the input: numbers for a picture, from one sample."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor

from lossreg.errors import ConfigError, describe_error
from lossreg.plugins.isolation import StdoutToStderr, is_from_outside
from lossreg.training.loss.adapter import LossAdapter, adapt
from lossreg.training.loss.fitting import check_fed

if TYPE_CHECKING:
    from lossreg.components import Loss
    from lossreg.registry.build import ResolvedComponent

POINTS = 241
NUMBERS = 3.0  # how far a number to predict goes to either side of its target
LOGITS = 8.0  # how far a logit goes to either side of the other classes'


@attrs.frozen
class LossProfile:
    """A loss along a line through its inputs.

    Attributes:
        x: What changes along the line.
        sample: What the loss is computed of.
        inputs: Where it was computed.
        values: The loss there; NaN where it is not finite.
        slopes: Its derivative there, likewise.
    """

    x: str
    sample: str
    inputs: list[float]
    values: list[float]
    slopes: list[float]


def profile_loss(resolved: ResolvedComponent[Loss]) -> LossProfile:
    """Computes a loss along a line, in float32, as a run hands it what a model gives.

    A loss of dense targets that takes any input is computed of one number around its target; every other loss of one
    sample of two classes (of as many as it has weights for), where the logit of the target's class goes from below
    those of the others to above them.

    Raises:
        ConfigError: If the loss does not declare what it takes, fails, or has no value or gradient anywhere.
    """
    component = resolved.entry.component
    label = resolved.entry.id
    check_fed(component, label)
    if component.target == "any":
        raise ConfigError(
            f"loss {label} takes the targets of its data set as they are (target=any), so there is no input to draw it "
            "over; --plot draws losses that declare another target, such as index or dense"
        )
    is_number = component.target == "dense" and component.input == "any"
    criterion = resolved.build(runtime={"num_classes": 2, "out_features": 1})
    adapter = adapt(criterion, component, "regression" if is_number else "classification")
    classes = 1 if is_number else _classes(criterion)
    span = NUMBERS if is_number else LOGITS
    inputs = torch.linspace(-span, span, POINTS)
    try:
        with StdoutToStderr(), torch.random.fork_rng(devices=[]):
            pairs = [_at(adapter, x, classes, is_number=is_number) for x in inputs]
    except BaseException as error:
        if is_from_outside(error):
            raise
        raise ConfigError(f"loss {label} cannot be drawn: {describe_error(error)}") from error
    values, slopes = ([_finite(number) for number in column] for column in zip(*pairs, strict=True))
    if not any(map(math.isfinite, values)):
        raise ConfigError(f"loss {label} cannot be drawn: it is nowhere a finite number")
    return LossProfile(
        "input − target" if is_number else "logit of the target's class, above the others'",  # a minus
        "one number" if is_number else f"one sample of {classes} classes",
        inputs.tolist(),
        values,
        slopes,
    )


def _classes(criterion: Any) -> int:
    weight = getattr(criterion, "weight", None)
    return len(weight) if isinstance(weight, Tensor) and weight.ndim == 1 and len(weight) > 1 else 2


def _at(adapter: LossAdapter, at: Tensor, classes: int, *, is_number: bool) -> tuple[float, float]:
    """Value and derivative at a point."""
    x = at.clone().requires_grad_()
    if is_number:
        output, target = x.reshape(1, 1), torch.zeros(1, 1)
    else:
        output = torch.cat([x.reshape(1), torch.zeros(classes - 1)]).reshape(1, classes)
        target = torch.zeros(1, dtype=torch.int64)
    value = adapter(output, target)
    (slope,) = torch.autograd.grad(value.sum(), x)
    return float(value.detach().sum()), float(slope)


def _finite(number: float) -> float:
    return number if math.isfinite(number) else math.nan
