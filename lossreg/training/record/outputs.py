"""A file that a command writes, such as a picture or a page: checked before anything is read, whole or not there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from lossreg.errors import ConfigError
from lossreg.training.record.directory import CHECKPOINTS, CLAIM, replacing, sweep_partials
from lossreg.values import one_line, shown

#: A file that tells what a directory is -> what that is, and its files: no command writes over them.
RECORDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "run.json": (
        "run",
        ("run.json", "metrics.jsonl", "model.safetensors", "loss.safetensors", "model.pt", "loss.pt", CLAIM),
    ),
    "compare.json": ("comparison", ("compare.json", "compare.csv", ".compare.lock")),
}


def output_file(name: str | os.PathLike[str], option: str, inputs: Iterable[str | os.PathLike[str]] = ()) -> Path:
    """Where a file goes that an option names; `~` is the home directory.

    Args:
        name: As it was written.
        option: What named it, for messages: `--out`.
        inputs: Files that the command reads.

    Raises:
        ConfigError: If it is empty, no file can be there, or what is there is one of the inputs or of a run's record.
    """
    text = os.fspath(name)
    if not text:
        raise ConfigError(f"{option} is empty; name a file, or leave the option out")
    try:
        place = Path(text).expanduser() if text.startswith("~") else Path(text)
    except RuntimeError as error:
        raise ConfigError(f"{option} {shown(text)} cannot be used: {error}") from error
    check_output(place, f"{option} {shown(text)}")
    for one in inputs:
        if _is_same(place, Path(one)):
            raise ConfigError(f"{option} {shown(text)} is one of the inputs, which would be lost; name another file")
    return place


def _is_same(place: Path, other: Path) -> bool:
    try:
        return place.samefile(other)
    except (OSError, ValueError):  # one of them does not exist, or is no name
        return False


def check_output(place: Path, named: str) -> None:
    """Checks that a file can be at a place.

    Args:
        place: Where it shall be.
        named: What messages call it.

    Raises:
        ConfigError: If it is a directory, a device or no name, its directory does not exist, or it belongs to the
            record of a run or a comparison.
    """
    if "\0" in str(place):
        raise ConfigError(f"{named} is not the name of a file: it has a null byte")
    try:
        # os.path is False for some names for which a Path raises.
        if os.path.isdir(place):  # noqa: PTH112  # see above
            raise ConfigError(f"{named} is a directory; name a file in it")
        if not os.path.isdir(place.parent):  # noqa: PTH112  # see above
            raise ConfigError(f"{named}: there is no directory {one_line(str(place.parent))}; make it first")
        if place.exists() and not place.is_file():
            raise ConfigError(f"{named} is not a regular file; name another")
        _check_no_record(place, named)
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{named} cannot be used: {getattr(error, 'strerror', None) or error}") from error


def _check_no_record(place: Path, named: str) -> None:
    """Checks that a file is not, and would not be, one of those that a past run or comparison is read from."""
    folder = place.parent.resolve()
    kept = next((one for one in (folder, *folder.parents) if one.name == CHECKPOINTS and _is_run(one.parent)), None)
    if kept is not None:
        raise ConfigError(f"{named} is among the checkpoints of the run in {_text(kept.parent)}; name another file")
    for marker, (what, files) in RECORDS.items():
        if not (_is_run(folder) if what == "run" else (folder / marker).exists()):
            continue
        if any(_is_named(folder / place.name, one) for one in files):
            raise ConfigError(
                f"{named} is a file of the {what} in {_text(folder)} itself, which could not be read any more; name "
                "another file"
            )


def _is_run(folder: Path) -> bool:
    return (folder / "run.json").exists() or (folder / CLAIM).exists()


def _is_named(place: Path, name: str) -> bool:
    """Whether a place is that of a name, also by a name in other case, or by a link."""
    return place.name == name or _is_same(place, place.with_name(name))


def _text(path: Path) -> str:
    return one_line(str(path))


@contextlib.contextmanager
def written(place: Path) -> Iterator[Path]:
    """A file to write to, which takes its place only when it is whole; what was there stays until then.

    Raises:
        ConfigError: If it cannot be written.
    """
    try:
        sweep_partials(place.parent, place.name)
        with replacing(place) as partial:
            yield partial
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"{one_line(str(place))} cannot be written: {why}; name another file") from error
