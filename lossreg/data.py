"""What a data set's factory returns."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import attrs

from lossreg.errors import DataError

if TYPE_CHECKING:
    import torch
    from torch.utils.data import Dataset

    Split: TypeAlias = "tuple[torch.Tensor, torch.Tensor] | Dataset[Any]"

Task = Literal["classification", "regression", "segmentation"]
TASKS = ("classification", "regression", "segmentation")


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


@attrs.frozen(eq=False)
class Data:
    """A training and a test split with the facts that models and losses need.

    Attributes:
        train: The split to train on: a pair of tensors `(inputs, targets)`, or a map-style
            `torch.utils.data.Dataset` of such pairs.
        test: The split to evaluate on, of the same form.
        task: `"classification"` (targets `(N,)`, int64), `"segmentation"` (targets `(N, *)`, int64) or
            `"regression"` (targets `(N, out_features)`, or `(N,)` for one number; floating point).
        in_shape: Shape of one input, without the batch: `(1, 28, 28)` for a grey image, `(10,)` for a table's row.
        num_classes: How many classes there are; classification and segmentation need it.
        out_features: How many numbers are predicted; regression needs it.
        input_scaling: How the inputs were made from raw ones, for predictions of other inputs; the raw ones of an image
            are `[0, 1]`. None is not known.
        target_scaling: The same for the targets of a regression: predictions are told as raw numbers.

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

    def __attrs_post_init__(self) -> None:
        if self.task not in TASKS:
            raise DataError(f"a data set's task is one of {', '.join(TASKS)}, not {self.task!r}")
        needed = "out_features" if self.task == "regression" else "num_classes"
        count = getattr(self, needed)
        if not _is_count(count):
            raise DataError(f"a data set for {self.task} needs {needed}, a whole number of at least 1, not {count!r}")
        if not all(map(_is_count, self.in_shape)):
            raise DataError(f"in_shape is the shape of one input, such as (1, 28, 28), not {self.in_shape!r}")
        self._check_scaling("input_scaling", self.in_shape[0] if self.in_shape else 1)
        self._check_scaling("target_scaling", self.outputs)

    def _check_scaling(self, name: str, size: int) -> None:
        scaling = getattr(self, name)
        if scaling is None:
            return
        if not isinstance(scaling, Scaling):
            raise DataError(f"{name} is a lossreg.Scaling, or None, not {scaling!r}")
        if name == "target_scaling" and self.task != "regression":
            raise DataError(f"target_scaling is for a regression; a {self.task} predicts classes")
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
