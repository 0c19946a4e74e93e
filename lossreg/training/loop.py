"""The training loop. It knows tensors, a model and a loss, and nothing of files, plugins or terminals."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from lossreg.training.early_stopping import EarlyStopping
from lossreg.training.evaluate import evaluate_epoch, evaluate_test
from lossreg.training.finite_loss import FiniteLoss
from lossreg.training.hardware.compile import CompiledObjective
from lossreg.training.hardware.distributed import data_parallel
from lossreg.training.limits import Limits
from lossreg.training.not_finite import not_finite_at_start
from lossreg.training.optim.scheduler import learning_rate
from lossreg.training.optim.step import SecondOrderStep, TrainingStep
from lossreg.training.seeds import seed_process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lossreg.training.hooks import RunHooks
    from lossreg.training.optim.step import Guard
    from lossreg.training.parts import Parts
    from lossreg.training.state import Run
    from lossreg.training.weights import AveragedStep


logger = logging.getLogger("lossreg")

OVERFLOWN = 1e10  # a weight beyond this is no weight that training meant


def train(run: Run, hooks: RunHooks) -> list[dict[str, Any]]:
    """Trains until all epochs are done or a hook requests a stop.

    Returns:
        The row of each epoch.

    Raises:
        RunFailedError: If the training loss is not a finite number.
    """
    rows = []
    parts = run.parts
    watch = FiniteLoss(run, not_finite_at_start(parts.objective))
    step = watch.step = training_step(parts, watch.guard())
    stopping, limits = EarlyStopping(run), Limits(run)
    seed_process(parts.spec.seed, parts.processes.rank)
    for epoch in range(parts.spec.epochs):
        run.epoch = epoch
        parts.freezing.begin_epoch(parts.objective, epoch)
        parts.weights.begin_epoch()
        row = train_epoch(run, step, hooks, limits, watch)
        parts.processes.broadcast_buffers(parts.objective)  # one model is evaluated, and kept
        row["weights"] = parts.weights.end_epoch(epoch)
        row |= evaluate_epoch(parts)
        stopping.after_epoch(row)  # with the weights that were evaluated
        limits.reached()
        rows.append(row)
        hooks.call("lossreg_epoch_finished", run=run, record=row)
        if _stops(run):
            break
        parts.optimization.schedule.after_epoch(epoch, row)
    kept = stopping.restore(rows)
    run.tested = evaluate_test(parts, kept)
    _warn_of_overflow(parts, kept)
    return rows


def _warn_of_overflow(parts: Parts, row: Mapping[str, Any]) -> None:
    """A step that overflows shows in the loss of the next; the last has none."""
    weights = [one.detach().abs().max() for one in parts.objective.trainable().values() if one.numel()]
    greatest = max(map(float, weights), key=lambda number: math.inf if math.isnan(number) else number, default=0.0)
    seen = "validation" if "validation_loss" in row else "test"
    loss = row[f"{seen}_loss"]
    if (loss is not None and math.isfinite(greatest)) or not parts.processes.is_main:
        return
    logger.warning(
        "the %s loss is %s after the last step (epoch %d), and the greatest weight is %g%s",
        seen,
        "not a finite number" if loss is None else f"{loss:g}",
        row["epoch"],
        greatest,
        "" if greatest < OVERFLOWN else ": training overflowed in its last steps; a lower learning rate may help",
    )


def training_step(parts: Parts, guard: Guard | None = None) -> TrainingStep | AveragedStep:
    """What makes the steps of a run.

    Args:
        parts: The parts of the run.
        guard: What checks before every update, or None.
    """
    needs = parts.optimization.needs
    step = (SecondOrderStep if needs.create_graph else TrainingStep)(
        objective=_computation(parts),
        parameters=list(parts.objective.trainable().values()),
        optimizer=parts.optimization.optimizer,
        reduction=parts.fit.reduction,
        processes=parts.processes,
        is_whole=parts.samples.plan.is_whole,
        closure=needs.closure,
        gradients_first=needs.gradients,
        batch_norms=[one for one in parts.objective.modules() if isinstance(one, _BatchNorm)],
        clip=parts.spec.clip_grad_norm,
        scaler=parts.optimization.scaler,
        guard=guard,
    )
    return parts.weights.wrapped(step)


def _computation(parts: Parts) -> Callable[[Tensor, Tensor], Tensor]:
    """From a batch to its loss.

    Several processes exchange gradients on the way back; all of them call this at the same time.
    """
    shared = parts.processes.world_size > 1
    module: torch.nn.Module = parts.objective
    if shared:
        module = data_parallel(module, parts.device, find_unused=parts.fit.unused or bool(parts.freezing.epochs))
    if parts.spec.compile:
        return CompiledObjective(module, parts.samples.plan.largest, parts.device)
    # Alone, the method itself: no hook of a module can be on the objective.
    return module if shared else parts.objective.forward


def train_epoch(
    run: Run,
    step: TrainingStep | AveragedStep,
    hooks: RunHooks,
    limits: Limits | None = None,
    watch: FiniteLoss | None = None,
) -> dict[str, Any]:
    """Trains one epoch.

    Returns:
        Its row, without what evaluation adds.

    Raises:
        RunFailedError: If the training loss is no longer a finite number.
    """
    parts = run.parts
    plan, schedule, log_every = parts.samples.plan, parts.optimization.schedule, parts.spec.log_every
    counts_steps = schedule.counts_steps
    is_over = limits.reached if limits is not None and limits.are_set else None
    mean = _RunningMean(parts.device)
    watch = FiniteLoss(run) if watch is None else watch
    batches = parts.samples.splits["train"].epoch(plan, parts.spec.seed, run.epoch)
    parts.objective.train()
    samples = 0
    started = time.perf_counter()
    # Steps that log nothing do nothing but train: no hook, no copy to the CPU, nothing that waits for the device.
    for step_plan in plan:
        if counts_steps and samples:
            schedule.between_steps()
        loss, weight = step(batches, step_plan)
        mean.add(loss, weight)
        samples += step_plan.samples
        run.step += 1
        if run.step % log_every == 0:
            hooks.call("lossreg_logged", run=run, record=_step_row(run, step, loss, mean, watch))
            if _stops(run):
                break
        if is_over is not None and is_over():
            break
    train_loss = watch.checked(mean.result(run), mean.began_well)  # waits for the device, so the clock is right
    seconds = time.perf_counter() - started
    return {
        "kind": "epoch",
        "epoch": run.epoch,
        "step": run.step,
        "lr": learning_rate(run.optimizer),
        "train_loss": train_loss,
        "samples_per_second": samples / seconds,
        "seconds": seconds,
    }


class _RunningMean:
    """The mean loss of an epoch, summed on the device."""

    def __init__(self, device: torch.device) -> None:
        self._total = torch.zeros((), device=device)
        self._weight: int | Tensor = 0
        self._first: Tensor | None = None

    def add(self, loss: Tensor, weight: int | Tensor) -> None:
        """Adds a step: this process's share of its loss, and the weight of the whole step."""
        if isinstance(weight, int):
            self._total.add_(loss, alpha=weight)
        else:
            self._total.addcmul_(loss, weight)
        self._weight += weight
        if self._first is None:
            self._first = loss.clone()  # a compiled objective writes its next loss into the same memory

    def began_well(self) -> bool:
        """Whether the first loss was finite; it waits for the device."""
        return self._first is None or math.isfinite(self._first.item())

    def result(self, run: Run) -> float:
        """The mean over all processes; it waits for the device."""
        return (run.parts.processes.all_reduce(self._total) / self._weight).item()


def _step_row(
    run: Run, step: TrainingStep | AveragedStep, loss: Tensor, mean: _RunningMean, watch: FiniteLoss
) -> dict[str, Any]:
    row = {
        "kind": "step",
        "epoch": run.epoch,
        "step": run.step,
        "lr": learning_rate(run.optimizer),
        "train_loss": watch.checked(run.parts.processes.all_reduce(loss.clone()).item(), mean.began_well),
    }
    return row if step.gradient_norm is None else {**row, "gradient_norm": step.gradient_norm.item()}


def _stops(run: Run) -> bool:
    """Whether a hook wants the run to end: hooks are called in the main process, and all processes end together."""
    run.stop_reason = run.parts.processes.broadcast_object(run.stop_reason)
    return run.stop_reason is not None
