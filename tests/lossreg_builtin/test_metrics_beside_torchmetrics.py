"""Metrics beside those of torchmetrics: equal values, and its objects as metrics of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import lossreg
from lossreg import Data
from tests.table import for_each

torchmetrics = pytest.importorskip("torchmetrics.classification")

CLASSES = 5
SIZES = [7, 1, 20, 12]  # of the batches


def samples() -> tuple[Tensor, Tensor]:
    """Probabilities with ties, and targets; class 4 is never there."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(4, (40,), generator=generator)
    scores = torch.rand(40, CLASSES, generator=generator)
    scores[torch.arange(40), targets] += 0.4
    scores[:, 4] -= 1  # never predicted, either
    return (scores.softmax(1) * 40).round() / 40, targets


def over_batches(metric: Any, given: Tensor, targets: Tensor) -> float:
    """The value over ragged batches."""
    for part, target in zip(given.split(SIZES), targets.split(SIZES), strict=True):
        metric.update(part, target)
    return float(metric.compute())


@for_each(
    ("ours", "theirs", "arguments"),
    [
        ("accuracy", "MulticlassAccuracy", {"average": "micro"}),
        ("accuracy(average='macro')", "MulticlassAccuracy", {"average": "macro"}),
        ("f1", "MulticlassF1Score", {"average": "macro"}),
        ("f1(average='micro')", "MulticlassF1Score", {"average": "micro"}),
        ("f1(average='weighted')", "MulticlassF1Score", {"average": "weighted"}),
        ("mean_iou", "MulticlassJaccardIndex", {"average": "macro"}),
        ("top_k(k=2)", "MulticlassAccuracy", {"average": "micro", "top_k": 2}),
    ],
)
def test_values_are_torchmetrics_s(ours: str, theirs: str, arguments: dict[str, Any]) -> None:
    """Over ragged batches, with and without targets that are ignored, of an index that is not a class."""
    scores, targets = samples()
    scores = scores + torch.arange(CLASSES) * 1e-6 * -1  # of equal scores, torch.topk takes any
    entry = lossreg.metrics[ours.partition("(")[0]].component
    given = scores.argmax(1) if entry.input == "labels" else scores
    for ignored in (None, -100):
        if ignored is not None:
            targets[::6] = ignored
        mine = lossreg.metrics.build(ours, num_classes=CLASSES, ignore_index=ignored)
        peer = getattr(torchmetrics, theirs)(CLASSES, ignore_index=ignored, **arguments)
        assert over_batches(mine, given, targets) == pytest.approx(over_batches(peer, scores, targets), rel=1e-6)


@pytest.mark.filterwarnings("ignore:No positive samples")
@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_the_area_is_torchmetrics_s(average: str) -> None:
    """Of the classes that are there."""
    scores, targets = samples()
    scores = scores[:, :4] / scores[:, :4].sum(1, keepdim=True)
    mine = over_batches(lossreg.metrics.build("auroc", average=average), scores, targets)
    assert mine == pytest.approx(
        over_batches(torchmetrics.MulticlassAUROC(4, average=average), scores, targets), rel=1e-6
    )


def test_its_objects_are_metrics_of_a_run(tmp_path: Path) -> None:
    """An object has its own direction; a record says what its factory is given."""
    scores, targets = samples()
    inputs = scores.clone()
    data = Data((inputs, targets), (inputs, targets), "classification", (CLASSES,), num_classes=CLASSES)
    matthews = lossreg.Metric(
        "matthews", torchmetrics.MulticlassMatthewsCorrCoef, better="higher", input="labels", target="index",
        runtime_args={"num_classes": "num_classes"}, bounds=(-1, 1),
    )  # fmt: skip
    f1 = torchmetrics.MulticlassF1Score(CLASSES)
    result = lossreg.run(
        data=data, model=nn.Linear(CLASSES, CLASSES), metrics=["f1", f1, matthews], patience=1, epochs=2, batch_size=16,
        monitor="test_multiclass_f1_score", out=tmp_path / "out", device="cpu", precision="32", quiet=True,
    )  # fmt: skip
    final = result.final
    assert final["test_multiclass_f1_score"] == pytest.approx(final["test_f1"], rel=1e-6)
    with torch.no_grad():
        labels = result.model(inputs).argmax(1)
    peer = torchmetrics.MulticlassMatthewsCorrCoef(CLASSES)
    assert final["test_matthews"] == pytest.approx(float(peer(labels, targets)), rel=1e-6)
