"""Finds the pictures of a folder: which classes there are, and which pictures are for testing."""

from __future__ import annotations

from pathlib import Path

import attrs

from lossreg.errors import DataError
from lossreg.inputs.folders import names_in, pictures_in
from lossreg.inputs.pictures import SUFFIXES
from lossreg.inputs.tables import listed
from lossreg.suggestions import did_you_mean
from lossreg.values import counted, one_line

TRAIN = "train"
HELD = ("test", "val", "valid", "validation")  # of several, the first is for testing


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
    if root.is_file():
        raise DataError(f"{label} is a file; root is the folder that holds a folder for each class")
    folders = _folders(root)
    notes: list[str] = []
    if TRAIN not in folders or not set(folders) <= {TRAIN, *HELD} or not _folders(root / TRAIN):
        classes, train = _classes(root, label, notes)
        return Found(classes, train, None, notes)
    classes, train = _classes(root / TRAIN, f"{label}/{TRAIN}", notes)
    held = [name for name in HELD if name in folders]
    if not held:
        return Found(classes, train, None, notes)
    where = f"{label}/{held[0]}"
    test = []
    for name in _folders(root / held[0]):
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
        notes.append(f"not read: {listed(held[1:])}; validate (--validate) holds out some of the training pictures")
    return Found(classes, train, test, notes, where)


def _classes(root: Path, label: str, notes: list[str]) -> tuple[tuple[str, ...], list[tuple[Path, int]]]:
    """The classes, and the pictures with the class index of each."""
    classes = _folders(root)
    beside = [name for name in names_in(root) if name not in classes and name.lower().endswith(SUFFIXES)]
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


def _folders(folder: Path) -> list[str]:
    return [name for name in names_in(folder) if (folder / name).is_dir()]


def _pictures(folder: Path, notes: list[str]) -> list[Path]:
    """The pictures in a folder and in those below it, sorted by path."""
    found, others = pictures_in(folder)
    if others:
        label = one_line(str(folder))
        notes.append(
            f"{label}: not read: {counted(len(others), 'file')} without the name of a picture, "
            f"such as {one_line(others[0])}"
        )
    return found
