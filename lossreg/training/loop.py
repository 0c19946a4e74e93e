"""The training loop. It knows tensors, a model and a loss, and nothing of files, plugins or terminals."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lossreg.errors import RunFailedError
from lossreg.training.assembly import Assembly, quality_name
from lossreg.training.batches import Samples, sample_order
from lossreg.training.schedule import rate

if TYPE_CHECKING:
    from lossreg.data import Data
    from lossreg.training.contract import AdaptedLoss
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
    for epoch in range(run.spec.epochs):
        run.epoch = epoch
        row = _train_epoch(run, events)
        row |= _evaluate_splits(run)
        rows.append(row)
        events.emit("lossreg_epoch_finished", run=run, record=row)
        if run.stop_reason is not None:
            break
        _advance_epoch(run, row)
    return rows


def _train_epoch(run: Run, events: Events) -> dict[str, Any]:
    assembly, spec = run.assembly, run.spec
    samples = assembly.splits["train"]
    order = sample_order(spec.seed, run.epoch, len(samples)).to(run.device)
    run.model.train()
    total = torch.zeros((), device=run.device)
    count = 0
    started = time.perf_counter()
    for inputs, targets in samples.batches(spec.batch_size, order):
        if count and assembly.interval == "step" and assembly.scheduler is not None:
            assembly.scheduler.step()
        loss = _step(assembly, inputs, targets)
        total += loss.detach() * len(inputs)
        count += len(inputs)
        run.step += 1
        if run.step % spec.log_every == 0:
            events.emit("lossreg_logged", run=run, record=_step_row(run, loss))
            if run.stop_reason is not None:
                break
    train_loss = _finite(total.item() / count, run)  # waits for the device, so the clock is right
    seconds = time.perf_counter() - started
    return {
        "kind": "epoch",
        "epoch": run.epoch,
        "step": run.step,
        "lr": rate(assembly.optimizer),
        "train_loss": train_loss,
        "samples_per_second": count / seconds,
        "seconds": seconds,
    }


def _step(assembly: Assembly, inputs: Tensor, targets: Tensor) -> Tensor:
    optimizer = assembly.optimizer

    def forward_backward() -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = assembly.loss(assembly.model(inputs), targets)
        loss.backward()
        return loss

    if assembly.closure:
        # torch annotates the closure to return a float, and returns what it returned first: the tensor.
        return optimizer.step(forward_backward)  # type: ignore[arg-type, return-value]  # see above
    loss = forward_backward()
    optimizer.step()
    return loss


def _step_row(run: Run, loss: Tensor) -> dict[str, Any]:
    return {
        "kind": "step",
        "epoch": run.epoch,
        "step": run.step,
        "lr": rate(run.optimizer),
        "train_loss": _finite(loss.item(), run),
    }


def _finite(loss: float, run: Run) -> float:
    if not math.isfinite(loss):
        raise RunFailedError(
            f"the training loss is {loss} at epoch {run.epoch}, step {run.step} (lr {rate(run.optimizer):g}); "
            "a lower learning rate may help",
            epoch=run.epoch,
            step=run.step,
        )
    return loss


def _advance_epoch(run: Run, row: dict[str, Any]) -> None:
    # Not after the last epoch: no rate is needed there, and a schedule need not have one.
    scheduler = run.assembly.scheduler
    if scheduler is None or run.epoch == run.spec.epochs - 1:
        return
    if run.assembly.monitor is not None:
        scheduler.step(row[run.assembly.monitor])
    else:
        scheduler.step()


def _evaluate_splits(run: Run) -> dict[str, Any]:
    assembly = run.assembly
    row: dict[str, Any] = {}
    for name in ("test", "train") if run.spec.eval_train else ("test",):
        loss, quality = evaluate(
            assembly.model, assembly.loss, assembly.splits[name], assembly.data, run.spec.batch_size
        )
        # train_loss is the running loss of the epoch; the same with the weights at its end has another name.
        row["test_loss" if name == "test" else "train_loss_after"] = loss if math.isfinite(loss) else None
        row[f"{name}_{quality_name(assembly.data)}"] = quality
    return row


@torch.inference_mode()
def evaluate(
    model: torch.nn.Module, loss: AdaptedLoss, samples: Samples, data: Data, batch_size: int
) -> tuple[float, float]:
    """Loss and quality of a model on a split.

    Args:
        model: The model; it is in evaluation mode afterwards.
        loss: The loss.
        samples: The split.
        data: Its facts.
        batch_size: Samples in a batch.

    Returns:
        The mean of the batches' losses, weighted by their samples (by their targets that are not ignored, for a loss
        that averages over elements and ignores some), and the accuracy (over all positions whose target
        is not ignored), or for a regression the mean absolute error over all elements.
    """
    model.eval()
    device = samples.inputs.device
    total, weights, quality, elements = (torch.zeros((), device=device, dtype=torch.float64) for _ in range(4))
    ignored = getattr(loss.loss, "ignore_index", None) if loss.target_as == "as it is" else None
    for inputs, targets in samples.batches(batch_size):
        output = model(inputs)
        counted = torch.ones_like(targets, dtype=torch.bool) if ignored is None else targets != ignored
        # A mean over elements leaves the ignored ones out, so a batch weighs what it counted.
        by_element = ignored is not None and loss.averages == "element"
        weight = counted.sum() if by_element else torch.tensor(len(inputs), device=device)
        total += torch.where(weight > 0, loss(output, targets) * weight, 0.0)
        weights += weight
        if data.task == "regression":
            quality += (output - targets).abs().sum()
            elements += targets.numel()
        else:
            quality += ((output.argmax(dim=1) == targets) & counted).sum()
            elements += counted.sum()
    return (total / weights).item(), (quality / elements.clamp(min=1)).item()
