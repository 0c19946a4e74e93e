"""torchrun starts a process again that was killed before its run had written a checkpoint."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import lossreg
from lossreg import Data
from tests.lossreg.training.resume.conftest import rows_of

SEED = 3


def model() -> nn.Module:
    """The same each time."""
    torch.manual_seed(SEED)
    return nn.Linear(3, 1)


class Copies:
    """Copies the directory of the run after a step: what is there when a process is killed.

    Args:
        to: Where.
        amid: Whether it is killed amid the first save.
    """

    def __init__(self, to: Path, *, amid: bool) -> None:
        self.to, self.amid = to, amid

    def lossreg_logged(self, run: lossreg.Run, record: dict[str, Any]) -> None:
        """Copies it."""
        if record["step"] == 2:
            shutil.copytree(run.directory, self.to)
            if self.amid:
                partial = self.to / "checkpoints" / ".epoch-0001-step-00000003.partial"
                partial.mkdir(parents=True)
                (partial / "model.safetensors").write_bytes(b"torn")


@pytest.mark.parametrize("amid", [False, True])
@pytest.mark.parametrize("is_named", [False, True])
def test_the_run_begins_anew_in_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_named: bool, amid: bool
) -> None:
    """Named or found by what started it, to the rows and the bits of a whole run; nothing else is left."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job")
    inputs = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    data = Data((inputs, inputs[:, :1]), (inputs, inputs[:, :1]), "regression", (3,), out_features=1)
    usual: dict[str, Any] = {"data": data, "batch_size": 2, "epochs": 2, "log_every": 1, "device": "cpu", "quiet": True}
    killed = tmp_path / "runs" / "20200101-000000-linear-mse-sgd"
    whole = lossreg.run(**usual, model=model(), out=tmp_path / "whole", observers=[Copies(killed, amid=amid)])
    assert json.loads((killed / "run.json").read_text())["status"] == "running"
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    result = lossreg.run(**usual, model=model(), out=killed if is_named else None)
    assert result.directory == killed
    assert rows_of(killed) == rows_of(whole.directory)
    weights, others = (load_file(one / "model.safetensors") for one in (killed, whole.directory))
    assert all(torch.equal(weights[name], others[name]) for name in others)
    names = [sorted(path.name for path in (one / "checkpoints").iterdir()) for one in (killed, whole.directory)]
    assert names[0] == names[1]
