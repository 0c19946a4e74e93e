"""Arrays as inputs of a model: which of several is meant, and how the shape of one becomes that of inputs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import numpy as np

from lossreg.errors import DataError
from lossreg.trained.facts import DataFacts
from lossreg.values import one_line

logger = logging.getLogger("lossreg")

SHOWN = 12  # arrays in a message


@attrs.frozen(eq=False)
class Samples:
    """Inputs from one file.

    Attributes:
        names: Of each, for a person: the file, with the place in it where it holds several.
        values: `(N, *in_shape)`, as the file has them.
        is_raw: Whether they are raw, and to be scaled as the data set of the run was.
        greatest: What the values of pixels are divided by first; 1 for other numbers.
    """

    names: tuple[str, ...]
    values: np.ndarray[Any, Any]
    is_raw: bool
    greatest: float = 1.0


def samples_of_arrays(name: str, arrays: Mapping[str, np.ndarray[Any, Any]], facts: DataFacts) -> Iterator[Samples]:
    """The inputs in the arrays of a file: in all of them if these fit the model, or in the one that does.

    Raises:
        DataError: If there are none, or it is not clear which of several are meant.
    """
    if not arrays:
        raise DataError("it holds no array")
    fitting = [key for key, values in arrays.items() if arranged(values, facts.in_shape) is not None]
    if len(arrays) > 1 and len(fitting) < len(arrays):
        held = ", ".join(f"{key} {values.shape}" for key, values in [*arrays.items()][:SHOWN])
        held += ", ..." if len(arrays) > SHOWN else ""
        if len(fitting) != 1:
            raise DataError(
                f"it holds several arrays: {held}; an input of the model has the shape {facts.in_shape}: write "
                f"{name}:{next(iter(fitting or arrays))} to predict for one of them"
            )
        logger.warning("%s", one_line(f"{name} holds {held}: {fitting[0]} alone has inputs of the model, and is read"))
    for key in fitting or arrays:
        yield samples_of_array(f"{name}:{key}", arrays[key], facts)


def samples_of_array(name: str, values: np.ndarray[Any, Any], facts: DataFacts) -> Samples:
    """One input, or several along the first dimension. Whole numbers of 8 bits are the pixels of a picture."""
    if values.dtype.kind not in "fiub":
        raise DataError(f"it holds {values.dtype}, not numbers")
    is_pixels = values.dtype == np.uint8 and len(facts.in_shape) > 1
    greatest = 255.0 if is_pixels else 1.0
    inputs = arranged(values, facts.in_shape)
    if inputs is not None:
        return several(name, inputs, is_raw=is_pixels, greatest=greatest)
    raise DataError(
        f"its shape is {values.shape}, and an input of the model has {facts.in_shape}, several (N, "
        f"{', '.join(map(str, facts.in_shape))})"
    )


def arranged(values: np.ndarray[Any, Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any] | None:
    """Inputs as `(N, *shape)`; None if they have another shape.

    A single one is a batch. Pictures of one channel may lack it, and channels may come last, as in a training.
    """
    if values.shape == shape or (1, *values.shape) == shape:
        return values.reshape(1, *shape)
    if not len(values.shape) or not len(values):
        return None
    if values.shape[1:] == shape:
        return values
    if len(shape) > 1 and shape[0] == 1 and values.shape[1:] == shape[1:]:
        return values[:, None]
    if len(shape) == 3 and values.shape[-3:] == (*shape[1:], shape[0]) and values.ndim in (3, 4):
        return np.moveaxis(values.reshape(-1, *values.shape[-3:]), -1, 1)
    return None


def several(name: str, values: np.ndarray[Any, Any], *, is_raw: bool, greatest: float = 1.0) -> Samples:
    """Inputs `(N, *in_shape)` of one file, each named after its place in it.

    Raises:
        DataError: If a number is not finite.
    """
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError("it holds a number that is not finite")
    names = (name,) if len(values) == 1 else tuple(f"{name}[{index}]" for index in range(len(values)))
    return Samples(names, values, is_raw, greatest)
