"""The cut: shares of classes, samples that never move, copies, folds, and what cannot be cut."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from sklearn.model_selection import StratifiedKFold
from torch import Tensor

from lossreg import DataError
from lossreg.data import Task
from lossreg.training.data.validation import hold_out
from lossreg.validation import Cut
from tests.table import for_each

if TYPE_CHECKING:
    from tests.lossreg.training.data.conftest import Images

Samples = tuple[Tensor, Tensor]
SLACK = 0.05  # of docs/validation.md


def make(count: int, classes: int = 10, seed: int = 0) -> Samples:
    """Inputs that all differ: each has its number; and targets of classes that are not equally frequent."""
    generator = np.random.default_rng(seed)
    inputs = torch.from_numpy(generator.normal(size=(count, 4))).float()
    inputs[:, 0] = torch.arange(count)
    targets = torch.from_numpy(
        generator.choice(classes, count, p=np.arange(9, 9 + classes) / sum(range(9, 9 + classes)))
    )
    return inputs, targets


def cut(
    samples: Any, validate: Any = 0.1, seed: int = 0, limit: int | None = None, task: Task = "classification"
) -> Any:
    """The cut of samples."""
    return hold_out(samples, Cut.of(validate), task, limit, seed, "data set x, split train")


def held(samples: Samples, validate: Any = 0.1, seed: int = 0, limit: int | None = None) -> set[int]:
    """The numbers of the samples that are held out."""
    return set(cut(samples, validate, seed, limit).validation[0][:, 0].int().tolist())


@for_each("count", [300, 1442, 20_000])
@for_each("share", [0.1, 0.25, 0.5, 0.8])
def test_each_class_keeps_its_share(count: int, share: float) -> None:
    """Of n samples of a class s n are held out, give or take one sample and 5 % of s n."""
    samples = make(count)
    there, total = Counter(cut(samples, share).validation[1].tolist()), Counter(samples[1].tolist())
    for one, size in total.items():
        assert abs(there[one] - share * size) <= 1 + SLACK * share * size


@for_each("folds", [2, 5, 10])
def test_folds_are_as_stratified_as_those_of_scikit_learn(folds: int) -> None:
    """Each fold has as many of each class as StratifiedKFold's, and at most two samples and 5 % more."""
    samples = make(1442)
    (_, theirs), *_ = StratifiedKFold(folds).split(samples[0], samples[1])
    expected = Counter(samples[1][theirs].tolist())
    for number in range(1, folds + 1):
        ours = Counter(cut(samples, f"fold({number}/{folds})").validation[1].tolist())
        for one, size in expected.items():
            assert ours[one] <= size + 2 + SLACK * size


@for_each("folds", [2, 3, 7])
def test_folds_are_disjoint_and_together_everything(folds: int) -> None:
    """Each sample is held out by exactly one of the folds, and trained on by the others."""
    samples = make(500)
    parts = [cut(samples, f"fold({number}/{folds})") for number in range(1, folds + 1)]
    numbers = torch.cat([part.validation[0][:, 0] for part in parts]).int().tolist()
    assert sorted(numbers) == list(range(500))
    for part in parts:
        both = torch.cat([part.train[0], part.validation[0]])
        assert sorted(both[:, 0].int().tolist()) == list(range(500))


@for_each("validate", [0.1, 0.3, "fold(2/5)"])
def test_a_sample_never_moves_when_others_are_added(validate: Any) -> None:
    """Of the first samples the same are held out, however many follow, of whatever classes."""
    samples = make(3000)
    everything = held(samples, validate)
    for count in (200, 201, 777, 2999):
        first = samples[0][:count], samples[1][:count]
        assert held(first, validate) == {number for number in everything if number < count}
        assert held(samples, validate, limit=count) == held(first, validate)


def test_a_data_set_that_is_sorted_anew_moves_few() -> None:
    """In another order, of 60,000 samples in ten classes less than a tenth of those that are held out change sides."""
    samples = make(60_000)
    order = torch.from_numpy(np.random.default_rng(1).permutation(60_000))
    first, second = held(samples), held((samples[0][order], samples[1][order]))
    assert len(first - second) < 0.1 * len(first)


def test_another_seed_is_another_cut() -> None:
    """Two seeds hold out sets that overlap as two random tenths do: in about a hundredth of the samples."""
    samples = make(5000)
    first, second = held(samples, seed=0), held(samples, seed=2**63 - 1)
    assert first == held(samples, seed=0)
    assert len(first & second) < 100  # expected are 50, and 7 is a standard deviation


def test_copies_of_a_sample_are_on_one_side() -> None:
    """Inputs that are equal byte for byte never end on both sides, even with different targets."""
    inputs, targets = make(400)
    twice = torch.cat([inputs, inputs]), torch.cat([targets, targets.flip(0)])
    parts = cut(twice, 0.3)
    one, other = (set(part[0][:, 0].int().tolist()) for part in (parts.train, parts.validation))
    assert not one & other
    assert len(parts.validation[0]) == 2 * len(other)


@for_each("dtype", [torch.uint8, torch.bfloat16, torch.float64, torch.bool, torch.complex64])
def test_inputs_of_any_type_are_cut(dtype: torch.dtype) -> None:
    """Bytes are hashed, so every type of tensor will do, and any strides."""
    numbers = torch.from_numpy(np.random.default_rng(0).integers(251, size=(60, 8, 8)))
    inputs = (numbers if dtype is not torch.bool else numbers % 2).to(dtype).transpose(1, 2)
    targets = torch.arange(60) % 2
    assert len(cut((inputs, targets), "fold(1/2)").validation[0]) in range(20, 41)


@for_each("task", ["regression", "segmentation"])
def test_a_task_without_classes_is_cut_by_hash(task: Task) -> None:
    """The whole split keeps its share then, and the record says that it is not stratified."""
    inputs, _ = make(1000)
    part = cut(
        (inputs, torch.rand(1000, 2) if task == "regression" else torch.zeros(1000, 4, 4).long()), 0.1, task=task
    )
    assert abs(len(part.validation[0]) - 100) <= 1 + SLACK * 100
    assert part.facts["stratified"] is False
    assert task in part.facts["reason"]


def test_samples_keep_their_order() -> None:
    """Both sides have their samples as they lie in the data set, with their own targets."""
    inputs, targets = make(300)
    for split in (cut((inputs, targets)).train, cut((inputs, targets)).validation):
        numbers = split[0][:, 0].long()
        assert (numbers.diff() > 0).all()
        assert split[1].equal(targets[numbers])


def test_a_map_style_data_set_is_cut_by_index(images: type[Images]) -> None:
    """Random transforms do not move samples, its `targets` are the classes, and nothing is read for the cut."""

    class Unread(images):  # type: ignore[valid-type, misc]  # a fixture is no type to mypy
        def __getitem__(self, index: int) -> Any:
            raise AssertionError("read")

    samples = Unread(200)
    part = cut(samples, 0.25)
    assert (part.facts["by"], part.facts["stratified"]) == ("index", True)
    assert sorted([*part.train.indices, *part.validation.indices]) == list(range(200))
    there = Counter(samples.targets[part.validation.indices].tolist())
    for one, size in Counter(samples.targets.tolist()).items():
        assert abs(there[one] - 0.25 * size) <= 1 + SLACK * 0.25 * size


@for_each("targets", [None, [1, 2], ["a"] * 80, torch.rand(80), 3], ids=["none", "two", "words", "numbers", "a number"])
def test_a_map_style_data_set_without_classes_is_cut_without_them(images: type[Images], targets: Any) -> None:
    """`targets` that are no class for each sample are not used, and the record says so."""

    class Labelled(images):  # type: ignore[valid-type, misc]  # a fixture is no type to mypy
        def __len__(self) -> int:
            return 80

    samples = Labelled(80)
    samples.targets = targets
    facts = cut(samples, 0.25).facts
    assert (facts["stratified"], "targets" in facts["reason"]) == (False, True)


@for_each(
    ("count", "validate", "task", "says"),
    [
        (1, 0.5, "regression", "leaves none of its 1 samples"),
        (5, 0.01, "regression", "leaves none of its 5 samples for validation"),
        (5, 0.99, "regression", "leaves none of its 5 samples to train on"),
        (60, 0.02, "classification", r"leaves no sample of class 2, which has 4, for validation; .* 0.25 or more does"),
        (60, 0.98, "classification", r"leaves no sample of class 2, which has 4, to train on; .* 0.75 or less does"),
        (60, "fold(1/29)", "classification", r"leaves no sample of class 2, .*; fold\(1/4\) to fold\(4/4\) have one"),
    ],
)
def test_a_side_without_samples_is_an_error(count: int, validate: Any, task: Task, says: str) -> None:
    """It names the split, the setting, what is missing where, and what helps."""
    inputs, _ = make(60)
    targets = (torch.arange(60) % 15 == 0) * 2 if task == "classification" else torch.rand(60)
    with pytest.raises(DataError, match=f"data set x, split train: validate .--validate. .*{says}"):
        cut((inputs[:count], targets[:count]), validate, task=task)


@for_each(("validate", "size"), [(0.1, 10), (0.3, 4), (0.9, 10), ("fold(3/7)", 7), ("fold(1/2)", 2)])
def test_a_class_that_is_large_enough_is_on_both_sides(validate: Any, size: int) -> None:
    """1 / s samples of a class are enough for a share s (or 1 - s), and N for N folds, with every seed."""
    inputs, _ = make(20 * size)
    for seed in range(20):
        cut((inputs, torch.arange(20 * size) % 20), validate, seed)


def test_a_class_of_one_sample_is_no_error() -> None:
    """It cannot be on both sides."""
    inputs, targets = make(200, classes=2)
    targets[7] = 5
    part = cut((inputs, targets), 0.2)
    assert 5 in torch.cat([part.train[1], part.validation[1]])


def test_what_the_record_says_tells_cuts_apart() -> None:
    """The digest is the same for the same samples, and another for another seed."""
    samples = make(300)
    digests = [cut(samples, 0.2, seed).facts["digest"] for seed in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]
