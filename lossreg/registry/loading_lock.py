"""A lock under which modules are imported, and which code that is being imported may ask for."""

from __future__ import annotations

import sys
import threading
from types import TracebackType
from typing import Any

LOOKS_AGAIN = 0.02  # seconds


class LoadingLock:
    """A re-entrant lock for which nothing waits for ever that is being imported.

    A thread that imports a module holds Python's lock of it. Where code of this module asks for a lock whose owner is
    about to import the same module, both would wait for each other: Python sees that of its own locks alone.

    Example:
        >>> lock = LoadingLock()
        >>> with lock as is_held, lock as is_held_again:
        ...     is_held, is_held_again
        (True, True)
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._owner: int | None = None
        self._held = threading.local()

    def __enter__(self) -> bool:
        """Waits for the lock; gives False, without it, if its owner waits for what this thread is importing."""
        held: list[bool] = self._held.__dict__.setdefault("is_held", [])
        is_held = self._lock.acquire(blocking=False)
        while not is_held and not _waits(self._owner, threading.get_ident()):
            is_held = self._lock.acquire(timeout=LOOKS_AGAIN)
        if is_held:
            self._owner = threading.get_ident()
        held.append(is_held)
        return is_held

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        held: list[bool] = self._held.is_held
        if held.pop():
            if not any(held):
                self._owner = None
            self._lock.release()


def _waits(thread: int | None, other: int) -> bool:
    """Whether a thread waits for a module that another one is importing, or one that waits for the other does.

    Args:
        thread: The number of a thread, or None.
        other: The number of the other.
    """
    # What importlib itself looks for deadlocks in: a lock, or since Python 3.12 several, for each thread that waits.
    waiting: Any = getattr(sys.modules["_frozen_importlib"], "_blocking_on", {})
    seen: set[int | None] = set()
    while thread not in seen:
        seen.add(thread)
        locks = waiting.get(thread)
        last = locks[-1] if isinstance(locks, list) and locks else locks
        thread = getattr(last, "owner", None)
        if thread == other:
            return True
    return False
