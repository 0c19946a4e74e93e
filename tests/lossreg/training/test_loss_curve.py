"""The main job, `lossreg run --loss dice --opt sgd`, against the loss curve in `loss_curve.txt`.

The curve does not come from lossreg: this module, run as a program, computes it with plain PyTorch in float64 from the
same initial weights and the same order of samples. To write it again, after a change of the defaults:

    python tests/lossreg/training/test_loss_curve.py > tests/lossreg/training/loss_curve.txt
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import lossreg

if TYPE_CHECKING:
    from tests.conftest import Command

CURVE = Path(__file__).with_name("loss_curve.txt")
COLUMNS = ("epoch", "step", "lr", "train_loss", "test_loss", "test_accuracy")
EPOCHS, TRAIN, TEST, BATCH = 5, 512, 64, 64

# The run computes in float32. The longest sum in the model has 1,600 terms, so a logit is off by something of the order
# of sqrt(1600) * 2**-24, in whatever order a machine adds them (roundings go up and down); the mean of the Dice losses
# changes by less than the logit that changes most. Four times that is 1e-5. (Seen are 1e-7.)
TOLERANCE = 4 * 1600**0.5 * 2**-24


def dice(logits: Tensor, targets: Tensor) -> Tensor:
    """The Dice loss of a batch, as its formula is written."""
    p, t = logits.softmax(1).T, functional.one_hot(targets, 10).T.double()
    return (1 - (2 * (p * t).sum(1) + 1e-5) / (p.sum(1) + t.sum(1) + 1e-5)).mean()


def plain_curve() -> Iterator[tuple[int, int, float, float, float, float]]:
    """The rows of the curve, by plain PyTorch in float64."""
    data = lossreg.datasets.build("digits")
    assert isinstance(data.train, tuple)
    assert isinstance(data.test, tuple)
    images, targets = data.train[0][:TRAIN].double(), data.train[1][:TRAIN]
    test_images, test_targets = data.test[0][:TEST].double(), data.test[1][:TEST]
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1600, 64), nn.ReLU(), nn.Linear(64, 10),
    ).double()  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    for epoch in range(EPOCHS):
        total = 0.0
        for indices in torch.from_numpy(np.random.default_rng([0, epoch]).permutation(TRAIN)).split(BATCH):
            optimizer.zero_grad()
            loss = dice(model(images[indices]), targets[indices])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(indices)
        with torch.no_grad():
            logits = model(test_images)
        accuracy = (logits.argmax(1) == test_targets).double().mean().item()
        steps = (epoch + 1) * TRAIN // BATCH
        yield epoch, steps, 0.01, total / TRAIN, dice(logits, test_targets).item(), accuracy


def golden() -> list[dict[str, float]]:
    """The rows of the file."""
    lines = [line for line in CURVE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return [dict(zip(COLUMNS, map(float, line.split()), strict=True)) for line in lines]


def trained(command: Command, *arguments: str, epochs: int = EPOCHS, out: str = "out") -> list[dict[str, Any]]:
    """The epochs that a run of the main job has recorded."""
    limits = ("--epochs", str(epochs), "--limit-train", str(TRAIN), "--limit-test", str(TEST))
    everywhere = ("--device", "cpu", "--precision", "32", "--quiet", "--out", out)
    outcome = command("run", "--loss", "dice", "--opt", "sgd", *limits, *everywhere, *arguments)
    assert outcome.code == 0, outcome.err
    rows = [json.loads(line) for line in Path(out, "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if row["kind"] == "epoch"]


def test_the_main_job_follows_the_curve(lossreg_command: Command) -> None:
    """Losses of each epoch are those of the curve to rounding, and the accuracy to a sample that is undecided."""
    rows = trained(lossreg_command)
    assert len(rows) == EPOCHS
    for row, expected in zip(rows, golden(), strict=True):
        assert [row[name] for name in ("epoch", "step", "lr")] == [expected[name] for name in ("epoch", "step", "lr")]
        assert row["train_loss"] == pytest.approx(expected["train_loss"], abs=TOLERANCE)
        assert row["test_loss"] == pytest.approx(expected["test_loss"], abs=TOLERANCE)
        assert row["test_accuracy"] == pytest.approx(expected["test_accuracy"], abs=1.5 / TEST)


def test_the_curve_tells_runs_apart(lossreg_command: Command) -> None:
    """A rate that is 5% higher, or another seed, leaves the curve by far more than rounding does, in three epochs."""
    for difference in (("--opt.lr", "0.0105"), ("--seed", "1")):
        last = trained(lossreg_command, *difference, epochs=3, out=difference[1])[-1]
        assert abs(last["train_loss"] - golden()[2]["train_loss"]) > 5 * TOLERANCE


def main() -> None:
    """Writes the curve to stdout."""
    lines = [
        "# lossreg run --loss dice --opt sgd, as plain PyTorch computes it in float64; see test_loss_curve.py",
        f"# --epochs {EPOCHS} --limit-train {TRAIN} --limit-test {TEST} --precision 32 --device cpu",
        f"# {' '.join(COLUMNS)}",
    ]
    for row in plain_curve():
        lines += [" ".join(f"{value:.8f}" if isinstance(value, float) else str(value) for value in row)]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
