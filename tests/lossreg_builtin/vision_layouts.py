"""Tiny data sets in the layouts of torchvision: in each split two pictures of three classes, told by brightness."""

from __future__ import annotations

import bz2
import csv
import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy.io import savemat

CLASSES = (0, 1, 2)
PER_CLASS = 2


def brightness(label: int) -> int:
    """Of all pixels of a picture of a class, 0 to 255."""
    return 10 + 40 * label


def labels() -> list[int]:
    """Of the samples of a split, in their order."""
    return [label for label in CLASSES for _ in range(PER_CLASS)]


def picture(path: Path, label: int, mode: str = "RGB") -> None:
    """Writes a picture of a class, of a size that no other class has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    level = brightness(label)
    Image.new(mode, (12 + label, 10), level if mode == "L" else (level,) * 3).save(path)


def text(path: Path, *lines: str) -> None:
    """Writes lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def each() -> Iterator[tuple[int, int]]:
    """A number, from 1, and the class of each sample."""
    yield from enumerate(labels(), start=1)


def pixels(*shape: int) -> np.ndarray[Any, Any]:
    """All pictures of a split in memory, `(N, *shape)`."""
    return np.stack([np.full(shape, brightness(label), np.uint8) for label in labels()])


def idx(path: Path, values: np.ndarray[Any, Any]) -> None:
    """Writes a file of MNIST's format: bytes, or whole numbers of 32 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = b"\x08" if values.dtype == np.uint8 else b"\x0c"
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    path.write_bytes(
        b"\0\0" + kind + bytes([values.ndim]) + sizes + values.astype(values.dtype.newbyteorder(">")).tobytes()
    )


def _mnist(folder: str) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        for part in ("train", "t10k"):
            idx(root / folder / "raw" / f"{part}-images-idx3-ubyte", pixels(28, 28))
            idx(root / folder / "raw" / f"{part}-labels-idx1-ubyte", np.array(labels(), np.uint8))

    return make


def _emnist(root: Path) -> None:
    for part in ("train", "test"):
        idx(root / f"EMNIST/raw/emnist-balanced-{part}-images-idx3-ubyte", pixels(28, 28))
        idx(root / f"EMNIST/raw/emnist-balanced-{part}-labels-idx1-ubyte", np.array(labels(), np.uint8))
        idx(root / f"EMNIST/raw/emnist-letters-{part}-images-idx3-ubyte", pixels(28, 28))
        idx(root / f"EMNIST/raw/emnist-letters-{part}-labels-idx1-ubyte", np.array(labels(), np.uint8) + 1)


def _qmnist(root: Path) -> None:
    for part in ("train", "test"):
        idx(root / f"QMNIST/raw/qmnist-{part}-images-idx3-ubyte", pixels(28, 28))
        told = np.zeros((len(labels()), 8), np.int32)
        told[:, 0], told[:, 1:] = labels(), 7
        idx(root / f"QMNIST/raw/qmnist-{part}-labels-idx2-int", told)


def _cifar10(root: Path) -> None:
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    flat = pixels(3 * 32 * 32)
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        part = slice(None) if name in ("data_batch_1", "test_batch") else slice(0)
        (folder / name).write_bytes(pickle.dumps({"data": flat[part], "labels": labels()[part]}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": ["a", "b", "c"]}))


def _cifar100(root: Path) -> None:
    folder = root / "cifar-100-python"
    folder.mkdir(parents=True)
    for name in ("train", "test"):
        (folder / name).write_bytes(pickle.dumps({"data": pixels(3 * 32 * 32), "fine_labels": labels()}))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": ["a", "b", "c"]}))


def _svhn(root: Path) -> None:
    told = np.array([label or 10 for label in labels()])[:, None]  # a 0 is written as 10
    for part in ("train", "test"):
        savemat(root / f"{part}_32x32.mat", {"X": pixels(32, 32, 3).transpose(1, 2, 3, 0), "y": told})


def _stl10(root: Path) -> None:
    folder = root / "stl10_binary"
    folder.mkdir()
    for part in ("train", "test"):
        (folder / f"{part}_X.bin").write_bytes(pixels(3, 96, 96).tobytes())
        (folder / f"{part}_y.bin").write_bytes((np.array(labels(), np.uint8) + 1).tobytes())
    (folder / "unlabeled_X.bin").touch()
    text(folder / "class_names.txt", *"abcdefghij")


def _usps(root: Path) -> None:
    for name in ("usps.bz2", "usps.t.bz2"):
        lines = [
            f"{label + 1} " + " ".join(f"{place}:{brightness(label) / 127.5 - 1 + 1e-3}" for place in range(1, 257))
            for label in labels()
        ]
        (root / name).write_bytes(bz2.compress("\n".join(lines).encode()))


def _semeion(root: Path) -> None:
    hot = np.eye(10)[labels()]
    values = np.repeat(np.array([[brightness(label) / 255 + 1e-3] for label in labels()]), 256, axis=1)
    np.savetxt(root / "semeion.data", np.column_stack([values, hot]))


def _fer2013(root: Path) -> None:
    (root / "fer2013").mkdir()
    with (root / "fer2013" / "fer2013.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["emotion", "pixels", "Usage"])
        for usage in ("Training", "PublicTest"):
            rows.writerows([label, " ".join([str(brightness(label))] * 48**2), usage] for label in labels())


def _caltech101(root: Path) -> None:
    folder = root / "caltech101" / "101_ObjectCategories"
    picture(folder / "BACKGROUND_Google" / "image_0001.jpg", 0)
    for label in CLASSES:
        for number in range(1, PER_CLASS + 1):
            picture(folder / "abc"[label] / f"image_{number:04}.jpg", label, "L")


def _caltech256(root: Path) -> None:
    for label in CLASSES:
        for number in range(1, PER_CLASS + 1):
            place = f"caltech256/256_ObjectCategories/{label + 1:03}.a/{label + 1:03}_{number:04}.jpg"
            picture(root / place, label)


def _clevr(root: Path) -> None:
    folder = root / "clevr" / "CLEVR_v1.0"
    for part in ("train", "val"):
        scenes = []
        for number, label in each():
            picture(folder / "images" / part / f"{number}.png", label)
            scenes.append({"image_filename": f"{number}.png", "objects": [{}] * label})
        text(folder / "scenes" / f"CLEVR_{part}_scenes.json", json.dumps({"scenes": scenes}))


def _in_folders(
    pattern: str, parts: tuple[str, ...], names: tuple[str, ...] = ("a", "b", "c")
) -> Callable[[Path], None]:
    """A folder for each class: the pattern has `part`, `name` and `number`."""

    def make(root: Path) -> None:
        for part in parts:
            for number, label in each():
                if label < len(names):
                    picture(root / pattern.format(part=part, name=names[label], number=number), label)

    return make


def _dtd(root: Path) -> None:
    for part in ("train", "test"):
        text(root / f"dtd/dtd/labels/{part}1.txt", *(f"{'abc'[label]}/{part}{number}.jpg" for number, label in each()))
    _in_folders("dtd/dtd/images/{name}/{part}{number}.jpg", ("train", "test"))(root)


def _fgvc_aircraft(root: Path) -> None:
    folder = root / "fgvc-aircraft-2013b" / "data"
    text(folder / "variants.txt", "a 1", "b 1", "c 1")
    for part in ("trainval", "test"):
        text(folder / f"images_variant_{part}.txt", *(f"{part}{number} {'abc'[label]} 1" for number, label in each()))
        for number, label in each():
            picture(folder / "images" / f"{part}{number}.jpg", label)


def _flowers102(root: Path) -> None:
    folder = root / "flowers-102"
    both = labels() * 2
    for number, label in enumerate(both, start=1):
        picture(folder / "jpg" / f"image_{number:05}.jpg", label)
    count = len(labels())
    savemat(folder / "imagelabels.mat", {"labels": np.array(both)[None] + 1})
    train, test = np.arange(1, count + 1), np.arange(count + 1, 2 * count + 1)
    savemat(folder / "setid.mat", {"trnid": train, "valid": train, "tstid": test})


def _food101(root: Path) -> None:
    for part in ("train", "test"):
        listed: dict[str, list[str]] = {}
        for number, label in each():
            listed.setdefault("abc"[label], []).append(f"{'abc'[label]}/{part}{number}")
        text(root / "food-101" / "meta" / f"{part}.json", json.dumps(listed))
    _in_folders("food-101/images/{name}/{part}{number}.jpg", ("train", "test"))(root)


def _gtsrb(root: Path) -> None:
    _in_folders("gtsrb/GTSRB/Training/{name}/{number}.ppm", ("",), ("00000", "00001", "00002"))(root)
    rows = [f"{number}.ppm;{label}" for number, label in each()]
    text(root / "gtsrb" / "GT-final_test.csv", "Filename;ClassId", *rows)
    for number, label in each():
        picture(root / "gtsrb/GTSRB/Final_Test/Images" / f"{number}.ppm", label)


def _imagenet(root: Path) -> None:
    names = ("n1", "n2", "n3")
    torch.save(({name: (name.upper(), "x") for name in names}, list(names)), root / "meta.bin")
    _in_folders("{part}/{name}/{number}.JPEG", ("train", "val"), names)(root)


def _oxford_iiit_pet(root: Path) -> None:
    folder = root / "oxford-iiit-pet"
    for part in ("trainval", "test"):
        rows = []
        for number, label in each():
            rows.append(f"{'abc'[label]}_{part}{number} {label + 1} 1 1")
            picture(folder / "images" / f"{'abc'[label]}_{part}{number}.jpg", label)
            mask(folder / "annotations" / "trimaps" / f"{'abc'[label]}_{part}{number}.png", 1, 3, label)
        text(folder / "annotations" / f"{part}.txt", *rows)


def _places365(root: Path) -> None:
    text(root / "categories_places365.txt", "/a/a 0", "/b/b 1", "/c/c 2")
    train = [f"/{'abc'[label]}/{number}.jpg {label}" for number, label in each()]
    text(root / "places365_train_standard.txt", *train)
    text(root / "places365_val.txt", *(f"{number}.jpg {label}" for number, label in each()))
    _in_folders("data_256_standard/{name}/{number}.jpg", ("",))(root)
    for number, label in each():
        picture(root / "val_256" / f"{number}.jpg", label)


def _stanford_cars(root: Path) -> None:
    folder = root / "stanford_cars"
    (folder / "devkit").mkdir(parents=True)
    savemat(folder / "devkit" / "cars_meta.mat", {"class_names": np.array(["a", "b", "c"], object)})
    for part, file in (("train", "devkit/cars_train_annos.mat"), ("test", "cars_test_annos_withlabels.mat")):
        told = np.zeros(len(labels()), [("fname", object), ("class", object)])
        for number, label in each():
            told[number - 1] = (f"{number}.jpg", label + 1)
            picture(folder / f"cars_{part}" / f"{number}.jpg", label)
        savemat(folder / file, {"annotations": told})


def _sun397(root: Path) -> None:
    text(root / "SUN397" / "ClassName.txt", "/a/abbey", "/b/beach", "/c/cave/inside")
    for number, label in each():
        picture(root / "SUN397" / ("a/abbey", "b/beach", "c/cave/inside")[label] / f"sun_{number}.jpg", label)


def mask(path: Path, left: int, right: int, label: int = 0) -> None:
    """Writes a mask of two halves, for the picture of a class."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.full((10, 12 + label), left, np.uint8)
    values[:, 6:] = right
    Image.fromarray(values).save(path)


def _cityscapes(root: Path) -> None:
    for part in ("train", "val"):
        for number in range(PER_CLASS):
            picture(root / "leftImg8bit" / part / "city" / f"c_{number}_leftImg8bit.png", 0)
            mask(root / "gtFine" / part / "city" / f"c_{number}_gtFine_labelIds.png", 7, 3)  # a road, and nothing


def _sbd(root: Path) -> None:
    (root / "cls").mkdir()
    for part in ("train", "val"):
        text(root / f"{part}.txt", *(f"{part}{number}" for number in range(PER_CLASS)))
        for number in range(PER_CLASS):
            picture(root / "img" / f"{part}{number}.jpg", 0)
            values = np.zeros((10, 12), np.uint8)
            values[:, 6:] = 20
            savemat(root / "cls" / f"{part}{number}.mat", {"GTcls": {"Segmentation": values}})


def _voc_segmentation(root: Path) -> None:
    folder = root / "VOCdevkit" / "VOC2012"
    for part in ("train", "val"):
        text(folder / "ImageSets" / "Segmentation" / f"{part}.txt", *(f"{part}{number}" for number in range(PER_CLASS)))
        for number in range(PER_CLASS):
            picture(folder / "JPEGImages" / f"{part}{number}.jpg", 0)
            mask(folder / "SegmentationClass" / f"{part}{number}.png", 5, 255)


_WNIDS = ("n01440764", "n02102040", "n02979186")
_SPECIES = tuple(f"{label:05}_a_b_c_d_e_f_{'abc'[label]}" for label in CLASSES)

#: Name -> writes it into a folder, in the layout of torchvision.
MAKERS: dict[str, Callable[[Path], None]] = {
    "mnist": _mnist("MNIST"),
    "fashion_mnist": _mnist("FashionMNIST"),
    "kmnist": _mnist("KMNIST"),
    "qmnist": _qmnist,
    "emnist": _emnist,
    "cifar10": _cifar10,
    "cifar100": _cifar100,
    "svhn": _svhn,
    "stl10": _stl10,
    "usps": _usps,
    "semeion": _semeion,
    "fer2013": _fer2013,
    "caltech101": _caltech101,
    "caltech256": _caltech256,
    "clevr": _clevr,
    "country211": _in_folders("country211/{part}/{name}/{number}.jpg", ("train", "test")),
    "dtd": _dtd,
    "eurosat": _in_folders("eurosat/2750/{name}/{number}.jpg", ("",)),
    "fgvc_aircraft": _fgvc_aircraft,
    "flowers102": _flowers102,
    "food101": _food101,
    "gtsrb": _gtsrb,
    "imagenet": _imagenet,
    "imagenette": _in_folders("imagenette2/{part}/{name}/{number}.jpeg", ("train", "val"), _WNIDS),
    "inaturalist": _in_folders("{part}/{name}/{number}.jpg", ("2021_train_mini", "2021_valid"), _SPECIES),
    "oxford_iiit_pet": _oxford_iiit_pet,
    "places365": _places365,
    "rendered_sst2": _in_folders(
        "rendered-sst2/{part}/{name}/{number}.png", ("train", "test"), ("negative", "positive")
    ),
    "stanford_cars": _stanford_cars,
    "sun397": _sun397,
    "cityscapes": _cityscapes,
    "oxford_iiit_pet_segmentation": _oxford_iiit_pet,
    "sbd": _sbd,
    "voc_segmentation": _voc_segmentation,
}
