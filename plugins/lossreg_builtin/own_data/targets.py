"""What is predicted: classes or numbers, told from the values unless the task is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import attrs
import numpy as np

from lossreg.data import Scaling
from lossreg.errors import DataError
from lossreg.inputs.tables import Texts
from lossreg.values import one_line, shown

Task = Literal["classification", "regression", "multilabel"]
FEW = 20  # different whole numbers that are taken for classes
MOST = 1000  # classes
EXACT = 2**53  # the greatest whole number up to which float64 has all

Array = np.ndarray[Any, Any]


@attrs.frozen(eq=False)
class Target:
    """What is predicted.

    Attributes:
        task: `classification`, `regression` or `multilabel`.
        values: Class indices (int64), or numbers (float64), `(N,)` or `(N, numbers)`; of a multilabel classification 0
            and 1, `(N, classes)`.
        class_names: Of a classification.
        reason: Why it is this task, as a sentence.
        is_text: Whether the classes are texts.
    """

    task: Task
    values: Array
    class_names: tuple[str, ...] | None
    reason: str
    is_text: bool = False

    @property
    def classes(self) -> Array | None:
        """The class of each sample, by which a split is stratified."""
        return self.values if self.task == "classification" else None


def check_task(task: str | None, *others: str) -> None:
    """Checks what was asked for.

    Args:
        task: The word.
        others: Words that it may be beside `classification` and `regression`.

    Raises:
        DataError: If it is none of them.
    """
    words = ("classification", "regression", *others)
    if task not in (None, *words):
        raise DataError(f"task={shown(task)} is not one of {', '.join(words[:-1])} and {words[-1]}")


def target_of_texts(cells: Texts, name: str, label: str) -> Target:
    """Texts as classes, sorted by name.

    Args:
        cells: None is missing.
        name: What holds them, in a message.
        label: The file, in a message.

    Raises:
        DataError: If there is one class alone, or there are too many.
    """
    used = np.bincount(cells.codes, minlength=len(cells.words)) > 0
    names = sorted(word for word, is_used in zip(cells.words, used, strict=True) if is_used)
    check_classes(names, len(cells.codes), name, label)
    places = {word: place for place, word in enumerate(names)}
    codes = np.array([places.get(word, -1) for word in cells.words], dtype=np.int64)
    reason = f"{name} holds text: a classification of {len(names)} classes"
    return Target("classification", codes[cells.codes], tuple(names), reason, is_text=True)


def target_of_numbers(values: Array, name: str, label: str, task: Task | None, *, is_whole: bool) -> Target:
    """Numbers as classes where they are few whole numbers, unless the task is given.

    Args:
        values: `(N,)`; all are finite.
        name: What holds them, in a message.
        label: The file, in a message.
        task: As it was asked for; None is told from the numbers.
        is_whole: Whether the file has whole numbers.

    Raises:
        DataError: If there is one class alone, or there are too many.
    """
    if task == "regression" or (task is None and not is_whole):
        reason = "task says so" if task else f"{name} holds floating-point numbers"
        other = "" if task else " (task='classification' makes classes of them)"
        return Target("regression", values, None, f"{reason}: a regression{other}")
    different, codes = numbered(values)
    if task is None and (len(different) > FEW or 2 * len(different) > len(values)):
        reason = f"{name} has {len(different):,} different whole numbers in {len(values):,} samples"
        return Target(
            "regression", values, None, f"{reason}: a regression (task='classification' makes classes of them)"
        )
    if max(abs(different[0]), abs(different[-1])) > EXACT:
        raise DataError(
            f"{label}: {name} holds {different[-1]:.0f}, and whole numbers of this size are not told apart; write "
            "classes as text"
        )
    names = names_of(different)
    check_classes(names, len(values), name, label)
    reason = "task says so" if task else f"{name} has {len(names)} different whole numbers"
    other = "" if task else " (task='regression' predicts the number)"
    return Target("classification", codes, tuple(names), f"{reason}: a classification of {len(names)} classes{other}")


def numbered(values: Array) -> tuple[Array, Array]:
    """The different numbers, sorted, and the place of each value among them."""
    low, high = values.min(), values.max()
    shifted = (values - low).astype(np.int64) if high - low <= 1 << 16 else None
    if shifted is None or not np.array_equal(shifted, values - low):
        return np.unique(values, return_inverse=True)
    is_there = np.bincount(shifted) > 0
    return np.flatnonzero(is_there) + low, (np.cumsum(is_there) - 1)[shifted]


def names_of(numbers: Array) -> list[str]:
    """Numbers as the names of classes: whole ones without decimals."""
    return [str(int(one)) if float(one).is_integer() else repr(float(one)) for one in numbers]


def check_classes(names: Sequence[str], count: int, name: str, label: str) -> None:
    """Checks that there are at least two classes, and not too many.

    Raises:
        DataError: If not.
    """
    if len(names) < 2:
        raise DataError(f"{label}: {name} is {shown(names[0])} in all {count:,} samples; two classes are needed")
    if len(names) > MOST or (len(names) > FEW and 2 * len(names) > count):
        raise DataError(
            f"{label}: {name} has {len(names):,} different values in {count:,} samples, such as {shown(names[0])} and "
            f"{shown(names[1])}: too many for classes"
        )


def standardised(train: Array, test: Array) -> tuple[Array, Array, Scaling]:
    """The numbers of both splits `(N, numbers)`, by mean and standard deviation of the training split; float32.

    Args:
        train: `(N,)` or `(N, numbers)`, float64.
        test: The same.
    """
    train, test = train.reshape(len(train), -1), test.reshape(len(test), -1)
    mean, std = train.mean(axis=0), train.std(axis=0)
    std = np.where(std > 0, std, 1.0)
    return ((train - mean) / std).astype(np.float32), ((test - mean) / std).astype(np.float32), Scaling(mean, std)


def constant_labels(train: Array, names: Sequence[str]) -> list[str]:
    """A sentence for each class that all training rows have, or none has.

    Args:
        train: 0 and 1, `(N, classes)`.
        names: Of the classes.
    """
    same = (train == train[0]).all(axis=0)
    return [
        f"{one_line(names[place])} is {train[0, place]:g} in all training rows: there is nothing to learn"
        for place in np.flatnonzero(same).tolist()
    ]


def constant(train: Array, name: str) -> list[str]:
    """A sentence if the numbers to be predicted are one and the same.

    Args:
        train: Those of the training split, `(N,)` or `(N, numbers)`.
        name: What holds them.
    """
    if (train != train[0]).any():
        return []
    value = ", ".join(f"{one:g}" for one in train[0].reshape(-1)[:3])
    return [f"{one_line(name)} is {value} in all training samples: there is nothing to learn"]
