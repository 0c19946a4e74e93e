"""What a data set's factory returns."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import attrs

from lossreg.errors import DataError
from lossreg.values import shown

if TYPE_CHECKING:
    import torch
    from torch.utils.data import Dataset

    Split: TypeAlias = "tuple[torch.Tensor, torch.Tensor] | Dataset[Any]"

Task = Literal["classification", "regression", "segmentation", "multilabel"]
TASKS = ("classification", "regression", "segmentation", "multilabel")


def has_indices(task: Task) -> bool:
    """Whether the targets of a task are class indices."""
    return task in ("classification", "segmentation")


def task_text(task: Task) -> str:
    """A task in a sentence.

    Example:
        >>> task_text("multilabel"), task_text("regression")
        ('multilabel classification', 'regression')
    """
    return "multilabel classification" if task == "multilabel" else task


def _count(value: Any) -> Any:
    """A whole number of any kind (numpy has its own) as Python's; what is none is left for the check."""
    try:
        return value if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return value


def _shape(sizes: Iterable[int]) -> tuple[int, ...]:
    try:
        return tuple(map(_count, sizes))
    except TypeError:
        raise DataError(f"in_shape is the shape of one input, such as (1, 28, 28), not {sizes!r}") from None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _numbers(given: Any) -> Any:
    """Numbers of any kind as a tuple of floats; what is none is left for the check."""
    try:
        return tuple(float(one) for one in given) if isinstance(given, Iterable) else (float(given),)
    except (TypeError, ValueError):
        return given


def _is_plain(value: object) -> bool:
    """Whether JSON has a value."""
    import json  # few data sets tell where they came from

    try:
        return bool(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        return False


@attrs.frozen
class Scaling:
    """How a data set made its numbers from raw ones: `(raw - mean) / std`.

    Attributes:
        mean: What was taken off: one number, or one for each channel of an image or each column of a table.
        std: What that was divided by, of the same form.

    Raises:
        DataError: If a number is not finite, or a standard deviation not above 0.

    Example:
        >>> Scaling(mean=0.5, std=(0.25, 0.5)).to_json()
        {'mean': [0.5], 'std': [0.25, 0.5]}
    """

    mean: tuple[float, ...] = attrs.field(default=(0.0,), converter=_numbers)
    std: tuple[float, ...] = attrs.field(default=(1.0,), converter=_numbers)

    def __attrs_post_init__(self) -> None:
        for name, least in (("mean", -math.inf), ("std", 0.0)):
            numbers = getattr(self, name)
            if not (
                isinstance(numbers, tuple)
                and numbers
                and all(isinstance(one, float) and math.isfinite(one) and one > least for one in numbers)
            ):
                bound = " above 0" if name == "std" else ""
                raise DataError(f"{name} of a Scaling is a number{bound}, or several, not {numbers!r}")

    @classmethod
    def from_json(cls, value: Any) -> Scaling | None:
        """What `to_json` gave; None for anything else."""
        if not isinstance(value, Mapping) or not isinstance(value.get("mean"), list | tuple):
            return None
        try:
            return cls(value["mean"], value.get("std"))
        except DataError:
            return None

    def to_json(self) -> dict[str, list[float]]:
        """The numbers as plain values."""
        return {"mean": list(self.mean), "std": list(self.std)}

    def fits(self, size: int) -> bool:
        """Whether there is one number for each of `size` channels or columns, or one for all."""
        return {len(self.mean), len(self.std)} <= {1, size}


def _names(given: Any) -> Any:
    """A list of names as a tuple; what is none is left for the check."""
    return tuple(given) if isinstance(given, Iterable) and not isinstance(given, str | Mapping) else given


def _check_names(names: Any, what: str) -> None:
    """Checks that each is a text of its own."""
    if not isinstance(names, tuple) or not names or not all(isinstance(name, str) for name in names):
        raise DataError(f"{what} is a list of texts, not {shown(names)}")
    if len(set(names)) < len(names):
        raise DataError(f"{what} has {next(name for name in names if names.count(name) > 1)!r} twice")


@attrs.frozen
class Column:
    """A column of a table, and how its cells become numbers of an input.

    Attributes:
        name: As the table has it.
        categories: The texts that its cells may hold. A cell becomes a number for each of them: 1 for its own, 0 for
            the others. None is a column of numbers, each of which is taken as it is.
        optional: Whether a cell may be empty: it counts as the mean of its column, or as none of the categories.

    Raises:
        DataError: If a field is not of this kind.

    Example:
        >>> Column("colour", ("blue", "red")).width, Column("age").width
        (2, 1)
    """

    name: str
    categories: tuple[str, ...] | None = attrs.field(default=None, converter=attrs.converters.optional(_names))
    optional: bool = False

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise DataError(f"the name of a Column is a text, not {shown(self.name)}")
        if not isinstance(self.optional, bool):
            raise DataError(f"optional of column {self.name!r} is True or False, not {shown(self.optional)}")
        if self.categories is not None:
            _check_names(self.categories, f"categories of column {self.name!r}")

    @classmethod
    def from_json(cls, value: Any) -> Column | None:
        """What `to_json` gave; None for anything else."""
        if not isinstance(value, Mapping):
            return None
        try:
            return cls(value["name"], value.get("categories"), value.get("optional", False))
        except (DataError, KeyError):
            return None

    def to_json(self) -> dict[str, Any]:
        """The column as plain values."""
        categories = None if self.categories is None else list(self.categories)
        return {"name": self.name, "categories": categories, "optional": self.optional}

    @property
    def width(self) -> int:
        """How many numbers of an input a cell becomes."""
        return 1 if self.categories is None else len(self.categories)


@attrs.frozen(eq=False)
class Data:
    """A training and a test split with the facts that models and losses need.

    Attributes:
        train: The split to train on: a pair of tensors `(inputs, targets)`, or a map-style
            `torch.utils.data.Dataset` of such pairs.
        test: The split to evaluate on, of the same form.
        task: `"classification"` (targets `(N,)`, int64), `"segmentation"` (targets `(N, *)`, int64), `"multilabel"`
            (any number of classes each: targets `(N, num_classes)`, 0 or 1) or `"regression"` (targets
            `(N, out_features)`, or `(N,)` for one number; floating point).
        in_shape: Shape of one input, without the batch: `(1, 28, 28)` for a grey image, `(10,)` for a table's row.
        num_classes: How many classes there are; all tasks but regression need it.
        out_features: How many numbers are predicted; regression needs it.
        input_scaling: How the inputs were made from raw ones, for predictions of other inputs; the raw ones of an image
            are `[0, 1]`. None is not known.
        target_scaling: The same for the targets of a regression: predictions are told as raw numbers.
        class_names: What each class is called, in the order of the class indices; None are its indices.
        columns: The columns of the table that the inputs are rows of: predictions of other tables go by their names.
        resized: Whether pictures of any size were resized to `in_shape`, bilinearly; predictions do the same.
        source: Where the data came from, for the run record: JSON's values. `files`, a list of mappings with `path` and
            `sha256`, tells a repeat whether they have changed; `notes`, a list of sentences, is shown before a run.

    Raises:
        DataError: If a fact is missing or out of range.

    Example:
        >>> import torch
        >>> inputs, targets = torch.rand(8, 3), torch.rand(8, 1)
        >>> Data((inputs, targets), (inputs, targets), task="regression", in_shape=(3,), out_features=1).in_features
        3
    """

    train: Split = attrs.field(repr=False)
    test: Split = attrs.field(repr=False)
    task: Task
    in_shape: tuple[int, ...] = attrs.field(converter=_shape)
    num_classes: int | None = attrs.field(default=None, converter=_count)
    out_features: int | None = attrs.field(default=None, converter=_count)
    input_scaling: Scaling | None = None
    target_scaling: Scaling | None = None
    class_names: tuple[str, ...] | None = attrs.field(default=None, converter=attrs.converters.optional(_names))
    columns: tuple[Column, ...] | None = attrs.field(default=None, converter=attrs.converters.optional(_names))
    resized: bool = False
    source: Mapping[str, Any] = attrs.field(factory=dict, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.task not in TASKS:
            raise DataError(f"a data set's task is one of {', '.join(TASKS)}, not {self.task!r}")
        needed = "out_features" if self.task == "regression" else "num_classes"
        count = getattr(self, needed)
        if not _is_count(count):
            raise DataError(
                f"a data set for {task_text(self.task)} needs {needed}, a whole number of at least 1, not {count!r}"
            )
        if not all(map(_is_count, self.in_shape)):
            raise DataError(f"in_shape is the shape of one input, such as (1, 28, 28), not {self.in_shape!r}")
        self._check_scaling("input_scaling", self.in_shape[0] if self.in_shape else 1)
        self._check_scaling("target_scaling", self.outputs)
        self._check_named()

    def _check_named(self) -> None:
        """Checks what has a name."""
        if self.class_names is not None:
            _check_names(self.class_names, "class_names")
            if self.task == "regression" or len(self.class_names) != self.num_classes:
                classes = "no classes" if self.task == "regression" else f"{self.num_classes} classes"
                raise DataError(f"class_names has {len(self.class_names)} names, and the data set {classes}")
        if self.columns is not None:
            if not isinstance(self.columns, tuple) or not all(isinstance(one, Column) for one in self.columns):
                raise DataError(f"columns is a list of lossreg.Column, or None, not {shown(self.columns)}")
            width = sum(column.width for column in self.columns)
            if self.in_shape != (width,):
                raise DataError(f"columns make {width} numbers of a row, and in_shape is {self.in_shape}")
        if not isinstance(self.source, Mapping) or not _is_plain(self.source):
            raise DataError(f"source is a mapping of values that JSON has, not {shown(self.source)}")

    def _check_scaling(self, name: str, size: int) -> None:
        scaling = getattr(self, name)
        if scaling is None:
            return
        if not isinstance(scaling, Scaling):
            raise DataError(f"{name} is a lossreg.Scaling, or None, not {scaling!r}")
        if name == "target_scaling" and self.task != "regression":
            raise DataError(f"target_scaling is for a regression; a {task_text(self.task)} predicts classes")
        if not scaling.fits(size):
            raise DataError(
                f"{name} has one number, or {size}, one for each of them; it has {len(scaling.mean)} and "
                f"{len(scaling.std)}"
            )

    @property
    def in_features(self) -> int:
        """How many numbers one input holds."""
        features = 1
        for size in self.in_shape:
            features *= size
        return features

    @property
    def outputs(self) -> int:
        """How many numbers a model gives for one position: the classes, or the predicted numbers."""
        return (self.out_features if self.task == "regression" else self.num_classes) or 0

    def facts(self) -> dict[str, Any]:
        """The runtime arguments that models may ask for, by their runtime names."""
        return {
            "in_shape": self.in_shape,
            "in_features": self.in_features,
            "in_channels": self.in_shape[0] if self.in_shape else 1,
            "num_classes": self.outputs,
            "out_features": self.outputs,
        }
