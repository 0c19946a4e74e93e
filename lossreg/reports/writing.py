"""Where a page is written: whole or not at all, and over nothing but a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lossreg.errors import ConfigError
from lossreg.training.record.outputs import check_output, output_file, written
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


def check_place(named: Sequence[str], out: str | None) -> Path:
    """Where the page goes, after checking that it can go there.

    Args:
        named: The runs, as they were named.
        out: The file, or None for the default one.

    Raises:
        ConfigError: If no file can be there, its name is that of a picture, or a file is there that is not a page: a
            mistyped name must not cost a record.
    """
    place = default_place(named) if out is None else output_file(out, "--out")
    if out is None:
        check_output(place, one_line(str(place)))
    try:
        if place.suffix.lower() in _PICTURES and not place.exists():
            raise ConfigError(
                f"{one_line(str(place))} is not a name for a page, which is HTML; name {place.stem}.html, for example"
            )
        if place.exists() and not _is_replaceable(place):
            raise ConfigError(f"{one_line(str(place))} exists and is not a page; name another file with --out")
    except OSError as error:
        raise ConfigError(f"{one_line(str(place))} cannot be used: {error.strerror}; name another file") from error
    return place


def write_page(place: Path, page: str) -> None:
    """Writes a page; what was there before stays until it is whole.

    Raises:
        ConfigError: If it cannot be written.
    """
    with written(place) as partial:
        partial.write_bytes(page.encode())


def _is_replaceable(place: Path) -> bool:
    with place.open("rb") as stream:
        beginning = stream.read(len(_BEGINNING))
    return not beginning or beginning.lower() == _BEGINNING
