"""A sample may have any number of classes: targets of 0 and 1."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

import lossreg
from lossreg import Data, RunResult
from lossreg.errors import ContractError, DataError
from lossreg.trained.predicting import predict_files
from tests.table import for_each

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[..., RunResult]

INPUTS = torch.linspace(-1, 1, 48).reshape(16, 3).roll(5, 0)
LABELS = torch.stack([INPUTS[:, 0] > 0, INPUTS.sum(1) > 0.5, INPUTS[:, 2] < 0.2, INPUTS[:, 1] > -0.9], dim=1)


def data(targets: Any = LABELS, **facts: Any) -> Data:
    """Sixteen rows of three numbers, of each of which four classes may hold."""
    return Data((INPUTS, targets), (INPUTS, targets), "multilabel", (3,), **{"num_classes": 4, **facts})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A run of two epochs with the default loss."""
    out = tmp_path_factory.mktemp("trained")
    settings: dict[str, Any] = {"precision": "32", "device": "cpu", "quiet": True, "out": out}
    return lossreg.run(data=data(), model="mlp", epochs=2, batch_size=5, **settings)


def test_the_default_loss_is_that_of_each_class_by_itself(trained: RunResult) -> None:
    """Without a loss it is `bce_with_logits`, and the targets reach it as numbers of the output's shape."""
    assert trained.spec.loss is not None
    assert trained.spec.loss.text == "builtin.bce_with_logits"
    content = json.loads((trained.directory / "run.json").read_text())
    assert (content["data"]["task"], content["data"]["outputs"]) == ("multilabel", 4)
    contract = content["contract"]
    assert (contract["input"], contract["target"], contract["output_shape"]) == ("unchanged", "unchanged", [5, 4])


def test_loss_and_label_accuracy_are_those_of_the_split(trained: RunResult) -> None:
    """The metrics are the mean over all elements, and the share of elements on the right side of 0."""
    with torch.no_grad():
        output = trained.model(INPUTS).double()
    loss = (torch.log1p((-output.abs()).exp()) + output.clamp(min=0) - output * LABELS).mean().item()
    assert trained.final["test_loss"] == pytest.approx(loss, rel=1e-5)
    assert trained.final["test_label_accuracy"] == ((output > 0) == LABELS).double().mean().item()
    assert "test_accuracy" not in trained.final


@for_each("kind", [torch.uint8, torch.bool, torch.float64], ids=str)
def test_targets_of_every_type_are_numbers_for_the_loss(kind: torch.dtype) -> None:
    """Whole numbers, truth values and numbers of another precision are the same targets."""
    plan = lossreg.plan(data=data(LABELS.to(kind)), model="mlp")
    assert plan.facts["digests"] == lossreg.plan(data=data(LABELS.float()), model="mlp").facts["digests"]


def test_arrays_are_targets(run: Run) -> None:
    """A pair of numpy arrays trains as tensors do."""
    pair = INPUTS.numpy(), LABELS.numpy().astype(np.int64)
    arrays = Data(pair, pair, "multilabel", (3,), num_classes=4)  # type: ignore[arg-type]  # arrays are taken, too
    assert run(data=arrays, model="mlp", epochs=1).final["test_label_accuracy"] > 0


@for_each("value", [2, -1, 0.5])
def test_other_targets_than_0_and_1_are_refused(value: float) -> None:
    """A number that is neither is an error that names the split and the number."""
    targets = LABELS.double()
    targets[3, 1] = value
    said = f"split train: the targets of a multilabel classification are 0 or 1 for each class, not {value:g}"
    with pytest.raises(DataError, match=said):
        lossreg.plan(data=data(targets), model="mlp")


def test_targets_have_a_column_for_each_class() -> None:
    """Targets of another shape than the output are an error that has both shapes."""
    with pytest.raises(ContractError, match=r"gives \(16, 5\) for targets \(16, 4\); they must be of one shape"):
        lossreg.plan(data=data(num_classes=5), model="mlp")
    with pytest.raises(DataError, match=r"have the shape \(16, 4\), not \(N, 5\)"):
        lossreg.plan(data=data(num_classes=5), model="mlp", loss="bce_with_logits(pos_weight=balanced)")


def test_the_classes_are_needed() -> None:
    """A data set for it says how many classes there are."""
    with pytest.raises(DataError, match="for multilabel classification needs num_classes"):
        data(num_classes=None)


def test_a_model_of_probabilities_is_judged_at_one_half(run: Run) -> None:
    """With an object of torch's BCELoss a label is said to hold from 1/2 on; the model ends in a sigmoid."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Sigmoid())
    result = run(data=data(), model=model, loss=nn.BCELoss(), epochs=1)
    with torch.no_grad():
        output = model(INPUTS)
    assert result.final["test_label_accuracy"] == ((output > 0.5) == LABELS).double().mean().item()


class Rows(Dataset[Any]):
    """The same samples, one by one."""

    def __len__(self) -> int:
        return len(INPUTS)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return INPUTS[index], LABELS[index]


def test_samples_may_be_read_one_by_one(run: Run, trained: RunResult) -> None:
    """A map-style data set gives the weights of its tensors, bit for bit."""
    streamed = Data(Rows(), Rows(), "multilabel", (3,), num_classes=4)
    other = run(data=streamed, model="mlp", epochs=2, batch_size=5, workers=0)
    assert other.final["train_loss"] == trained.final["train_loss"]
    ours, theirs = trained.model.state_dict(), other.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_part_is_held_out_and_chosen_by(run: Run) -> None:
    """A validation split is cut off by content, and a run may be chosen by its label accuracy, where more is better."""
    result = run(
        data=data(), model="mlp", epochs=3, validate=0.25, patience=1, monitor="validation_label_accuracy",
        target="validation_label_accuracy>=0.99",
    )  # fmt: skip
    best = max(row["validation_label_accuracy"] for row in result.metrics)
    assert result.final["validation_label_accuracy"] == best
    facts = json.loads((result.directory / "run.json").read_text())["validation"]
    assert facts["reason"] == "a multilabel classification has no class for each sample"


def test_predictions_are_the_probability_of_each_class(trained: RunResult, tmp_path: Path) -> None:
    """Each input has the classes of a probability above 1/2; a loaded run evaluates to its own metrics."""
    loaded = lossreg.load_run(trained.directory, device="cpu")
    np.save(tmp_path / "two.npy", INPUTS[:2].numpy())
    with torch.no_grad():
        expected = trained.model(INPUTS[:2]).sigmoid()
    found = [one.to_json() for one in predict_files(loaded, [tmp_path / "two.npy"])]
    np.testing.assert_allclose([one["probabilities"] for one in found], expected, rtol=1e-5)
    assert [one["labels"] for one in found] == [(row > 0.5).nonzero().flatten().tolist() for row in expected]
    again = loaded.evaluate(data())
    assert again.metrics["test_label_accuracy"] == trained.final["test_label_accuracy"]


def test_predictions_go_into_files(trained: RunResult, tmp_path: Path) -> None:
    """A table has a column for each class, an array a row for each input."""
    from lossreg.trained.prediction_files import predictions_place, write_predictions

    loaded = lossreg.load_run(trained.directory, device="cpu")
    np.save(tmp_path / "two.npy", INPUTS[:2].numpy())
    found = predict_files(loaded, [tmp_path / "two.npy"])
    for name in ("out.csv", "out.npy"):
        write_predictions(predictions_place(str(tmp_path / name), "multilabel"), found, 1)
    head, *rows = (tmp_path / "out.csv").read_text().splitlines()
    assert head == "input,probability_0,probability_1,probability_2,probability_3"
    table = np.array([row.split(",")[1:] for row in rows], dtype=np.float32)
    np.testing.assert_array_equal(table, np.load(tmp_path / "out.npy"))


def test_a_model_that_ends_in_a_sigmoid_predicts_what_it_gives(run: Run, tmp_path: Path) -> None:
    """Its output is a probability already, which the run record tells; the loss need not be given again."""
    model = nn.Sequential(nn.Linear(3, 4), nn.Sigmoid())
    result = run(data=data(), model=model, loss=nn.BCELoss(), epochs=1)
    same = nn.Sequential(nn.Linear(3, 4), nn.Sigmoid())
    loaded = lossreg.load_run(result.directory, device="cpu", model=same)
    np.save(tmp_path / "one.npy", INPUTS[:1].numpy())
    (found,) = predict_files(loaded, [tmp_path / "one.npy"])
    with torch.no_grad():
        np.testing.assert_allclose(found.to_json()["probabilities"], model(INPUTS[:1])[0], rtol=1e-6)
