"""Files that a prediction is made for: pictures, arrays, tables and tensors, read as the model takes its inputs."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossreg.checkpoints.weights_file import read_weights
from lossreg.data import Scaling
from lossreg.errors import DataError, LossregError, describe_error
from lossreg.inputs.folders import names_in, pictures_in
from lossreg.inputs.pictures import MODES, open_picture, pixels_of
from lossreg.inputs.pictures import SUFFIXES as PICTURES
from lossreg.inputs.rows import read_rows
from lossreg.trained.arrays import check_array, read_bytes, read_csv, read_npy, read_npz
from lossreg.trained.facts import DataFacts
from lossreg.trained.samples import Samples, samples_of_array, samples_of_arrays, several
from lossreg.values import counted, one_line

logger = logging.getLogger("lossreg")

TABLES = (".csv", ".parquet")
ARRAYS = (".npy", ".npz", ".safetensors")
SUFFIXES = (*PICTURES, ".npy", ".npz", *TABLES, ".safetensors")
_MEMBER = re.compile(r"(?P<file>.+\.(?:npz|safetensors)):(?P<array>.+)", re.IGNORECASE)


def read_inputs(files: Sequence[str | Path], facts: DataFacts, *, resize: bool = False) -> list[Samples]:
    """Reads all files before anything is predicted.

    Args:
        files: Pictures (PNG, JPEG), `.npy`, `.npz`, `.csv` or `.safetensors`.
        facts: Of the data set that the model was trained on.
        resize: Whether pictures of another size are resized.

    Raises:
        DataError: That names each file that cannot be used, and why.
    """
    read: list[Samples] = []
    wrong: list[str] = []
    for file in files:
        try:
            read += _read(Path(file), facts, resize=resize)
        except LossregError as error:
            says_where = error.message.startswith(tuple(f"{file}{end}" for end in (" has", ",", ":")))
            wrong.append(one_line(error.message if says_where else f"{file}: {error.message}"))
    if wrong:
        count = f"{len(wrong)} of {len(files)} inputs cannot be used; nothing was predicted"
        head = "" if len(files) == 1 else f"{count}:\n  "
        raise DataError(head + "\n  ".join(wrong))
    return read


def _read(file: Path, facts: DataFacts, *, resize: bool) -> Iterator[Samples]:
    if file.is_dir():
        raise DataError(_of_folder(file, facts))
    file, chosen = _member(file)
    suffix = file.suffix.lower()
    if suffix not in SUFFIXES:
        if not file.exists():
            raise DataError("it does not exist")
        raise DataError(f"its name does not end in one of {', '.join(SUFFIXES)}, by which it is known how to read it")
    name = one_line(str(file))
    if suffix == ".safetensors":
        yield from samples_of_arrays(name, dict(_tensors(file, chosen)), facts)
        return
    data = read_bytes(file)
    if suffix in PICTURES:
        yield _picture(name, data, facts, resize=resize)
    elif suffix in TABLES and facts.columns is not None:
        scaling = facts.input_scaling or Scaling()
        mean = np.broadcast_to(scaling.mean, facts.in_features)
        rows = read_rows(data, str(file), facts.columns, mean.tolist(), parquet=suffix == ".parquet")
        yield several(name, rows, is_raw=True)
    elif suffix == ".parquet":
        raise DataError("its columns have names, and the data set of the run tells none (columns of lossreg.Data)")
    elif suffix == ".csv":
        try:
            values = read_csv(data)
        except DataError as error:
            if len(facts.in_shape) > 1:  # a table with a line of names is none of these
                error.message += f"; an input of the model has the shape {facts.in_shape}, as pictures have"
            raise
        if values.shape[1] != facts.in_features:
            raise DataError(
                f"its rows have {values.shape[1]} numbers, and an input of the model has {facts.in_features}"
            )
        yield several(name, values.reshape(-1, *facts.in_shape), is_raw=True)
    elif suffix == ".npy":
        yield samples_of_array(name, read_npy(data), facts)
    else:
        yield from samples_of_arrays(name, dict(read_npz(data, chosen)), facts)


def _member(file: Path) -> tuple[Path, str | None]:
    """A file and the one of its arrays that is named behind it, `scans.npz:x`; None is all."""
    found = _MEMBER.fullmatch(str(file))
    if found is None or file.exists():
        return file, None
    return Path(found["file"]), found["array"]


def _of_folder(folder: Path, facts: DataFacts) -> str:
    """Why nothing is predicted for a folder, and what to write.

    Raises:
        DataError: If it cannot be read.
    """
    if takes_pictures(facts):
        pictures_in(folder)
        return f"it holds no pictures: their names end in {', '.join(PICTURES)}"
    suffixes = [Path(name).suffix.lower() for name in names_in(folder)]
    suffix = next((one for one in (*TABLES, *ARRAYS) if one in suffixes), ".csv")
    return f"it is a folder; write {one_line(str(folder))}/*{suffix}"


def takes_pictures(facts: DataFacts) -> bool:
    """Whether the inputs of a model have the shape of pictures."""
    shape = facts.in_shape
    return len(shape) == 2 or (len(shape) == 3 and shape[0] in MODES)


def expanded(files: Sequence[str], facts: DataFacts) -> tuple[list[Path], list[str]]:
    """Files as `read_inputs` takes them: in place of a folder all its pictures, if the model takes such.

    Args:
        files: As they were written.
        facts: Of the data set that the model was trained on.

    Returns:
        The files, and a sentence on each folder. A folder that cannot be used stays what it is: reading says why.
    """
    found, notes = list[Path](), list[str]()
    for file in map(Path, files):
        pictures, others = list[Path](), list[str]()
        if takes_pictures(facts) and file.is_dir():
            with contextlib.suppress(DataError):
                pictures, others = pictures_in(file)
        if pictures:
            rest = f"; not read: {counted(len(others), 'file')}, such as {others[0]}" if others else ""
            notes.append(one_line(f"{file}: {counted(len(pictures), 'picture')}{rest}"))
        found += pictures or [file]
    return found, notes


def _tensors(file: Path, chosen: str | None) -> Iterable[tuple[str, np.ndarray[Any, Any]]]:
    state, _ = read_weights(file)
    if chosen is not None:
        check_array(chosen, state)
    for key, value in state.items():
        if chosen not in (None, key):
            continue
        if not isinstance(value, Tensor):
            raise DataError(f"{key} is not a tensor")
        yield key, (value.float() if value.dtype in (torch.bfloat16, torch.float16) else value).numpy()


def _picture(name: str, data: bytes, facts: DataFacts, *, resize: bool) -> Samples:
    """A picture as `(channels, height, width)`, in the channels that the model takes."""
    channels, height, width = (1, *facts.in_shape) if len(facts.in_shape) == 2 else (*facts.in_shape, 0, 0, 0)[:3]
    if len(facts.in_shape) not in (2, 3) or channels not in MODES:
        raise DataError(f"it is a picture, and an input of the model has the shape {facts.in_shape}")
    picture = open_picture(data)
    if picture.size != (width, height) and not (resize or facts.resized):
        raise DataError(
            f"it is {picture.width} by {picture.height} pixels, and the model takes {width} by {height}; --resize "
            "makes it so"
        )
    if picture.size != (width, height) and not resize:
        logger.warning(
            "%s is %d by %d pixels, and is resized to %d by %d, as the pictures of the run were",
            name, *picture.size, width, height,
        )  # fmt: skip
    pixels, greatest = pixels_of(picture, channels, (width, height))
    return Samples((name,), pixels.reshape(1, *facts.in_shape), is_raw=True, greatest=greatest)


def to_batch(inputs: object, facts: DataFacts, dtype: torch.dtype) -> Tensor:
    """Inputs that a program has at hand, as `lossreg predict` takes an array.

    Args:
        inputs: A tensor, an array, or lists of numbers: one input, or several along the first dimension.
        facts: Of the data set.
        dtype: Of the model's inputs.

    Returns:
        `(N, *in_shape)`; a tensor of numbers of `dtype` as it is, whatever its shape: a model may take others, too.

    Raises:
        DataError: If it is nothing of the kind.
    """
    if isinstance(inputs, Tensor):
        if inputs.dtype == dtype:
            return inputs[None] if inputs.shape == facts.in_shape else inputs
        values: Any = inputs.detach().cpu()
        values = (values.float() if values.dtype in (torch.bfloat16, torch.float16) else values).numpy()
    else:
        try:
            values = np.asarray(inputs)
        except Exception as error:  # lists that are not equally long, or an object that fails as an array
            raise DataError(f"inputs cannot be read as an array: {describe_error(error)}") from error
    try:
        return to_tensor(samples_of_array("inputs", values, facts), facts, dtype)
    except DataError as error:
        error.message = f"inputs: {error.message.removeprefix('inputs: ')}"
        raise


def to_tensor(samples: Samples, facts: DataFacts, dtype: torch.dtype, *, as_is: bool = False) -> Tensor:
    """Inputs as the model takes them: raw ones scaled as those of the data set were.

    Args:
        samples: What was read.
        facts: Of the data set.
        dtype: Of the model's inputs.
        as_is: Whether numbers of tables, too, are taken as they are.

    Raises:
        DataError: If the model takes whole numbers, and these are not.
    """
    values = samples.values
    if not dtype.is_floating_point:
        if values.dtype.kind == "f" and not np.equal(values, np.floor(values)).all():
            raise DataError(f"{samples.names[0]}: the model takes whole numbers, and these are not")
        return torch.from_numpy(np.ascontiguousarray(values)).to(dtype)
    exact = values.astype(np.float64) / samples.greatest
    if samples.is_raw and facts.input_scaling is not None and not (as_is and samples.greatest == 1.0):
        shape = (-1, *[1] * (len(facts.in_shape) - 1))
        mean, std = (np.reshape(one, shape) for one in (facts.input_scaling.mean, facts.input_scaling.std))
        exact = (exact - mean) / std
    return torch.from_numpy(np.ascontiguousarray(exact)).to(dtype)
