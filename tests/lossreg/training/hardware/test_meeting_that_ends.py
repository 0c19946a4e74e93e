"""Processes that meet: one that is ended says so to those that wait, and no wait is without end."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from torch._C._distributed_c10d import HashStore

import lossreg
from lossreg.training.hardware import meeting
from lossreg.training.hardware.distributed import Processes
from lossreg.training.hardware.meeting import EndedError, agree_on_name
from lossreg.training.stops import SignalGuard


@pytest.fixture
def port() -> int:
    """One on which nothing listens."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        number: int = free.getsockname()[1]
        return number


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch, port: int) -> Callable[..., None]:
    """Makes this process one of several that were started together, none of which waits for long."""
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    monkeypatch.setenv("MASTER_PORT", str(port))

    def launch(rank: int, world_size: int, patience: float = 0.05) -> None:
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", str(world_size))
        for wait in (meeting._wait_for_server, meeting.agree_on_name):
            monkeypatch.setattr(wait, "__defaults__", (patience,))

    return launch


@pytest.mark.parametrize(
    ("world_size", "whom"), [(2, "rank 1"), (4, "ranks 1, 2, 3"), (20, "ranks 1, 2, 3, 4, 5, 6, 7, 8 and 11 more")]
)
def test_the_main_process_says_who_did_not_come(launched: Callable[..., None], world_size: int, whom: str) -> None:
    """It names the ranks after its patience."""
    launched(0, world_size)
    words = (
        f"the {world_size} processes that were started together cannot meet: {whom} did not come within 0.05 seconds"
    )
    with pytest.raises(lossreg.ConfigError) as caught:
        Processes.join()
    assert str(caught.value) == words


def test_another_process_says_where_nothing_answers(launched: Callable[..., None], port: int) -> None:
    """It names the address at which it looked for the main process."""
    launched(1, 2)
    with pytest.raises(
        lossreg.ConfigError, match=rf"rank 0 did not come .*: nothing answers at localhost:{port} \(MAS"
    ):
        Processes.join()


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_waits_sees_a_signal(launched: Callable[..., None], rank: int) -> None:
    """Ctrl-C ends the wait, for the others or for the main process, within a second."""
    launched(rank, 2, 60.0)
    sender = threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGINT])
    sender.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), SignalGuard():
        Processes.join()
    sender.join()
    assert time.monotonic() - began < 30  # of 60; the machine may be slow


def test_signals_are_left_to_the_system_while_python_sees_none() -> None:
    """Those of which a program takes no notice; its own handler stays, and afterwards all is as it was."""

    def own(number: int, frame: object) -> None:
        """Takes notice."""

    before = signal.signal(signal.SIGTERM, own)
    try:
        with SignalGuard() as signals:
            guarded = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)]
            with signals.left_to_the_system():
                within = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)]
            after = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)]
    finally:
        signal.signal(signal.SIGTERM, before)
    assert within == [guarded[0], signal.SIG_DFL, signal.SIG_DFL]
    assert after == guarded


def test_a_port_that_is_none_is_an_error(launched: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the variable."""
    launched(0, 2)
    for text in ("70000", "http", "-1"):
        monkeypatch.setenv("MASTER_PORT", text)
        with pytest.raises(lossreg.ConfigError, match=f"MASTER_PORT is the number of a port, not '{text}'"):
            Processes.join()


class EndedHere(BaseException):
    """What the handler of a signal raises."""


class Ended:
    """A store that a process uses which is ended as it looks for the answer to its word.

    Args:
        store: The store of all.
    """

    def __init__(self, store: HashStore) -> None:
        self._store = store

    def check(self, keys: list[str]) -> bool:
        """Ends it."""
        raise EndedHere

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_a_process_that_is_ended_leaves_word() -> None:
    """The main process, which was there before, is told who was ended; it does not wait for its patience to end."""
    store = HashStore()
    raised: list[BaseException] = []

    def main() -> None:
        try:
            agree_on_name(store, 0, 3, 60)
        except RuntimeError as error:
            raised.append(error)

    thread = threading.Thread(target=main)
    thread.start()
    ended: Any = Ended(store)
    time.sleep(0.02)  # the main process has looked at what earlier starts left
    with pytest.raises(EndedHere):
        agree_on_name(ended, 2, 3, 60)
    thread.join()
    assert [(type(error), str(error)) for error in raised] == [
        (EndedError, "rank 2 was ended before all of them were there")
    ]


def test_what_an_earlier_start_left_ends_no_other() -> None:
    """The store of torchrun keeps the word of a process that was ended; the next start meets all the same."""
    store = HashStore()
    ended: Any = Ended(store)
    with pytest.raises(EndedHere):
        agree_on_name(ended, 1, 2)
    names: list[str] = []
    main = threading.Thread(target=lambda: names.append(agree_on_name(store, 0, 2, 60)))
    main.start()
    names.append(agree_on_name(store, 1, 2, 60))
    main.join()
    assert names[0] == names[1]


def test_none_goes_on_before_all_are_there() -> None:
    """Two of three have the name and wait, where signals are seen, until the third has it, too."""
    store = HashStore()
    names: list[str] = []
    threads = [
        threading.Thread(target=lambda rank=rank: names.append(agree_on_name(store, rank, 3, 60))) for rank in (0, 1)
    ]
    for thread in threads:
        thread.start()
    while store.num_keys() < 3:  # the word of one, the answer to it, and that it has it
        time.sleep(0.001)
    time.sleep(0.02)
    assert names == []
    names.append(agree_on_name(store, 2, 3, 60))
    for thread in threads:
        thread.join()
    assert len(set(names)) == 1
