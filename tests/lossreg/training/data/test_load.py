"""How samples come to the device: which way is taken, and why."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import lossreg
from lossreg import Data
from lossreg.training.data import load
from lossreg.training.data.splits import ResidentSplit, StreamedSplit

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import Run
    from tests.lossreg.training.data.conftest import Images, Pictures


def test_the_way_and_its_reason_are_recorded(
    run: Run, images: type[Images], pictures: Pictures, convolution: Callable[[], nn.Module]
) -> None:
    """run.json says for each split which way was taken, and why."""
    split = images(shift=False)
    result = run(data=pictures(images(), (split.images, split.targets)), model=convolution(), epochs=1, workers=0)
    loaders = json.loads((result.directory / "run.json").read_text())["loaders"]
    assert loaders["train"] == {
        "used": "dataloader", "workers": 0, "reason": "its samples are read one by one and may differ each time"
    }  # fmt: skip
    assert loaders["test"] == {"used": "resident", "reason": "its tensors are in memory already"}


def test_tensors_that_do_not_fit_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an accelerator has less than twice their size free, tensors stay where they are and go in batches."""
    inputs, targets = torch.zeros(1000, 100), torch.zeros(1000, dtype=torch.int64)
    device = torch.device("meta")
    for free, kind in ((10**6, ResidentSplit), (5 * 10**5, StreamedSplit)):
        monkeypatch.setattr(load, "_free_memory", lambda _, free=free: free)
        chosen, reason = load._choose("auto", (inputs, targets), device)
        assert chosen == kind.loader, reason
    assert "more than half" in reason


def test_a_tensor_data_set_is_its_tensors(
    run: Run, images: type[Images], pictures: Pictures, convolution: Callable[[], nn.Module]
) -> None:
    """A TensorDataset cannot differ from reading to reading, so it becomes resident."""
    split = images(shift=False)
    pairs = TensorDataset(split.images, split.targets)
    result = run(data=pictures(pairs, pairs), model=convolution(), epochs=1)
    assert json.loads((result.directory / "run.json").read_text())["loaders"]["train"]["used"] == "resident"


def test_workers_without_a_data_loader_are_refused(run: Run) -> None:
    """`workers` has no effect on resident tensors, which is an error."""
    with pytest.raises(lossreg.ConfigError, match=r"workers .* has no effect"):
        run(workers=2)


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ([(torch.zeros(4), 0)] * 3, "it must be a pair of tensors .*; it is a list of 3"),
        ((torch.zeros(()), torch.zeros(())), "have a dimension for the samples"),
    ],
)
def test_what_is_no_split_is_refused(run: Run, split: Any, said: str) -> None:
    """A list of samples and numbers without a dimension are errors that say what is needed."""
    with pytest.raises(lossreg.DataError, match=said):
        run(data=Data(split, split, "classification", (4,), num_classes=2), model=nn.Linear(4, 2))


def test_the_number_of_workers_suits_the_machine(images: type[Images], monkeypatch: pytest.MonkeyPatch) -> None:
    """One core is left to the training; processes share the cores; there are at most eight."""
    for cores, processes, workers in ((1, 1, 0), (2, 1, 1), (4, 2, 1), (64, 1, 8)):
        monkeypatch.setattr(load, "available_cores", lambda cores=cores: cores)
        split = load.load_split(images(), "classification", None, torch.device("cpu"), "it", local_world_size=processes)
        assert isinstance(split, StreamedSplit)
        assert split.workers == workers


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_data_that_is_not_finite_is_refused(
    run_table: Run, table: Callable[..., Data], split: str, value: float
) -> None:
    """NaN or infinity in the inputs of a split is an error, not a loss or an accuracy."""
    good = table()
    assert isinstance(good.train, tuple)
    inputs = good.train[0].clone()
    inputs[5, 1] = value
    parts: dict[str, Any] = {"train": good.train, "test": good.test, split: (inputs, good.train[1])}
    with pytest.raises(lossreg.DataError, match=f"split {split}: its inputs hold NaN or infinity"):
        run_table(data=Data(**parts, task="classification", in_shape=(4,), num_classes=3))
