"""What torchvision's classes of data sets hold: pictures with classes or masks, and the names of classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch
from torch import Tensor

from lossreg.errors import DataError
from lossreg_builtin.pictures import Pictures
from lossreg_builtin.vision_datasets import SEGMENTATION, Row

if TYPE_CHECKING:
    import PIL.Image

NO_CLASS = 255  # in a mask


def names_of(name: str, row: Row, opened: Any) -> list[str] | None:
    """What the classes are called, if the class of torchvision says so."""
    attribute = row.classes if isinstance(row.classes, str) else "classes"
    found = list(getattr(opened, attribute, None) or ())
    if name == "cityscapes":
        counted = sorted((one.train_id, one.name) for one in found if 0 <= one.train_id < NO_CLASS)
        return [called for _, called in counted]
    names = [each if isinstance(each, str) else ", ".join(each) for each in found]
    if name == "emnist" and names[:1] == ["N/A"]:
        names = names[1:]
    return names if isinstance(row.classes, str) or len(names) == row.classes else None


def pictures_of(name: str, row: Row, opened: Any) -> Pictures:
    """The pictures of a split, in an order that does not depend on the file system."""
    if row.images is not None:
        return Pictures.stored(*_stored(name, row, opened))
    count = len(opened)
    label = f"{row.source}, picture {{}}".format
    if name in SEGMENTATION:
        files = getattr(opened, "_images" if row.source == "OxfordIIITPet" else "images")
        pictures = Pictures(_Files(files), count, None, _Masks(row.source, _column(opened, row.labels)), label)
    else:
        targets = torch.tensor([int(label) for label in _column(opened, row.labels)])
        pictures = Pictures(_Samples(opened), count, targets, None, label)
    if row.order is None:
        return pictures
    keys = getattr(opened, row.order)
    return pictures.chosen(sorted(range(count), key=keys.__getitem__))


def _column(opened: Any, attribute: str) -> Sequence[Any]:
    """What a class keeps for each sample: an attribute, or behind a colon a place in each of its pairs."""
    name, _, place = attribute.partition(":")
    values = getattr(opened, name)
    return [pair[int(place)] for pair in values] if place else values


def _stored(name: str, row: Row, opened: Any) -> tuple[Tensor, Tensor]:
    """Pictures that a class has in memory, `(N, C, H, W)`, and their classes.

    Raises:
        DataError: If the file has no classes.
    """
    images = getattr(opened, row.images or "")
    if name == "fer2013":
        images = torch.stack([pixels for pixels, _ in images])
    images = torch.as_tensor(np.ascontiguousarray(images))
    labels = _column(opened, row.labels)
    if any(label is None for label in labels[:1]):
        raise DataError(f"{row.source}: the test split has no classes; they are in fer2013.csv or icml_face_data.csv")
    targets = torch.as_tensor(np.asarray(labels)).long()
    if images.ndim == 3:
        images = images.unsqueeze(1)
    elif images.shape[1] != row.channels:
        images = images.permute(0, 3, 1, 2).contiguous()
    if name == "qmnist":
        targets = targets[:, 0]  # then come writers and places
    if name == "emnist":
        images = images.transpose(-2, -1).contiguous()  # the files have rows for columns
        targets = targets - 1 if opened.split == "letters" else targets
    return images, targets


@attrs.frozen(eq=False)
class _Samples:
    """The picture of each sample of torchvision's class."""

    opened: Any

    def __call__(self, index: int) -> PIL.Image.Image:
        picture: PIL.Image.Image = self.opened[index][0]
        return picture


@attrs.frozen(eq=False)
class _Files:
    """Pictures by their files."""

    files: Sequence[str | Path]

    def __call__(self, index: int) -> PIL.Image.Image:
        from PIL import Image

        with Image.open(self.files[index]) as picture:
            picture.load()
            return picture


@attrs.frozen(eq=False)
class _Masks:
    """Masks whose values are classes from 0 on, and 255 where there is none."""

    source: str
    files: Sequence[str | Path]

    def __call__(self, index: int) -> PIL.Image.Image:
        from PIL import Image

        file = self.files[index]
        if self.source == "SBDataset":
            from scipy.io import loadmat

            return Image.fromarray(loadmat(file)["GTcls"][0]["Segmentation"][0])
        values = np.asarray(_Files([file])(0))
        if self.source == "OxfordIIITPet":
            values = values - 1  # the files have 1 to 3
        elif self.source == "Cityscapes":
            values = _train_ids()[values]
        return Image.fromarray(values.astype(np.uint8))


def _train_ids() -> np.ndarray[Any, Any]:
    """The class that counts of each class that a mask of Cityscapes has; 255 for none."""
    from torchvision.datasets import Cityscapes

    found = np.full(256, NO_CLASS, np.uint8)
    for one in Cityscapes.classes:
        if one.id >= 0 and 0 <= one.train_id < NO_CLASS:
            found[one.id] = one.train_id
    return found
