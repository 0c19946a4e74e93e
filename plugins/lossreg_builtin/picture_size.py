"""The `size` of a data set of pictures: what it may be, told before anything is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lossreg.errors import DataError
from lossreg.machine import available_memory
from lossreg.values import shown

LARGEST = 2**14  # pixels of a side
MOST = 2**26  # pixels of a picture; pillow takes files of up to 1.3 times as many
ROOM = 64  # times a picture that the free memory holds: small_cnn keeps 30 times its numbers, and a batch has several

Size = int | Sequence[int] | None


def sides_of(size: Any, channels: int, memory: int | None = None) -> tuple[int, int] | None:
    """Height and width that every picture is resized to.

    Args:
        size: A side of squares in pixels, or `[height, width]`; None leaves pictures as they are.
        channels: What pictures are made of, 1 or 3.
        memory: Bytes that are free; None asks the system.

    Raises:
        DataError: If it is not a size, or a picture of it is too large.

    Example:
        >>> sides_of(64, 3), sides_of([48, 64], 1), sides_of(None, 3)
        ((64, 64), (48, 64), None)
    """
    if size is None:
        return None
    sides = tuple(size) if isinstance(size, Sequence) and not isinstance(size, str) else (size, size)
    if len(sides) != 2 or not all(
        isinstance(side, int) and not isinstance(side, bool) and 1 <= side <= LARGEST for side in sides
    ):
        raise DataError(
            f"size={shown(size)} is not a number of pixels such as 64, or [height, width], each of 1 to {LARGEST}"
        )
    height, width = sides
    if height * width > MOST:
        raise DataError(
            f"size={shown(size)} makes pictures of {height * width:,} pixels, and at most {MOST:,} are taken"
        )
    needed = 4 * channels * height * width  # bytes in float32
    free = available_memory() if memory is None else memory
    if ROOM * needed > free:
        raise DataError(
            f"size={shown(size)} makes pictures that take {needed / 1e6:,.0f} MB each, and training many times that: "
            f"{free / 1e6:,.0f} MB of memory are free, {free / needed:.1f} times as much, not {ROOM} times; write a "
            "smaller size"
        )
    return height, width
