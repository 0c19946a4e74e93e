"""Model, loss and data are tried on one batch, so that nothing fails in the middle of a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

import lossreg
from lossreg import Data

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import HandLoop, Run, Weights


class TwoFaced(nn.Module):
    """Gives logits in training, and something else in evaluation."""

    def __init__(self, evaluated: str) -> None:
        super().__init__()
        self.linear, self.evaluated = nn.Linear(4, 3), evaluated

    def forward(self, x: Tensor) -> Any:
        """Logits, or not."""
        logits = self.linear(x)
        if self.training:
            return logits
        return logits.argmax(1) if self.evaluated == "classes" else (logits, logits)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (TwoFaced("classes"), "gives (64, 3) in training, and (2,) of torch.int64 in evaluation for the first 2 of"),
        (TwoFaced("pair"), "returns a tuple in evaluation mode"),
        (nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), "the last batch of an epoch has one sample"),
    ],
)
def test_a_model_that_would_fail_later_is_refused(
    run_table: Run, table: Callable[..., Data], tmp_path: Path, model: nn.Module, said: str
) -> None:
    """Evaluation mode and a last batch of one sample are tried before the run."""
    with pytest.raises(lossreg.ContractError) as caught:
        run_table(model=model, data=table(rows=65))
    assert said in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_the_test_split_is_tried_before_the_run(run_table: Run, table: Callable[..., Data], tmp_path: Path) -> None:
    """A test split that the model cannot take is an error before the first epoch."""
    good = table()
    assert isinstance(good.test, tuple)
    inputs, targets = good.test
    for wrong in (inputs[:, :3], inputs.double()):
        data = Data(good.train, (wrong, targets), "classification", (4,), num_classes=3)
        with pytest.raises(lossreg.ContractError, match="on the test split"):
            run_table(data=data)
        assert not (tmp_path / "out").exists()


class Watched(nn.Module):
    """Batch normalisation and dropout, and a list of the modes in which this was called, which copies share."""

    def __init__(self, modes: list[bool]) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 3))
        self.modes = modes

    def __deepcopy__(self, memo: dict[int, Any]) -> Watched:
        copied = type(self)(self.modes)
        copied.load_state_dict(self.state_dict())
        return copied

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        self.modes.append(self.training)
        logits: Tensor = self.layers(x)
        return logits


class Single(Watched):
    """Such a model that cannot be copied."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Watched:
        raise TypeError("there is one of these")


def test_both_modes_are_tried(table: Callable[..., Data]) -> None:
    """Before a run, a copy of the model is called in training mode and then in evaluation mode, on both splits."""
    modes: list[bool] = []
    lossreg.plan(data=table(), model=Watched(modes))
    assert modes == [True, False, False]


def test_a_model_that_cannot_be_copied_is_tried_in_evaluation_mode(table: Callable[..., Data]) -> None:
    """The model itself is called where there is no copy of it, and never in a mode that would change it."""
    modes: list[bool] = []
    lossreg.plan(data=table(), model=Single(modes))
    assert modes == [False, False, False]


@pytest.mark.parametrize("kind", [Watched, Single])
def test_a_model_trains_as_if_nothing_had_been_tried(
    run_table: Run, weights: Weights, hand_loop: HandLoop, table: Callable[..., Data], kind: type[Watched]
) -> None:
    """Buffers, weights and random numbers are those of a plain loop, whether the model can be copied or not."""
    data = table()
    assert isinstance(data.train, tuple)
    torch.manual_seed(1)
    hand = Watched([])
    ours = kind([])
    ours.load_state_dict(hand.state_dict())
    run_table(model=ours, data=data, batch_size=32, seed=5)
    torch.manual_seed(5)
    optimizer = torch.optim.SGD(hand.parameters(), lr=0.01, momentum=0.9, fused=True)
    hand_loop(hand, nn.functional.cross_entropy, optimizer, data.train, batch_size=32, seed=5)
    assert weights(ours).equal(weights(hand))
