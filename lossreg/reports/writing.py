"""Where a page is written: whole or not at all, and over nothing but a page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lossreg.errors import ConfigError
from lossreg.training.record.directory import replacing
from lossreg.training.record.run_json import NAME as RUN_JSON
from lossreg.values import one_line

PAGE = "report.html"
_BEGINNING = b"<!doctype html"
_PICTURES = (".pdf", ".png", ".svg")  # what a program that opens it by its name would not show


def default_place(named: Sequence[str]) -> Path:
    """Where the page goes: into the directory that it is about; of several, into the working directory."""
    if len(named) > 1:
        return Path(PAGE)
    place = Path(named[0])
    return (place.parent if place.name == RUN_JSON and not place.is_dir() else place) / PAGE


def check_place(place: Path) -> None:
    """Checks before anything is read that a page can go there.

    Raises:
        ConfigError: If it is a directory, a device, or a file that is not a page: a mistyped name must not cost a
            record; if its directory does not exist; or if its name is that of a picture.
    """
    try:
        if not os.path.lexists(place):
            if not place.parent.is_dir():
                raise _unusable(place, f"cannot be written: there is no directory {one_line(str(place.parent))}")
            if place.suffix.lower() in _PICTURES:
                raise _unusable(place, f"is no name for a page, which is HTML; name {place.stem}.html, for example")
        elif place.is_dir():
            raise _unusable(place, f"is a directory; name a file in it, such as {one_line(str(place / PAGE))}")
        elif place.exists() and not place.is_file():
            raise _unusable(place, "is not a regular file; name another with --out")
        elif place.exists() and not _is_replaceable(place):
            raise _unusable(place, "exists and is not a page; name another file with --out, or remove it")
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise _unusable(place, f"cannot be used: {getattr(error, 'strerror', None) or error}") from error


def write_page(place: Path, page: str) -> None:
    """Writes a page; what was there before stays until it is whole.

    Raises:
        ConfigError: If it cannot be written.
    """
    try:
        with replacing(place) as partial:
            partial.write_bytes(page.encode())
    except (OSError, ValueError) as error:
        raise _unusable(place, f"cannot be written: {getattr(error, 'strerror', None) or error}") from error


def _is_replaceable(place: Path) -> bool:
    with place.open("rb") as stream:
        beginning = stream.read(len(_BEGINNING))
    return not beginning or beginning.lower() == _BEGINNING


def _unusable(place: Path, why: str) -> ConfigError:
    return ConfigError(f"{one_line(str(place))} {why}")
