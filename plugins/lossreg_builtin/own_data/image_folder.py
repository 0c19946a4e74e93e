"""A folder of pictures as a data set, with a folder for each class."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch

from lossreg.data import Data, Scaling
from lossreg.errors import DataError
from lossreg.inputs.pictures import look_at, open_picture
from lossreg.machine import available_memory
from lossreg.values import one_line
from lossreg_builtin.augment import parse_augment
from lossreg_builtin.own_data.picture_files import Found, find_pictures
from lossreg_builtin.own_data.picture_splits import CONTENTS, Labelled, digest_of, each_of, hashed, read_splits
from lossreg_builtin.own_data.splitting import check_share, check_unused, facts_of, test_samples, untested
from lossreg_builtin.picture_data import Augment, Normalize, PictureOptions, picture_data
from lossreg_builtin.picture_size import sides_of
from lossreg_builtin.pictures import Pictures

if TYPE_CHECKING:
    import PIL.Image


def load(
    root: Path,
    size: int | tuple[int, int] | None = None,
    test: float = 0.2,
    seed: int = 0,
    augment: Augment = None,
    normalize: Normalize = False,
) -> Data:
    """Pictures (PNG, JPEG, BMP, WebP) with a folder for each class; grey or coloured as the files are, in [0, 1].

    Pictures are turned upright. If any is coloured, all have three channels. They are kept in memory as far as they
    fit, and are otherwise read in each epoch.

    Args:
        root: The folder: `root/CLASS/*.png`, or `root/train/CLASS/*.png` with `root/test/CLASS/*.png` (without `test`:
            `val`, `valid` or `validation`). Classes are sorted by name.
        size: Height and width that all pictures are resized to, bilinearly; one number is both. None takes pictures of
            one size as they are.
        test: The share of each class that is for testing, where no folder is for that.
        seed: Decides which pictures these are.
        augment: Transforms of torchvision.transforms.v2 for training pictures: `["random_horizontal_flip"]`.
        normalize: True takes mean and deviation of each channel from the training split; or `[mean, std]` of `[0, 1]`.

    Raises:
        DataError: If a picture cannot be read, or has another size than the first; if a folder is empty; if a transform
            does not exist or does not fit; if pictures of a size take too much memory; if a parameter has no effect.
    """
    check_share(test, seed)
    parse_augment(augment)  # before anything is read
    root = Path(root)
    label = one_line(str(root))
    target_size = sides_of(size, 1)  # of grey ones at first: files are not looked at yet
    found = find_pictures(root)
    if found.test is not None:
        check_unused(test, seed, f"in a folder of their own, {found.held}")
    notes = [
        f"{label}: {len(found.train) + len(found.test or ()):,} pictures of {len(found.classes)} classes",
        *found.notes,
    ]
    shape = _shape([*found.train, *(found.test or ())], target_size, label, notes)
    sides_of(size, shape[0])
    train, held_out, split = _parted(found, test, seed, label, notes)
    if augment or normalize:
        options = PictureOptions.parse(channels=shape[0], augment=augment, normalize=normalize)
        paths = [path for labelled in (train, held_out) for path, _ in labelled]
        files = hashed(root, paths, each_of(digest_of, paths), CONTENTS)
        made = picture_data(
            _as_read(train),
            _as_read(held_out),
            attrs.evolve(options, size=shape[1:]),
            num_classes=len(found.classes),
            class_names=found.classes,
            source={"files": [files], "split": split, "notes": notes},
        )
        return attrs.evolve(made, resized=target_size is not None)
    splits, files = read_splits(root, (train, held_out), shape, available_memory())
    return Data(
        train=splits[0],
        test=splits[1],
        task="classification",
        in_shape=shape,
        num_classes=len(found.classes),
        input_scaling=Scaling(),
        class_names=found.classes,
        resized=target_size is not None,
        source={"files": [files], "split": split, "notes": notes},
    )


def _parted(
    found: Found, test: float, seed: int, label: str, notes: list[str]
) -> tuple[Labelled, Labelled, dict[str, Any]]:
    """The pictures to train on and those for testing, and how they were told apart.

    Raises:
        DataError: If there is nothing to test on.
    """
    if found.test is not None:
        return list(found.train), found.test, {"by": "folders"}
    classes = np.array([index for _, index in found.train])
    is_test = test_samples(len(classes), test, seed, classes)
    if not is_test.any():
        raise DataError(f"{label} has one picture of each class; a test split needs more, or folders train and test")
    train = [one for one, held in zip(found.train, is_test, strict=True) if not held]
    held_out = [one for one, held in zip(found.train, is_test, strict=True) if held]
    notes.append(f"{len(train):,} pictures to train on and {len(held_out):,} for testing, drawn by seed {seed}")
    notes += untested(classes, found.classes)
    return train, held_out, facts_of(test, seed, stratified=True)


def _shape(pictures: Labelled, size: tuple[int, int] | None, label: str, notes: list[str]) -> tuple[int, int, int]:
    """The shape of an input, told from the files.

    Raises:
        DataError: If one cannot be read, or they have several sizes and none is asked for.
    """
    looks = each_of(_look, [path for path, _ in pictures])
    coloured = [not is_grey for _, is_grey in looks]
    sizes = [found for found, _ in looks]
    if size is None and len(set(sizes)) > 1:
        other = next(place for place, one in enumerate(sizes) if one != sizes[0])
        examples = " and ".join(
            f"{one_line(str(pictures[place][0]))} ({sizes[place][0]} by {sizes[place][1]} pixels)"
            for place in (0, other)
        )
        raise DataError(
            f"{label} has pictures of {len(set(sizes))} sizes, such as {examples}; size=N or size=(HEIGHT, WIDTH) "
            "resizes them all"
        )
    grey = len(coloured) - sum(coloured)
    if 0 < grey < len(coloured):
        notes.append(f"{grey:,} pictures are grey, and get three equal channels: others are coloured")
    width, height = sizes[0] if size is None else size[::-1]
    return 3 if any(coloured) else 1, height, width


def _look(path: Path) -> tuple[tuple[int, int], bool]:
    with path.open("rb") as stream:
        return look_at(stream)


def _as_read(labelled: Labelled) -> Pictures:
    """Pictures in the size and the colours of their files."""
    files = [str(path) for path, _ in labelled]
    targets = torch.tensor([index for _, index in labelled])
    return Pictures(_Opened(files), len(files), targets, None, files.__getitem__)


@attrs.frozen(eq=False)
class _Opened:
    """The picture of an index, as its file has it."""

    files: list[str]

    def __call__(self, index: int) -> PIL.Image.Image:
        try:
            return open_picture(Path(self.files[index]).read_bytes())
        except DataError as error:
            raise DataError(f"{one_line(self.files[index])}: {error.message}") from error
