"""A disk that is full while a run directory is written: told in one line, with nothing half-written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import lossreg

if TYPE_CHECKING:
    from tests.lossreg.conftest import CommandWith
    from tests.lossreg.training.conftest import Run

SMALL: dict[str, Any] = {"epochs": 1, "limit_train": 64, "limit_test": 8, "model": "mlp"}
WHAT_TO_DO = "no space left on device; make room there, or name a directory on another disk as out (--out)"

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")


class FillsUp:
    """An observer and a data set after which a file of the run directory is on a device that is full."""

    def __init__(self, directory: Path, name: str) -> None:
        self.place = directory / name

    def fill(self) -> None:
        """Writing to the file fails from now on."""
        self.place.symlink_to("/dev/full")

    def lossreg_run_started(self, run: lossreg.Run) -> None:
        """Fills it once run.json is there."""
        self.fill()


def test_a_disk_that_is_full_at_the_start_leaves_nothing(run: Run, tmp_path: Path) -> None:
    """run.json that cannot be written fails the run before its first step, and the directory is as it was."""
    out = tmp_path / "new" / "out"
    registries = lossreg.load_registries()
    digits = registries.datasets.build("digits")

    @registries.datasets.register("filling", model="mlp")
    def filling() -> lossreg.Data:
        FillsUp(out, ".run.json.partial").fill()
        return digits

    with pytest.raises(lossreg.RunFailedError) as caught:
        run(data="filling", out=out, registries=registries, **SMALL)
    assert caught.value.message == f"{out / 'run.json'} cannot be written to: {WHAT_TO_DO}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["model.safetensors", "run.json"])
def test_a_disk_that_fills_up_is_told_at_the_end(
    run: Run, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The message names the file; what was written before is whole, and there is nothing else."""
    out = tmp_path / "out"
    with pytest.raises(lossreg.RunFailedError) as caught:
        run(out=out, observers=[FillsUp(out, f".{name}.partial")], **SMALL)
    assert caught.value.message == f"{out / name} cannot be written to: {WHAT_TO_DO}"
    assert json.loads((out / "run.json").read_text())["status"] == "failed"
    kept = {"checkpoints", "model.safetensors", "metrics.jsonl", "run.json"}
    assert {path.name for path in out.iterdir()} == kept
    assert "Traceback" not in caplog.text


def test_a_disk_that_fills_up_ends_a_command_with_one_line(tmp_path: Path, command_with: CommandWith) -> None:
    """Exit code 1, the file, the reason and what to do."""
    (tmp_path / "fills.py").write_text(
        "import pathlib, lossreg\n"
        "@lossreg.hookimpl\n"
        "def lossreg_run_started(run):\n"
        "    pathlib.Path(run.directory, '.model.safetensors.partial').symlink_to('/dev/full')\n"
    )
    words = [f"--{key.replace('_', '-')}={value}" for key, value in SMALL.items()]
    outcome = command_with(
        "run", "-p", "./fills.py", *words, "--quiet", "--out", "out", path=tmp_path / "no", cwd=tmp_path
    )
    assert outcome.returncode == 1
    assert outcome.stderr.splitlines()[-1].endswith(f"model.safetensors cannot be written to: {WHAT_TO_DO}")
    assert "Traceback" not in outcome.stderr
