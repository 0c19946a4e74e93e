"""What messages of a run advise: the name of a metric with its split, and a batch of more than one sample."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import lossreg
from lossreg.training.choosing import instead_of
from tests.table import for_each

METRICS = ["train_loss", "test_loss", "test_accuracy", "test_f1"]


@for_each(
    ("metric", "metrics", "advice"),
    [
        ("f1", METRICS, "it is called test_f1 here"),
        ("accuracy", METRICS, "it is called test_accuracy here"),
        ("loss", ["validation_loss", *METRICS], "it is called validation_loss here"),
        ("test_f2", METRICS, "it has train_loss, test_loss, test_accuracy, test_f1. Did you mean 'test_f1' or"),
    ],
)
def test_a_metric_without_its_split(metric: str, metrics: list[str], advice: str) -> None:
    """It is that of the split by which a run chooses."""
    assert instead_of(metric, metrics).startswith(advice)


def test_a_last_batch_that_batch_normalisation_does_not_take() -> None:
    """The message names the option by which no batch has one sample."""
    inputs = torch.rand(9, 4)
    samples = inputs, torch.arange(9) % 3
    data = lossreg.Data(samples, samples, "classification", (4,), num_classes=3)
    with pytest.raises(lossreg.ContractError) as caught:
        lossreg.plan(data=data, model=nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), batch_size=8, device="cpu")
    assert "(the last batch of an epoch has one sample)" in str(caught.value)
    assert str(caught.value).endswith("; with another batch_size (--batch-size) no batch has one sample")
