"""How samples come to the device: resident, or through a data loader; the training is the same."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset

import lossreg
from lossreg import Data, RunResult
from lossreg.training.data import load
from lossreg.training.data.order import sample_order
from lossreg.training.data.splits import ResidentSplit, StreamedSplit

Run = Callable[..., RunResult]
Weights = Callable[[nn.Module], Tensor]


class Images(Dataset[Any]):
    """Colour images, read one by one, with a random shift that each of three generators decides."""

    def __init__(self, count: int = 50, *, shift: bool = True) -> None:
        generator = torch.Generator().manual_seed(0)
        self.images = torch.rand(count, 3, 8, 8, generator=generator)
        self.targets = torch.randint(4, (count,), generator=generator)
        self.shift = shift

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.images[index]
        if self.shift:
            image = image * (random.random() + np.random.rand()) + torch.rand(())  # noqa: S311  # no secret
        return image, int(self.targets[index])


def pictures(train: Any = None, test: Any = None) -> Data:
    """A classification of such images."""
    train = Images() if train is None else train
    return Data(train, Images(20, shift=False) if test is None else test, "classification", (3, 8, 8), num_classes=4)


def convolution() -> nn.Module:
    """A small network for them, with dropout, which draws random numbers of its own."""
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.Linear(144, 4))


@pytest.mark.parametrize("workers", [0, 2])
def test_the_data_loader_trains_as_resident_tensors_do(run: Run, weights: Weights, workers: int) -> None:
    """Weights and metrics are the same bits whichever way the samples take, dropout and ragged batch included."""
    usual = {"epochs": 2, "batch_size": 16, "log_every": 2}
    split = Images(shift=False)
    tensors = pictures((split.images, split.targets), (split.images, split.targets))
    resident = run(data=tensors, model=convolution(), **usual)
    loaded = run(data=tensors, model=convolution(), loader="dataloader", workers=workers, **usual)
    one_by_one = run(data=pictures(split, split), model=convolution(), workers=workers, **usual)
    for other in (loaded, one_by_one):
        assert weights(other.model).equal(weights(resident.model))
        assert [row["test_loss"] for row in other.metrics] == [row["test_loss"] for row in resident.metrics]


def test_random_transforms_depend_on_seed_and_epoch_alone(run: Run, weights: Weights) -> None:
    """Augmented samples are the same with no worker, one and two, differ from epoch to epoch, and follow the seed."""
    usual: dict[str, Any] = {"data": pictures(), "epochs": 2, "batch_size": 16}
    results = [run(model=convolution(), workers=workers, **usual) for workers in (0, 1, 2)]
    first, *others = [weights(result.model) for result in results]
    assert all(other.equal(first) for other in others)
    assert not weights(run(model=convolution(), seed=5, workers=0, **usual).model).equal(first)
    once = run(model=convolution(), loader="resident", **usual)  # read once: the second epoch sees the first's images
    assert not weights(once.model).equal(first)


def test_the_order_is_that_of_numpy_on_both_ways(run: Run) -> None:
    """Batches hold the samples of `default_rng([seed, epoch]).permutation(n)`, one after the other."""
    inputs = torch.arange(20.0).unsqueeze(1)
    seen: list[float] = []

    class Watching(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # torch's word
            if self.training:
                seen.extend(input.flatten().tolist())
            return super().forward(input)

    for loader in ("resident", "dataloader"):
        model = Watching(1, 1)
        data = Data((inputs, inputs), (inputs, inputs), "regression", (1,), out_features=1)
        run(data=data, model=model, optimizer="sgd(lr=1e-9)", epochs=2, batch_size=8, seed=3, loader=loader)
        epochs = [sample_order(3, epoch, 20).tolist() for epoch in range(2)]
        assert seen[-40:] == [float(index) for epoch in epochs for index in epoch]


def test_the_way_and_its_reason_are_recorded(run: Run) -> None:
    """run.json says for each split which way was taken, and why."""
    split = Images(shift=False)
    result = run(data=pictures(Images(), (split.images, split.targets)), model=convolution(), epochs=1, workers=0)
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


def test_a_tensor_data_set_is_its_tensors(run: Run) -> None:
    """A TensorDataset cannot differ from reading to reading, so it becomes resident."""
    split = Images(shift=False)
    pairs = TensorDataset(split.images, split.targets)
    result = run(data=pictures(pairs, pairs), model=convolution(), epochs=1)
    assert json.loads((result.directory / "run.json").read_text())["loaders"]["train"]["used"] == "resident"


def test_workers_without_a_data_loader_are_refused(run: Run) -> None:
    """`workers` has no effect on resident tensors, which is an error."""
    with pytest.raises(lossreg.ConfigError, match=r"workers .* has no effect"):
        run(workers=2)


class Faulty(Images):
    """Images of which one is wrong."""

    def __init__(self, wrong: Any) -> None:
        super().__init__(50, shift=False)
        self.wrong = wrong

    def __getitem__(self, index: int) -> Any:
        return self.wrong if index == 49 else super().__getitem__(index)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ((torch.zeros(3, 8, 8), 4), "sample 49 has the class index 4, but the model's classes are 0 to 3"),
        ((torch.zeros(3, 8, 8), -1), "the class index -1"),
        ((torch.full((3, 8, 8), torch.nan), 0), "sample 49: its inputs hold NaN or infinity"),
        ((torch.zeros(3, 9, 9), 0), "samples are not alike: sample 49 is (3, 9, 9)"),
        ((torch.zeros(3, 8, 8, dtype=torch.float64), 0), "sample 49 is (3, 8, 8) of torch.float64"),
        ((torch.zeros(3, 8, 8), 1.5), "sample 49 is (3, 8, 8) of torch.float32 with target () of torch.float32"),
        (({"image": 1}, 0), "sample 49 is a pair of dict and int, which are not tensors"),
        (torch.zeros(3, 8, 8), "sample 49 is a Tensor, not a pair"),
    ],
)
@pytest.mark.parametrize("workers", [0, 1])
def test_a_wrong_sample_is_an_error_that_says_which(run: Run, wrong: Any, said: str, workers: int) -> None:
    """What is wrong with a sample is one sentence, with and without workers."""
    with pytest.raises(lossreg.DataError) as caught:
        run(data=pictures(Faulty(wrong)), model=convolution(), epochs=1, batch_size=16, workers=workers)
    assert said in str(caught.value)
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize("split", ["train", "test"])
def test_reading_once_checks_every_sample(run: Run, split: str) -> None:
    """Made resident, a split is checked before the run begins."""
    parts = {split: Faulty((torch.zeros(3, 9, 9), 0))}
    with pytest.raises(lossreg.DataError, match="samples are not alike"):
        run(data=pictures(**parts), model=convolution(), loader="resident")


class Broken(Images):
    """Raises in the middle."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if index == 40:
            raise self.error
        return super().__getitem__(index)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("error", [ZeroDivisionError("the file is damaged"), StopIteration("the file is damaged")])
def test_an_error_of_the_data_set_names_the_sample(run: Run, workers: int, split: str, error: Exception) -> None:
    """What a data set raises ends the run with the sample's index, and comes with its own traceback."""
    with pytest.raises(
        lossreg.DataError, match=f"split {split}: sample 40 cannot be read: .*the file is damaged"
    ) as caught:
        run(data=pictures(**{split: Broken(error)}), model=convolution(), epochs=1, batch_size=16, workers=workers)
    assert "raise self.error" in caught.value.__notes__[0]


def test_the_command_shows_where_a_data_set_failed(tmp_path: Path) -> None:
    """The author of a data set gets the traceback, the message comes last, and the record has the message."""
    (tmp_path / "broken_set.py").write_text(BROKEN_SET)
    command = [sys.executable, "-m", "lossreg", "run", "-p", "./broken_set.py", "--data", "broken", "--workers", "1"]
    result = subprocess.run(
        [*command, "--quiet", "--out", "out"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "line 10, in __getitem__" in result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith(
        "lossreg: error: data set broken, split train: sample 70 cannot be read: ValueError: no file"
    )
    assert json.loads((tmp_path / "out" / "run.json").read_text())["status"] == "failed"


BROKEN_SET = """
import torch, lossreg


class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 100
    def __getitem__(self, index):
        if index == 70:
            raise ValueError("no file")
        return torch.zeros(4), 0


@lossreg.datasets.register("broken", model="mlp")
def broken():
    \"\"\"Rows of which one is broken.\"\"\"
    return lossreg.Data(Rows(), Rows(), "classification", (4,), num_classes=2)
"""


class Deadly(Images):
    """Ends the process that reads it, as the system does when the memory runs out."""

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if index == 40 and torch.utils.data.get_worker_info() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


def test_a_worker_that_is_killed_is_explained(run: Run) -> None:
    """A worker that something else ends is one sentence about memory and workers."""
    with pytest.raises(lossreg.DataError, match="a worker was ended from outside"):
        run(data=pictures(Deadly()), model=convolution(), epochs=1, workers=1)


def test_workers_end_with_the_run(run: Run) -> None:
    """No worker outlives a run that failed, though its error is kept."""
    with pytest.raises(lossreg.DataError) as kept:
        run(data=pictures(Broken(ValueError("it"))), model=convolution(), epochs=1, batch_size=16, workers=2)
    deadline = time.monotonic() + 10
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert multiprocessing.active_children() == [], kept


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


def test_generators_of_the_process_are_left_alone() -> None:
    """Reading in this process moves no generator that something else may draw from."""
    split = load.load_split(Images(), "classification", None, torch.device("cpu"), "it", workers=0)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # type: ignore[index]  # the legacy state is a tuple
    split.head(5)
    assert random.getstate() == states[0]
    assert np.random.get_state()[1].tolist() == states[1]  # type: ignore[index]  # see above
    assert torch.get_rng_state().equal(states[2])


def test_the_number_of_workers_suits_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """One core is left to the training; processes share the cores; there are at most eight."""
    for cores, processes, workers in ((1, 1, 0), (2, 1, 1), (4, 2, 1), (64, 1, 8)):
        monkeypatch.setattr(load, "available_cores", lambda cores=cores: cores)
        split = load.load_split(Images(), "classification", None, torch.device("cpu"), "it", local_world_size=processes)
        assert isinstance(split, StreamedSplit)
        assert split.workers == workers
