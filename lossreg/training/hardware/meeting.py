"""Where the processes meet that were started together, also those that torchrun starts again.

torch waits for the others in C++ code, where no signal is seen, and for 30 minutes. Here they wait in Python, in short
slices: a process that is ended while it waits ends at once, and those that wait for it are told.

torchrun serves one store for all starts of a run (torch 2.14, `torch/distributed/rendezvous.py`). Processes of a second
start would find the addresses of the first one in it, and wait for processes that are gone. How often it has started
them is no name for a start: after the failure of one, the agents of several machines count differently.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

    from lossreg.training.hardware.launcher import Launch

logger = logging.getLogger("lossreg")

PATIENCE = 600.0  # seconds that the processes wait for each other; loading plugins and torch may take one of them long
SILENT = 20.0  # seconds after which the main process says for which of them it waits
_KEY = "lossreg/meeting"
_PAUSE = 0.005  # seconds between two looks; a signal can end the process between them
_CONNECTING = 30.0  # seconds for what is there to answer
_TRIAL = 1.0  # seconds for one trial to find it
_MAX_SHOWN = 8  # ranks in a message


class EndedError(RuntimeError):
    """A process ended while the others waited for it, and can say no more."""


def store_of_this_start(
    launch: Launch, blocking: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
) -> Store:
    """A store that all processes of this start have reached, and a part of it that no other start has used.

    Args:
        launch: Which of the processes this is.
        blocking: Makes a block for calls during which Python sees no signals.

    Raises:
        RuntimeError: If the others do not come.
        ValueError: If MASTER_PORT is not a port.
    """
    from torch._C._distributed_c10d import PrefixStore, TCPStore  # not every torch has them
    from torch.distributed import default_pg_timeout

    host, port = os.environ["MASTER_ADDR"], _port(os.environ["MASTER_PORT"])
    serves = launch.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"  # else torchrun does
    if not serves:
        _wait_for_server(host, port)
    uses_libuv = os.environ.get("USE_LIBUV", "0" if sys.platform == "win32" else "1") == "1"  # as torch reads it
    with blocking():
        store = TCPStore(
            host,
            port,
            launch.world_size,
            is_master=serves,
            timeout=timedelta(seconds=_CONNECTING),
            wait_for_workers=False,
            multi_tenant=True,
            use_libuv=uses_libuv,
        )
    name = agree_on_name(store, launch.rank, launch.world_size)
    store.set_timeout(default_pg_timeout)
    return PrefixStore(f"{_KEY}/{name}", store)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) >= 1 << 16:
        raise ValueError(f"MASTER_PORT is the number of a port, not {text!r}")
    return int(text)


def _wait_for_server(host: str, port: int, patience: float = PATIENCE) -> None:
    """Waits until the main process, or torchrun, can be reached."""
    _wait(
        lambda: _answers(host, port),
        patience,
        lambda: "rank 0",
        f"nothing answers at {host}:{port} (MASTER_ADDR, MASTER_PORT)",
    )


def _answers(host: str, port: int) -> bool:
    """Whether something listens; `socket.create_connection` would leave a socket open where a signal ends the wait."""
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            with socket.socket(family, kind, protocol) as connection:
                connection.settimeout(_TRIAL)
                if connection.connect_ex(address) == 0:
                    return True
    except OSError:  # the host has no address yet, or this machine no network of its kind
        pass
    return False


def agree_on_name(store: Store, rank: int, world_size: int, patience: float = PATIENCE) -> str:
    """A name that the processes of one start have in common, and no other start has; all of them are there then.

    The main process makes it up. Each of the others leaves a word that it makes up, and the main process answers to
    that word, whatever words of other starts it finds, until all of this start have the name. One that is ended before
    leaves word of that, too.

    Args:
        store: What all of them read and write, with all that earlier starts left in it.
        rank: Which of the processes this is.
        world_size: How many there are.
        patience: Seconds that it waits for the others.

    Raises:
        RuntimeError: If it waits in vain; an EndedError if one has ended.

    Example:
        >>> from torch.distributed import HashStore
        >>> len(agree_on_name(HashStore(), 0, 1))
        16
    """
    mine = secrets.token_hex(8)
    if rank == 0:
        roll = _Roll(store, mine, world_size)
        _wait(roll.is_complete, patience, roll.missing)
        store.set(f"{_KEY}/all/{mine}", "")
        return mine
    try:
        with _main_is_there():
            answer = f"{_KEY}/answer/{mine}"
            store.set(f"{_KEY}/word/{rank}", mine)
            _wait(lambda: store.check([answer]), patience, lambda: "rank 0")
            name: str = store.get(answer).decode()
            store.set(f"{_KEY}/has/{name}/{rank}", "")
            _wait(lambda: store.check([f"{_KEY}/all/{name}"]), patience, lambda: "the others")
    except BaseException:  # a signal, too
        with contextlib.suppress(RuntimeError):
            store.set(_left(mine), "")
        raise
    return name


class _Roll:
    """What the main process knows of the others.

    Args:
        store: What all of them read and write.
        name: What it tells them.
        world_size: How many there are, itself included.
    """

    def __init__(self, store: Store, name: str, world_size: int) -> None:
        self._store = store
        self._name = name
        self._missing = set(range(1, world_size))
        self._words: dict[int, str] = {}
        ranks = [rank for rank in self._missing if store.check([_word(rank)])]
        words = [store.get(_word(rank)).decode() for rank in ranks]
        self._old = {word for word in words if store.check([_left(word)])}  # of a start before this one

    def is_complete(self) -> bool:
        """Tells the name to those that do not have it yet; whether all have it.

        Raises:
            EndedError: If one has ended.
        """
        for rank in tuple(self._missing):
            word = self._store.get(_word(rank)).decode() if self._store.check([_word(rank)]) else None
            if word is not None and word != self._words.get(rank):
                self._words[rank] = word
                self._store.set(f"{_KEY}/answer/{word}", self._name)
            if self._store.check([f"{_KEY}/has/{self._name}/{rank}"]):
                self._missing.remove(rank)
        for rank, word in self._words.items():
            if word not in self._old and self._store.check([_left(word)]):
                raise EndedError(f"rank {rank} was ended before all of them were there")
        return not self._missing

    def missing(self) -> str:
        """Those that do not have the name, for a message."""
        return _ranks(self._missing)


def _word(rank: int) -> str:
    return f"{_KEY}/word/{rank}"


def _left(word: str) -> str:
    return f"{_KEY}/left/{word}"


def _ranks(ranks: Collection[int]) -> str:
    """Ranks in words.

    Example:
        >>> _ranks({1}), _ranks({2, 1}), _ranks(range(1, 20))
        ('rank 1', 'ranks 1, 2', 'ranks 1, 2, 3, 4, 5, 6, 7, 8 and 11 more')
    """
    named = ", ".join(map(str, sorted(ranks)[:_MAX_SHOWN]))
    more = f" and {len(ranks) - _MAX_SHOWN} more" if len(ranks) > _MAX_SHOWN else ""
    return f"rank{'s' if len(ranks) > 1 else ''} {named}{more}"


@contextlib.contextmanager
def _main_is_there() -> Iterator[None]:
    """A block of one of the others: the store of the main process ends with it."""
    from torch.distributed import DistError

    try:
        yield
    except DistError as error:
        raise EndedError("rank 0 was ended before all of them were there") from error


def _wait(is_over: Callable[[], bool], patience: float, whom: Callable[[], str], why: str = "") -> None:
    """Waits in Python, where signals are seen.

    Args:
        is_over: Says whether it is over.
        patience: Seconds until it gives up.
        whom: For whom it waits.
        why: What else is to be said if they do not come.

    Raises:
        RuntimeError: If they do not come.
    """
    began = time.monotonic()
    is_silent = True
    while not is_over():
        waited = time.monotonic() - began
        if waited > patience:
            raise RuntimeError(f"{whom()} did not come within {patience:g} seconds{why and f': {why}'}")
        if is_silent and waited > SILENT:
            is_silent = False
            logger.warning("waiting for %s, for at most %g seconds in all", whom(), patience)
        time.sleep(_PAUSE)
