"""The training loop. It knows tensors, a model and a loss, and nothing of files, plugins or terminals."""

from __future__ import annotations

import math
import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from lossreg.errors import RunFailedError
from lossreg.training.assembly import Assembly, quality_name
from lossreg.training.computation import computation
from lossreg.training.evaluate import evaluate
from lossreg.training.schedule import rate
from lossreg.training.update import Update

if TYPE_CHECKING:
    from lossreg.training.events import Events
    from lossreg.training.state import Run


def train(run: Run, events: Events) -> list[dict[str, Any]]:
    """Trains until all epochs are done or somebody requests a stop.

    Returns:
        The row of each epoch.

    Raises:
        RunFailedError: If the training loss is no longer a finite number.
    """
    rows = []
    update = _update(run.assembly)
    rank = run.assembly.processes.rank
    if rank:  # otherwise dropout would leave out the same units in every process
        torch.manual_seed(int(np.random.SeedSequence([run.spec.seed, rank]).generate_state(1)[0]))
    for epoch in range(run.spec.epochs):
        run.epoch = epoch
        row = _train_epoch(run, update, events)
        run.assembly.processes.share_buffers(run.assembly.objective)  # one model is evaluated, and kept
        row |= _evaluate_splits(run)
        rows.append(row)
        events.emit("lossreg_epoch_finished", run=run, record=row)
        if _stops(run):
            break
        _advance_epoch(run, row)
    return rows


def _update(assembly: Assembly) -> Update:
    return Update(
        objective=computation(assembly),
        parameters=list(assembly.objective.trainable().values()),
        optimizer=assembly.optimizer,
        averaging=assembly.averaging,
        processes=assembly.processes,
        whole=assembly.cuts.whole,
        closure=assembly.closure,
        clip=assembly.spec.clip_grad_norm,
        scaler=assembly.scaler,
    )


def _train_epoch(run: Run, update: Update, events: Events) -> dict[str, Any]:
    assembly, log_every = run.assembly, run.spec.log_every
    mean = _RunningMean(run.device)
    counts_steps = assembly.interval == "step" and assembly.scheduler is not None
    batches = assembly.splits["train"].epoch(assembly.cuts, run.spec.seed, run.epoch)
    assembly.objective.train()
    samples = 0
    started = time.perf_counter()
    # Steps that log nothing do nothing but train: no hook, no copy to the CPU, nothing that waits for the device.
    for step in assembly.cuts:
        if counts_steps and samples:
            _advance(run)
        loss, weight = update(batches, step)
        mean.add(loss, weight)
        samples += step.samples
        run.step += 1
        if run.step % log_every == 0:
            events.emit("lossreg_logged", run=run, record=_step_row(run, update, loss))
            if _stops(run):
                break
    train_loss = _finite(mean.result(run), run)  # waits for the device, so the clock is right
    seconds = time.perf_counter() - started
    return {
        "kind": "epoch",
        "epoch": run.epoch,
        "step": run.step,
        "lr": rate(assembly.optimizer),
        "train_loss": train_loss,
        "samples_per_second": samples / seconds,
        "seconds": seconds,
    }


class _RunningMean:
    """The mean loss of an epoch, summed on the device."""

    def __init__(self, device: torch.device) -> None:
        self._total = torch.zeros((), device=device)
        self._weight: int | Tensor = 0

    def add(self, loss: Tensor, weight: int | Tensor) -> None:
        """Adds a step: this process's share of its loss, and the weight of the whole step."""
        if isinstance(weight, int):
            self._total.add_(loss, alpha=weight)
        else:
            self._total.addcmul_(loss, weight)
        self._weight += weight

    def result(self, run: Run) -> float:
        """The mean over all processes; it waits for the device."""
        return (run.assembly.processes.sum(self._total) / self._weight).item()


def _step_row(run: Run, update: Update, loss: Tensor) -> dict[str, Any]:
    row = {
        "kind": "step",
        "epoch": run.epoch,
        "step": run.step,
        "lr": rate(run.optimizer),
        "train_loss": _finite(run.assembly.processes.sum(loss.clone()).item(), run),
    }
    return row if update.gradient_norm is None else {**row, "gradient_norm": update.gradient_norm.item()}


def _finite(loss: float, run: Run) -> float:
    if not math.isfinite(loss):
        raise RunFailedError(
            f"the training loss is {loss} at epoch {run.epoch}, step {run.step} (lr {rate(run.optimizer):g}); "
            "a lower learning rate may help",
            epoch=run.epoch,
            step=run.step,
        )
    return loss


def _stops(run: Run) -> bool:
    """Whether a hook wants the run to end: hooks are called in rank 0, and all processes end together."""
    run.stop_reason = run.assembly.processes.from_first(run.stop_reason)
    return run.stop_reason is not None


def _advance(run: Run, *arguments: Any) -> None:
    assembly = run.assembly
    if assembly.scheduler is None:
        return
    if assembly.scaler is None:
        assembly.scheduler.step(*arguments)
        return
    with warnings.catch_warnings():
        # The scaler leaves steps out until it has found its scale, and torch would suspect a wrong order of calls.
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step", UserWarning)
        assembly.scheduler.step(*arguments)


def _advance_epoch(run: Run, row: dict[str, Any]) -> None:
    # Not after the last epoch: no rate is needed there, and a schedule need not have one.
    if run.epoch < run.spec.epochs - 1:
        monitor = run.assembly.monitor
        if monitor is None:
            _advance(run)
        else:
            _advance(run, math.nan if row[monitor] is None else row[monitor])


def _evaluate_splits(run: Run) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name in ("test", "train") if run.spec.eval_train else ("test",):
        loss, quality = evaluate(run.assembly, name)
        # train_loss is the running loss of the epoch; the same with the weights at its end has another name.
        row["test_loss" if name == "test" else "train_loss_after"] = loss if math.isfinite(loss) else None
        row[f"{name}_{quality_name(run.assembly.data)}"] = quality
    return row
