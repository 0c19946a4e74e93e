"""Folders of pictures: what is in one and in those below it, for training and for predictions alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from lossreg.errors import DataError
from lossreg.inputs.pictures import SUFFIXES
from lossreg.values import one_line

_LITTER = ("thumbs.db", "desktop.ini")


def names_in(folder: Path) -> list[str]:
    """What is in a folder, sorted, without what is hidden.

    Raises:
        DataError: If it does not exist, or cannot be read.
    """
    label = one_line(str(folder))
    try:
        names = sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        raise DataError(f"{label} does not exist") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{label} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return [name for name in names if not name.startswith((".", "__MACOSX"))]


def pictures_in(folder: Path) -> tuple[list[Path], list[str]]:
    """The pictures in a folder and in those below it, links too, sorted by path; and the names of other files.

    Raises:
        DataError: If a link leads to a folder above it, or to nothing.
    """
    others: list[str] = []
    return list(_walk(folder, (), others)), others


def _walk(folder: Path, above: Sequence[tuple[int, int]], others: list[str]) -> Iterator[Path]:
    label = one_line(str(folder))
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        raise DataError(f"{label} is a link to a folder that it is in itself; remove the link")
    for name in names_in(folder):
        path = folder / name
        if path.is_dir():
            yield from _walk(path, (*above, here), others)
        elif not name.lower().endswith(SUFFIXES):
            others += [] if name.lower() in _LITTER else [name]
        elif path.is_file():
            yield path
        else:
            what = "a link to nothing" if path.is_symlink() else "not a regular file"
            raise DataError(f"{one_line(str(path))} is {what}")
