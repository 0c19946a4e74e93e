"""Arguments of a wrong type in Python: an error that names the argument, and nothing left behind."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lossreg
from lossreg.run_spec import RunSpec
from tests.table import for_each

SMALL: dict[str, Any] = {"epochs": 1, "limit_train": 64, "limit_test": 32, "quiet": True}


class Net(torch.nn.Module):
    """A model that is given as a class."""


class Observer:
    """An observer that does nothing."""

    def lossreg_epoch_finished(self, run: Any, record: Any) -> None:
        """Nothing."""


ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"observers": Observer()}, "observers is a list"),
        ({"observers": "x"}, "observers is a list"),
        ({"observers": 3}, "observers is a list"),
        ({"observers": [3]}, "observer 3"),
        ({"registries": 3}, "registries is what"),
        ({"registries": {}}, "registries is what"),
        ({"quiet": "no"}, "quiet is True or False"),
        ({"quiet": None}, "quiet is True or False"),
        ({"clip_grad_norm": 10**400}, "clip_grad_norm (--clip-grad-norm) is a finite number"),
        ({"clip_grad_norm": math.inf}, "clip_grad_norm (--clip-grad-norm) is a finite number"),
        ({"epochs": 10**5000}, "epochs (--epochs) is a whole number"),
        ({"model": Net}, "is a class; give an instance of it"),
        ({"data": lossreg.Data}, "is a class; give an instance of it"),
        ({"model": 3}, "model"),
        ({"optimizer": {"type": "sgd", "lr": 0.1}}, "is a mapping; write a text"),
        ({"device": 3}, "device (--device) is text"),
        ({"param_groups": ENDLESS}, "param_groups maps"),
        ({"param_groups": {"*": {"lr": ENDLESS}}}, "param_groups"),
        ({"loss": lossreg.ComponentSpec}, "is a class"),
    ],
)
def test_an_argument_of_a_wrong_type_is_named(arguments: dict[str, Any], part: str, tmp_path: Path) -> None:
    """The run is refused with a message that names the argument, and its directory is not made."""
    with pytest.raises(lossreg.LossregError) as refused:
        lossreg.run(**{**SMALL, "out": tmp_path / "x", **arguments})
    assert part in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("out", [3, True, b"x", ["x"], "", "a\0b"], ids=repr)
def test_an_out_that_is_no_path_is_refused(out: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`out` is a path; nothing is written anywhere."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(lossreg.ConfigError, match=r"^out"):
        lossreg.run(**SMALL, out=out)
    assert list(tmp_path.iterdir()) == []


@for_each(
    ("call", "part"),
    [
        (lambda: lossreg.losses.build(None), "None"),  # type: ignore[arg-type]  # what is tested
        (lambda: lossreg.losses[3], "by its name, a text, not by 3"),  # type: ignore[index]  # what is tested
        (lambda: lossreg.ComponentSpec.parse(None), "not None"),  # type: ignore[arg-type]  # what is tested
        (lambda: lossreg.ComponentSpec(None), "not None"),  # type: ignore[arg-type]  # what is tested
        (lambda: lossreg.ComponentSpec("dice", 3), "not 3"),  # type: ignore[arg-type]  # what is tested
        (lambda: lossreg.load_registries(block="x"), "block is a list"),
        (lambda: lossreg.load_registries(block=3), "block is a list"),  # type: ignore[arg-type]  # what is tested
        (lambda: lossreg.load_registries(block=[3]), "block is a list"),  # type: ignore[list-item]  # what is tested
        (lambda: lossreg.load_registries(block=["nope"]), "no plugin 'nope' to block"),
        (lambda: lossreg.load_registries(allow="x"), "allow is a list"),
        (lambda: lossreg.load_registries(local="x.py"), "local is a list"),
        (lambda: lossreg.load_registries(strict="no"), "strict is True or False"),  # type: ignore[arg-type]  # the same
        (lambda: lossreg.Loss("a", "b:c", 3, target="index"), "summary"),  # type: ignore[arg-type]  # what is tested
        (lambda: lossreg.Loss("a", "b:c", target="index", defaults=3), "defaults"),  # type: ignore[arg-type]  # the same
        (lambda: lossreg.Loss("a", "b:c", target="index", aliases=3), "aliases"),  # type: ignore[arg-type]  # the same
        (lambda: lossreg.Loss("a", "b:c", target="index", required=[3]), "required"),  # type: ignore[list-item]  # the same
        (lambda: lossreg.Loss("a", "b:c", target="index", deprecated=3), "deprecated"),  # type: ignore[arg-type]  # same
    ],
)
def test_a_call_with_a_wrong_type_is_refused(call: Callable[[], object], part: str) -> None:
    """Each is a LossregError that names what is wrong."""
    with pytest.raises(lossreg.LossregError) as refused:
        call()
    assert part in str(refused.value)


def test_an_observer_that_edits_its_row_changes_no_other(tmp_path: Path) -> None:
    """Each observer has a row of its own: the next one, the result and the record see what the loop measured."""

    class Editor:
        def lossreg_epoch_finished(self, run: Any, record: dict[str, Any]) -> None:
            record["train_loss"] = -1.0
            record.clear()

        def lossreg_logged(self, run: Any, record: dict[str, Any]) -> None:
            record.clear()

    class Reader:
        def __init__(self) -> None:
            self.losses: list[float] = []

        def lossreg_epoch_finished(self, run: Any, record: dict[str, Any]) -> None:
            self.losses.append(record["train_loss"])

    reader = Reader()
    result = lossreg.run(**SMALL, log_every=1, out=tmp_path / "x", observers=[Editor(), reader])
    rows = [json.loads(line) for line in (tmp_path / "x" / "metrics.jsonl").read_text().splitlines()]
    assert reader.losses == [result.final["train_loss"]] == [rows[-1]["train_loss"]]
    assert reader.losses[0] > 0


@for_each(
    ("key", "value", "expected"),
    [
        ("epochs", np.int64(3), 3),
        ("batch_size", np.uint8(16), 16),
        ("seed", np.int32(7), 7),
        ("clip_grad_norm", np.float32(0.5), 0.5),
        ("clip_grad_norm", np.int64(2), 2),
        ("limit_train", np.int64(3), 3),
        ("workers", np.int64(0), 0),
        ("log_every", np.int16(3), 3),
        ("precision", np.int64(32), "32"),
        ("compile", np.bool_(False), False),
        ("eval_train", np.bool_(True), True),
    ],
)
def test_numbers_of_numpy_are_settings(key: str, value: object, expected: object) -> None:
    """A setting takes numpy's numbers and keeps Python's, which JSON has."""
    kept = getattr(RunSpec(**{key: value}), key)  # type: ignore[arg-type]  # any setting
    assert (type(kept), kept) == (type(expected), expected)


def test_numbers_of_numpy_are_parameters(tmp_path: Path) -> None:
    """In a group, in a spec and for a build numpy's numbers are numbers."""
    spec = lossreg.ComponentSpec("sgd", {"lr": np.float32(0.25), "momentum": np.int64(0)})
    plan = lossreg.plan(optimizer=spec, param_groups={"*.bias": {"lr": np.float32(0.5)}}, limit_train=64)
    assert json.loads(json.dumps(plan.to_json()["spec"]))["param_groups"] == {"*.bias": "lr=0.5"}
    assert plan.spec.optimizer.text == "builtin.sgd(lr=0.25, momentum=0)"
    assert lossreg.losses.build("dice", smooth=np.float32(0.5)).smooth == 0.5


def test_a_metric_that_is_not_finite_is_null(tmp_path: Path) -> None:
    """JSON has no NaN: a test loss that is not finite is None in `to_json`, and the run ends well."""

    class Breaks(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(784, 10)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            output: torch.Tensor = self.layer(images.flatten(1))
            return output if self.training else output * torch.inf

    result = lossreg.run(**SMALL, model=Breaks(), out=tmp_path / "x", precision="32")
    content = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert content["final"]["test_loss"] is None
    assert content["metrics"][0]["test_loss"] is None
    assert content["final"]["train_loss"] == result.final["train_loss"]
