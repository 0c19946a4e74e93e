"""The size of pictures is bounded, and what a folder of pictures says of its splits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import lossreg
from lossreg.errors import DataError
from lossreg.machine import available_memory
from lossreg_builtin.picture_size import LARGEST, sides_of

MB = 10**6


def folder(root: Path, *names: str) -> str:
    """A folder of grey pictures of 8 by 8 pixels."""
    for name in names:
        path = root / "p" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 7).save(path)
    return str(root / "p")


def load(root: str, **parameters: Any) -> lossreg.Data:
    """The data set `image_folder`."""
    data = lossreg.datasets.build("image_folder", root=root, **parameters)
    assert isinstance(data, lossreg.Data)
    return data


@pytest.mark.parametrize("size", [1_000_000, (LARGEST, LARGEST), 0, True, (3, -1), (3, 3, 3)])
def test_a_size_that_cannot_be_is_refused_before_reading(tmp_path: Path, size: Any) -> None:
    """The error begins with the data set and the parameter; the folder does not even exist."""
    with pytest.raises(lossreg.LossregError) as caught:
        load(str(tmp_path / "no"), size=size)
    assert str(caught.value).startswith("image_folder: size=")


def test_a_size_takes_less_than_the_memory() -> None:
    """Sixty-four pictures of float32 have to fit: 1000x1000 with 3 channels are 12 MB each, and 768 MB in all."""
    assert sides_of(1000, 3, 768 * MB) == (1000, 1000)
    with pytest.raises(DataError) as caught:
        sides_of(1000, 3, 768 * MB - 1)
    assert str(caught.value).startswith(
        "size=1000 makes pictures that take 12 MB each, and training many times that: 768 MB"
    )
    assert sides_of((1000, 1000), 1, 256 * MB) == (1000, 1000)


def test_a_limit_of_the_process_counts_as_memory() -> None:
    """What `ulimit -v` leaves is all that can be used."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    try:
        resource.setrlimit(resource.RLIMIT_AS, (used + 64 * MB, before[1]))
        free = available_memory()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert 0 <= free <= 64 * MB


def test_a_share_has_no_effect_beside_a_test_folder(tmp_path: Path) -> None:
    """The folder is named."""
    root = folder(tmp_path, "train/a/1.png", "train/b/1.png", "test/a/1.png")
    with pytest.raises(DataError, match=r"^image_folder: test=0\.3 has no effect: .* a folder of their own, .*p/test"):
        load(root, test=0.3)
    assert load(root).in_shape == (1, 8, 8)


def test_a_class_of_one_picture_is_not_tested(tmp_path: Path) -> None:
    """Its picture is trained on, which is said."""
    notes = load(folder(tmp_path, "a/1.png", "a/2.png", "b/1.png")).source["notes"]
    assert "the class b has one sample alone, which is trained on: the class is not tested" in notes
