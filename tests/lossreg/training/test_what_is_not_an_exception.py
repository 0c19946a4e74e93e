"""What a part of a run raises that is not an Exception: it ends the run as an error, and never looks like success."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import lossreg
from lossreg import Data, RunResult

Run = Callable[..., RunResult]
Command = Callable[..., Any]


class PanicException(BaseException):
    """As those of Rust extensions are."""


class Once:
    """Raises an error when it is called for the n-th time while gradients are computed in training mode."""

    def __init__(self, make: Callable[[], BaseException], begin: Callable[[], bool]) -> None:
        self.make = make
        self.begin = begin
        self.calls = 0

    def __call__(self) -> None:
        """Counts, and raises."""
        self.calls += self.begin()
        if self.calls == 2:
            raise self.make()


class Raises(nn.Module):
    """A linear model that raises something in its second step, once the record says that the run is running."""

    def __init__(self, make: Callable[[], BaseException], directory: Path | None) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.once = Once(make, lambda: directory is None or (directory / "run.json").exists())

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        self.once()
        return self.linear(inputs)  # type: ignore[no-any-return]  # nn.Module's call is not annotated


class RaisingLoss(nn.Module):
    """Cross-entropy that raises as the model does."""

    def __init__(self, make: Callable[[], BaseException], directory: Path) -> None:
        super().__init__()
        self.once = Once(make, lambda: (directory / "run.json").exists())

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        self.once()
        return nn.functional.cross_entropy(output, target)


class Rows(torch.utils.data.Dataset[Any]):
    """Rows of zeros, of which the last cannot be read."""

    def __init__(self, error: BaseException, count: int = 24) -> None:
        self.error = error
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if index == self.count - 1:
            raise self.error
        return torch.zeros(4), index % 3


def record(directory: Path) -> dict[str, Any]:
    """The run.json of a run."""
    content: dict[str, Any] = json.loads((directory / "run.json").read_text())
    return content


MAKES = {
    "PanicException: it panicked": lambda: PanicException("it panicked"),
    "SystemExit: 0": lambda: SystemExit(0),
    "SystemExit": lambda: SystemExit(),
    "GeneratorExit": lambda: GeneratorExit(),
    "Skipped: not here": lambda: pytest.skip.Exception("not here"),
}


@pytest.mark.parametrize(("said", "make"), MAKES.items())
def test_a_model_fails_the_run(run_table: Run, tmp_path: Path, said: str, make: Callable[[], BaseException]) -> None:
    """A RunFailedError says what was raised, where and when; run.json says failed, and the weights are kept."""
    with pytest.raises(lossreg.RunFailedError) as caught:
        run_table(model=Raises(make, tmp_path / "out"), batch_size=8)
    error = caught.value
    assert (error.epoch, error.step) == (0, 1)
    assert error.message.startswith("the run failed at epoch 0, step 1: __call__ (")
    assert f"raised {said}, which is not an Exception" in error.message
    assert type(error.__cause__) is type(make())
    written = record(tmp_path / "out")
    assert written["status"] == "failed"
    assert said in written["reason"]
    assert set(load_file(tmp_path / "out" / "model.safetensors")) == {"linear.weight", "linear.bias"}


def test_a_loss_fails_the_run(run_table: Run, tmp_path: Path) -> None:
    """A loss that calls `sys.exit()` in a step fails the run as a model does."""
    with pytest.raises(lossreg.RunFailedError, match="raised SystemExit: 0, which is not an Exception"):
        run_table(loss=RaisingLoss(lambda: SystemExit(0), tmp_path / "out"), batch_size=8)
    assert record(tmp_path / "out")["status"] == "failed"


@pytest.mark.parametrize("hook", ["lossreg_epoch_finished", "lossreg_run_finished", "lossreg_run_started"])
def test_an_observer_fails_the_run(run_table: Run, tmp_path: Path, hook: str) -> None:
    """`sys.exit()` in any hook of an observer is a RunFailedError, and the weights are there."""

    class Exits:
        pass

    def leave(self: Exits, **arguments: object) -> None:
        sys.exit()

    setattr(Exits, hook, leave)
    with pytest.raises(lossreg.RunFailedError, match=r"request_stop\(reason\)"):
        run_table(observers=[Exits()])
    assert record(tmp_path / "out")["status"] == "failed"
    assert (tmp_path / "out" / "model.safetensors").exists()


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("error", [PanicException("it panicked"), SystemExit(0), GeneratorExit("closed")])
def test_a_sample_is_named(run_table: Run, tmp_path: Path, error: BaseException, workers: int) -> None:
    """A data set that raises it in a step fails the run with the index of the sample, in a worker process too."""
    rows = Rows(error)
    data = Data(rows, (torch.zeros(4, 4), torch.zeros(4).long()), "classification", (4,), num_classes=3)
    with pytest.raises(lossreg.DataError, match=f"sample 23 cannot be read: {type(error).__name__}"):
        run_table(data=data, batch_size=8, workers=workers, loader="auto")
    assert record(tmp_path / "out")["status"] == "failed"


def test_before_the_run_it_is_what_an_exception_would_be(tmp_path: Path) -> None:
    """A model that raises it on the first batch is a ContractError with the shape, and nothing is written."""
    with pytest.raises(lossreg.ContractError, match=r"the model failed on a batch of shape .*: SystemExit: 0"):
        lossreg.run(model=Always(), data=small(), out=tmp_path / "out", quiet=True, device="cpu")
    assert not (tmp_path / "out").exists()


class Always(nn.Module):
    """A model that calls `sys.exit(0)` in each forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        """Ends the program, if nothing prevents it."""
        sys.exit(0)


class Immovable(nn.Linear):
    """A model that raises when it is moved to the device, which nothing waits for."""

    def _apply(self, *_: Any, **__: Any) -> Any:
        sys.exit(0)


def small() -> Data:
    """Eight rows."""
    pair = (torch.zeros(8, 4), torch.zeros(8).long())
    return Data(pair, pair, "classification", (4,), num_classes=3)


@pytest.mark.parametrize("call", [lossreg.plan, lossreg.run])
def test_before_the_run_nothing_of_it_passes(tmp_path: Path, call: Callable[..., Any]) -> None:
    """Wherever the code of a part raises it while a run is set up, it is an error, and no directory is left."""
    extra = {} if call is lossreg.plan else {"out": tmp_path / "out", "quiet": True}
    with pytest.raises(lossreg.RunFailedError, match=r"the run failed before the first step: _apply .* SystemExit: 0"):
        call(model=Immovable(4, 3), data=small(), device="cpu", **extra)
    assert not (tmp_path / "out").exists()


def test_the_command_fails_with_the_traceback(lossreg_command: Command, tmp_path: Path) -> None:
    """Exit code 1, the traceback of the model's code, then one line that says what ended the run."""
    lossreg.models.register("exits", runtime_args={})(lambda: Raises784(tmp_path / "out"))
    outcome = lossreg_command("run", "--model", "exits", "--quiet", "--limit-train", "128", "--out", "out")
    assert outcome.code == 1
    assert "Traceback (most recent call last):" in outcome.err
    assert "raise self.make()" in outcome.err
    (line,) = [line for line in outcome.err.splitlines() if line.startswith("lossreg: error: ")]
    assert "the run failed at epoch 0, step 1" in line
    assert "raised SystemExit: 0, which is not an Exception" in line
    assert record(tmp_path / "out")["status"] == "failed"


class Raises784(Raises):
    """The model for the digits."""

    def __init__(self, directory: Path) -> None:
        super().__init__(lambda: SystemExit(0), directory)
        self.linear = nn.Linear(784, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        return super().forward(inputs.flatten(1))


@pytest.fixture
def _own_handler() -> Iterator[None]:
    """A program's own handler of SIGTERM, which ends it with exit code 0."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("_own_handler")
@pytest.mark.parametrize(("every", "done"), [(1, 2), (None, 1)])
def test_a_handler_of_the_program_s_own_ends_it_as_it_says(
    run_table: Run, tmp_path: Path, every: int | None, done: int
) -> None:
    """The SystemExit of a signal's handler is not the model's: it goes up, and the record names the signal.

    The handler is called after the step under way where there is a checkpoint to write, and else at once.
    """

    class Terminated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 3)
            self.calls = 0

        def forward(self, inputs: Tensor) -> Tensor:
            self.calls += (tmp_path / "out" / "run.json").exists()
            if self.calls == 2:
                signal.raise_signal(signal.SIGTERM)
            return self.linear(inputs)  # type: ignore[no-any-return]  # nn.Module's call is not annotated

    with pytest.raises(SystemExit) as caught:
        run_table(model=Terminated(), batch_size=8, checkpoint_every=every)
    assert caught.value.code == 0
    written = record(tmp_path / "out")
    assert (written["status"], written["reason"]) == ("interrupted", "SIGTERM")
    assert written["steps_done"] == done
    assert (tmp_path / "out" / "model.safetensors").exists()
