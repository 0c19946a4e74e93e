"""A run that starts from the weights of a past one."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import lossreg

if TYPE_CHECKING:
    from tests.conftest import Command
    from tests.lossreg.training.conftest import Run

SMALL: dict[str, Any] = {"model": "mlp", "epochs": 1, "limit_train": 64, "limit_test": 8}
STILL = {"optimizer": "sgd(lr=0.0)"}  # the weights stay as they begin


def record(directory: Path) -> dict[str, Any]:
    """The run.json of a run."""
    content: dict[str, Any] = json.loads((directory / "run.json").read_text())
    return content


def weights_of(directory: Path) -> dict[str, torch.Tensor]:
    """What a run has saved."""
    return load_file(directory / "model.safetensors")


def is_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether two states are the same, bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_starts_from_the_weights_of_another(run: Run) -> None:
    """With a learning rate of 0 they are the weights at its end too, and run.json says where they came from."""
    first = run(**SMALL, seed=3).directory
    second = run(**SMALL, **STILL, init_from=first).directory
    assert is_equal(weights_of(second), weights_of(first))
    file = first / "model.safetensors"
    assert record(second)["spec"]["init_from"] == str(first)
    assert record(second)["init"] == {
        "from": str(first),
        "file": str(file),
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "weights": "raw",
        "epoch": 0,
        "step": 1,
        "taken": 6,
        "new": [],
    }


def test_two_epochs_are_two_runs_of_one(run: Run, digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Plain SGD has no state, so a run from the weights of another goes on as a plain loop over both does."""
    plain = {"optimizer": "sgd(lr=0.1, momentum=0.0)"}
    first = run(**SMALL, **plain).directory
    second = run(**SMALL, **plain, init_from=str(first)).directory
    inputs, targets = (part[:64].double() if part.is_floating_point() else part[:64] for part in digits)
    torch.manual_seed(0)
    model = lossreg.models.build("mlp", in_features=784, out_features=10).double()
    for _ in range(2):  # all 64 samples are one step
        gradients = torch.autograd.grad(nn.functional.cross_entropy(model(inputs), targets), list(model.parameters()))
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter.data -= 0.1 * gradient
    for name, value in weights_of(second).items():
        torch.testing.assert_close(value.double(), model.state_dict()[name], atol=1e-6, rtol=1e-5)


def test_the_order_of_samples_is_that_of_the_seed(run: Run) -> None:
    """The random generators are as without: a new model of the same weights trains in the same way."""
    first = run(**SMALL, **STILL).directory
    assert is_equal(weights_of(run(**SMALL, init_from=first).directory), weights_of(run(**SMALL).directory))


def test_a_file_of_another_library(run: Run, tmp_path: Path) -> None:
    """A .safetensors file of a state_dict is taken; which weights they are is not known."""
    model = lossreg.models.build("mlp", in_features=784, out_features=10)
    save_file(model.state_dict(), tmp_path / "mine.safetensors")
    directory = run(**SMALL, **STILL, init_from=tmp_path / "mine.safetensors").directory
    assert is_equal(weights_of(directory), dict(model.state_dict()))
    assert record(directory)["init"]["weights"] is None


def test_weights_of_another_model_are_refused(run: Run, tmp_path: Path) -> None:
    """The first differences are listed, and nothing is left behind."""
    first = run(**SMALL).directory
    with pytest.raises(lossreg.ConfigError) as caught:
        run(**{**SMALL, "model": "mlp(hidden=[64, 32])"}, init_from=first, out=tmp_path / "second")
    assert caught.value.message == (
        f"init_from (--init-from): the weights in {first / 'model.safetensors'} do not fit the model: 3.weight is (64, "
        "64) there and (32, 64) in the model, 3.bias is (64,) there and (32,) in the model, 5.weight is (10, 64) there "
        "and (10, 32) in the model; the model is mlp(hidden=[64, 32]). init_partial (--init-partial) takes those that "
        "fit"
    )
    assert caught.value.setting == "init_from"
    assert not (tmp_path / "second").exists()


def test_those_that_fit_are_taken(run: Run) -> None:
    """For a head of another size, the body is taken, and the head is what the seed gives."""
    first = run(**SMALL, seed=3).directory
    model = "mlp(hidden=[64, 32])"
    new = run(**{**SMALL, "model": model}, **STILL).directory
    second = run(**{**SMALL, "model": model}, **STILL, init_from=first, init_partial=True).directory
    body = ("1.weight", "1.bias", "5.bias")
    assert all(torch.equal(weights_of(second)[name], weights_of(first)[name]) for name in body)
    head = ("3.weight", "3.bias", "5.weight")
    assert all(torch.equal(weights_of(second)[name], weights_of(new)[name]) for name in head)
    assert (record(second)["init"]["taken"], record(second)["init"]["new"]) == (3, list(head))


def test_nothing_that_fits_is_an_error(run: Run, tmp_path: Path) -> None:
    """Weights of which nothing fits are no beginning."""
    save_file({"other": torch.zeros(3)}, tmp_path / "mine.safetensors")
    with pytest.raises(lossreg.ConfigError, match=r"nothing of the weights .* fits the model: it lacks 1\.weight"):
        run(**SMALL, init_from=tmp_path / "mine.safetensors", init_partial=True)


def test_numbers_of_another_kind_are_refused(run: Run, tmp_path: Path) -> None:
    """Whole numbers are not taken for weights, though the shapes fit."""
    state = lossreg.models.build("mlp", in_features=784, out_features=10).state_dict()
    save_file({name: value.long() for name, value in state.items()}, tmp_path / "mine.safetensors")
    with pytest.raises(lossreg.ConfigError, match=r"1\.weight is of torch\.int64 there and of torch\.float32"):
        run(**SMALL, init_from=tmp_path / "mine.safetensors")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nowhere", "the file nowhere does not exist"),
        (".", "is not a run directory"),
        ("\0", "cannot be read"),
        ("", "init_from"),
    ],
)
def test_a_source_that_is_none(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, said: str
) -> None:
    """What is wrong with it is one line that names the setting."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(lossreg.ConfigError, match=said) as caught:
        run(**SMALL, init_from=source)
    assert "init_from" in caught.value.message


def test_partial_without_a_source_has_no_effect(run: Run) -> None:
    """It is refused."""
    with pytest.raises(lossreg.ConfigError, match=r"init_partial .* has no effect without init_from"):
        run(**SMALL, init_partial=True)


def test_frozen_weights_stay_those_of_the_past_run(run: Run) -> None:
    """With freeze, the body keeps the weights that it got, and the head is trained."""
    first = run(**SMALL).directory
    second = run(**SMALL, init_from=first, freeze="1.*, 3.*", optimizer="sgd(lr=0.5)").directory
    one, two = weights_of(first), weights_of(second)
    assert {name for name in one if torch.equal(one[name], two[name])} == {"1.weight", "1.bias", "3.weight", "3.bias"}


def test_a_plan_says_where_they_come_from(run: Run) -> None:
    """A line of the plan names the file; nothing is said where the weights are new."""
    first = run(**SMALL).directory
    plan = lossreg.plan(**SMALL, init_from=first)
    assert f"{'initial weights':<20}{first / 'model.safetensors'} (raw): 6 tensors\n" in f"{plan}\n"
    assert "initial weights" not in str(lossreg.plan(**SMALL))


def test_the_command_and_its_repeat(run: Run, lossreg_command: Command) -> None:
    """`--init-from` is a setting like others: a repeat starts from the same weights, and says if they are gone."""
    first = run(**SMALL).directory
    words = [
        "--model",
        "mlp",
        "--epochs",
        "1",
        "--limit-train",
        "64",
        "--limit-test",
        "8",
        "--device",
        "cpu",
        "--quiet",
    ]
    assert lossreg_command("run", *words, "--init-from", str(first), "--out", "second").code == 0
    assert lossreg_command("run", "-c", "second", "--quiet", "--out", "third").code == 0
    assert is_equal(weights_of(Path("second")), weights_of(Path("third")))
    shutil.rmtree(first)
    gone = lossreg_command("run", "-c", "second", "--quiet", "--out", "fourth")
    assert (gone.code, Path("fourth").exists()) == (2, False)
    assert "init_from (--init-from): the file" in gone.err
