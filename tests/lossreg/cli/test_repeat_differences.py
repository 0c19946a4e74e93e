"""What a repeat of a run says of what is not as it was, and that a past default is taken."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import lossreg
from lossreg.training.data import digest
from lossreg.training.data.digest import digest_of
from lossreg.training.data.splits import ResidentSplit

if TYPE_CHECKING:
    from tests.conftest import Command

SMALL = (
    "--model", "mlp", "--limit-train", "64", "--limit-test", "8", "--epochs", "1", "--device", "cpu", "--quiet",
)  # fmt: skip
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def past(lossreg_command: Command, tmp_path: Path) -> Path:
    """The run.json of a run in `past`."""
    assert lossreg_command("run", *SMALL, "--out", "past").code == 0
    return tmp_path / "past" / "run.json"


def changed(file: Path, change: Change) -> None:
    """Changes a record, as if it had been made elsewhere."""
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["versions"].update(numpy="1.2.3"), "was made with numpy 1.2.3, here it is"),
        (lambda c: c["versions"].update(python="3.1.0"), "was made with python 3.1.0, here it is"),
        (lambda c: c["versions"].update(lossreg="0.0.1"), "was made with lossreg 0.0.1, here it is"),
        (lambda c: c["machine"].update(cpu="Old CPU"), "was made on the CPU Old CPU, this run is on the CPU"),
        (lambda c: c["machine"].update(capability="NONE"), "was made with the CPU capability NONE"),
        (lambda c: c.update(device="cuda:0"), "was made on cuda:0, this run is on cpu"),
        (lambda c: c.update(threads=77), "was made with 77 threads, this run is with"),
        (lambda c: c["digests"]["train"].update(sha256="0" * 32), "the samples of the train split are not those of"),
        (lambda c: c["components"]["optimizer"]["params"].update(nesterov=True), "default of nesterov of sgd was True"),
    ],
)
def test_each_difference_is_one_warning(lossreg_command: Command, past: Path, change: Change, said: str) -> None:
    """Plan and run say it in one line each, and exit with 0."""
    changed(past, change)
    planned, ran = (
        lossreg_command("plan", "-c", "past"),
        lossreg_command("run", "-c", "past", "--quiet", "--out", "new"),
    )
    assert (planned.code, ran.code) == (0, 0)
    (warning,) = [line for line in ran.err.splitlines() if line.startswith("lossreg: warning:")]
    assert said in warning
    assert said in planned.err + planned.out


def test_the_same_run_on_the_same_machine_says_nothing(lossreg_command: Command, past: Path) -> None:
    """And has the same digests and machine."""
    outcome = lossreg_command("run", "-c", "past", "--quiet", "--out", "new")
    assert (outcome.code, outcome.err) == (0, "")
    first, second = (json.loads(file.read_text()) for file in (past, Path("new/run.json")))
    assert (first["digests"], first["machine"]) == (second["digests"], second["machine"])


def test_what_another_setting_explains_is_not_said(lossreg_command: Command, past: Path) -> None:
    """Other samples for other options are what was asked for."""
    outcome = lossreg_command("run", "-c", "past", "--limit-train", "32", "--quiet", "--out", "new")
    assert (outcome.code, outcome.err) == (0, "")


def test_a_past_default_is_taken(lossreg_command: Command, past: Path) -> None:
    """A parameter that was a default then and has another one now is written out with the old value."""
    changed(past, lambda content: content["components"]["optimizer"]["params"].update(weight_decay=0.25))
    outcome = lossreg_command("run", "-c", "past", "--quiet", "--out", "new")
    assert "the default of weight_decay of sgd was 0.25 and is 0" in outcome.err
    assert "the repeat takes the old one" in outcome.err
    spec = json.loads(Path("new/run.json").read_text())["spec"]
    assert spec["optimizer"] == "builtin.sgd(weight_decay=0.25)"


def test_an_option_goes_before_a_past_default(lossreg_command: Command, past: Path) -> None:
    """A component that is replaced has its own defaults."""
    changed(past, lambda content: content["components"]["optimizer"]["params"].update(weight_decay=0.25))
    outcome = lossreg_command("run", "-c", "past", "--opt", "sgd", "--quiet", "--out", "new")
    assert (outcome.code, outcome.err) == (0, "")


def test_the_command_line_is_recorded(lossreg_command: Command, past: Path) -> None:
    """As a shell would read it; a run from Python has none."""
    words = shlex.split(json.loads(past.read_text())["command"])
    assert words[:2] == ["lossreg", "run"]
    assert words[-len(SMALL) - 2 :] == [*SMALL, "--out", "past"]
    lossreg.run(model="mlp", epochs=1, limit_train=8, limit_test=8, quiet=True, out="python")
    assert json.loads(Path("python/run.json").read_text())["command"] is None


@pytest.mark.parametrize("whole", [True, False])
def test_a_digest_tells_every_change_of_one_number(monkeypatch: pytest.MonkeyPatch, *, whole: bool) -> None:
    """One number of one sample, the shape, and the order of samples change it; the layout does not."""
    if not whole:
        monkeypatch.setattr(digest, "WHOLE", 10)
    inputs = torch.from_numpy(np.random.default_rng(0).normal(size=(600, 3, 4, 4)).astype("float32"))
    targets = torch.arange(600)

    def of(values: torch.Tensor, classes: torch.Tensor = targets) -> str:
        return digest_of(ResidentSplit(values, classes, "", ""))["sha256"]

    first = of(inputs)
    assert of(inputs.clone()) == first
    split = ResidentSplit(inputs.clone(), targets, "", "")
    split.set_memory_format(torch.channels_last)
    assert digest_of(split)["sha256"] == first
    for sample in (0, 301, 599):
        other = inputs.clone()
        other[sample, 1, 2, 3] = math.nextafter(float(other[sample, 1, 2, 3]), 9) + 1e-3
        assert of(other) != first
    assert of(inputs.flip(0)) != first
    assert of(inputs.reshape(600, 3, 16)) != first
    assert of(inputs, targets.flip(0)) != first
