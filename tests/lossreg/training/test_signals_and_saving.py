"""Signals during a run: the first ends it, and none of them costs the weights."""

from __future__ import annotations

import json
import logging
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import lossreg
from lossreg.cli.main import main
from lossreg.training.hardware.distributed import Processes
from lossreg.training.record.directory import RunDirectory
from lossreg.training.record.recorder import Recorder
from lossreg.training.selection import Request
from lossreg.training.setup.assembly import set_up
from lossreg.training.stops import SignalGuard

SMALL: dict[str, Any] = {"epochs": 2, "limit_train": 128, "limit_test": 32, "device": "cpu", "log_every": 1}
FLAGS = ["--epochs", "2", "--limit-train", "128", "--limit-test", "32", "--log-every", "1", "--device", "cpu"]


class Signalled(nn.Module):
    """A linear model; its process gets signals while it is saved, and after its first step.

    Args:
        first: Sent in a forward pass of the run, or None.
        while_saving: Sent each time that its weights are collected, or None.
    """

    def __init__(self, first: int | None, while_saving: int | None) -> None:
        super().__init__()
        self.linear = nn.Linear(784, 10)
        self.first, self.while_saving = first, while_saving
        self.armed = False
        self.register_state_dict_post_hook(self._collected)  # type: ignore[no-untyped-call]  # torch's

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits; with the first signal comes a second, before anything is saved."""
        if self.armed and self.first is not None:
            first, self.first = self.first, None
            try:
                signal.raise_signal(first)
            finally:
                signal.raise_signal(first)
        return self.linear(images.flatten(1))  # type: ignore[no-any-return]  # nn.Module's call is not annotated

    @staticmethod
    def _collected(module: Any, *_: Any) -> None:
        if module.armed and module.while_saving is not None:
            signal.raise_signal(module.while_saving)


class Arm:
    """Lets the model begin with the first step: the checks before the run are over."""

    def lossreg_logged(self, run: lossreg.Run, record: dict[str, Any]) -> None:
        """Arms it."""
        model: Any = run.model
        model.armed = True


class Last:
    """Notes which of the last hooks was called."""

    def __init__(self) -> None:
        self.called: list[str] = []

    def lossreg_run_finished(self, run: lossreg.Run, result: lossreg.RunResult) -> None:
        """Notes it."""
        self.called.append("finished")

    def lossreg_run_failed(self, run: lossreg.Run, error: BaseException) -> None:
        """Notes it."""
        self.called.append("failed")


def record(directory: Path) -> dict[str, Any]:
    """The run.json of a run."""
    content: dict[str, Any] = json.loads((directory / "run.json").read_text())
    return content


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """The handlers of signals are after each test what they were."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)
    before = {number: signal.getsignal(number) for number in numbers}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_second_ctrl_c_costs_no_weights(tmp_path: Path) -> None:
    """Ctrl-C twice at once, and again during the save: the weights are whole, and the record says Ctrl-C."""
    model, last = Signalled(signal.SIGINT, signal.SIGINT), Last()
    with pytest.raises(KeyboardInterrupt):
        lossreg.run(**SMALL, model=model, out=tmp_path / "run", quiet=True, observers=[Arm(), last])
    model.armed = False
    kept = load_file(tmp_path / "run" / "model.safetensors")
    assert all(value.equal(kept[name]) for name, value in model.state_dict().items())
    assert (record(tmp_path / "run")["status"], record(tmp_path / "run")["reason"]) == ("interrupted", "Ctrl-C")
    assert last.called == ["failed"]


def test_ctrl_c_during_the_last_save_ends_the_program_afterwards(tmp_path: Path) -> None:
    """A run whose last epoch is done is finished: record, weights and hooks; Ctrl-C is raised after them."""
    last = Last()
    with pytest.raises(KeyboardInterrupt):
        lossreg.run(
            **SMALL, model=Signalled(None, signal.SIGINT), out=tmp_path / "run", quiet=True, observers=[Arm(), last],
            checkpoint_every=None,
        )  # fmt: skip
    assert record(tmp_path / "run")["status"] == "finished"
    assert (tmp_path / "run" / "model.safetensors").exists()
    assert last.called == ["finished"]


@pytest.mark.parametrize(
    ("every", "while_saving", "count"),
    # Two in the forward pass, and one that waited for the save.
    [(None, signal.SIGINT, 3), (1, None, 2)],
)
def test_a_handler_that_only_takes_note_goes_on_doing_so(
    tmp_path: Path, every: int | None, while_saving: int | None, count: int
) -> None:
    """A program's own handler of SIGINT gets each signal, ends no run, and is there afterwards."""
    seen: list[int] = []

    def note(number: int, frame: object) -> None:
        seen.append(number)

    signal.signal(signal.SIGINT, note)
    model = Signalled(signal.SIGINT, while_saving)
    lossreg.run(
        **SMALL, model=model, out=tmp_path / "run", quiet=True, observers=[Arm()], checkpoint_every=every
    )  # fmt: skip
    assert record(tmp_path / "run")["status"] == "finished"
    assert seen == [signal.SIGINT] * count
    assert signal.getsignal(signal.SIGINT) is note


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_second_sigterm_or_sighup_is_harmless(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sent: signal.Signals, code: int
) -> None:
    """A command ends with 128 + the signal's number and keeps weights and record, however often the signal comes.

    The second one ends it before there is a checkpoint, so there is no command that goes on with the run.
    """
    name = f"signalled_{sent.name.lower()}"
    lossreg.models.register(name)(lambda: armed(Signalled(sent, sent), tmp_path / "run" / "run.json"))
    with pytest.raises(SystemExit) as exit_info:
        main(["run", *FLAGS, "--model", name, "--quiet", "--out", str(tmp_path / "run")])
    assert exit_info.value.code == code
    assert capsys.readouterr().err == f"lossreg: stopped by {sent.name}\n"
    assert (record(tmp_path / "run")["status"], record(tmp_path / "run")["reason"]) == ("interrupted", sent.name)
    assert set(load_file(tmp_path / "run" / "model.safetensors")) == {"linear.weight", "linear.bias"}


def test_nohup_is_obeyed(tmp_path: Path) -> None:
    """A command that was started with SIGHUP ignored goes on when the terminal is closed."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    lossreg.models.register("nohup")(lambda: armed(Signalled(signal.SIGHUP, signal.SIGHUP), tmp_path / "run/run.json"))
    with pytest.raises(SystemExit) as exit_info:
        main(["run", *FLAGS, "--model", "nohup", "--quiet", "--out", str(tmp_path / "run")])
    assert exit_info.value.code == 0
    assert record(tmp_path / "run")["status"] == "finished"


def armed(model: Signalled, started: Path) -> Signalled:
    """The model, which begins when a file exists: the run's record."""

    def begin(module: Any, inputs: object) -> None:
        module.armed = started.exists()

    model.register_forward_pre_hook(begin)
    return model


def test_what_cannot_be_kept_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where the weights cannot be written, a warning names the file and the reason, and run.json is written still."""

    class Fails:
        def lossreg_logged(self, run: lossreg.Run, record: dict[str, Any]) -> None:
            (run.directory / ".model.safetensors.partial").mkdir()
            raise ZeroDivisionError("the observer broke")

    with caplog.at_level(logging.WARNING), pytest.raises(ZeroDivisionError):
        lossreg.run(**SMALL, out=tmp_path / "run", quiet=True, observers=[Fails()])
    assert f"{tmp_path / 'run' / 'model.safetensors'} could not be kept: " in caplog.text
    assert record(tmp_path / "run")["reason"] == "ZeroDivisionError: the observer broke"


class Sending(dict[str, Any]):
    """A row that sends SIGINT when it is written."""

    def items(self) -> Any:
        """Names and values."""
        signal.raise_signal(signal.SIGINT)
        return super().items()


def test_a_signal_comes_after_a_row_or_before_it(tmp_path: Path) -> None:
    """Ctrl-C while an epoch's row is written leaves the row in metrics.jsonl, and run.json counts it."""
    spec = lossreg.RunSpec(model="mlp", limit_train=64, limit_test=8, device="cpu")
    parts = set_up(Request(spec, {}, lossreg.load_registries()), Processes(), quiet=True)
    run = lossreg.Run(spec, tmp_path / "run", parts)
    with SignalGuard() as signals:
        recorder = Recorder(RunDirectory.claim(tmp_path / "run"), parts, signals)
        recorder.lossreg_run_started(run)
        with pytest.raises(KeyboardInterrupt) as interrupt:
            recorder.lossreg_epoch_finished(run, Sending(kind="epoch", epoch=0, step=1))
        recorder.lossreg_run_failed(run, interrupt.value)
    assert record(tmp_path / "run")["epochs_done"] == 1
    (row,) = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(row) == {"kind": "epoch", "epoch": 0, "step": 1}
