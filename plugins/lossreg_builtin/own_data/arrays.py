"""Archives of arrays, as `numpy.savez` writes them, as data sets."""

from __future__ import annotations

import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from lossreg.data import Data, Scaling
from lossreg.errors import DataError
from lossreg.inputs.rows import UNKNOWN, codes_in
from lossreg.inputs.table_files import check_file
from lossreg.inputs.tables import Texts, listed
from lossreg.suggestions import did_you_mean
from lossreg.trained.arrays import read_npy
from lossreg.values import one_line, shown
from lossreg_builtin.own_data.hashing import hashing
from lossreg_builtin.own_data.splitting import check_share, check_unused, facts_of, test_samples, untested
from lossreg_builtin.own_data.targets import (
    Array,
    Target,
    check_task,
    constant,
    names_of,
    numbered,
    standardised,
    target_of_numbers,
    target_of_texts,
)

#: The names that inputs and targets of a split usually have, tried in this order.
USUAL = {
    "x": ("x_train", "X_train", "train_images", "train_x", "x", "X", "images", "inputs", "features", "data"),
    "y": ("y_train", "Y_train", "train_labels", "train_y", "y", "Y", "labels", "targets", "target", "label"),
    "x_test": ("x_test", "X_test", "test_images", "test_x"),
    "y_test": ("y_test", "Y_test", "test_labels", "test_y"),
}
_FIRST, _LAST = (1, 3), (1, 3, 4)  # how many channels show that they come first, and last


def load(
    path: Path,
    x: str | None = None,
    y: str | None = None,
    x_test: str | None = None,
    y_test: str | None = None,
    task: Literal["classification", "regression"] | None = None,
    test: float = 0.2,
    seed: int = 0,
) -> Data:
    """Arrays in an archive: inputs with a target for each.

    Arrays of 8 bits without sign and three dimensions or more are pictures, `(N, height, width)` or with channels
    first or last: their pixels are divided by 255. Other numbers are taken as they are. The targets of a regression are
    standardised with the mean and the standard deviation of the training samples.

    Args:
        path: The `.npz` file. Arrays of Python objects are refused.
        x: The array of inputs, `(N, ...)`; None is the first of the usual names that is there, such as `x_train`.
        y: The array of targets: class indices, names of classes or numbers, `(N,)`; several numbers `(N, numbers)`.
        x_test: Inputs for testing; None is a usual name such as `x_test`, else a share of the samples is for testing.
        y_test: Their targets.
        task: `"classification"` or `"regression"`; None is told from the targets: text, or at most 20 different whole
            numbers, are classes.
        test: The share of the samples that is for testing, of each class, where no arrays are for that.
        seed: Decides which samples these are.

    Raises:
        DataError: If an array is missing or of no use, or a parameter has no effect.
    """
    check_task(task)
    check_share(test, seed)
    path = Path(path)
    label, notes = one_line(str(path)), list[str]()
    check_file(path, label)
    with hashing(path) as sha256:
        found, names = _arrays(path, label, {"x": x, "y": y, "x_test": x_test, "y_test": y_test})
        files = [{"path": str(path), "sha256": sha256()}]
    target = _target(found["y"], names["y"], f"{label}, {names['y']}", task)
    notes.append(f"{label}: {target.reason}; {', '.join(f'{key} is {name}' for key, name in names.items())}")
    if "x_test" in names:
        check_unused(test, seed, f"those of {names['x_test']}")
        held = _held(found["y_test"], target, f"{label}, {names['y_test']}")
        inputs, test_inputs, targets, test_targets = found["x"], found["x_test"], target.values, held
        split: dict[str, Any] = {"by": "arrays"}
    else:
        is_test = test_samples(len(target.values), test, seed, target.classes)
        if not is_test.any():
            raise DataError(f"{label} has {len(is_test)} samples, too few for a test split; name x_test and y_test")
        inputs, test_inputs = found["x"][~is_test], found["x"][is_test]
        targets, test_targets = target.values[~is_test], target.values[is_test]
        split = facts_of(test, seed, stratified=target.classes is not None)
        notes.append(f"{len(inputs):,} samples to train on and {len(test_inputs):,} for testing, drawn by seed {seed}")
        notes += untested(target.classes, target.class_names)
    target_scaling = None
    if target.task == "regression":
        notes += constant(targets, names["y"])
        targets, test_targets, target_scaling = standardised(targets, test_targets)
    return Data(
        train=(_scaled(inputs), torch.from_numpy(targets)),
        test=(_scaled(test_inputs), torch.from_numpy(test_targets)),
        task=target.task,
        in_shape=inputs.shape[1:],
        num_classes=target.class_names and len(target.class_names),
        out_features=None if target.class_names else targets.shape[1],
        input_scaling=Scaling() if _is_pixels(inputs) else None,
        target_scaling=target_scaling,
        class_names=target.class_names,
        source={"files": files, "split": split, "arrays": names, "notes": notes},
    )


def _is_pixels(inputs: Array) -> bool:
    """Whether numbers are the pixels of pictures, and no columns of a table."""
    return inputs.dtype == np.uint8 and inputs.ndim > 2


def _scaled(inputs: Array) -> torch.Tensor:
    """Inputs as a run takes them: float32, pixels divided by 255."""
    values = np.array(inputs, dtype=np.float32, order="C")  # the run's own: what was read cannot be written to
    if _is_pixels(inputs):
        values /= 255
    return torch.from_numpy(values)


def _arrays(path: Path, label: str, given: dict[str, str | None]) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays that are wanted, and what they are called.

    Raises:
        DataError: If one is missing, or inputs and targets are not equally many.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
            names = _names(given, list(members), label)
            found = {key: _read(archive, members[name], f"{label}, {name}") for key, name in names.items()}
    except DataError:
        raise
    except Exception as error:  # whatever a damaged archive makes of Python's reader
        raise DataError(f"{label} is not an archive as numpy.savez writes it: {one_line(str(error))}") from error
    for key, other in (("x", "y"), ("x_test", "y_test")):
        if key not in names:
            continue
        found[key] = _inputs(found[key], f"{label}, {names[key]}")
        if len(found[key]) != len(found[other]):
            raise DataError(
                f"{label}: {names[key]} has {len(found[key]):,} inputs, and {names[other]} {len(found[other]):,} "
                "targets"
            )
    if "x_test" in names and found["x"].shape[1:] != found["x_test"].shape[1:]:
        raise DataError(
            f"{label}: an input of {names['x']} has the shape {found['x'].shape[1:]}, one of {names['x_test']} "
            f"{found['x_test'].shape[1:]}"
        )
    return found, names


def _names(given: dict[str, str | None], members: Collection[str], label: str) -> dict[str, str]:
    """What each array is called; those for testing may be missing, both together."""
    names: dict[str, str] = {}
    for key, name in given.items():
        usual = [one for one in USUAL[key] if one in members]
        if name is None:
            # Beside arrays that were named, what has a usual name may belong to others.
            names |= {key: usual[0]} if usual and not (key.endswith("_test") and (given["x"] or given["y"])) else {}
        elif name in members:
            names[key] = name
        else:
            raise DataError(f"{label} has no array {shown(name)}.{did_you_mean(name, members)} {_there(members)}")
    lacks = [key for key in ("x", "y") if key not in names]
    if ("x_test" in names) != ("y_test" in names):
        lacks.append("y_test" if "x_test" in names else "x_test")
    if lacks:
        raise DataError(f"{label} has no array of a usual name for {lacks[0]}; write {lacks[0]}=... {_there(members)}")
    return names


def _there(members: Collection[str]) -> str:
    return f"Arrays: {listed(list(members)) or 'none'}"


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str) -> Array:
    try:
        values = read_npy(archive.read(member))
    except DataError as error:
        raise DataError(f"{where}: {error.message}") from error
    if not values.ndim:
        raise DataError(f"{where} has the shape {values.shape}; a dimension for the samples comes first")
    if not len(values):
        raise DataError(f"{where} has the shape {values.shape}: it holds no sample")
    return values


def _inputs(values: Array, where: str) -> Array:
    """Inputs with channels first.

    Raises:
        DataError: If they are no numbers, or hold one that is not finite.
    """
    if values.dtype.kind not in "fiub":
        raise DataError(f"{where} holds {values.dtype}, and inputs are numbers")
    if values.ndim < 2:
        raise DataError(
            f"{where} has the shape {values.shape}; inputs are (N, numbers), or pictures (N, height, width)"
        )
    _check_finite(values, where)
    if values.ndim == 3 and values.dtype == np.uint8:
        return values[:, None]
    if values.ndim == 4 and values.shape[-1] in _LAST and values.shape[1] not in _FIRST:
        return values.transpose(0, 3, 1, 2)
    return values


def _check_finite(values: Array, where: str) -> None:
    if values.dtype.kind == "f" and not np.isfinite(values.sum()):
        wrong = np.argwhere(~np.isfinite(values))
        if len(wrong):
            index = wrong[0].tolist()
            raise DataError(f"{where}{index} is {values[tuple(index)]}, and not a finite number")


def _target(values: Array, name: str, where: str, task: Literal["classification", "regression"] | None) -> Target:
    """What is predicted."""
    values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    if values.dtype.kind in "US" and task != "regression" and values.ndim == 1:
        words, codes = np.unique(values.astype(str), return_inverse=True)
        return target_of_texts(Texts(codes, words.tolist()), name, where)
    if values.dtype.kind not in "fiub":
        raise DataError(f"{where} holds {values.dtype}; targets are class indices, names of classes or numbers")
    _check_finite(values, where)
    if values.ndim == 1:
        numbers = values.astype(np.float64)
        return target_of_numbers(numbers, name, where, task, is_whole=values.dtype.kind in "iub")
    if values.ndim == 2 and values.dtype.kind == "f" and task != "classification":
        return Target(
            "regression", values.astype(np.float64), None, f"{name} has {values.shape[1]} numbers each: a regression"
        )
    raise DataError(
        f"{where} has the shape {values.shape}; targets are classes (N,), or floating-point numbers (N, numbers)"
    )


def _held(values: Array, train: Target, where: str) -> Array:
    """The targets for testing, with the classes of the training.

    Raises:
        DataError: If they are of another kind, or a class is not in the training.
    """
    values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    if values.shape[1:] != train.values.shape[1:] or values.dtype.kind not in ("US" if train.is_text else "fiub"):
        raise DataError(f"{where} holds {values.dtype} of the shape {values.shape}, other than the training targets")
    _check_finite(values, where)
    if train.class_names is None:
        return values.astype(np.float64)
    if train.is_text:
        different, codes = np.unique(values.astype(str), return_inverse=True)
        words = different.tolist()
    else:
        different, codes = numbered(values.astype(np.float64))
        words = names_of(different)
    found = codes_in(Texts(codes, words), train.class_names)
    if found.min() == UNKNOWN:
        index = int(np.argmax(found == UNKNOWN))
        raise DataError(
            f"{where}[{index}]: the class {shown(words[codes[index]])} is not in the training samples, whose classes "
            f"are {listed(train.class_names)}"
        )
    return found
