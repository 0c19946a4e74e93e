"""Trackers whose libraries are not installed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import lossreg

if TYPE_CHECKING:
    from tests.conftest import Command

TRACKERS = ("tensorboard", "mlflow", "wandb")


@pytest.fixture(params=TRACKERS)
def missing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A tracker whose library cannot be found."""
    tracker: str = request.param
    monkeypatch.setitem(sys.modules, tracker, None)  # how Python itself marks a module that must not be found
    return tracker


@pytest.mark.parametrize("verb", ["run", "plan"])
def test_a_missing_library_is_an_error_before_the_run(
    lossreg_command: Command, missing: str, verb: str, tmp_path: Path
) -> None:
    """It ends with exit code 2 and the command that installs it, and nothing is left behind."""
    outcome = lossreg_command(verb, "--observe", missing)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        f"lossreg: error: the observer {missing} needs {missing}, which is not installed: "
        f"pip install 'lossreg[{missing}]'\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_it_is_an_import_error_in_python(missing: str) -> None:
    """The error is an ImportError that names the library."""
    with pytest.raises(ImportError) as caught:
        lossreg.observers.build(missing)
    assert isinstance(caught.value, lossreg.MissingLibraryError)
    assert caught.value.library == missing


def test_it_is_shown_without_its_library(lossreg_command: Command, missing: str) -> None:
    """`show` needs no library to list the parameters."""
    outcome = lossreg_command("show", "observer", missing)
    assert (outcome.code, outcome.err) == (0, "")
    assert f"full id   observers.{missing}" in outcome.out
