"""The data sets of torchvision, read by its own classes: `lossreg_builtin.vision_data:cifar10` is a factory.

A class first reads what is there; only where that fails is it told to download. Archives are kept in their folder, and
a download follows no links.
"""

from __future__ import annotations

import contextlib
import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs
import numpy as np
import platformdirs
import torch
from torch import Tensor

from lossreg.data import Data
from lossreg.errors import DataError, describe_error
from lossreg_builtin.downloads import patient, safe_archives
from lossreg_builtin.own_data.splitting import check_share, facts_of, test_samples
from lossreg_builtin.picture_data import Augment, Normalize, PictureOptions, picture_data
from lossreg_builtin.picture_size import Size
from lossreg_builtin.pictures import Pictures
from lossreg_builtin.vision_datasets import ROWS, SEGMENTATION, Row, defaults_of

if TYPE_CHECKING:
    import PIL.Image

NO_CLASS = 255  # in a mask

_TYPES: Mapping[str, Any] = {
    "root": str | Path | None,
    "size": Size,
    "augment": Augment,
    "normalize": Normalize,
    "test": float,
    "seed": int,
}


def __getattr__(name: str) -> Callable[..., Data]:
    """The factory of a data set."""
    if name not in ROWS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    row = ROWS[name]

    def load(**given: Any) -> Data:
        return load_data(name, **{**defaults_of(row), **given})

    types = {**_TYPES, **{key: Literal[words] for key, words in row.options.items()}}
    build: Any = load
    build.__signature__ = inspect.Signature(
        [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=value, annotation=types[key])
            for key, value in defaults_of(row).items()
        ]
    )
    build.__name__ = build.__qualname__ = name
    build.__doc__ = _DOCUMENTATION.format(summary=row.summary, source=row.source, more=_documented(row))
    globals()[name] = load
    return load


_DOCUMENTATION = """{summary}; torchvision.datasets.{source}.

    Args:
        root: The folder that torchvision's class takes; None is `$LOSSREG_DATA`, else the user's cache folder.
        size: Height and width that all pictures are resized to, bilinearly; one number is both. None leaves them.
        augment: Transforms of torchvision.transforms.v2 for training pictures: ["random_crop(32, padding=4)"].
        normalize: True takes mean and deviation of each channel from the training split; or [mean, std] of [0, 1].
{more}
    Raises:
        DataError: If the files are missing and cannot be downloaded, or cannot be read; if an option does not fit.
    """


def _documented(row: Row) -> str:
    lines = [f"        {name}: As torchvision's class takes it.\n" for name in row.options]
    if row.splits is None:
        lines += [
            "        test: The share of each class that is for testing.\n",
            "        seed: Decides which pictures these are.\n",
        ]
    return "".join(lines)


def load_data(
    name: str, root: str | Path | None, size: Size, augment: Augment, normalize: Normalize, **options: Any
) -> Data:
    """Reads a data set; see the docstring of each factory.

    Raises:
        DataError: If it is not there, or an option does not fit.
    """
    row = ROWS[name]
    chosen = PictureOptions.parse(
        channels=row.channels, size=size, augment=augment, normalize=normalize, ignored=row.ignored
    )
    if row.splits is None:
        check_share(options["test"], options["seed"])
    folder = Path(root or os.environ.get("LOSSREG_DATA") or platformdirs.user_cache_path("lossreg")).expanduser()
    # A class calls the variant of Imagenette what here is the size of pictures.
    its_own = {"size" if key == "archive" else key: options[key] for key in row.options}
    with _read_from(row, folder):
        opened = [_opened(row, folder, {**its_own, **split}) for split in row.splits or ({},)]
        splits = [_pictures(name, row, one) for one in opened]
        names = _names_of(name, row, opened[0])
    source: dict[str, Any] = {}
    if row.splits is None:
        splits = _cut(splits[0], options["test"], options["seed"])
        source = {"split": facts_of(options["test"], options["seed"], stratified=True)}
    count = row.classes if isinstance(row.classes, int) else len(names or ())
    return picture_data(
        splits[0],
        splits[1],
        chosen,
        task="segmentation" if name in SEGMENTATION else "classification",
        num_classes=count,
        class_names=names if names and len(set(names)) == len(names) else None,
        source=source,
    )


@contextlib.contextmanager
def _read_from(row: Row, folder: Path) -> Iterator[None]:
    """What a class raises for files that it cannot read, in one line; folders that it made in vain are removed."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    before = set(_found(row, folder))
    try:
        with patient(), safe_archives():
            yield
    except DataError:
        raise
    except Exception as error:  # of the network, the file system, or a file that is not what it should be
        for place in {*_found(row, folder), *(folder / place for place in row.places)} - before:
            _remove_empty(place, there)
        places = ", ".join(str(folder / place) for place in row.places)
        missing = "and could not be downloaded" if row.downloads else "(it is not downloaded)"
        rest = ", or use data='digits' (--data digits), which needs no download" if row.downloads else ""
        raise DataError(
            f"{row.source} is not in {places} {missing}, or its files are damaged ({describe_error(error)}). Point "
            f"root (--data.root) at a copy{rest}"
        ) from error


def _found(row: Row, folder: Path) -> list[Path]:
    return [path for place in row.places for path in folder.glob(place)]


def _remove_empty(place: Path, keep: Path) -> None:
    """Removes a folder in which there are folders alone, and those above it that are empty then."""
    for path in sorted(place.rglob("*"), reverse=True):
        if path.is_symlink() or not path.is_dir() or any(path.iterdir()):
            return
        path.rmdir()
    for path in (place, *place.parents):
        if path != keep and not path.exists():
            continue  # a download that failed has made the folder above it alone
        if path == keep or not path.is_dir() or path.is_symlink() or any(path.iterdir()):
            return
        path.rmdir()


def _opened(row: Row, folder: Path, arguments: Mapping[str, Any]) -> Any:
    """A split, by torchvision's class; it is downloaded where it is not there."""
    from torchvision import datasets  # 1.4 s that only these data sets need

    kind = getattr(datasets, row.source)
    if row.downloads:
        with contextlib.suppress(Exception):  # what is wrong, the download says better
            return kind(folder, **arguments, download=False)
        _check_links(row, folder)
        arguments = {**arguments, "download": True}
    return kind(folder, **arguments)


def _check_links(row: Row, folder: Path) -> None:
    """Checks that a download would write in this folder alone.

    Raises:
        DataError: If something that it would write to is a link.
    """
    for place in _found(row, folder):
        link = next((path for path in (place, *place.rglob("*")) if path.is_symlink()), None)
        if link is not None:
            raise DataError(
                f"{row.source} is not complete in {folder}, and is not downloaded there: {link} is a link, which may "
                "lead anywhere; remove it, or point root (--data.root) at another folder"
            )


def _names_of(name: str, row: Row, opened: Any) -> list[str] | None:
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


def _pictures(name: str, row: Row, opened: Any) -> Pictures:
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


def _cut(pictures: Pictures, test: float, seed: int) -> list[Pictures]:
    """A split in two, each class by its share.

    Raises:
        DataError: If there is nothing to test on.
    """
    classes = torch.zeros(0) if pictures.targets is None else pictures.targets
    is_test = test_samples(pictures.count, test, seed, classes.numpy())
    return [pictures.chosen(np.flatnonzero(part).tolist()) for part in (~is_test, is_test)]
