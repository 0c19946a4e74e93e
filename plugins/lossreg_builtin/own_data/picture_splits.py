"""Splits of pictures in files: as tensors, as bytes or as files, as the memory allows."""

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

from lossreg.errors import DataError
from lossreg.inputs.pictures import open_picture, pixels_of
from lossreg.values import one_line
from lossreg_builtin.own_data.threads import in_threads

if TYPE_CHECKING:
    from lossreg.data import Split

SHARE = 0.25  # of the memory that is free, which pictures may take; the model and its gradients need more
SHOWN = 5  # pictures in a message
NO_MEMORY = "no memory is left for it; a smaller size= takes less"

CONTENTS = "names and contents"  # what is hashed

Labelled = Sequence[tuple[Path, int]]
T = TypeVar("T")


def each_of(work: Callable[[Path], T], paths: Sequence[Path]) -> list[T]:
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
        return read, hashed(root, paths, digests, "names and sizes")
    pixels = torch.empty((count, *shape), dtype=torch.uint8)
    array, places = pixels.numpy(), {path: place for place, path in enumerate(paths)}

    def decode(path: Path) -> str:
        data = path.read_bytes()
        array[places[path]] = _decoded(data, shape)
        return hashlib.sha256(data).hexdigest()

    digests = each_of(decode, paths)
    read = []
    for part, labelled in zip(pixels.split([len(one) for one in splits]), splits, strict=True):
        targets = torch.tensor([index for _, index in labelled])
        read.append((part / 255, targets) if 4 * needed <= room else PicturePixels(part, targets))
    return read, hashed(root, paths, digests, CONTENTS)


def digest_of(path: Path) -> str:
    """A hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _decoded(data: bytes, shape: tuple[int, int, int]) -> np.ndarray[Any, Any]:
    """The pixels of a picture in 8 bits."""
    channels, height, width = shape
    pixels, greatest = pixels_of(open_picture(data), channels, (width, height))
    return pixels if greatest == 255 else np.rint(pixels * (255 / greatest)).astype(np.uint8)


def hashed(root: Path, paths: Sequence[Path], digests: Sequence[str], of: str) -> dict[str, str]:
    """For the run record: the folder, with a hash of the names of files and of what is told of each."""
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
