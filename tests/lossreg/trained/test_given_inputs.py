"""What `LoadedRun.predict` takes, and the options and inputs that `lossreg predict` refuses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

import lossreg
from lossreg import Data
from lossreg.data import Scaling
from lossreg.errors import DataError
from lossreg.trained.arrays import read_csv
from lossreg.trained.facts import DataFacts
from lossreg.trained.inputs import read_inputs, to_batch
from tests.lossreg.trained.conftest import Run, load_run
from tests.table import for_each, for_each_apart

if TYPE_CHECKING:
    from tests.conftest import Command

MEAN, STD = 0.25, 0.5


@pytest.fixture
def loaded(run: Run) -> lossreg.LoadedRun:
    """A run of a linear model on pictures of 2 by 3 pixels, whose data set says how it scaled them."""
    inputs = torch.rand(12, 1, 2, 3, generator=torch.Generator().manual_seed(0))
    samples = inputs, torch.arange(12) % 3
    scaling = Scaling(mean=(MEAN,), std=(STD,))
    data = Data(samples, samples, "classification", (1, 2, 3), num_classes=3, input_scaling=scaling)
    result = run(data=data, model=nn.Sequential(nn.Flatten(), nn.Linear(6, 3)), limit_train=None, limit_test=None)
    return load_run(result.directory, model=nn.Sequential(nn.Flatten(), nn.Linear(6, 3)))


def test_predict_takes_what_the_command_takes(loaded: lossreg.LoadedRun) -> None:
    """Arrays, lists and tensors of other types give what a tensor of the model's type gives; one input is a batch."""
    one = torch.tensor([[[[0.5, 1.0, -2.0], [0.0, 0.25, 3.0]]]])  # exact in each type
    expected = loaded.predict(one)
    array = one.numpy()
    others: list[Any] = [one.double(), one.half(), array, array.astype(">f8"), one.tolist(), one[0], array[0]]
    for other in others:
        assert torch.equal(loaded.predict(other), expected)
    pixels = np.array([[[[0, 51, 255], [102, 204, 153]]]], dtype=np.uint8)
    scaled = torch.from_numpy((pixels / 255 - MEAN) / STD).float()
    for given in (pixels, torch.from_numpy(pixels)):
        torch.testing.assert_close(loaded.predict(given), loaded.predict(scaled))


@for_each(
    ("inputs", "said"),
    [
        (np.zeros((2, 5)), "inputs: its shape is (2, 5), and an input of the model has (1, 2, 3)"),
        ([[1.0], [1.0, 2.0]], "inputs cannot be read as an array"),
        ("digit.png", "not numbers"),
        (np.zeros((1, 1, 2, 3), dtype=complex), "it holds complex128, not numbers"),
        (np.full((1, 1, 2, 3), np.nan), "not finite"),
        (torch.zeros(2, 5), "failed on a batch of shape (2, 5) (an input has (1, 2, 3)): RuntimeError"),
    ],
)
def test_what_is_no_input_is_an_error_of_lossreg(loaded: lossreg.LoadedRun, inputs: Any, said: str) -> None:
    """It says what it is, and what is taken."""
    with pytest.raises(lossreg.LossregError) as refused:
        loaded.predict(inputs)
    assert said in str(refused.value)


def test_whole_numbers_are_taken_by_a_model_of_such() -> None:
    """Floats that are whole numbers, too; others are refused."""
    facts = DataFacts("classification", (2,), 3, "int64", None, None, {})
    assert to_batch([[1.0, 2.0]], facts, torch.int64).tolist() == [[1, 2]]
    with pytest.raises(DataError, match="the model takes whole numbers, and these are not"):
        to_batch([[1.5, 2.0]], facts, torch.int64)


def test_each_bad_input_is_named(loaded: lossreg.LoadedRun, tmp_path: Path) -> None:
    """However many there are."""
    files = [tmp_path / f"{number}.npy" for number in range(18)]
    with pytest.raises(DataError) as refused:
        read_inputs(files, loaded.data)
    assert all(f"{file}: it does not exist" in str(refused.value) for file in files)


@for_each_apart(
    ("options", "said"),
    [
        ("a.npy --resize", "--resize has no effect: no input is a picture"),
        ("a.png --as-is", "--as-is has no effect: no input is a table"),
        ("a.png --json --out p.csv", "--json has no effect with --out"),
    ],
)
def test_an_option_without_effect_is_refused(lossreg_command: Command, options: str, said: str) -> None:
    """Before the run is looked for."""
    outcome = lossreg_command("predict", "run", *options.split())
    assert (outcome.code, said in outcome.err) == (2, True)


@for_each(("text", "what"), [("a;b\n1;2\n", "semicolons"), ("1\t2\n", "tabs"), ("1,5;2,5", "semicolons")])
def test_other_separators_are_told(text: str, what: str) -> None:
    """A table in another form says what is between its cells."""
    with pytest.raises(DataError, match=f"it has {what} between its cells; a table has commas"):
        read_csv(text.encode())
