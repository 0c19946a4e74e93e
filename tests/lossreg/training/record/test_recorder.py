"""The files of a run: what they hold, and that each is whole at every moment."""

from __future__ import annotations

import contextlib
import json
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from safetensors.torch import load_file

import lossreg
from lossreg.checkpoints.weights_file import write_weights
from lossreg.training.record import recorder

if TYPE_CHECKING:
    from tests.conftest import Command
    from tests.lossreg.training.conftest import Run

Limit = Callable[[int], contextlib.AbstractContextManager[None]]
FILES = ["checkpoints", "metrics.jsonl", "model.safetensors", "run.json"]
SMALL = {"model": "mlp", "epochs": 1, "limit_train": 64, "limit_test": 8}


def test_the_run_directory(run: Run) -> None:
    """A run leaves run.json, metrics.jsonl, checkpoints and model.safetensors, which safetensors reads."""
    result = run(loss="dice", model="mlp", epochs=2, limit_train=128, limit_test=32, log_every=2)
    assert sorted(path.name for path in result.directory.iterdir()) == FILES
    kept, weights = load_file(result.directory / "model.safetensors"), result.model.state_dict()
    assert kept.keys() == weights.keys()
    assert all(kept[name].equal(value) for name, value in weights.items())
    record = json.loads((result.directory / "run.json").read_text())
    assert record["format"] == 2
    assert record["status"] == "finished"
    assert record["spec"]["loss"] == "builtin.dice"
    assert record["components"]["loss"]["params"] == {"smooth": 1e-5, "reduction": "mean"}
    assert record["components"]["loss"]["distribution"] == "lossreg"
    assert record["metrics"] == result.final
    rows = [json.loads(line) for line in (result.directory / "metrics.jsonl").read_text().splitlines()]
    assert [(row["kind"], row["epoch"], row["step"]) for row in rows] == [
        ("step", 0, 2), ("epoch", 0, 2), ("step", 1, 4), ("epoch", 1, 4),
    ]  # fmt: skip
    assert [row for row in rows if row["kind"] == "epoch"] == result.metrics


class Linker:
    """Gives run.json a second name at the start of a run, by which that file can be read for as long as it exists."""

    def __init__(self, second: Path) -> None:
        self.second = second

    def lossreg_run_started(self, run: lossreg.Run) -> None:
        """Makes the link."""
        os.link(run.directory / "run.json", self.second)


def test_run_json_is_replaced_and_not_written_over(run: Run, tmp_path: Path) -> None:
    """Who has opened run.json goes on reading the file as it was: a new one takes its name when it is whole."""
    result = run(**SMALL, observers=[Linker(tmp_path / "second.json")])
    assert json.loads((tmp_path / "second.json").read_text())["status"] == "running"
    assert json.loads((result.directory / "run.json").read_text())["status"] == "finished"


def test_weights_get_their_name_when_they_are_written(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the weights are written there is no model.safetensors, so that one that exists is whole."""
    existed: list[bool] = []

    def watched(file: Any, state: dict[str, Any], facts: dict[str, str]) -> None:
        write_weights(file, state, facts)
        existed.append((Path(file.name).parent / "model.safetensors").exists())

    monkeypatch.setattr(recorder, "write_weights", watched)
    result = run(**SMALL)
    assert existed == [False]
    assert sorted(path.name for path in result.directory.iterdir()) == FILES


class Breaker:
    """Raises in the middle of a run."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def lossreg_epoch_finished(self, run: lossreg.Run, record: dict[str, Any]) -> None:
        """Raises."""
        raise self.error


@pytest.mark.parametrize(
    ("error", "status"), [(RuntimeError("broken"), "failed"), (KeyboardInterrupt(), "interrupted")]
)
def test_a_run_that_fails_keeps_what_there_is(run: Run, tmp_path: Path, error: BaseException, status: str) -> None:
    """A run that an error or Ctrl-C ends leaves its metrics, its weights so far and the reason."""
    with pytest.raises(type(error)):
        run(epochs=3, limit_train=64, limit_test=8, observers=[Breaker(error)], out=tmp_path / "broken")
    record = json.loads((tmp_path / "broken" / "run.json").read_text())
    assert record["status"] == status
    assert record["epochs_done"] == 1
    assert len((tmp_path / "broken" / "metrics.jsonl").read_text().splitlines()) == 1
    assert len(load_file(tmp_path / "broken" / "model.safetensors")) == 8


@pytest.fixture
def largest_file() -> Limit:
    """Lets no file grow beyond a number of bytes, as on a disk that is full; Python ignores the signal of this."""

    @contextlib.contextmanager
    def limited(size: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited


def test_a_full_disk_fails_the_run_with_a_message(
    lossreg_command: Command, largest_file: Limit, tmp_path: Path
) -> None:
    """A model that cannot be written ends with exit code 1, one message and the status failed."""
    with largest_file(65536):
        outcome = lossreg_command("run", "--epochs", "1", "--limit-train", "64", "--quiet", "--out", "out")
    assert outcome.code == 1
    assert outcome.err.count("lossreg: error: ") == 1
    assert "Traceback" not in outcome.err
    assert "cannot be written to" in outcome.err
    assert json.loads((tmp_path / "out" / "run.json").read_text())["status"] == "failed"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["checkpoints", "metrics.jsonl", "run.json"]
    assert list((tmp_path / "out" / "checkpoints").iterdir()) == []


def test_metrics_that_cannot_be_written_fail_the_run(
    lossreg_command: Command, largest_file: Limit, tmp_path: Path
) -> None:
    """A disk that fills up in the middle is one message, and the record says that the run failed."""
    small = ("--model", "mlp", "--epochs", "60", "--limit-train", "64", "--limit-test", "8")
    with largest_file(8192):
        outcome = lossreg_command("run", *small, "--quiet", "--out", "out")
    assert outcome.code == 1
    assert outcome.err.count("lossreg: error: ") == 1
    assert "Traceback" not in outcome.err
    assert "metrics.jsonl cannot be written to" in outcome.err
    assert json.loads((tmp_path / "out" / "run.json").read_text())["status"] == "failed"
