"""Archives of arrays as data sets: names, shapes, tasks, and what cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lossreg
from lossreg import Data
from lossreg.errors import DataError
from tests.table import for_each

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(20, 3)).astype(np.float32), np.arange(20) % 2


def load(folder: Path, parameters: dict[str, Any] | None = None, **arrays: Any) -> Data:
    """The data set `npz` of some arrays."""
    np.savez(folder / "a.npz", **arrays)
    data = lossreg.datasets.build("npz", path=str(folder / "a.npz"), **(parameters or {}))
    assert isinstance(data, Data)
    return data


def parts(data: Data) -> tuple[np.ndarray[Any, Any], ...]:
    """Inputs and targets of training and test."""
    assert isinstance(data.train, tuple)
    assert isinstance(data.test, tuple)
    return tuple(part.numpy() for part in (*data.train, *data.test))


def test_an_archive_as_keras_has_mnist(tmp_path: Path) -> None:
    """Arrays of the usual names are the splits; pixels get a channel and are divided by 255."""
    images = RNG.integers(256, size=(8, 4, 5), dtype=np.uint8)
    labels = np.array([7, 3, 5, 7, 3, 5, 7, 3], dtype=np.uint8)
    data = load(tmp_path, x_train=images[:6], y_train=labels[:6], x_test=images[6:], y_test=labels[6:])
    inputs, targets, test_inputs, test_targets = parts(data)
    np.testing.assert_allclose(inputs, images[:6, None] / 255, rtol=1e-6)
    np.testing.assert_allclose(test_inputs, images[6:, None] / 255, rtol=1e-6)
    assert (data.class_names, targets.tolist(), test_targets.tolist()) == (("3", "5", "7"), [2, 0, 1, 2, 0, 1], [2, 0])
    assert (data.in_shape, data.input_scaling) == ((1, 4, 5), lossreg.Scaling())


def test_channels_come_first(tmp_path: Path) -> None:
    """Pictures with their channels last, as most archives have them, get them first."""
    images = RNG.integers(256, size=(20, 4, 5, 3), dtype=np.uint8)
    data = load(tmp_path, {"test": 0.25}, images=images, labels=Y[:, None])
    inputs, _, test_inputs, _ = parts(data)
    assert data.in_shape == (3, 4, 5)
    found = sorted(one.tobytes() for one in np.concatenate([inputs, test_inputs]))
    assert found == sorted((one.transpose(2, 0, 1).astype(np.float32) / 255).tobytes() for one in images)


@pytest.mark.parametrize(
    ("y", "task", "names"),
    [
        (np.array(["p", "q"] * 10), "classification", ("p", "q")),
        (np.array([True, False] * 10), "classification", ("0", "1")),
        (np.array([4, -1] * 10), "classification", ("-1", "4")),
        (np.linspace(0, 1, 20), "regression", None),
        (RNG.normal(size=(20, 2)), "regression", None),
    ],
)
def test_the_task_is_told_from_the_targets(tmp_path: Path, y: Any, task: str, names: tuple[str, ...] | None) -> None:
    """Text and few whole numbers are classes; floating-point numbers are a regression, standardised for training."""
    data = load(tmp_path, x=X, y=y)
    assert (data.task, data.class_names) == (task, names)
    inputs, targets, test_inputs, _ = parts(data)
    assert (len(inputs), len(test_inputs), data.input_scaling) == (16, 4, None)
    if task == "regression":
        np.testing.assert_allclose(targets.astype(float).std(0), 1, rtol=1e-5)
        assert data.out_features == targets.shape[1] == (1 if y.ndim == 1 else 2)


def test_arrays_may_be_named(tmp_path: Path) -> None:
    """With x and y named, arrays of usual names for testing are not taken: they may belong to others."""
    data = load(tmp_path, {"x": "spectra", "y": "kind"}, spectra=X, kind=Y, x_test=X[:2], y_test=Y[:2])
    assert len(parts(data)[0]) == 16


FAULTS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "Python objects": ({"x": np.array([None] * 20), "y": Y}, {}, r"a\.npz, x: it holds Python objects, not numbers"),
    "unequal lengths": ({"x": X, "y": Y[:19]}, {}, r"a\.npz: x has 20 inputs, and y 19 targets"),
    "one dimension": ({"x": Y, "y": Y}, {}, r"a\.npz, x has the shape \(20,\); inputs are \(N, numbers\), or pictures"),
    "a single number": ({"x": X, "y": np.array(3)}, {}, r"a\.npz, y has the shape \(\); a dimension for the samples"),
    "text as inputs": ({"x": np.array([["a"]] * 20), "y": Y}, {}, r"a\.npz, x holds <U1, and inputs are numbers"),
    "a NaN": (
        {"x": np.where(np.eye(20, 3) > 0, np.nan, 1.0), "y": Y},
        {},
        r"a\.npz, x\[0, 0\] is nan, and not a finite number",
    ),
    "an unknown name": ({"x": X, "y": Y}, {"x": "xx"}, r"a\.npz has no array 'xx'\..* Arrays: x, y"),
    "no usual name": (
        {"spectra": X, "y": Y},
        {},
        r"a\.npz has no array of a usual name for x; write x=\.\.\. Arrays: spectra, y",
    ),
    "inputs for testing alone": ({"x": X, "y": Y, "x_test": X}, {}, r"a\.npz has no array of a usual name for y_test"),
    "other shapes for testing": (
        {"x": X, "y": Y, "x_test": X[:, :2], "y_test": Y},
        {},
        r"an input of x has the shape \(3,\), one of x_test \(2,\)",
    ),
    "a class for testing alone": (
        {"x": X, "y": Y, "x_test": X, "y_test": Y + 1},
        {},
        r"a\.npz, y_test\[1\]: the class '2' is not in the training samples, whose classes are 0, 1",
    ),
    "one-hot targets": (
        {"x": X, "y": np.eye(20, dtype=int)},
        {},
        r"a\.npz, y has the shape \(20, 20\); targets are classes \(N,\), or",
    ),
    "one class": ({"x": X, "y": Y * 0}, {}, r"y is '0' in all 20 samples; two classes are needed"),
    "an unknown task": ({"x": X, "y": Y}, {"task": "ranking"}, "task"),
}


@for_each("fault", FAULTS)
def test_what_is_wrong_is_named(tmp_path: Path, fault: str) -> None:
    """The error names the array, the place and what is wrong."""
    arrays, parameters, expected = FAULTS[fault]
    with pytest.raises(lossreg.LossregError, match=expected):
        load(tmp_path, parameters, **arrays)


def test_no_archive(tmp_path: Path) -> None:
    """A file that is none, and a missing one, are named."""
    (tmp_path / "a.npz").write_bytes(b"PK no zip")
    for name, expected in (("a.npz", "is not an archive as numpy.savez writes it"), ("b.npz", "does not exist")):
        with pytest.raises(DataError, match=expected):
            lossreg.datasets.build("npz", path=str(tmp_path / name))
