"""What a data set's factory returns."""

from __future__ import annotations

import operator
from collections.abc import Iterable
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

    def __attrs_post_init__(self) -> None:
        if self.task not in TASKS:
            raise DataError(f"a data set's task is one of {', '.join(TASKS)}, not {self.task!r}")
        needed = "out_features" if self.task == "regression" else "num_classes"
        count = getattr(self, needed)
        if not _is_count(count):
            raise DataError(f"a data set for {self.task} needs {needed}, a whole number of at least 1, not {count!r}")
        if not all(map(_is_count, self.in_shape)):
            raise DataError(f"in_shape is the shape of one input, such as (1, 28, 28), not {self.in_shape!r}")

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

    def facts(self) -> dict[str, int]:
        """The runtime arguments that models may ask for, by their runtime names."""
        return {
            "in_features": self.in_features,
            "in_channels": self.in_shape[0] if self.in_shape else 1,
            "num_classes": self.outputs,
            "out_features": self.outputs,
        }
