"""What an older torch does not have is not offered."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
import torch

from lossreg_builtin import losses
from lossreg_builtin.torch_version import torch_version


def offered_with(version: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the losses where the torch of a folder has a version."""
    (folder / "torch").mkdir(parents=True)
    (folder / "torch" / "__init__.py").touch()
    (folder / "torch" / "version.py").write_text(
        f"from typing import Optional\n\n__version__ = '{version}'\ncuda = '13'\n"
    )
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    return {row.name for row in runpy.run_path(losses.__file__)["LOSSES"]}


def test_the_oldest_torch_has_all_losses_but_those_that_came_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch.nn has LinearCrossEntropyLoss since 2.13."""
    oldest = offered_with("2.12.1+cu130", tmp_path / "old", monkeypatch)
    newer = offered_with("2.13.0", tmp_path / "new", monkeypatch)
    assert newer - oldest == {"linear_cross_entropy"}
    assert oldest < newer


def test_it_is_that_of_the_torch_that_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before its import, too."""
    own = tuple(map(int, torch.__version__.split(".")[:2]))
    assert torch_version() == own
    monkeypatch.delitem(sys.modules, "torch")
    assert torch_version() == own


def test_another_module_of_this_name_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A torch.py in front of it has no version."""
    (tmp_path / "torch.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "torch")
    assert torch_version() == (0, 0)


def test_without_torch_it_is_older_than_any(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names can be listed before torch is installed."""
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "torch")
    assert torch_version() == (0, 0)
