"""Files of unknown origin: opened so that nothing is waited for and no link is followed; JSON within bounds."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn, ParamSpec, TypeVar

from lossreg.values import one_line, shortened

P = ParamSpec("P")
T = TypeVar("T")

_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)  # a pipe without a writer would be waited for
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_PART = 1 << 20  # bytes

MAX_DEPTH = 200  # lists and objects within each other
_MAX_DIGITS = 20  # of a whole number; those of 64 bits have no more

_TEXTS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def retried(function: Callable[P, T], *arguments: P.args, **keywords: P.kwargs) -> T:
    """The value of a system call, which is made again when a signal interrupts it. Python does so for some of them."""
    while True:
        try:
            return function(*arguments, **keywords)
        except InterruptedError:
            continue


def read_parts(path: Path) -> Iterator[bytes]:
    """The bytes of a regular file.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is a link, a pipe, a device or a directory.
    """
    descriptor = open_regular_file(path)
    try:
        while part := retried(os.read, descriptor, _PART):
            yield part
    finally:
        os.close(descriptor)


def open_regular_file(path: Path) -> int:
    """The descriptor of a regular file.

    Raises:
        OSError: If it cannot be opened.
        ValueError: If it is a link, a pipe, a device or a directory.
    """
    mode = path.lstat().st_mode
    if not stat.S_ISREG(mode):
        raise ValueError(f"it is {_name_of(mode)}, not a regular file")
    descriptor = retried(os.open, path, _FLAGS)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError("it is not a regular file")
    return descriptor


def read_bytes(path: Path, most: int) -> bytes:
    """The bytes of a regular file.

    Args:
        path: The file.
        most: Bytes that it may have.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is longer, or is not a regular file.
    """
    parts, length = [], 0
    for part in read_parts(path):
        parts.append(part)
        length += len(part)
        if length > most:
            raise ValueError(f"it is longer than the {most} bytes that it may have")
    return b"".join(parts)


def read_json(data: bytes) -> Any:
    """The value of a JSON text: no deeper than `MAX_DEPTH`, no name twice, no NaN, no number without end.

    Raises:
        ValueError: If it is not that.
    """
    check_depth(data)
    try:
        return json.loads(data, object_pairs_hook=_object, parse_int=_whole_number, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise ValueError("it is not text") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error.msg} at character {error.pos}") from error


def check_depth(data: bytes) -> None:
    """Checks that a JSON text is no deeper than `MAX_DEPTH`: what is deeper cannot even be shown.

    Raises:
        ValueError: If it is.
    """
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return  # as of nearly all
    left = _TEXTS.sub(b"", data).translate(None, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):  # each time without what holds nothing more
        before, left = left, left.replace(b"[]", b"").replace(b"{}", b"")
        if left == before:
            break
    if left:
        raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")


def why_unreadable(error: Exception) -> str:
    """What an error says of a file, on one line of a sensible length."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = shortened(one_line(" ".join(str(error).split())).removeprefix("Error while deserializing header: "))
    has_words = isinstance(error, ValueError) or type(error).__name__ == "SafetensorError"
    return text if has_words and text else f"{type(error).__name__}: {text}"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("it has a name twice in one object")
    return table


def _whole_number(text: str) -> int:
    if len(text) > _MAX_DIGITS + 1:
        raise ValueError(f"it has a number of {len(text)} digits")
    return int(text)


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"it has {text}, which is not JSON")


def _name_of(mode: int) -> str:
    names = {stat.S_IFLNK: "a link", stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return names.get(stat.S_IFMT(mode), "a device")
