"""Which samples are for testing, where the files do not say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lossreg.errors import DataError
from lossreg.inputs.tables import listed
from lossreg.values import shown

SHARE = 0.2  # of the samples, for testing, unless it is said
FEW = 16  # classes that are looked for one by one, which is faster than sorting

Mask = np.ndarray[Any, np.dtype[np.bool_]]


def check_share(test: float, seed: int) -> None:
    """Checks what decides a split.

    Raises:
        DataError: If one of them is out of range.
    """
    if not 0 < test < 1:
        raise DataError(f"test={shown(test)} is not a share of the samples above 0 and below 1, such as 0.2")
    if seed < 0:
        raise DataError(f"seed={seed} is below 0")


def check_unused(test: float, seed: int, where: str) -> None:
    """Checks that nothing is said of a share where the data have samples for testing.

    Args:
        test: The share.
        seed: What draws it.
        where: What holds those samples, in a message.

    Raises:
        DataError: If one of them is not its default.
    """
    for name, value, default in (("test", test, SHARE), ("seed", seed, 0)):
        if value != default:
            raise DataError(f"{name}={shown(value)} has no effect: the samples for testing are {where}; leave it out")


def untested(classes: np.ndarray[Any, Any] | None, names: Sequence[str] | None) -> list[str]:
    """A sentence if classes have one sample alone, which is trained on.

    Args:
        classes: The class index of each sample, or None.
        names: Of the classes.
    """
    alone = [] if classes is None or names is None else np.flatnonzero(np.bincount(classes) == 1).tolist()
    if not alone or names is None:
        return []
    which = listed([names[code] for code in alone])
    if len(alone) == 1:
        return [f"the class {which} has one sample alone, which is trained on: the class is not tested"]
    return [f"{len(alone):,} classes have one sample alone, which is trained on: they are not tested: {which}"]


def test_samples(count: int, test: float, seed: int, classes: np.ndarray[Any, Any] | None) -> Mask:
    """Draws the samples for testing, by `numpy.random.default_rng(seed)`.

    Of each class as many as its share says, rounded, but at least one, and not all; of a class with a single sample
    none. Without classes the same holds for all samples together.

    Args:
        count: How many samples there are.
        test: The share of them that is for testing.
        seed: Another seed is another split.
        classes: The class index of each sample, or None.

    Returns:
        For each sample whether it is for testing.
    """
    generator = np.random.default_rng(seed)
    chosen = np.zeros(count, dtype=bool)
    for members in [np.arange(count)] if classes is None else _members(classes):
        size = len(members)
        wanted = min(max(round(size * test), 1), size - 1)
        if size > 1:
            chosen[members[generator.choice(size, wanted, replace=False, shuffle=False)]] = True
    return chosen


def _members(classes: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """The samples of each class, in the order of the classes."""
    counts = np.bincount(classes)
    if len(counts) <= FEW:
        return [part for code in range(len(counts)) if len(part := np.flatnonzero(classes == code))]
    narrow = classes.astype(np.int16) if len(counts) < 1 << 15 else classes  # sorted in linear time
    order = np.argsort(narrow, kind="stable")
    return [part for part in np.split(order, np.cumsum(counts)[:-1]) if len(part)]


def facts_of(test: float, seed: int, *, stratified: bool) -> dict[str, Any]:
    """For the run record."""
    return {"by": "seed", "test": test, "seed": seed, "stratified": stratified}
