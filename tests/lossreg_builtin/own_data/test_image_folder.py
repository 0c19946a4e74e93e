"""A folder of pictures as a data set: classes, splits, sizes and colours, and what cannot be used."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import lossreg
from lossreg import Data
from lossreg.errors import DataError
from lossreg_builtin.own_data.picture_splits import PictureFiles, PicturePixels, read_splits

Make = Callable[..., np.ndarray[Any, Any]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes a picture of random pixels below the folder `p`, and gives these."""
    generator = np.random.default_rng(0)

    def picture(name: str, *, size: tuple[int, int] = (6, 5), mode: str = "RGB") -> np.ndarray[Any, Any]:
        """The size is height and width."""
        path = tmp_path / "p" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(256, size=(*size, 3) if mode == "RGB" else size, dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        return pixels

    return picture


def load(folder: Path, **parameters: Any) -> Data:
    """The data set `image_folder` of the folder `p`."""
    data = lossreg.datasets.build("image_folder", root=str(folder / "p"), **parameters)
    assert isinstance(data, Data)
    return data


def tensors(data: Data) -> tuple[torch.Tensor, ...]:
    """Inputs and targets of training and test."""
    assert isinstance(data.train, tuple)
    assert isinstance(data.test, tuple)
    return (*data.train, *data.test)


def test_classes_are_folders_sorted_by_name(make: Make, tmp_path: Path) -> None:
    """Each picture is in one of the splits, with the place of its folder as its class and its pixels in [0, 1]."""
    pixels = {f"{name}/{i}.png": make(f"{name}/{i}.png") for name in ("owl", "cat", "dog") for i in range(5)}
    data = load(tmp_path)
    assert (data.class_names, data.in_shape, data.num_classes) == (("cat", "dog", "owl"), (3, 6, 5), 3)
    inputs, targets, test_inputs, test_targets = tensors(data)
    assert torch.bincount(test_targets).tolist() == [1, 1, 1]
    found = {
        (int(label), image.numpy().tobytes())
        for image, label in zip(torch.cat([inputs, test_inputs]), torch.cat([targets, test_targets]), strict=True)
    }
    assert found == {
        (["cat", "dog", "owl"].index(name.split("/")[0]), (one.transpose(2, 0, 1) / 255).astype(np.float32).tobytes())
        for name, one in pixels.items()
    }


def test_grey_pictures_have_one_channel(make: Make, tmp_path: Path) -> None:
    """If all are grey there is one channel; if one is coloured all have three, which is said."""
    for name in ("a/1.png", "a/2.png", "b/1.png", "b/2.png"):
        make(name, mode="L")
    assert load(tmp_path).in_shape == (1, 6, 5)
    make("b/3.jpg")
    data = load(tmp_path)
    assert data.in_shape == (3, 6, 5)
    assert "4 pictures are grey, and get three equal channels: others are coloured" in data.source["notes"]


@pytest.mark.parametrize("held", ["test", "val", "valid", "validation"])
def test_folders_may_be_the_splits(make: Make, tmp_path: Path, held: str) -> None:
    """With train/ and a folder for testing these are the splits, with the classes of train/."""
    for name in ("train/a/1.png", "train/a/2.png", "train/b/1.png", f"{held}/b/1.png"):
        make(name)
    data = load(tmp_path)
    _, targets, _, test_targets = tensors(data)
    assert (targets.tolist(), test_targets.tolist(), data.source["split"]) == ([0, 0, 1], [1], {"by": "folders"})
    assert any("is for testing: there is no folder test" in note for note in data.source["notes"]) == (held != "test")


def test_classes_may_be_called_train(make: Make, tmp_path: Path) -> None:
    """Folders of which not all are splits are classes, whatever they are called."""
    for name in ("train/1.png", "train/2.png", "bus/1.png", "bus/2.png"):
        make(name)
    assert load(tmp_path).class_names == ("bus", "train")


def test_pictures_are_resized_if_asked(make: Make, tmp_path: Path) -> None:
    """With `size` all pictures have it: those of pillow's bilinear filter."""
    for name, size in (("a/1.png", (6, 5)), ("a/2.png", (20, 9)), ("b/1.png", (3, 3)), ("b/2.png", (4, 3))):
        make(name, size=size)
    data = load(tmp_path, size=(4, 3))
    assert (data.in_shape, data.resized) == ((3, 4, 3), True)
    inputs, _, test_inputs, _ = tensors(data)
    expected = [
        np.asarray(Image.open(path).resize((3, 4), Image.Resampling.BILINEAR)).transpose(2, 0, 1) / np.float32(255)
        for path in sorted((tmp_path / "p").rglob("*.png"))
    ]
    found = sorted(one.numpy().tobytes() for one in torch.cat([inputs, test_inputs]))
    assert found == sorted(one.astype(np.float32).tobytes() for one in expected)
    assert load(tmp_path, size=7).in_shape == (3, 7, 7)


def test_a_picture_is_turned_upright_before_it_is_measured(make: Make, tmp_path: Path) -> None:
    """Of photographs turned by EXIF the upright size counts."""
    for name in ("a/1.jpg", "a/2.jpg", "b/1.jpg"):
        make(name, size=(8, 6))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.fromarray(np.zeros((6, 8, 3), dtype=np.uint8))
    turned.save(tmp_path / "p" / "b" / "2.jpg", exif=exif)
    assert load(tmp_path).in_shape == (3, 8, 6)


def test_folders_below_a_class_and_links_count(make: Make, tmp_path: Path) -> None:
    """Pictures in folders below a class and behind links are its pictures; hidden files are none."""
    for name in ("a/x/1.png", "a/x/2.png", "b/1.png", "b/2.png"):
        make(name)
    (tmp_path / "p" / "b" / "3.png").symlink_to(tmp_path / "p" / "a" / "x" / "1.png")
    (tmp_path / "p" / "b" / ".hidden.png").write_text("no picture")
    (tmp_path / "p" / "b" / "notes.txt").write_text("no picture")
    data = load(tmp_path)
    assert data.source["notes"][0].endswith("5 pictures of 2 classes")
    assert any(
        "not read: 1 file without the name of a picture, such as notes.txt" in note for note in data.source["notes"]
    )


def test_what_does_not_fit_is_read_each_time(make: Make, tmp_path: Path) -> None:
    """Pictures are numbers, bytes or files, by the memory there is; all three give the same samples."""
    pictures = [(tmp_path / "p" / f"{i}.png", i % 2) for i in range(4)]
    for path, _ in pictures:
        make(path.name)
    size = 4 * 3 * 6 * 5
    (numbers, pixels, files) = (
        read_splits(tmp_path / "p", [pictures], (3, 6, 5), memory)[0][0] for memory in (16 * size, 16 * size - 1, 0)
    )
    assert isinstance(numbers, tuple)
    assert isinstance(pixels, PicturePixels)
    assert isinstance(files, PictureFiles)
    for index in range(4):
        for other in (pixels, files):
            image, target = other[index]
            assert torch.equal(image, numbers[0][index])
            assert int(target) == int(numbers[1][index])


def broken(path: Path) -> None:
    """A picture that ends in its middle."""
    path.write_bytes(path.read_bytes()[:60])


def faults(folder: Path) -> dict[str, tuple[Callable[[], object], str]]:
    """What is done to a folder of pictures, and what the error says."""
    cat, dog = folder / "cat", folder / "dog"
    return {
        "a broken picture": (lambda: broken(cat / "1.png"), r"p/cat/1\.png: it cannot be read as a PNG, JPEG"),
        "no picture": (lambda: (cat / "1.png").write_text("x"), r"p/cat/1\.png: it cannot be read .* it is not one"),
        "an empty file": (lambda: (dog / "1.jpg").write_bytes(b""), r"p/dog/1\.jpg: it cannot be read"),
        "another size": (
            lambda: Image.new("RGB", (9, 4)).save(dog / "9.png"),
            r"p has pictures of 2 sizes, such as .*cat/0\.png \(5 by 6 pixels\) and .*dog/9\.png \(9 by 4 pixels\)",
        ),
        "transparency": (
            lambda: Image.new("RGBA", (5, 6)).save(dog / "9.png"), r"dog/9\.png: it has transparent pixels",
        ),
        "an empty class": (lambda: (folder / "owl").mkdir(), r"p/owl, the folder of a class, holds no pictures"),
        "one class": (lambda: dog.rename(cat / "dog"), r"p has one class alone, cat; two are needed"),
        "a loop": (lambda: (cat / "again").symlink_to(cat), r"p/cat/again is a link to a folder that it is in itself"),
        "a link to nothing": (lambda: (cat / "7.png").symlink_to("no.png"), r"p/cat/7\.png is a link to nothing"),
        "a pipe": (lambda: os.mkfifo(cat / "7.png"), r"p/cat/7\.png is not a regular file"),
        "no folder": (lambda: folder.rename(folder.with_name("q")), r"p does not exist"),
    }  # fmt: skip


@pytest.mark.parametrize("fault", faults(Path()))
def test_what_is_wrong_is_named(make: Make, tmp_path: Path, fault: str) -> None:
    """The error names the picture or the folder, and what is wrong with it."""
    for name in ("cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"):
        make(name)
    change, expected = faults(tmp_path / "p")[fault]
    change()
    with pytest.raises(DataError, match=expected):
        load(tmp_path)


def test_a_class_for_testing_alone(make: Make, tmp_path: Path) -> None:
    """A class that is in test/ alone is named, with the one that was probably meant."""
    for name in ("train/cat/1.png", "train/dog/1.png", "test/cats/1.png"):
        make(name)
    with pytest.raises(DataError, match=r"p/test/cats is a class that is not in .*p/train\. Did you mean 'cat'"):
        load(tmp_path)


def test_pictures_without_classes(make: Make, tmp_path: Path) -> None:
    """Pictures that lie in the folder itself have no class, which is said with an example."""
    make("1.png")
    with pytest.raises(DataError, match=r"p has no folder for each class, such as .* \(it holds 1 picture,"):
        load(tmp_path)


@pytest.mark.parametrize("size", [0, (3, -1), (3, 3, 3)])
def test_a_size_that_is_none(make: Make, tmp_path: Path, size: Any) -> None:
    """A size is one or two numbers of at least 1."""
    make("a/1.png")
    with pytest.raises(lossreg.LossregError, match="size="):
        load(tmp_path, size=size)
