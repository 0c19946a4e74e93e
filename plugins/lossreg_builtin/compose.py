"""Schedules of schedules: one after another, behind a warm-up, several at once."""

from __future__ import annotations

import itertools
import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, Literal, Protocol

import torch
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    LambdaLR,
    LinearLR,
    LRScheduler,
    OneCycleLR,
)

from lossreg.errors import ConfigError

Options = dict[str, Any]  # of a parameter group, without the parameters

_PERCENT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*", re.ASCII)


class Schedule(Protocol):
    """A function that builds a scheduler for its span, in epochs or steps; None if that is not known."""

    def __call__(self, span: int | None, /) -> LRScheduler:
        """Builds it."""


class SequentialLR(torch.optim.lr_scheduler.SequentialLR):
    """One schedule after another: each starts afresh, from the optimizer's own rates, at its milestone.

    Equals `torch.optim.lr_scheduler.SequentialLR` for the schedules that this one takes; here any schedule may be part
    of it, a sequence, a chain or one that follows a metric included, and each is told its own span. What a schedule
    sets besides the rate (the momentum of one cycle) holds as long as that schedule does. A `multiplicative_lr` starts
    from the optimizer's rate, where torch's goes on from the rate before.

    Args:
        optimizer: The optimizer whose rates are set.
        schedulers: The schedules in their order: functions that build each of them for its span.
        milestones: Where each but the first begins, counted from the start in epochs (or steps), or in percent of the
            span (`"10%"`, rounded, at least 1).
        span: How many epochs (or steps) there are in all; None if that is not known.
        interval: Whether `step()` is called after each epoch or after each step.

    Raises:
        ConfigError: If the milestones do not fit the schedules, or leave one of them nothing of the span.

    Example:
        >>> import torch
        >>> from torch.optim.lr_scheduler import ConstantLR, ExponentialLR
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        >>> parts = [lambda span: ConstantLR(optimizer, 0.5, span), lambda span: ExponentialLR(optimizer, 0.1)]
        >>> scheduler, rates = SequentialLR(optimizer, parts, milestones=[2], span=4), []
        >>> for _ in range(4):
        ...     rates += scheduler.get_last_lr()
        ...     optimizer.step(); scheduler.step()
        >>> rates
        [0.5, 0.5, 1.0, 0.1]
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        schedulers: Sequence[Schedule],
        milestones: Sequence[int | str],
        span: int | None = None,
        interval: Literal["epoch", "step"] = "epoch",
    ) -> None:
        self._begin(optimizer, schedulers, _milestones(schedulers, milestones, span, interval), span)

    def _begin(
        self, optimizer: torch.optim.Optimizer, parts: Sequence[Schedule], milestones: list[int], span: int | None
    ) -> None:
        """Builds each schedule as if it were alone, and keeps what it makes of the groups."""
        self.optimizer = optimizer
        self._milestones = milestones
        self._schedulers = []
        self._follows = [getattr(part, "monitor", None) is not None for part in parts]  # a plain function has none
        base = [_options(group) for group in optimizer.param_groups]
        made = []
        for part, length in zip(parts, _spans(milestones, span), strict=True):
            if not callable(part):
                raise ConfigError(f"{part!r} is not a schedule that can be composed; write one by name, as cosine()")
            _set(optimizer, base)
            self._schedulers.append(part(length))
            made.append([_options(group) for group in optimizer.param_groups])
        touched = {"lr"} | {
            key
            for each in made
            for own, group in zip(base, each, strict=True)
            for key in group
            if key not in own or not _same(own[key], group[key])
        }
        self._starts = [[{key: group[key] for key in touched & group.keys()} for group in each] for each in made]
        self.last_epoch = 0
        self._enter(0)

    def _enter(self, index: int) -> None:
        """Gives the groups the options with which a schedule starts."""
        _set(self.optimizer, self._starts[index])
        self._last_lr = [float(group["lr"]) for group in self.optimizer.param_groups]

    def step(self, metrics: Any = None) -> None:
        """Goes on by one epoch (or step).

        Args:
            metrics: The value of the metric that one of the schedules follows.
        """
        self.last_epoch += 1
        index = bisect_right(self._milestones, self.last_epoch)
        if self.last_epoch in self._milestones:
            self._enter(index)
            return
        scheduler: Any = self._schedulers[index]
        if self._follows[index]:
            scheduler.step(metrics)
        else:
            scheduler.step()
        self._last_lr = [float(group["lr"]) for group in self.optimizer.param_groups]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads a state that `state_dict()` gave.

        Raises:
            ConfigError: If it was saved by a schedule with other milestones; nothing is changed then.
        """
        if state_dict["_milestones"] != self._milestones:
            raise ConfigError(
                f"the schedule has the milestones {self._milestones}, but the state to load was saved by one with "
                f"{state_dict['_milestones']}"
            )
        super().load_state_dict(state_dict)


class Warmup(SequentialLR):
    """Raises the rate to the optimizer's own before another schedule begins, which is told the rest of the span.

    Equals `torch.optim.lr_scheduler.SequentialLR` of a `LinearLR` and the schedule: at epoch (or step) k of the length
    n the rate is `start_factor + (1 - start_factor) * k / n` times the optimizer's, and at n the schedule begins.

    Args:
        optimizer: The optimizer whose rates are set.
        schedule: A function that builds the schedule behind the warm-up for its span; None is the optimizer's rate.
        length: How many epochs (or steps) it takes, or what part of the span (`"10%"`, rounded, at least 1).
        start_factor: What the rate is multiplied by at the start, over 0 and up to 1; torch's LinearLR has 1/3.
        span: How many epochs (or steps) there are in all; None if that is not known.
        interval: Whether `step()` is called after each epoch or after each step.

    Raises:
        ConfigError: If the length leaves nothing of the span.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        schedule: Schedule | None = None,
        length: int | str = "10%",
        start_factor: float = 1.0 / 3,
        span: int | None = None,
        interval: Literal["epoch", "step"] = "epoch",
    ) -> None:
        end = _amount(length, "warmup: length", span)
        _check_left(end, f"warmup: length={length!r}", span, interval, schedule or "the optimizer's own rate")

        def rise(span: int | None) -> LRScheduler:
            return LinearLR(optimizer, start_factor, total_iters=span or end)

        def stay(_span: int | None) -> LRScheduler:
            return ConstantLR(optimizer, factor=1.0)

        self._begin(optimizer, [rise, schedule or stay], [end], span)


class ChainedScheduler(torch.optim.lr_scheduler.ChainedScheduler):
    """Several schedules at once: each multiplies what the one before it has made of the rate.

    Equals `torch.optim.lr_scheduler.ChainedScheduler`, which also takes schedules that set the rate themselves, so that
    those before them have no effect.

    Args:
        optimizer: The optimizer whose rates are set.
        schedulers: The schedules in their order.

    Raises:
        ConfigError: If a schedule sets the rate instead of changing it.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, schedulers: Sequence[LRScheduler]) -> None:
        if not schedulers:
            raise ConfigError("chained needs at least one schedule: chained(linear(), exponential(gamma=0.9))")
        for scheduler in schedulers:
            if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
                raise ConfigError(
                    "chained: a schedule that follows a metric cannot be chained with others; it may stand behind "
                    "warmup or in sequential"
                )
            if isinstance(scheduler, _SETTING):
                raise ConfigError(
                    f"chained: {type(scheduler).__name__} sets the rate, whatever the schedules beside it make of it; "
                    "one after another they stand in sequential(..., milestones=[...]), and a formula of all is "
                    "lambda_lr(lr_lambda='...')"
                )
        super().__init__(list(schedulers), optimizer)


#: The schedules of torch, and of this module, that do not go on from the rate that they find.
_SETTING = (LambdaLR, CyclicLR, OneCycleLR, CosineAnnealingWarmRestarts, torch.optim.lr_scheduler.SequentialLR)


def _amount(value: int | str, what: str, span: int | None) -> int:
    """A number of epochs or steps, which may be written as a part of the span."""
    percent = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if percent is not None and 0 < float(percent[1]) < 100:
        if span is None:
            raise ConfigError(f"{what}={value!r} is a part of a span that is not known; write a number")
        return max(1, round(span * float(percent[1]) / 100))
    if isinstance(value, str) or value < 1:
        raise ConfigError(f"{what}={value!r} is neither a whole number from 1 on nor a part of the span such as '10%'")
    return value


def _milestones(
    parts: Sequence[Schedule], milestones: Sequence[int | str], span: int | None, interval: str
) -> list[int]:
    if not parts:
        raise ConfigError("sequential needs at least one schedule: sequential(linear(), cosine(), milestones=[5])")
    if len(milestones) != len(parts) - 1:
        between = f"{len(parts) - 1} milestone{'' if len(parts) == 2 else 's'}"
        raise ConfigError(
            f"sequential: {len(parts)} schedule{'' if len(parts) == 1 else 's'} have {between} between them, not "
            f"{len(milestones)} (milestones={list(milestones)})"
        )
    points = [_amount(milestone, "sequential: a milestone", span) for milestone in milestones]
    if any(later <= earlier for earlier, later in itertools.pairwise(points)):
        raise ConfigError(f"sequential: milestones={list(milestones)} do not increase: they are {interval}s {points}")
    if points:
        _check_left(points[-1], f"sequential: milestones={list(milestones)}", span, interval, parts[-1])
    return points


def _check_left(end: int, what: str, span: int | None, interval: str, last: object) -> None:
    if span is not None and end >= span:
        unit = interval if span == 1 else f"{interval}s"
        raise ConfigError(f"{what}: of {span} {unit} none is left for {last}, which would begin at {interval} {end}")


def _spans(milestones: list[int], span: int | None) -> list[int | None]:
    """The span of each schedule."""
    begins = [0, *milestones]
    known = [end - begin for begin, end in zip(begins, milestones, strict=False)]
    return [*known, None if span is None else span - begins[-1]]


def _options(group: dict[str, Any]) -> Options:
    return {key: _copied(value) for key, value in group.items() if key != "params"}


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, torch.Tensor) else value


def _same(one: Any, other: Any) -> bool:
    return bool(torch.equal(one, other)) if isinstance(one, torch.Tensor) else bool(one == other)


def _set(optimizer: torch.optim.Optimizer, options: list[Options]) -> None:
    """Sets options of the groups, in place where they are tensors: a compiled step holds those."""
    for group, own in zip(optimizer.param_groups, options, strict=True):
        for key, value in own.items():
            if isinstance(value, torch.Tensor) and isinstance(group.get(key), torch.Tensor):
                group[key].copy_(value)
            else:
                group[key] = _copied(value)
