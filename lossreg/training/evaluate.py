"""Loss and quality of a model on a split."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch

from lossreg.training.cuts import Cuts

if TYPE_CHECKING:
    from lossreg.training.assembly import Assembly


@torch.inference_mode()
def evaluate(assembly: Assembly, split: str) -> tuple[float, float]:
    """Loss and quality on a split.

    Each process takes whole batches in turn, so a loss that depends on its batch is the same for every number of them.

    Args:
        assembly: The parts of the run; the model is in evaluation mode afterwards.
        split: `train` or `test`.

    Returns:
        The mean of the batches' losses, each with the weight that the loss gives it (else its samples), and the
        accuracy over all positions whose target is not ignored, or for a regression the mean absolute error over all
        elements.
    """
    objective, averaging, processes = assembly.objective, assembly.averaging, assembly.processes
    samples = assembly.splits[split]
    objective.eval()
    # float64 where there is one (mps has none): sums of many batches.
    exact = torch.float32 if assembly.device.type == "mps" else torch.float64
    total, weights, quality, elements = sums = torch.zeros(4, device=assembly.device, dtype=exact).unbind()
    batches = Cuts(len(samples), assembly.spec.batch_size).ranges()
    mine = itertools.islice(batches, processes.rank, None, processes.count)
    ignored = assembly.loss.ignore_index
    for inputs, targets in samples.in_order(mine, assembly.spec.seed):
        output = objective.predict(inputs)
        if averaging.rule == "weights":
            weight = averaging.weight(targets)
            total += assembly.loss(output, averaging.guarded(targets, weight)) * weight
            weights += weight
        else:
            total.add_(assembly.loss(output, targets), alpha=len(targets))
            weights += len(targets)
        if assembly.data.task == "regression":
            quality += (output - targets).abs().sum()
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
    loss_sum, weight_sum, quality_sum, count = processes.sum(torch.stack(sums)).tolist()
    return loss_sum / weight_sum if weight_sum else float("nan"), quality_sum / max(count, 1)
