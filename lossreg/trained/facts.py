"""What run.json tells of the data set, of which the model was built and for which it predicts. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs

from lossreg.data import TASKS, Column, Scaling, Task
from lossreg.errors import ConfigError
from lossreg.training.record.files import to_count, to_text
from lossreg.training.record.reading import PastRun
from lossreg.training.record.run_json import NAME
from lossreg.values import one_line

MAX_SIZE = 1 << 40  # numbers in one input; more is no size that a run had


@attrs.frozen
class DataFacts:
    """The data set of a run, as its record tells of it.

    Attributes:
        task: `classification`, `regression`, `segmentation` or `multilabel`.
        in_shape: The shape of one input, without the batch.
        outputs: Classes, or numbers to predict.
        in_dtype: Of the inputs, such as `float32`; None if an older run does not tell.
        input_scaling: How the inputs were made from raw ones; None if that is not known.
        target_scaling: The same for the targets of a regression.
        samples: Split -> how many samples it had.
        class_names: What each class is called; None are the class indices.
        columns: The columns of the table that the inputs were rows of; None where they were not.
        resized: Whether pictures of any size were resized to `in_shape`.
    """

    task: Task
    in_shape: tuple[int, ...]
    outputs: int
    in_dtype: str | None
    input_scaling: Scaling | None
    target_scaling: Scaling | None
    samples: Mapping[str, int]
    class_names: tuple[str, ...] | None = None
    columns: tuple[Column, ...] | None = None
    resized: bool = False

    @classmethod
    def of(cls, run: PastRun) -> DataFacts:
        """Reads the table `data` of run.json.

        Raises:
            ConfigError: If something is missing, or is no size.
        """
        table = run.facts.get("data")
        table = table if isinstance(table, Mapping) else {}
        task, shape, outputs = table.get("task"), _shape(table.get("in_shape")), to_count(table.get("outputs"))
        if task not in TASKS or shape is None or not outputs or outputs > MAX_SIZE:
            file = one_line(str(run.directory / NAME))
            raise ConfigError(f"{file} does not tell what the model was built for: data has task, in_shape and outputs")
        samples = {name: count for name in ("train", "validation", "test") if (count := to_count(table.get(name)))}
        return cls(
            task,
            shape,
            outputs,
            to_text(table.get("in_dtype")),
            _scaling(table.get("input_scaling"), shape[0] if shape else 1),
            _scaling(table.get("target_scaling"), outputs),
            samples,
            _class_names(table.get("class_names"), outputs),
            _columns(table.get("columns"), shape),
            table.get("resized") is True,
        )

    @property
    def in_features(self) -> int:
        """How many numbers one input holds."""
        return math.prod(self.in_shape)

    def runtime(self, epochs: int, steps_per_epoch: int) -> dict[str, Any]:
        """What factories may ask for, by runtime names, as the run had it.

        Args:
            epochs: Of the run.
            steps_per_epoch: Of the run.
        """
        return {
            "epochs": epochs,
            "steps_per_epoch": steps_per_epoch,
            "total_steps": steps_per_epoch * epochs,
            "num_samples": self.samples.get("train", 0),
            "in_shape": self.in_shape,
            "in_features": self.in_features,
            "in_channels": self.in_shape[0] if self.in_shape else 1,
            "num_classes": self.outputs,
            "out_features": self.outputs,
        }


def _shape(value: Any) -> tuple[int, ...] | None:
    if not isinstance(value, list) or len(value) > 8:
        return None
    sizes = [to_count(size) for size in value]
    if not all(sizes) or math.prod(size for size in sizes if size) > MAX_SIZE:
        return None
    return tuple(size for size in sizes if size)


def _class_names(value: Any, classes: int) -> tuple[str, ...] | None:
    """What was recorded, if there is a text for each class."""
    fits = isinstance(value, list) and len(value) == classes and all(isinstance(name, str) for name in value)
    return tuple(value) if fits else None


def _columns(value: Any, shape: tuple[int, ...]) -> tuple[Column, ...] | None:
    """What was recorded, if the columns make an input of this shape."""
    found = [Column.from_json(one) for one in value] if isinstance(value, list) else []
    columns = tuple(column for column in found if column is not None)
    fits = len(columns) == len(found) and (sum(column.width for column in columns),) == shape
    return columns if fits else None


def _scaling(value: Any, size: int) -> Scaling | None:
    """What was recorded, if it can be used for so many channels, columns or numbers."""
    found = Scaling.from_json(value)
    return found if found is not None and found.fits(size) else None
