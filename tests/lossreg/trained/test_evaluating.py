"""The model of a run evaluated once more: the metrics are the run's own, and those of other data are right."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

import lossreg
from lossreg import Data
from tests.lossreg.trained.conftest import load_run
from tests.table import for_each

if TYPE_CHECKING:
    from tests.conftest import Command
    from tests.lossreg.trained.conftest import Edit, Run

WEIGHTS = "[1.0, 2.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 3.0]"


@for_each(
    "settings",
    [
        {"loss": "dice"},
        {"loss": f"cross_entropy(weight={WEIGHTS}, label_smoothing=0.1)"},
        {"loss": "cross_entropy(ignore_index=3)"},
        {"loss": "cross_entropy(reduction='sum')"},
        {"data": "diabetes", "loss": "l1", "limit_train": None, "limit_test": None},
        {"model": "mnist_cnn", "limit_train": 32, "precision": "bf16"},
        {"model": "mnist_cnn", "limit_train": 32, "precision": "auto", "layout": "contiguous"},
        {"weights": "swa(start=0)", "epochs": 2},
        {"validate": 0.25, "patience": 2, "epochs": 3, "optimizer": "sgd(lr=1.0)"},
        {"loader": "dataloader", "workers": 0, "batch_size": 7, "accumulate": 3},
        {"optimizer": "schedule_free", "weights": "optimizer"},
    ],
    ids=str,
)
def test_the_metrics_are_those_of_the_run(run: Run, settings: dict[str, Any]) -> None:
    """On the test split of the run's own data set, loss and quality are equal to those of run.json, bit for bit."""
    if settings.get("optimizer") == "schedule_free":
        schedulefree = pytest.importorskip("schedulefree")
        settings = {**settings, "optimizer": schedulefree.SGDScheduleFree}
    result = run(**settings)
    recorded = json.loads((result.directory / "run.json").read_text())["metrics"]
    found = load_run(result.directory).evaluate()
    assert found.metrics == {name: value for name, value in recorded.items() if name.startswith("test_")}
    assert (found.split, found.weights) == ("test", recorded["weights"])


def test_the_validation_split_is_that_of_the_run(run: Run) -> None:
    """It is cut as the run cut it, so that its metrics are those of the epoch's row."""
    result = run(validate=0.25, seed=3)
    loaded = load_run(result.directory)
    found = loaded.evaluate(split="validation")
    assert dict(found.metrics) == {
        name: value for name, value in result.final.items() if name.startswith("validation_")
    }
    assert found.samples == loaded.data.samples["validation"]


def test_the_training_split(run: Run) -> None:
    """Its metrics are those that a run with eval_train has, of the weights at the end."""
    result = run(eval_train=True)
    found = load_run(result.directory).evaluate(split="train")
    assert dict(found.metrics) == {
        "train_loss": result.final["train_loss_after"], "train_accuracy": result.final["train_accuracy"],
    }  # fmt: skip
    assert found.samples == 64


def test_other_data_as_by_hand(run: Run) -> None:
    """All samples of another data set count; loss and accuracy are those of torch in float64."""
    loaded = load_run(run().directory)
    inputs, targets = torch.rand(50, 1, 28, 28), torch.arange(50) % 10
    data = Data((inputs[:5], targets[:5]), (inputs, targets), "classification", (1, 28, 28), num_classes=10)
    found = loaded.evaluate(data, batch_size=16)
    with torch.no_grad():
        output = loaded.model.double()(inputs.double())
    assert found.samples == 50
    assert found.metrics["test_loss"] == pytest.approx(nn.functional.cross_entropy(output, targets).item(), rel=1e-5)
    assert found.metrics["test_accuracy"] == (output.argmax(1) == targets).double().mean().item()


def test_a_batch_size_of_its_own(run: Run) -> None:
    """A loss that depends on its batch has another value for batches of another size."""
    loaded = load_run(run(loss="dice").directory)
    assert loaded.evaluate(batch_size=7).metrics["test_loss"] != loaded.evaluate().metrics["test_loss"]


def test_what_cannot_be_evaluated(run: Run) -> None:
    """A split that does not exist, a task that is another, and data that do not fit are errors that say so."""
    loaded = load_run(run().directory)
    with pytest.raises(lossreg.ConfigError, match="has no validation split; the splits are train and test"):
        loaded.evaluate(split="validation")
    with pytest.raises(lossreg.ConfigError, match="split is one of"):
        loaded.evaluate(split="all")  # type: ignore[arg-type]  # that is what is tried
    with pytest.raises(lossreg.LossregError, match="diabetes"):
        loaded.evaluate("diabetes")
    with pytest.raises(lossreg.UnknownNameError, match="no dataset named 'digit'"):
        loaded.evaluate("digit")
    inputs = torch.zeros(4, 9)
    small = Data((inputs, torch.zeros(4).long()), (inputs, torch.zeros(4).long()), "classification", (9,), 10)
    with pytest.raises(lossreg.ContractError, match="the model failed on a batch of shape"):
        loaded.evaluate(small)


def test_another_task_is_refused(run: Run) -> None:
    """A model of numbers is not evaluated on classes, though the shapes fit."""
    inputs, numbers = torch.randn(20, 3), torch.randn(20, 2)
    model = nn.Linear(3, 2)
    numeric = Data((inputs, numbers), (inputs, numbers), "regression", (3,), out_features=2)
    directory = run(data=numeric, model=model, limit_train=None, limit_test=None).directory
    loaded = load_run(directory, model=nn.Linear(3, 2), loss=lambda output, _: output.sum() * 0 + 1)
    split = inputs, (numbers[:, 0] > 0).long()
    other = Data(split, split, "classification", (3,), 2)
    with pytest.raises(lossreg.ConfigError, match=r"is for classification, and .* was trained for regression"):
        loaded.evaluate(other)


def test_a_data_set_that_was_an_object(run: Run) -> None:
    """Another is named; without one, the error says that."""
    digits = lossreg.datasets.build("digits")
    loaded = load_run(run(data=digits).directory)
    with pytest.raises(lossreg.ConfigError, match=r"was a Python object \(lossreg\.data\.Data\).*\(--data"):
        loaded.evaluate()
    assert loaded.evaluate("digits").samples == 355


def test_the_command(run: Run, lossreg_command: Command) -> None:
    """`lossreg eval` prints the metrics, and as JSON the numbers of run.json."""
    result = run()
    said = lossreg_command("eval", str(result.directory), "--device", "cpu")
    assert said.code == 0
    assert said.out.splitlines() == [
        f"{'test_loss':<25}{result.final['test_loss']:.4f}",
        f"{'test_accuracy':<25}{result.final['test_accuracy']:.4f}",
        f"{'samples':<25}30",
        f"{'data':<25}digits",
        f"{'weights':<25}raw",
    ]
    told = json.loads(lossreg_command("eval", str(result.directory), "--device", "cpu", "--json").out)
    assert told["metrics"] == {name: result.final[name] for name in ("test_loss", "test_accuracy")}
    assert (told["directory"], told["split"], told["samples"]) == (str(result.directory), "test", 30)


def test_errors_of_the_command(run: Run, edit: Edit, lossreg_command: Command) -> None:
    """Each is one line and exit code 2."""
    directory = str(run().directory)
    for words, said in (
        (["nowhere"], "there is no run directory nowhere"),
        ([directory, "--checkpoint", "best"], "has no checkpoint 'best'"),
        ([directory, "--split", "validation"], "has no validation split"),
        ([directory, "--data", "digit"], "no dataset named 'digit'"),
        ([directory, "--batch-size", "0"], "0 is not in the range"),
    ):
        outcome = lossreg_command("eval", *words, "--device", "cpu")
        assert outcome.code == 2
        assert said in outcome.err
        assert outcome.out == ""
        assert "Traceback" not in outcome.err
