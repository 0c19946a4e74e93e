"""Finds the pictures of a folder: which classes there are, and which pictures are for testing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from lossreg.errors import DataError
from lossreg.inputs.pictures import SUFFIXES
from lossreg.inputs.tables import listed
from lossreg.suggestions import did_you_mean
from lossreg.values import counted, one_line

TRAIN = "train"
HELD = ("test", "val", "valid", "validation")  # of several, the first is for testing
_LITTER = ("thumbs.db", "desktop.ini")


@attrs.frozen
class Found:
    """The pictures of a folder.

    Attributes:
        classes: The names of their folders, sorted.
        train: Pictures with the class index of each.
        test: The same for testing; None where no folder is for that.
        held: Their folder, in a message; empty where there is none.
        notes: Sentences on what was left out.
    """

    classes: tuple[str, ...]
    train: list[tuple[Path, int]]
    test: list[tuple[Path, int]] | None
    notes: list[str]
    held: str = ""


def find_pictures(root: Path) -> Found:
    """Finds the pictures of each class, in the folders of the classes and in folders below these.

    Args:
        root: `root/CLASS/*.png`, or `root/train/CLASS/*.png` with `root/test/CLASS/*.png`.

    Raises:
        DataError: If there are no classes or no pictures, or a class is in the test folder alone.
    """
    label = one_line(str(root))
    folders = _folders(root, label)
    notes: list[str] = []
    if TRAIN not in folders or not set(folders) <= {TRAIN, *HELD} or not _folders(root / TRAIN, label):
        classes, train = _classes(root, label, notes)
        return Found(classes, train, None, notes)
    classes, train = _classes(root / TRAIN, f"{label}/{TRAIN}", notes)
    held = [name for name in HELD if name in folders]
    if not held:
        return Found(classes, train, None, notes)
    where = f"{label}/{held[0]}"
    test = []
    for name in _folders(root / held[0], where):
        if name not in classes:
            raise DataError(
                f"{where}/{one_line(name)} is a class that is not in {label}/{TRAIN}.{did_you_mean(name, classes)} Its "
                f"classes: {listed(classes)}"
            )
        test += [(path, classes.index(name)) for path in _pictures(root / held[0] / name, notes)]
    if not test:
        raise DataError(f"{where} holds no pictures")
    if held[0] != "test":
        notes.append(f"{where} is for testing: there is no folder test")
    if len(held) > 1:
        notes.append(f"not read: {listed(held[1:])}; --validate holds out some of the training pictures")
    return Found(classes, train, test, notes, where)


def _classes(root: Path, label: str, notes: list[str]) -> tuple[tuple[str, ...], list[tuple[Path, int]]]:
    """The classes, and the pictures with the class index of each."""
    classes = _folders(root, label)
    beside = [name for name in _names(root, label) if name not in classes and name.lower().endswith(SUFFIXES)]
    if not classes:
        found = f" (it holds {counted(len(beside), 'picture')}, such as {one_line(beside[0])})" if beside else ""
        raise DataError(f"{label} has no folder for each class, such as {label}/cat and {label}/dog{found}")
    if beside:
        notes.append(
            f"not read: {counted(len(beside), 'picture')} beside the folders of the classes, "
            f"such as {one_line(beside[0])}"
        )
    found_pictures = []
    for index, name in enumerate(classes):
        pictures = _pictures(root / name, notes)
        if not pictures:
            raise DataError(
                f"{label}/{one_line(name)}, the folder of a class, holds no pictures: their names end in "
                f"{', '.join(SUFFIXES)}"
            )
        found_pictures += [(path, index) for path in pictures]
    if len(classes) == 1:
        raise DataError(f"{label} has one class alone, {one_line(classes[0])}; two are needed")
    return tuple(classes), found_pictures


def _names(folder: Path, label: str) -> list[str]:
    """What is in a folder, sorted, without what is hidden."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        raise DataError(f"{label} does not exist") from None
    except NotADirectoryError:
        raise DataError(f"{label} is a file; root is the folder that holds a folder for each class") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{label} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return [name for name in names if not name.startswith((".", "__MACOSX"))]


def _folders(folder: Path, label: str) -> list[str]:
    return [name for name in _names(folder, label) if (folder / name).is_dir()]


def _pictures(folder: Path, notes: list[str]) -> list[Path]:
    """The pictures in a folder and in those below it, sorted by path."""
    others: list[str] = []
    found = list(_walk(folder, (), others))
    if others:
        label = one_line(str(folder))
        notes.append(
            f"{label}: not read: {counted(len(others), 'file')} without the name of a picture, "
            f"such as {one_line(others[0])}"
        )
    return found


def _walk(folder: Path, above: Sequence[tuple[int, int]], others: list[str]) -> Iterator[Path]:
    """Goes through a folder and its folders, links too.

    Raises:
        DataError: If a link leads to a folder above it, or to nothing.
    """
    label = one_line(str(folder))
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        raise DataError(f"{label} is a link to a folder that it is in itself; remove the link")
    for name in _names(folder, label):
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
