"""Losses and qualities on the splits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
import torch
from torch.nn import functional

from lossreg import Data

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import Run, Samples


def test_ignored_targets_do_not_count_in_test_loss(run_table: Run, table: Callable[..., Data]) -> None:
    """With ignore_index, test_loss is cross-entropy over all targets that count, however they lie in batches."""
    data = table()
    assert isinstance(data.test, tuple)
    targets = data.test[1].clone()
    targets[33:] = -100
    tested = Data(data.train, (data.test[0], targets), "classification", (4,), num_classes=3)
    result = run_table(data=tested, loss="cross_entropy", batch_size=32)
    with torch.no_grad():
        expected = functional.cross_entropy(result.model(data.test[0]), targets).item()
    assert result.final["test_loss"] == pytest.approx(expected, rel=1e-5)


def test_metrics_are_those_of_the_model(run: Run, digits: Samples, digits_test: Samples) -> None:
    """Test loss and accuracy, and the training accuracy, are those of the final weights on the splits."""
    result = run(model="mlp", epochs=1, limit_train=100, limit_test=90, eval_train=True)
    with torch.no_grad():
        test, train = result.model(digits_test[0][:90]), result.model(digits[0][:100])
    targets, final = digits_test[1][:90], result.final
    assert final["test_accuracy"] == pytest.approx((test.argmax(1) == targets).double().mean().item())
    assert final["test_loss"] == pytest.approx(functional.cross_entropy(test, targets).item(), rel=1e-5)
    assert final["train_accuracy"] == pytest.approx((train.argmax(1) == digits[1][:100]).double().mean().item())
