"""Loss and quality of a model on a split."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import torch

from lossreg.training.data.batch_plan import BatchPlan
from lossreg.training.metrics.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lossreg.data import Task
    from lossreg.training.parts import Evaluation, Parts

    LookUp = Callable[[int], None]


def metric_names(task: Task, *, eval_train: bool, evaluated: str = "test", named: Sequence[str] = ()) -> list[str]:
    """The metrics of an epoch's row that a scheduler may follow.

    Args:
        task: The task of the data set.
        eval_train: Whether the training split is evaluated, too.
        evaluated: The split that the row is about.
        named: The metrics that the run names.
    """
    measured = [quality_name(task), *named]
    of_split = ["train_loss", f"{evaluated}_loss", *(f"{evaluated}_{one}" for one in measured)]
    return [*of_split, "train_loss_after", *(f"train_{one}" for one in measured)] if eval_train else of_split


def quality_name(task: Task) -> str:
    """The metric beside the loss."""
    if task == "multilabel":
        return "label_accuracy"
    return "mean_absolute_error" if task == "regression" else "accuracy"


def evaluate_epoch(parts: Parts, look_up: LookUp) -> dict[str, Any]:
    """What an epoch's row says of the weights at its end: on the validation split; without one, on the test split.

    Args:
        parts: The parts of the run.
        look_up: Called before each batch with its number; it may break off the evaluation.
    """
    seen = "validation" if "validation" in parts.samples.splits else "test"
    row = split_metrics(parts, seen, look_up)
    return row | split_metrics(parts, "train", look_up) if parts.spec.eval_train else row


def evaluate_test(parts: Parts, row: Mapping[str, Any], look_up: LookUp) -> dict[str, Any] | None:
    """The row of the test split, for the weights that are kept; None where every epoch has evaluated it.

    Args:
        parts: The parts of the run.
        row: Of the epoch whose weights these are.
        look_up: As for `evaluate_epoch`.
    """
    if "validation" not in parts.samples.splits:
        return None
    return {"kind": "test", "epoch": row["epoch"], "step": row["step"], **split_metrics(parts, "test", look_up)}


def split_metrics(parts: Parts | Evaluation, name: str, look_up: LookUp | None = None) -> dict[str, Any]:
    """Loss, quality and the metrics that the run names on a split, by their names in a row."""
    loss, quality, named = evaluate(parts, name, look_up)
    # train_loss is the running loss of the epoch; the same with the weights at its end has another name.
    return {
        "train_loss_after" if name == "train" else f"{name}_loss": loss if math.isfinite(loss) else None,
        f"{name}_{quality_name(parts.samples.data.task)}": quality,
        **{f"{name}_{metric}": value for metric, value in named.items()},
    }


@torch.inference_mode()
def evaluate(
    parts: Parts | Evaluation, name: str, look_up: LookUp | None = None
) -> tuple[float, float, dict[str, float | None]]:
    """Loss, quality and the metrics that the run names on a split.

    Each process takes whole batches in turn, so a loss that depends on its batch is the same for every number of them.

    Args:
        parts: The parts of the run; the model is in evaluation mode afterwards.
        name: `train`, `validation` or `test`.
        look_up: As for `evaluate_epoch`.

    Returns:
        The mean of the batches' losses, each with the weight that the loss gives it (else its samples); of a loss that
        is a sum, the sum over all samples divided by their number. And the accuracy over all positions whose target is
        not ignored; for a regression the mean absolute error over all elements; for a multilabel classification the
        share of all elements that are on the right side of 0, or of 1/2 where the model gives probabilities. And each
        metric by its name.
    """
    objective, reduction, processes = parts.objective, parts.fit.reduction, parts.processes
    split = parts.samples.splits[name]
    parts.samples.evaluations[name] += 1
    objective.eval()
    # float64 where there is one (mps has none): sums of many batches.
    exact = torch.float32 if parts.device.type == "mps" else torch.float64
    total, weights, quality, elements = sums = torch.zeros(4, device=parts.device, dtype=exact).unbind()
    batches = BatchPlan(len(split), parts.spec.batch_size).ranges()
    mine = itertools.islice(batches, processes.rank, None, processes.world_size)
    rounds = -(-len(split) // parts.spec.batch_size) // processes.world_size  # that all processes have
    adapter = objective.adapter
    ignored = adapter.ignore_index
    tally = _tally(parts, name)
    for number, (inputs, targets) in enumerate(split.in_order(mine, parts.spec.seed)):
        if look_up is not None and number < rounds:
            look_up(number)
        output = objective.predict(inputs)
        if reduction.rule == "weights":
            weight = reduction.weight(targets)
            total += reduction.total(adapter, output, targets, weight)
            weights += weight
        else:
            total.add_(adapter(output, targets), alpha=1 if reduction.rule == "sum" else len(targets))
            weights += len(targets)
        if tally is not None:
            tally.update(output, targets)
        if parts.samples.data.task == "regression":
            quality += (output - targets).abs().sum()
            elements += targets.numel()
        elif parts.samples.data.task == "multilabel":
            quality += torch.eq(output > adapter.threshold, targets > 0).sum()
            elements += targets.numel()
        else:
            right = torch.eq(output.argmax(dim=1), targets)
            if ignored is None:
                quality += right.sum()
                elements += targets.numel()
            else:
                counted = torch.ne(targets, ignored)
                quality += (right & counted).sum()
                elements += counted.sum()
    named = {} if tally is None else tally.values()
    loss_sum, weight_sum, quality_sum, count = processes.all_reduce(torch.stack(sums)).tolist()
    return loss_sum / weight_sum if weight_sum else float("nan"), quality_sum / max(count, 1), named


def _tally(parts: Parts | Evaluation, name: str) -> Tally | None:
    """What sums up the metrics that the run names; None where it names none."""
    if not parts.fit.metrics:
        return None
    adapter = parts.objective.adapter
    split, size = parts.samples.splits[name], parts.spec.batch_size
    threshold = adapter.threshold if parts.samples.data.task == "multilabel" else None
    return Tally(parts.fit.metrics, split, name, size, adapter.ignore_index, threshold, parts.device, parts.processes)
