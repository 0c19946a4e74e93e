"""Samples of a map-style data set: seeded, checked, and what is wrong with one is said."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

import lossreg
from lossreg.training.data import load

if TYPE_CHECKING:
    from tests.lossreg.conftest import CommandWith
    from tests.lossreg.training.conftest import Run, Weights
    from tests.lossreg.training.data.conftest import Images, Pictures, Spoilt


def test_random_transforms_depend_on_seed_and_epoch_alone(
    run: Run, weights: Weights, pictures: Pictures, convolution: Callable[[], nn.Module]
) -> None:
    """Augmented samples are the same with no worker, one and two, differ from epoch to epoch, and follow the seed."""
    usual: dict[str, Any] = {"data": pictures(), "epochs": 2, "batch_size": 16}
    results = [run(model=convolution(), workers=workers, **usual) for workers in (0, 1, 2)]
    first, *others = [weights(result.model) for result in results]
    assert all(other.equal(first) for other in others)
    assert not weights(run(model=convolution(), seed=5, workers=0, **usual).model).equal(first)
    once = run(model=convolution(), loader="resident", **usual)  # read once: the second epoch sees the first's images
    assert not weights(once.model).equal(first)


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
def test_a_wrong_sample_is_an_error_that_says_which(
    run: Run,
    spoilt: type[Spoilt],
    pictures: Pictures,
    convolution: Callable[[], nn.Module],
    wrong: Any,
    said: str,
    workers: int,
) -> None:
    """What is wrong with a sample is one sentence, with and without workers."""
    split = spoilt(49, lambda: wrong)
    with pytest.raises(lossreg.DataError) as caught:
        run(data=pictures(split), model=convolution(), epochs=1, batch_size=16, workers=workers)
    assert said in str(caught.value)
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize("split", ["train", "test"])
def test_reading_once_checks_every_sample(
    run: Run, spoilt: type[Spoilt], pictures: Pictures, convolution: Callable[[], nn.Module], split: str
) -> None:
    """Made resident, a split is checked before the run begins."""
    parts = {split: spoilt(49, lambda: (torch.zeros(3, 9, 9), 0))}
    with pytest.raises(lossreg.DataError, match="samples are not alike"):
        run(data=pictures(**parts), model=convolution(), loader="resident")


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("error", [ZeroDivisionError("the file is damaged"), StopIteration("the file is damaged")])
def test_an_error_of_the_data_set_names_the_sample(
    run: Run,
    spoilt: type[Spoilt],
    pictures: Pictures,
    convolution: Callable[[], nn.Module],
    workers: int,
    split: str,
    error: Exception,
) -> None:
    """What a data set raises ends the run with the sample's index, and comes with its own traceback."""

    def fail() -> Any:
        raise error

    with pytest.raises(
        lossreg.DataError, match=f"split {split}: sample 40 cannot be read: .*the file is damaged"
    ) as caught:
        run(data=pictures(**{split: spoilt(40, fail)}), model=convolution(), epochs=1, batch_size=16, workers=workers)
    assert "raise error" in caught.value.__notes__[0]


def test_the_command_shows_where_a_data_set_failed(command_with: CommandWith, tmp_path: Path) -> None:
    """The author of a data set gets the traceback, the message comes last, and the record has the message."""
    (tmp_path / "broken_set.py").write_text(BROKEN_SET)
    words = ["run", "-p", "./broken_set.py", "--data", "broken", "--workers", "1", "--quiet", "--out", "out"]
    result = command_with(*words, path=tmp_path / "none", cwd=tmp_path)
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


def test_generators_of_the_process_are_left_alone(images: type[Images]) -> None:
    """Reading in this process moves no generator that something else may draw from."""
    split = load.load_split(images(), "classification", None, torch.device("cpu"), "it", workers=0)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # type: ignore[index]  # the legacy state is a tuple
    split.head(5)
    assert random.getstate() == states[0]
    assert np.random.get_state()[1].tolist() == states[1]  # type: ignore[index]  # see above
    assert torch.get_rng_state().equal(states[2])
