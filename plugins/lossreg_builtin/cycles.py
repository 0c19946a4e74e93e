"""OneCycleLR and CyclicLR, which keep the ratio of the rates of parameter groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch.optim.lr_scheduler import CyclicLR as TorchCyclicLR
from torch.optim.lr_scheduler import OneCycleLR as TorchOneCycleLR

from lossreg.errors import ConfigError


def for_each_group(optimizer: torch.optim.Optimizer, rate: list[float] | float) -> list[float] | float:
    """A rate for each parameter group: what is given is the first group's, and the ratio of their own rates stays."""
    own = [group.get("initial_lr", group.get("lr")) for group in optimizer.param_groups]
    rates = [float(one) for one in own if one is not None]
    if not isinstance(rate, int | float) or len(rates) < len(own) or rates[0] == 0 or len({*rates}) == 1:
        return rate
    return [rate * one / rates[0] for one in rates]


def check_momentum(scheduler: str, optimizer: torch.optim.Optimizer) -> None:
    """Checks that there is a momentum to move.

    Args:
        scheduler: The name of the scheduler, which moves it.
        optimizer: The optimizer.

    Raises:
        ConfigError: If the optimizer has neither `momentum` nor `betas`, or several as one do not all have the same.
    """
    if "momentum" in optimizer.defaults or "betas" in optimizer.defaults:  # as torch goes by
        return
    moves = f"{scheduler}: cycle_momentum=True moves the momentum (or betas[0]) of the optimizer"
    off = f"write {scheduler}(..., cycle_momentum=False)"
    members = getattr(optimizer, "members", None)
    if members is None:
        raise ConfigError(
            f"{moves}, and {type(optimizer).__name__} has none; {off}, or name an optimizer that has one, such as sgd "
            "or adamw"
        )
    raise ConfigError(
        f"{moves}, and {' and '.join(type(one).__name__ for one in members)}, whose rates it sets together, do not all "
        f"have the same one; {off}, or give each of them a schedule of its own, NAME(..., scheduler={scheduler}(...))"
    )


class OneCycleLR(TorchOneCycleLR):
    """Raises the rate to `max_lr` and lowers it to almost 0, with the momentum the other way.

    Equals `torch.optim.lr_scheduler.OneCycleLR`, but where parameter groups have rates of their own: torch gives all of
    them `max_lr`; here it is the first group's, and the others keep their ratio to it.

    Args:
        optimizer: The optimizer whose rates are set.
        max_lr: The highest rate, of the first parameter group; a list has one for each.
        total_steps: Steps of the cycle.
        epochs: Epochs of the cycle, in place of `total_steps`.
        steps_per_epoch: Steps in each of them.
        pct_start: The share of the steps in which the rate rises.
        anneal_strategy: How it changes: along a cosine, or linearly.
        cycle_momentum: Whether the momentum (`betas[0]`, of Adam) goes the other way.
        base_momentum: The momentum at the highest rate.
        max_momentum: The momentum at the lowest rate.
        div_factor: `max_lr` divided by the first rate.
        final_div_factor: The first rate divided by the last.
        three_phase: Whether the rate first falls as it rose, and then to the last.
        last_epoch: The step to go on from; -1 begins.

    Raises:
        ConfigError: If the momentum is to move and the optimizer has none.

    Source:
        Smith and Topin, Super-convergence, 2018 (arXiv:1708.07120).
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        max_lr: list[float] | float,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: list[float] | float = 0.85,
        max_momentum: list[float] | float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if cycle_momentum:
            check_momentum("one_cycle_lr", optimizer)
        super().__init__(
            optimizer,
            for_each_group(optimizer, max_lr),
            total_steps=total_steps,
            epochs=epochs,
            steps_per_epoch=steps_per_epoch,
            pct_start=pct_start,
            anneal_strategy=anneal_strategy,
            cycle_momentum=cycle_momentum,
            base_momentum=base_momentum,
            max_momentum=max_momentum,
            div_factor=div_factor,
            final_div_factor=final_div_factor,
            three_phase=three_phase,
            last_epoch=last_epoch,
        )


class CyclicLR(TorchCyclicLR):
    """Moves the rate up and down between two rates, with the momentum the other way.

    Equals `torch.optim.lr_scheduler.CyclicLR`, but where parameter groups have rates of their own: torch gives all of
    them the same two rates; here these are the first group's, and the others keep their ratio to it.

    Args:
        optimizer: The optimizer whose rates are set.
        base_lr: The lowest rate, of the first parameter group; a list has one for each.
        max_lr: The highest rate, likewise.
        step_size_up: Steps in which the rate rises.
        step_size_down: Steps in which it falls; None is `step_size_up`.
        mode: Whether the cycles stay as high, are halved each time, or shrink by `gamma` with each step.
        gamma: See `mode`.
        scale_fn: A function that scales the cycles, in place of `mode`.
        scale_mode: Whether that function is given the number of the cycle or of the step.
        cycle_momentum: Whether the momentum (`betas[0]`, of Adam) goes the other way.
        base_momentum: The momentum at the highest rate.
        max_momentum: The momentum at the lowest rate.
        last_epoch: The step to go on from; -1 begins.

    Raises:
        ConfigError: If the momentum is to move and the optimizer has none.

    Source:
        Smith, Cyclical learning rates for training neural networks, 2017 (arXiv:1506.01186).
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        base_lr: list[float] | float,
        max_lr: list[float] | float,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: Literal["cycle", "iterations"] = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float = 0.8,
        max_momentum: float = 0.9,
        last_epoch: int = -1,
    ) -> None:
        if cycle_momentum:
            check_momentum("cyclic_lr", optimizer)
        super().__init__(
            optimizer,
            for_each_group(optimizer, base_lr),
            for_each_group(optimizer, max_lr),
            step_size_up=step_size_up,
            step_size_down=step_size_down,
            mode=mode,
            gamma=gamma,
            scale_fn=scale_fn,
            scale_mode=scale_mode,
            cycle_momentum=cycle_momentum,
            base_momentum=base_momentum,
            max_momentum=max_momentum,
            last_epoch=last_epoch,
        )
