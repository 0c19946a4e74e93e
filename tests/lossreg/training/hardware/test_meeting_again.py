"""Processes that are started again find those of their own start in a store that holds what earlier ones left."""

from __future__ import annotations

import threading

import pytest
from torch._C._distributed_c10d import HashStore, Store

from lossreg.training.hardware.meeting import agree_on_name

PROCESSES = 3


@pytest.fixture
def store() -> Store:
    """A store that several threads can use at the same time."""
    return HashStore()


def start(store: Store, order: list[int]) -> list[str]:
    """The names that the processes of a start agree on, begun in an order, with some time between two."""
    names: dict[int, str] = {}

    def join(rank: int) -> None:
        names[rank] = agree_on_name(store, rank, PROCESSES, 60)

    threads = [threading.Thread(target=join, args=(rank,)) for rank in order]
    for thread in threads:
        thread.start()
        thread.join(0.03)
    for thread in threads:
        thread.join()
    return [names[rank] for rank in range(PROCESSES)]


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 0, 2]])
def test_all_starts_have_names_of_their_own(store: Store, order: list[int]) -> None:
    """Three starts in one store, the first process being the first, the last, or neither: three names, each of all."""
    starts = [start(store, order) for _ in range(3)]
    assert [len(set(names)) for names in starts] == [1, 1, 1]
    assert len({names[0] for names in starts}) == 3


def test_words_of_processes_that_died_waiting_change_nothing(store: Store) -> None:
    """A start of which the main process never came leaves words that the next start does not take for its own."""
    for rank in (1, 2):
        with pytest.raises(RuntimeError, match=r"did not come within 0\.01 seconds"):
            agree_on_name(store, rank, PROCESSES, 0.01)
    assert len(set(start(store, [0, 2, 1]))) == 1


def test_the_main_process_does_not_wait_for_ever(store: Store) -> None:
    """It says that the others did not come."""
    with pytest.raises(RuntimeError, match=r"did not come within 0\.01 seconds"):
        agree_on_name(store, 0, PROCESSES, 0.01)
