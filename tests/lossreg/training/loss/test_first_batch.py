"""What the first batch shows: shapes of batches of one sample, numbers that are not finite, types that do not meet."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import lossreg
from lossreg import Data
from tests.table import for_each


def line(rows: int = 8, test_rows: int = 8) -> Data:
    """A regression with one number to predict, with targets `(N,)`."""
    inputs = torch.linspace(-1, 1, max(rows, test_rows)).unsqueeze(1)
    targets = 2 * inputs.squeeze(1) + 1
    return Data(
        (inputs[:rows], targets[:rows]), (inputs[:test_rows], targets[:test_rows]), "regression", (1,), out_features=1
    )


def points(rows: int = 8, test_rows: int = 8) -> Data:
    """A classification of random points in 3 classes."""
    inputs = torch.randn(max(rows, test_rows), 4, generator=torch.Generator().manual_seed(0))
    targets = torch.arange(len(inputs)) % 3
    return Data(
        (inputs[:rows], targets[:rows]), (inputs[:test_rows], targets[:test_rows]), "classification", (4,),
        num_classes=3,
    )  # fmt: skip


class Squeezing(nn.Module):
    """A linear layer whose output loses the dimensions of size 1, or only the last."""

    def __init__(self, features: int, outputs: int, dim: int | None) -> None:
        super().__init__()
        self.linear, self.dim = nn.Linear(features, outputs), dim

    def forward(self, x: Tensor) -> Tensor:
        """One number for each sample."""
        output: Tensor = self.linear(x)
        return output.squeeze() if self.dim is None else output.squeeze(self.dim)


def run(tmp_path: Path, **arguments: Any) -> lossreg.RunResult:
    """A quiet run of one epoch."""
    usual: dict[str, Any] = {"epochs": 1, "quiet": True, "device": "cpu", "precision": "32", "out": tmp_path / "out"}
    return lossreg.run(**{**usual, **arguments})


def test_regression_targets_of_one_dimension_train(tmp_path: Path) -> None:
    """Targets `(N,)` and an output `(N,)` train and are evaluated: a step of gradient descent in float64 agrees."""
    model = Squeezing(1, 1, -1)
    weight, bias = (float(one.detach()) for one in model.linear.parameters())
    data = line()
    assert isinstance(data.train, tuple)
    x, y = (part.double() for part in (data.train[0].squeeze(1), data.train[1]))
    error = weight * x + bias - y
    weight, bias = weight - 0.1 * float(2 * (error * x).mean()), bias - 0.1 * float(2 * error.mean())
    result = run(tmp_path, data=data, model=model, optimizer="sgd(lr=0.1, momentum=0.0)")
    assert [float(one.detach()) for one in model.linear.parameters()] == pytest.approx([weight, bias], rel=1e-5)
    left = weight * x + bias - y
    assert result.metrics[-1]["test_loss"] == pytest.approx(float((left**2).mean()), rel=1e-5)
    assert result.metrics[-1]["test_mean_absolute_error"] == pytest.approx(float(left.abs().mean()), rel=1e-5)


def test_a_missing_last_dimension_says_what_to_do() -> None:
    """An output `(N, 1)` for targets `(N,)` is an error that says how they get one shape."""
    with pytest.raises(lossreg.ContractError, match=r"targets\.unsqueeze\(-1\) gives the targets that shape"):
        lossreg.plan(data=line(), model=nn.Linear(1, 1))


class OwnCrossEntropy(nn.CrossEntropyLoss):
    """A loss that declares nothing: only torch's own class is known."""


@pytest.mark.parametrize(
    ("rows", "test_rows", "eval_train", "said"),
    [
        (9, 8, False, "the last batch of an epoch has one sample"),
        (8, 9, False, "of the test split (its last batch has one sample)"),
        (8, 1, False, "of the test split"),
    ],
)
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_a_batch_of_one_is_tried(rows: int, test_rows: int, eval_train: bool, said: str, task: str) -> None:
    """A model whose output loses the batch dimension for a batch of one is refused where such a batch will come."""
    data, model = (
        (line(rows, test_rows), Squeezing(1, 1, None))
        if task == "regression"
        else (points(rows, test_rows), Squeezing(4, 3, None))
    )
    with pytest.raises(lossreg.ContractError) as caught:
        lossreg.plan(data=data, model=model, batch_size=4, eval_train=eval_train)
    assert said in str(caught.value)
    assert "squeeze(-1) or flatten(1) keeps it" in str(caught.value)


def test_a_batch_of_one_of_the_training_split_is_tried_in_evaluation() -> None:
    """With accumulation no step is cut to one sample, but evaluation of the training split is."""

    class Mode(Squeezing):
        def forward(self, x: Tensor) -> Tensor:
            output: Tensor = self.linear(x)
            return output.flatten() if self.training else output.squeeze()

    arguments: dict[str, Any] = {"data": line(9, 8), "model": Mode(1, 1, None), "batch_size": 4}
    lossreg.plan(**arguments)
    with pytest.raises(lossreg.ContractError, match=r"of the train split \(its last batch has one sample\)"):
        lossreg.plan(**arguments, eval_train=True)


def test_no_batch_of_one_no_error() -> None:
    """The same model is fine where every batch has more samples."""
    assert lossreg.plan(data=line(), model=Squeezing(1, 1, None), batch_size=4).warnings == []


class Broken(nn.Module):
    """A loss that is NaN, however good the output is."""

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """0 / 0."""
        return output.sum() * 0 / 0


def spoilt() -> nn.Module:
    """A model with a weight that is not a number."""
    model = nn.Linear(4, 3)
    model.bias.data[1] = math.nan
    return model


class Overflowing(nn.Linear):
    """A model whose output is infinite, though its weights are not."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # torch's name
        """Infinity."""
        return super().forward(input) * 1e38 * 1e38


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"model": spoilt()}, "the model's weights hold NaN or infinity in bias"),
        ({"model": Overflowing(4, 3)}, "the model's output holds NaN or infinity, though its weights"),
        ({"loss": Broken()}, "it is the loss that divides by 0 or takes the logarithm of 0"),
        ({"loss": "cross_entropy(weight=[0, 0, 0])"}, "(weight=[0, 0, 0]) are all 0, so no target counts"),
        ({"loss": "cross_entropy(weight=[1, inf, 1])"}, "(weight=[1, inf, 1]) are not all finite"),
        ({"loss": OwnCrossEntropy(weight=torch.zeros(3))}, "all weights of the loss (weight) are 0"),
        ({"loss": OwnCrossEntropy(weight=torch.full((3,), math.nan))}, "the loss holds NaN or infinity in weight"),
    ],
)
def test_a_loss_that_is_not_finite_is_found_before_the_run(
    tmp_path: Path, arguments: dict[str, Any], said: str
) -> None:
    """The error names what is to blame, which before the first step is no learning rate."""
    with pytest.raises(lossreg.ContractError) as caught:
        run(tmp_path, **{"data": points(), "model": nn.Linear(4, 3), **arguments})
    assert said in str(caught.value)
    assert "learning rate" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_weights_of_classes_that_do_not_occur() -> None:
    """Class weights that are 0 for every class of a split are an error that names it."""
    inputs, targets = torch.randn(6, 4), torch.tensor([0, 1, 0, 1, 0, 1])
    data = Data((inputs, targets), (inputs, targets), "classification", (4,), num_classes=3)
    with pytest.raises(lossreg.ContractError, match="no target of the train split counts"):
        lossreg.plan(data=data, model=nn.Linear(4, 3), loss="cross_entropy(weight=[0, 0, 1])")


def test_a_first_step_that_is_not_finite_says_nothing_of_the_rate(tmp_path: Path) -> None:
    """A loss that is NaN for the samples of the first step only, which are not the first ones, blames no rate."""
    inputs = torch.zeros(4, 1)
    inputs[2] = 1.0  # numpy's generator of [0, 0] puts it first, as the next line makes sure
    assert np.random.default_rng([0, 0]).permutation(4)[0] == 2
    data = Data((inputs, torch.zeros(4, 1)), (inputs[:1], torch.zeros(1, 1)), "regression", (1,), out_features=1)

    class Root(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, x: Tensor) -> Tensor:
            return self.weight * (1 - 2 * x).sqrt() if self.training else self.weight * x

    with pytest.raises(lossreg.RunFailedError) as caught:
        run(tmp_path, data=data, model=Root(), batch_size=1)
    assert "in the first step, before the weights were changed" in str(caught.value)
    assert "learning rate" not in str(caught.value)


@pytest.mark.parametrize("quiet", [True, False])
def test_a_last_step_that_overflows_warns(tmp_path: Path, caplog: pytest.LogCaptureFixture, *, quiet: bool) -> None:
    """A model whose weights overflow in the last step is warned of, quiet or not; its test loss is null."""
    model = nn.Linear(1, 1)
    data = Data(
        (torch.ones(4, 1), torch.ones(4, 1)), (torch.ones(4, 1), torch.ones(4, 1)), "regression", (1,), out_features=1
    )
    result = run(tmp_path, data=data, model=model, loss="mse", optimizer="sgd(lr=1e30, momentum=0.0)", quiet=quiet)
    assert result.metrics[-1]["test_loss"] is None
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "the test loss is not a finite number after the last step (epoch 0)" in warning
    assert "a lower learning rate may help" in warning


def test_float64_arrays_say_what_to_do() -> None:
    """Arrays of numpy are data; float64 ones for a float32 model are an error that names both types."""
    inputs, targets = np.random.default_rng(0).normal(size=(8, 4)), np.arange(8) % 3
    splits: dict[str, Any] = {dtype: (inputs.astype(dtype), targets) for dtype in ("float32", "float64")}
    facts: dict[str, Any] = {"task": "classification", "in_shape": np.array([4]), "num_classes": np.int64(3)}
    good, double = (Data(split, split, **facts) for split in splits.values())
    assert lossreg.plan(data=good, model="mlp").facts["data"]["in_shape"] == [4]
    with pytest.raises(lossreg.ContractError, match=r"its weights are torch\.float32, so the inputs may have to be so"):
        lossreg.plan(data=double, model="mlp")
    assert lossreg.plan(data=double, model=nn.Linear(4, 3).double()).facts["data"]["train"] == 8


def test_targets_of_another_type(tmp_path: Path) -> None:
    """float64 targets train where the loss takes them; where it does not, the error names both types."""
    inputs, targets = torch.randn(8, 4), torch.randn(8, 1, dtype=torch.float64)
    data = Data((inputs, targets), (inputs, targets), "regression", (4,), out_features=1)
    assert math.isfinite(run(tmp_path, data=data, model="mlp").metrics[-1]["test_loss"])

    def product(output: Tensor, target: Tensor) -> Tensor:
        return torch.dot(output.flatten(), target.flatten())

    said = r"the targets are torch\.float64, and the model gives torch\.float32"
    with pytest.raises(lossreg.ContractError, match=said):
        lossreg.plan(data=data, model="mlp", loss=product)


@for_each("count", [3.0, np.float64(3), np.bool_(True), "3", 0, np.int64(-1)])
def test_facts_that_are_no_counts(count: Any) -> None:
    """A number of classes is a whole number of at least 1, numpy's or Python's."""
    with pytest.raises(lossreg.DataError, match="a whole number of at least 1"):
        Data((), (), "classification", (4,), num_classes=count)  # type: ignore[arg-type]  # no samples are looked at


def test_in_shape_is_compared_with_a_sample() -> None:
    """An in_shape that is not that of the samples is an error that names both, before a model is built of it."""
    inputs, targets = torch.randn(8, 1, 6, 6), torch.arange(8) % 3
    data = Data((inputs, targets), (inputs, targets), "classification", (6, 6), num_classes=3)
    with pytest.raises(lossreg.DataError) as caught:
        lossreg.plan(data=data, model="mlp")
    assert "an input has the shape (1, 6, 6), but in_shape" in str(caught.value)
    assert "is (6, 6)" in str(caught.value)


def test_gradients_are_tried_before_the_run() -> None:
    """A loss whose gradient fails is an error before the first step."""

    class Inplace(nn.Module):
        def forward(self, output: Tensor, target: Tensor) -> Tensor:
            probabilities = output.softmax(1)
            value = functional.nll_loss(probabilities.log(), target)
            probabilities.mul_(2)
            return value

    with pytest.raises(lossreg.ContractError, match="the gradients cannot be computed: RuntimeError: one of the var"):
        lossreg.plan(data=points(), model=nn.Linear(4, 3), loss=Inplace())
