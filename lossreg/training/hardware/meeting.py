"""Where the processes that torchrun started meet, also those that it starts again.

torchrun serves one store for all starts of a run (torch 2.14, `torch/distributed/rendezvous.py`). Processes of a second
start would find the addresses of the first one in it, and wait for processes that are gone. How often it has started
them is no name for a start: after the failure of one, the agents of several machines count differently.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

    from lossreg.training.hardware.launcher import Launch

PATIENCE = 600.0  # seconds that the processes wait for each other; loading plugins and torch may take one of them long
_KEY = "lossreg/meeting"
_PAUSE = 0.005  # seconds between two looks; a signal can end the process between them


def store_of_this_start(launch: Launch) -> Store:
    """A part of torchrun's store that no other start of the run has used.

    Args:
        launch: Which of the processes this is.

    Raises:
        RuntimeError: If the others do not come.
    """
    from torch._C._distributed_c10d import PrefixStore  # not every torch has it
    from torch.distributed.rendezvous import rendezvous

    store, rank, world_size = next(rendezvous("env://", launch.rank, launch.world_size))
    return PrefixStore(f"{_KEY}/{agree_on_name(store, rank, world_size)}", store)


def agree_on_name(store: Store, rank: int, world_size: int, patience: float = PATIENCE) -> str:
    """A name that the processes of one start have in common, and no other start has.

    The main process makes it up. Each of the others leaves a word that it makes up, and the main process answers to
    that word, whatever words of other starts it finds, until all of this start have the name.

    Args:
        store: What all of them read and write, with all that earlier starts left in it.
        rank: Which of the processes this is.
        world_size: How many there are.
        patience: Seconds that it waits for the others.

    Raises:
        RuntimeError: If it waits in vain.

    Example:
        >>> from torch.distributed import HashStore
        >>> len(agree_on_name(HashStore(), 0, 1))
        16
    """
    mine = secrets.token_hex(8)
    if rank == 0:
        missing = set(range(1, world_size))
        _wait(lambda: _answer(store, mine, missing), patience)
        return mine
    answer = f"{_KEY}/answer/{mine}"
    store.set(f"{_KEY}/word/{rank}", mine)
    _wait(lambda: store.check([answer]), patience)
    name: str = store.get(answer).decode()
    store.set(f"{_KEY}/has/{name}/{rank}", "")
    return name


def _answer(store: Store, name: str, missing: set[int]) -> bool:
    """Tells the name to those that do not have it yet; whether all have it."""
    for rank in tuple(missing):
        word = f"{_KEY}/word/{rank}"
        if store.check([f"{_KEY}/has/{name}/{rank}"]):
            missing.remove(rank)
        elif store.check([word]):
            store.set(f"{_KEY}/answer/{store.get(word).decode()}", name)
    return not missing


def _wait(is_over: Callable[[], bool], patience: float) -> None:
    deadline = time.monotonic() + patience
    while not is_over():
        if time.monotonic() > deadline:
            raise RuntimeError(f"the others did not come within {patience:g} seconds")
        time.sleep(_PAUSE)
