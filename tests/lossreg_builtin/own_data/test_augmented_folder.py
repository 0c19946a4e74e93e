"""A folder of pictures that is augmented and normalised."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import lossreg
from lossreg import Data
from lossreg.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four pictures of two classes, of two sizes."""
    generator = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "p" / name).mkdir(parents=True)
        for number in range(4):
            pixels = generator.integers(256, size=(9 + number % 2, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "p" / name / f"{number}.png")
    return tmp_path / "p"


def load(folder: Path, **parameters: Any) -> Data:
    """The data set `image_folder`."""
    data = lossreg.datasets.build("image_folder", root=str(folder), size=(6, 7), test=0.25, **parameters)
    assert isinstance(data, Data)
    return data


def test_the_samples_are_those_without_options(folder: Path) -> None:
    """A transform that changes nothing gives the same pictures, classes, splits and hashes."""
    plain, augmented = load(folder), load(folder, augment="identity")
    assert isinstance(plain.train, tuple)
    assert isinstance(plain.test, tuple)
    assert isinstance(augmented.test, tuple)
    assert torch.equal(plain.test[0], augmented.test[0])
    for index, (inputs, target) in enumerate(zip(*plain.train, strict=True)):
        assert torch.equal(augmented.train[index][0], inputs)
        assert augmented.train[index][1] == target
    for name in ("in_shape", "class_names", "resized", "source", "input_scaling"):
        assert getattr(augmented, name) == getattr(plain, name)


def test_training_pictures_are_changed_and_normalised(folder: Path) -> None:
    """A flip mirrors them, and the numbers are those of the training split without it."""
    plain, changed = load(folder), load(folder, augment=["random_horizontal_flip(1.0)"], normalize=True)
    assert isinstance(plain.train, tuple)
    pixels = plain.train[0].double()
    mean, std = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3), correction=0)
    expected = ((pixels[0] - mean[:, None, None]) / std[:, None, None]).flip(2).float()
    torch.testing.assert_close(changed.train[0][0], expected, rtol=1e-5, atol=1e-6)
    assert changed.input_scaling is not None
    assert changed.input_scaling.mean == pytest.approx(mean.tolist())


def test_a_wrong_transform_is_an_error_before_the_folder_is_looked_at(tmp_path: Path) -> None:
    """The name is checked first."""
    with pytest.raises(DataError, match="Did you mean 'random_horizontal_flip'"):
        load(tmp_path / "nowhere", augment="random_horizontal_flop")
