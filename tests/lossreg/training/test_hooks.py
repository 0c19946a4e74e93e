"""Run hooks of plugins, and observers."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import lossreg

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import Run

HOOK = """
import lossreg

@lossreg.hookimpl
def lossreg_epoch_finished(run, record):
    {statement}
"""

MakePlugin = Callable[..., lossreg.Registries]


@pytest.fixture
def with_hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakePlugin:
    """Makes registries whose only plugin has a hook that runs a statement after each epoch."""
    monkeypatch.setattr(sys, "path", list(sys.path))  # loading a file puts its folder there

    def make(statement: str, **settings: Any) -> lossreg.Registries:
        file = tmp_path / "hooked_for_a_test.py"
        file.write_text(HOOK.format(statement=statement))
        registries = lossreg.load_registries(allow=[], local=[str(file)], **settings)
        del sys.modules["hooked_for_a_test"]  # another test writes another one
        return registries

    return make


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ('raise ValueError("I do not like this epoch")', "ValueError: I do not like this epoch"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import sys; sys.exit()", "SystemExit"),
    ],
)
def test_a_run_hook_that_raises_does_not_end_the_run(
    run: Run, with_hook: MakePlugin, caplog: pytest.LogCaptureFixture, statement: str, error: str
) -> None:
    """A plugin that fails in a run, even by ending the program, is left out of the rest of it, with one line."""
    registries = with_hook(statement)
    with caplog.at_level(logging.WARNING):
        result = run(model="mlp", epochs=3, limit_train=64, limit_test=8, registries=registries)
    assert len(result.metrics) == 3
    (line,) = caplog.messages
    assert "failed in lossreg_epoch_finished and is left out of this run" in line
    assert line.endswith(error)


def test_strict_goes_for_run_hooks(run: Run, with_hook: MakePlugin) -> None:
    """Where it is strict, a run hook that raises fails the run."""
    registries = with_hook('raise ValueError("I do not like this epoch")', strict=True)
    with pytest.raises(lossreg.RunFailedError, match="ValueError: I do not like this epoch"):
        run(model="mlp", epochs=1, limit_train=64, limit_test=8, registries=registries)


def test_ctrl_c_in_a_run_hook_ends_the_run(run: Run, with_hook: MakePlugin) -> None:
    """Ctrl-C while a plugin's hook runs is no fault of the plugin, and ends the run."""
    with pytest.raises(KeyboardInterrupt):
        run(model="mlp", epochs=1, limit_train=64, limit_test=8, registries=with_hook("raise KeyboardInterrupt"))


class Curious:
    """An observer with a hook that takes too little."""

    def lossreg_logged(self, run: lossreg.Run) -> None:
        """Takes no row."""


def test_an_observer_that_cannot_be_called_is_refused(run_table: Run) -> None:
    """An observer's method without the hook's arguments is an error before the run."""
    with pytest.raises(lossreg.ConfigError, match="is called with run, record"):
        run_table(observers=[Curious()])


@pytest.mark.parametrize("reason", ["", "  ", None, 5, "a\nb"])
def test_a_stop_without_a_reason_is_refused(run_table: Run, reason: Any) -> None:
    """`request_stop` takes one line of text."""

    class Stopper:
        def lossreg_logged(self, run: lossreg.Run, record: dict[str, Any]) -> None:
            run.request_stop(reason)

    with pytest.raises(lossreg.ConfigError, match="request_stop takes the reason, one line of text"):
        run_table(observers=[Stopper()], log_every=1)


class Stopper:
    """Stops a run when an epoch is over."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def lossreg_epoch_finished(self, run: lossreg.Run, record: dict[str, Any]) -> None:
        """Requests the stop."""
        if record["epoch"] == self.epoch:
            run.request_stop("that is enough")


def test_an_observer_can_stop_a_run(run: Run) -> None:
    """A requested stop ends the run cleanly, with its reason in the record."""
    result = run(model="mlp", epochs=10, limit_train=64, observers=[Stopper(1)])
    assert (len(result.metrics), result.reason) == (2, "that is enough")
    record = json.loads((result.directory / "run.json").read_text())
    assert (record["status"], record["epochs_done"]) == ("stopped", 2)
