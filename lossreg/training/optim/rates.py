"""The learning rates to come, tried out with throw-away weights, and whether they are of any use."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs
import torch

from lossreg.errors import BuildError, ConfigError, LossregError, describe_error
from lossreg.plugins.isolation import is_from_outside
from lossreg.training.optim.optimizer import OptimizerPlan
from lossreg.training.optim.scheduler import Schedule, Stepping, build_scheduler, is_made
from lossreg.training.optim.stand_ins import stand_ins_of

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from lossreg.training.choice import Choice

ROUNDING = 1e-6  # of the highest rate: what a line that ends in 0 may be below it
MAX_PREVIEW = 20_000  # steps that are tried out; a longer schedule that counts steps is not (0.2 s on a slow core)


@attrs.frozen
class EpochRates:
    """The learning rate at an epoch's first and last step.

    Attributes:
        first: At the first.
        last: At the last.
        steps: At each step, where the scheduler counts them; otherwise empty.
    """

    first: float
    last: float
    steps: tuple[float, ...] = ()


def preview_rates(
    plan: OptimizerPlan, choice: Choice | None, stepping: Stepping, device: torch.device
) -> list[EpochRates] | None:
    """Steps the scheduler of throw-away weights through a whole run.

    Args:
        plan: The optimizer.
        choice: The scheduler, or None.
        stepping: When it steps.
        device: Where the weights are.

    Returns:
        The rates of each epoch, of the first parameter group; None if they cannot be known: the optimizer is no
        component, the scheduler is an object (not a function that makes one) or follows a metric, or there are too many
        steps to try.

    Raises:
        LossregError: If a rate is of no use, or the scheduler fails on its way.
    """
    is_object = plan.choice.given is not None or (choice is not None and is_made(choice.given))
    if is_object or stepping.monitor is not None:
        return None
    optimizer = plan.build(stand_ins_of(plan, device))
    constant = learning_rate(optimizer)
    if constant is None and choice is not None:
        raise ConfigError(
            f"optimizer {plan.choice.label} sets its own rate (it has no lr), which scheduler {choice.label} cannot "
            "change; give it an lr, or leave the scheduler out"
        )
    if constant is None:
        return None
    if choice is None:
        rates = [EpochRates(constant, constant)] * stepping.epochs
    else:
        schedule = Schedule(build_scheduler(choice, optimizer, plan.runtime), stepping, choice.label, may_skip=True)
        if schedule.counts_steps and stepping.epochs * stepping.steps_per_epoch > MAX_PREVIEW:
            return None
        rates = _walk(schedule, optimizer)
    _check_rates(rates, None if choice is None else choice.label)
    return rates


def _check_rates(rates: Sequence[EpochRates], scheduler: str | None) -> None:
    """Refuses rates that no step is of any use with: of a line that ends in 0, one below it by rounding is none."""
    each = [(epoch, one) for epoch, rate in enumerate(rates) for one in (rate.steps or (rate.first, rate.last))]
    highest = max((one for _, one in each), default=0.0)
    for epoch, one in each:
        if not (isnan := math.isnan(one)) and one >= -ROUNDING * abs(highest):
            continue
        what = "is nan" if isnan else f"is {one:g}, which leads up the loss"
        by = "" if scheduler is None else f"scheduler {scheduler}: "
        raise ConfigError(f"{by}the learning rate {what}, in epoch {epoch}; a rate is at least 0")
    if highest > torch.finfo(torch.float32).max:
        raise ConfigError(f"the learning rate reaches {highest:g}, which no float32 weight can be moved by")


def _walk(schedule: Schedule, optimizer: Optimizer) -> list[EpochRates]:
    rates = []
    between = schedule.stepping.steps_per_epoch - 1 if schedule.counts_steps else 0
    done = 0
    try:
        for epoch in range(schedule.stepping.epochs):
            steps = [float(optimizer.param_groups[0]["lr"])]
            for _ in range(between):
                done += 1
                schedule.between_steps()
                steps.append(float(optimizer.param_groups[0]["lr"]))
            rates.append(EpochRates(steps[0], steps[-1], tuple(steps) if schedule.counts_steps else ()))
            done += 1
            schedule.after_epoch(epoch, {})
    except BaseException as error:
        if is_from_outside(error):
            raise
        if isinstance(error, LossregError):
            raise
        total = schedule.stepping.epochs * (between + 1)
        raise BuildError(
            f"scheduler {schedule.label} fails after {schedule.stepping.interval} {done} of the run's {total}: "
            f"{describe_error(error)}",
            component=schedule.label,
        ) from error
    return rates


def learning_rate(optimizer: Optimizer) -> float | None:
    """The learning rate of the first parameter group; None if the optimizer sets its own (timm's Adafactor)."""
    rate = optimizer.param_groups[0].get("lr")
    return None if rate is None else float(rate)


def zero_rate_warning(rates: Sequence[EpochRates] | None, of: str | None = None) -> str | None:
    """A sentence about epochs that cannot change the weights, or those of the optimizer that is named; or None."""
    still = [epoch for epoch, rates in enumerate(rates or []) if rates.first == rates.last == 0]
    if not still:
        return None
    rate, weights = ("the learning rate", "the weights") if of is None else (f"the rate of {of}", "its weights")
    if len(still) == len(rates or []):
        return f"{rate} is 0 in every epoch: {weights} stay as they are"
    named = f"epoch {still[0]}" if len(still) == 1 else f"epochs {', '.join(map(str, still[:10]))}"
    more = f" and {len(still) - 10} more" if len(still) > 10 else ""
    return f"{rate} is 0 in {named}{more}: {weights} stay as they are there"
