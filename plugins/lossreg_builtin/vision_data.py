"""The data sets of torchvision, read by its own classes: `lossreg_builtin.vision_data:cifar10` is a factory.

A class first reads what is there; only where that fails is it told to download. Archives are kept in their folder, and
a download follows no links.
"""

from __future__ import annotations

import contextlib
import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import platformdirs
import torch

from lossreg.data import Data
from lossreg.errors import DataError, describe_error
from lossreg_builtin.downloads import patient, safe_archives
from lossreg_builtin.own_data.splitting import check_share, facts_of, test_samples
from lossreg_builtin.picture_data import Augment, Normalize, PictureOptions, picture_data
from lossreg_builtin.picture_size import Size
from lossreg_builtin.pictures import Pictures
from lossreg_builtin.vision_datasets import ROWS, SEGMENTATION, Row, defaults_of
from lossreg_builtin.vision_pictures import names_of, pictures_of

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
        splits = [pictures_of(name, row, one) for one in opened]
        names = names_of(name, row, opened[0])
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


def _cut(pictures: Pictures, test: float, seed: int) -> list[Pictures]:
    """A split in two, each class by its share.

    Raises:
        DataError: If there is nothing to test on.
    """
    classes = torch.zeros(0) if pictures.targets is None else pictures.targets
    is_test = test_samples(pictures.count, test, seed, classes.numpy())
    return [pictures.chosen(np.flatnonzero(part).tolist()) for part in (~is_test, is_test)]
