"""The built-in metrics against scikit-learn and formulas, over ragged batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as peer
from torch import Tensor

import lossreg
from tests.table import for_each

CLASSES = 5
SIZES = (7, 1, 20, 12)  # of the batches


def samples(count: int = 40, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Probabilities that lean towards the targets, with ties, and the targets: class 3 is rare, class 4 never there."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(3, (count,), generator=generator)
    targets[::13] = 3
    scores = torch.rand(count, CLASSES, generator=generator)
    scores[torch.arange(count), targets] += 0.4
    return (scores / scores.sum(1, keepdim=True) * 20).round() / 20, targets


def measured(metric: Any, given: Tensor, targets: Tensor, sizes: Sequence[int] = SIZES) -> float:
    """The value over batches of some sizes, after a reset."""
    metric.update(given[:3], targets[:3])
    metric.reset()
    for part, target in zip(given.split([*sizes]), targets.split([*sizes]), strict=True):
        metric.update(part, target)
    return float(metric.compute())


def built(text: str, **params: Any) -> Any:
    """A built-in metric, outside of a run."""
    return lossreg.metrics.build(text, **params)


@for_each("average", ["macro", "micro", "weighted"])
def test_f1_is_scikit_learn_s(average: str) -> None:
    """Classes that are neither there nor predicted do not count in either."""
    scores, targets = samples()
    labels = scores.argmax(1)
    expected = peer.f1_score(targets, labels, average=average, zero_division=0)
    assert measured(built("f1", average=average, num_classes=CLASSES), labels, targets) == pytest.approx(expected)


def test_accuracy_is_scikit_learn_s() -> None:
    """Over positions the accuracy, over classes the balanced accuracy."""
    scores, targets = samples()
    labels = scores.argmax(1)
    labels[0] = 4  # predicted, and never there
    with np.errstate(all="ignore"), pytest.warns(UserWarning, match="classes not in y_true"):
        balanced = peer.balanced_accuracy_score(targets, labels)
    share = peer.accuracy_score(targets, labels)
    assert measured(built("accuracy", num_classes=CLASSES), labels, targets) == pytest.approx(share, rel=1e-15)
    macro = built("accuracy(average='macro')", num_classes=CLASSES)
    assert measured(macro, labels, targets) == pytest.approx(balanced, rel=1e-12)


@for_each(("background", "first"), [(True, 0), (False, 1)])
def test_dice_and_iou_are_scikit_learn_s(background: bool, first: int) -> None:
    """Mean IoU is the Jaccard score over classes, mean Dice the F1 score; the background may be left out."""
    scores, targets = samples()
    pictures = scores.argmax(1).view(10, 2, 2), targets.view(10, 2, 2)
    flat = {"labels": list(range(first, 4)), "average": "macro"}  # class 4 is neither there nor predicted
    labels = pictures[0].flatten()
    labels[labels == 4] = 0
    pictures = labels.view(10, 2, 2), pictures[1]
    dice = measured(built("mean_dice", num_classes=CLASSES, background=background), *pictures, sizes=(3, 7))
    iou = measured(built("mean_iou", num_classes=CLASSES, background=background), *pictures, sizes=(3, 7))
    assert dice == pytest.approx(peer.f1_score(targets, labels, **flat), rel=1e-12)
    assert iou == pytest.approx(peer.jaccard_score(targets, labels, **flat), rel=1e-12)


@for_each("average", ["macro", "weighted"])
def test_auroc_is_scikit_learn_s(average: str) -> None:
    """Each class against all others, with equal scores; a class that is not there does not count."""
    scores, targets = samples()
    there = [peer.roc_auc_score(targets == one, scores[:, one]) for one in range(4)]
    weights = None if average == "macro" else np.bincount(targets)
    expected = np.average(there, weights=weights)
    assert measured(built("auroc", average=average), scores, targets) == pytest.approx(expected, rel=1e-12)


def test_auroc_of_two_classes_is_that_of_class_1() -> None:
    """As scikit-learn has it for a yes or no."""
    scores, targets = samples()
    probabilities = torch.stack([1 - scores[:, 0], scores[:, 0]], dim=1)
    expected = peer.roc_auc_score(targets == 0, probabilities[:, 1])
    assert measured(built("auroc"), probabilities, (targets == 0).long()) == pytest.approx(expected, rel=1e-12)


@for_each("k", [1, 2, 4])
def test_top_k_is_scikit_learn_s(k: int) -> None:
    """Without equal scores, of which each has an order of its own."""
    generator = torch.Generator().manual_seed(1)
    scores, targets = torch.rand(40, CLASSES, generator=generator), samples()[1]
    expected = peer.top_k_accuracy_score(targets, scores, k=k, labels=range(CLASSES))
    assert measured(built("top_k", k=k), scores, targets) == pytest.approx(expected, rel=1e-12)


def test_top_1_is_the_accuracy_also_of_equal_scores() -> None:
    """Of equal scores the lower class goes first, as argmax has it; bfloat16 has many of them."""
    scores, targets = samples(400)
    assert (scores == scores.amax(1, keepdim=True)).sum() > 400
    accuracy = (scores.argmax(1) == targets).double().mean().item()
    assert measured(built("top_k(k=1)"), scores, targets, [400]) == accuracy


@for_each(
    ("name", "expected"),
    [
        ("mean_absolute_error", peer.mean_absolute_error),
        ("mean_squared_error", peer.mean_squared_error),
        ("root_mean_squared_error", peer.root_mean_squared_error),
    ],
)
def test_errors_are_scikit_learn_s(name: str, expected: Any) -> None:
    """Over all elements, however they lie in batches; sums are in float64."""
    generator = torch.Generator().manual_seed(2)
    given, targets = torch.randn(40, 3, generator=generator), torch.randn(40, 3, generator=generator) + 1000
    value = measured(built(name), given.double(), targets.double())
    # In one column: of several, scikit-learn takes the mean of their roots.
    assert value == pytest.approx(expected(targets.double().flatten(), given.double().flatten()), rel=1e-12)
    assert measured(built(name), given, targets) == pytest.approx(value, rel=1e-6)


@for_each("name", ["accuracy", "accuracy(average='macro')", "f1", "mean_dice", "mean_iou", "top_k(k=2)", "auroc"])
def test_ignored_targets_are_as_if_they_were_not_there(name: str) -> None:
    """With ignore_index a metric of classes has the value of the positions that count."""
    entry = lossreg.metrics[name.partition("(")[0]].component
    sized = {"num_classes": CLASSES} if "num_classes" in entry.runtime_args else {}
    scores, targets = samples()
    counted = targets != 1
    given = scores.argmax(1) if entry.input == "labels" else scores
    left_out = measured(built(name, ignore_index=1, **sized), given, targets)
    alone = measured(built(name, **sized), given[counted], targets[counted], [10, int(counted.sum()) - 10])
    assert left_out == pytest.approx(alone, rel=1e-12)
    pictures = scores.view(10, 2, 2, CLASSES).movedim(-1, 1), targets.view(10, 2, 2)
    shaped = pictures[0].argmax(1) if entry.input == "labels" else pictures[0]
    of_pictures = measured(built(name, ignore_index=1, **sized), shaped, pictures[1], [3, 7])
    assert of_pictures == pytest.approx(alone, rel=1e-12)


@for_each("name", ["accuracy", "f1", "mean_iou", "top_k(k=2)", "auroc"])
def test_without_a_target_that_counts_the_value_is_nan(name: str) -> None:
    """There is nothing to measure: neither 0 nor 1 would be true."""
    entry = lossreg.metrics[name.partition("(")[0]].component
    sized = {"num_classes": CLASSES} if "num_classes" in entry.runtime_args else {}
    scores, targets = samples()
    given = scores.argmax(1) if entry.input == "labels" else scores
    assert math.isnan(measured(built(name, ignore_index=1, **sized), given, torch.ones_like(targets)))


@for_each(
    ("name", "params", "why"),
    [
        ("top_k", {"k": 0}, "k is at least 1"),
        ("top_k", {"k": 3, "num_classes": 3}, "there are 3 classes"),
        ("f1", {"num_classes": 0}, "num_classes is at least 1"),
        ("mean_iou", {"num_classes": 1, "background": False}, "no class left"),
    ],
)
def test_parameters_without_a_meaning_are_refused(name: str, params: dict[str, Any], why: str) -> None:
    """The error says which."""
    with pytest.raises(lossreg.BuildError, match=why):
        built(name, **params)


def test_another_average_is_refused() -> None:
    """The words are those of the factory."""
    with pytest.raises(lossreg.ParameterError, match="'macro', 'micro'"):
        built("f1(average='samples')", num_classes=3)
