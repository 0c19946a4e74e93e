"""A run in a thread other than the main one, as in a notebook's job or a service: no signals, all the rest."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

import lossreg
from lossreg.checkpoints.folder import CheckpointFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.lossreg.training.resume.conftest import Ending, Finish


class Interrupting:
    """An observer that raises what a notebook raises in the code of its cell, after a step.

    Args:
        step: The step.
    """

    def __init__(self, step: int) -> None:
        self._step = step

    def lossreg_logged(self, run: lossreg.Run, record: dict[str, object]) -> None:
        """Raises it."""
        if record["step"] == self._step:
            raise KeyboardInterrupt


def in_a_thread(act: Callable[[], Ending]) -> Ending:
    """What a function returns that another thread calls."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(act).result()


def test_a_run_in_a_thread_is_the_run_of_the_main_one(finish: Finish, same: Callable[[Ending, Ending], None]) -> None:
    """It writes its checkpoints, and leaves the handlers of signals as they are."""
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    ended = in_a_thread(lambda: finish(keep=3))
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert [one.facts["step"] for one in CheckpointFolder(ended.result.directory / "checkpoints").list()] == [12, 8, 4]
    same(ended, finish(keep=3))


@pytest.mark.parametrize("every", ["1", "1s"])
def test_it_goes_on_in_a_thread(
    finish: Finish, same: Callable[[Ending, Ending], None], tmp_path: Path, every: str
) -> None:
    """From its last checkpoint, in the middle of an epoch too, to the bits of a run in one piece."""
    out = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        in_a_thread(lambda: finish(out=out, checkpoint_every=every, observers=[Interrupting(7)]))
    ended = in_a_thread(lambda: finish(resume=out))
    same(ended, finish())


def test_it_goes_on_with_a_greater_limit(finish: Finish, same: Callable[[Ending, Ending], None]) -> None:
    """What ends a run without a signal ends one in a thread, too."""
    stopped = in_a_thread(lambda: finish(max_steps=6))
    same(in_a_thread(lambda: finish(resume=stopped.result.directory, max_steps=None)), finish())


def test_two_threads_are_not_one_owner(finish: Finish, tmp_path: Path) -> None:
    """A directory whose run is going on in a thread is refused to another one of the same process."""
    refused: list[str] = []

    class Second:
        def lossreg_logged(self, run: lossreg.Run, record: dict[str, object]) -> None:
            with pytest.raises(lossreg.LossregError) as caught:
                finish(resume=run.directory)
            refused.append(caught.value.message)

    in_a_thread(lambda: finish(out=tmp_path / "run", epochs=1, observers=[Second()]))
    assert all("a process still works on it" in message for message in refused)
    assert refused
