"""The direction of a plateau's metric where no record declares it."""

from __future__ import annotations

import torch

from lossreg_builtin.plateau import ReduceLROnPlateau
from tests.table import for_each


@for_each(
    ("mode", "names"),
    [
        (
            "max",
            "test_accuracy val_acc val/acc acc valid_f1 f1_score auroc val_auc r2 bbox/mAP iou val_dice top1",
        ),
        (
            "min",
            "test_loss val_loss loss dice_loss val_loss_dice absolute_error accuracy_error perplexity vacc heatmap",
        ),
    ],
)
def test_a_name_says_which_way_is_better(mode: str, names: str) -> None:
    """More of what ends in a word for quality; less of losses and errors, and of all that is not known."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(()))])
    assert {name: ReduceLROnPlateau(optimizer, monitor=name).mode for name in names.split()} == dict.fromkeys(
        names.split(), mode
    )
