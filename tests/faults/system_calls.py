"""System calls of this process that fail, stop it, or are told of, at a place that a test chooses."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

#: The calls that writing and removing checkpoints makes, by their names in `os`.
CALLS = ("open", "write", "fsync", "rename", "mkdir", "unlink", "rmdir", "scandir", "listdir", "read", "lstat", "close")

Before = Callable[[int, str, tuple[Any, ...]], None]


@contextlib.contextmanager
def watched(
    before: Before, after: Callable[[str, tuple[Any, ...], dict[str, Any], Any], None] | None = None
) -> Iterator[None]:
    """Has a function called before each system call, with its number from 0, its name and its arguments.

    Args:
        before: May raise, or end the process.
        after: Is given the name, the arguments and the result.
    """
    real = {name: getattr(os, name) for name in CALLS}
    count, is_busy = 0, False  # the functions that are called make calls of their own

    def replaced(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            nonlocal count, is_busy
            if is_busy:
                return real[name](*arguments, **keywords)
            is_busy, number, count = True, count, count + 1
            try:
                before(number, name, arguments)
            finally:
                is_busy = False
            result = real[name](*arguments, **keywords)
            if after is not None:
                is_busy = True
                after(name, arguments, keywords, result)
                is_busy = False
            return result

        return call

    for name in CALLS:
        setattr(os, name, replaced(name))
    try:
        yield
    finally:
        for name, function in real.items():
            setattr(os, name, function)


def calls_of(function: Callable[[], object]) -> list[str]:
    """The names of the system calls that a function makes."""
    made: list[str] = []
    with watched(lambda _number, name, _arguments: made.append(name)):
        function()
    return made


@contextlib.contextmanager
def failing(at: int, number: int, *, stays: bool) -> Iterator[None]:
    """Has the system call at a place fail.

    Args:
        at: Which one, from 0.
        number: The error's, such as `errno.ENOSPC`.
        stays: Whether those behind it that write fail too, as on a disk that stays full.
    """

    def fail(count: int, name: str, arguments: tuple[Any, ...]) -> None:
        is_writing = name not in ("read", "lstat", "close", "listdir", "scandir")
        if name == "close":
            return  # what it returns says nothing of what was written and synced
        if count == at or (stays and count > at and is_writing):
            raise OSError(number, os.strerror(number), *arguments[:1])

    with watched(fail):
        yield
