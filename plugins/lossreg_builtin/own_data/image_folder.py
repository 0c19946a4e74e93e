"""A folder of pictures as a data set, with a folder for each class."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lossreg.data import Data, Scaling
from lossreg.errors import DataError
from lossreg.inputs.pictures import look_at, open_picture, pixels_of
from lossreg.machine import available_memory
from lossreg.values import one_line
from lossreg_builtin.augment import parse_augment
from lossreg_builtin.own_data.picture_files import find_pictures
from lossreg_builtin.own_data.splitting import check_share, check_unused, facts_of, test_samples, untested
from lossreg_builtin.own_data.threads import in_threads
from lossreg_builtin.picture_data import Augment, Normalize, PictureOptions, picture_data
from lossreg_builtin.picture_size import sides_of
from lossreg_builtin.pictures import Pictures

if TYPE_CHECKING:
    import PIL.Image

    from lossreg.data import Split

SHARE = 0.25  # of the memory that is free, which pictures may take; the model and its gradients need more
SHOWN = 5  # pictures in a message
NO_MEMORY = "no memory is left for it; a smaller size= takes less"

_CONTENTS = "names and contents"  # what is hashed

Labelled = Sequence[tuple[Path, int]]
T = TypeVar("T")


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
    if found.test is None:
        classes = np.array([index for _, index in found.train])
        is_test = test_samples(len(classes), test, seed, classes)
        if not is_test.any():
            raise DataError(
                f"{label} has one picture of each class; a test split needs more, or folders train and test"
            )
        train = [one for one, held in zip(found.train, is_test, strict=True) if not held]
        held_out = [one for one, held in zip(found.train, is_test, strict=True) if held]
        split = facts_of(test, seed, stratified=True)
        notes.append(f"{len(train):,} pictures to train on and {len(held_out):,} for testing, drawn by seed {seed}")
        notes += untested(classes, found.classes)
    else:
        train, held_out, split = list(found.train), found.test, {"by": "folders"}
    if augment or normalize:
        options = PictureOptions.parse(channels=shape[0], augment=augment, normalize=normalize)
        paths = [path for labelled in (train, held_out) for path, _ in labelled]
        files = _hashed(root, paths, _each(_digest, paths), _CONTENTS)
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


def _shape(pictures: Labelled, size: tuple[int, int] | None, label: str, notes: list[str]) -> tuple[int, int, int]:
    """The shape of an input, told from the files.

    Raises:
        DataError: If one cannot be read, or they have several sizes and none is asked for.
    """
    looks = _each(_look, [path for path, _ in pictures])
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


def _each(work: Callable[[Path], T], paths: Sequence[Path]) -> list[T]:
    """What a function gives for each picture, in their order.

    Raises:
        DataError: That names the first pictures for which it raises one.
    """
    wrong: list[str] = []

    def attempt(path: Path) -> T | None:
        try:
            return work(path)
        except DataError as error:
            wrong.append(f"{one_line(str(path))}: {error.message}")
        except MemoryError:
            wrong.append(f"{one_line(str(path))}: {NO_MEMORY}")
        except OSError as error:
            wrong.append(f"{one_line(str(path))}: it cannot be read: {error.strerror}")
        return None

    done = in_threads(attempt, paths)
    if wrong:
        more = f"\n  and {len(wrong) - SHOWN:,} more" if len(wrong) > SHOWN else ""
        raise DataError("\n  ".join(sorted(wrong)[:SHOWN]) + more)
    return [one for one in done if one is not None]


def read_splits(
    root: Path, splits: Sequence[Labelled], shape: tuple[int, int, int], memory: int
) -> tuple[list[Split], dict[str, str]]:
    """Pictures as tensors, if these fit into a share of the memory; as bytes, if those do; else as files.

    Args:
        root: The folder that they are in.
        splits: Pictures with the class index of each.
        shape: Channels, height and width.
        memory: Bytes that are free.

    Returns:
        The splits, and for the run record the folder with a hash of what was read.
    """
    count = sum(map(len, splits))
    needed, room = count * int(np.prod(shape)), SHARE * memory
    paths = [path for labelled in splits for path, _ in labelled]
    if needed > room:
        digests = [f"{path.stat().st_size}" for path in paths]
        read: list[Split] = [
            PictureFiles([str(path) for path, _ in labelled], [index for _, index in labelled], shape)
            for labelled in splits
        ]
        return read, _hashed(root, paths, digests, "names and sizes")
    pixels = torch.empty((count, *shape), dtype=torch.uint8)
    array, places = pixels.numpy(), {path: place for place, path in enumerate(paths)}

    def decode(path: Path) -> str:
        data = path.read_bytes()
        array[places[path]] = _decoded(data, shape)
        return hashlib.sha256(data).hexdigest()

    digests = _each(decode, paths)
    read = []
    for part, labelled in zip(pixels.split([len(one) for one in splits]), splits, strict=True):
        targets = torch.tensor([index for _, index in labelled])
        read.append((part / 255, targets) if 4 * needed <= room else PicturePixels(part, targets))
    return read, _hashed(root, paths, digests, _CONTENTS)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


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


def _decoded(data: bytes, shape: tuple[int, int, int]) -> np.ndarray[Any, Any]:
    """The pixels of a picture in 8 bits."""
    channels, height, width = shape
    pixels, greatest = pixels_of(open_picture(data), channels, (width, height))
    return pixels if greatest == 255 else np.rint(pixels * (255 / greatest)).astype(np.uint8)


def _hashed(root: Path, paths: Sequence[Path], digests: Sequence[str], of: str) -> dict[str, str]:
    digest = hashlib.sha256()
    for name, one in sorted((path.relative_to(root).as_posix(), one) for path, one in zip(paths, digests, strict=True)):
        digest.update(f"{name}\0{one}\n".encode("utf-8", "surrogateescape"))
    return {"path": str(root), "sha256": digest.hexdigest(), "of": f"{len(paths):,} pictures: {of}"}


@attrs.frozen(eq=False)
class PicturePixels(Dataset[tuple[Tensor, Tensor]]):
    """Pictures that are kept as bytes, a quarter of what their numbers take.

    Attributes:
        pixels: `(N, channels, height, width)`, uint8.
        targets: Class indices `(N,)`.
    """

    pixels: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.pixels[index] / 255, self.targets[index]


@attrs.frozen(eq=False)
class PictureFiles(Dataset[tuple[Tensor, int]]):
    """Pictures that are read each time.

    Attributes:
        files: Their paths.
        targets: The class index of each.
        shape: Channels, height and width.
    """

    files: list[str]
    targets: list[int]
    shape: tuple[int, int, int]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        try:
            pixels = _decoded(Path(self.files[index]).read_bytes(), self.shape)
        except DataError as error:
            raise DataError(f"{one_line(self.files[index])}: {error.message}") from error
        except MemoryError as error:
            raise DataError(f"{one_line(self.files[index])}: {NO_MEMORY}") from error
        return torch.from_numpy(np.array(pixels)) / 255, self.targets[index]
