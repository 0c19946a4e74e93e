"""Pictures as they come, from memory or from files, and as tensors of one size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch
from torch import Tensor

from lossreg.errors import DataError, LossregError, describe_error
from lossreg.machine import available_cores

if TYPE_CHECKING:
    import PIL.Image

DECODED = 2**30  # bytes of pictures that are kept as they are decoded, so that no epoch decodes them again
READ_AT_ONCE = 2**24  # numbers

_MODES = {1: "L", 3: "RGB"}  # channels -> how pillow calls such a picture
_WIDE = ("I;16", "I;16B", "I;16L", "I;16N", "I")  # 16 bits a pixel


@attrs.frozen(eq=False)
class Pictures:
    """The pictures of a split, and their targets, as they come.

    Attributes:
        read: The picture of an index: as pillow has it, or `(C, H, W)`, uint8.
        count: How many there are.
        targets: The class of each, `(N,)`, int64; None for a segmentation.
        read_mask: The mask of an index, for a segmentation: as pillow has it, or `(H, W)`, uint8.
        name: What an error calls the picture of an index, such as its file.
    """

    read: Callable[[int], PIL.Image.Image | Tensor]
    count: int
    targets: Tensor | None = None
    read_mask: Callable[[int], PIL.Image.Image | Tensor] | None = None
    name: Callable[[int], str] = "picture {}".format

    @classmethod
    def stored(cls, images: Tensor, targets: Tensor) -> StoredPictures:
        """Those that are in memory.

        Args:
            images: `(N, C, H, W)`, uint8.
            targets: `(N,)`, int64; for a segmentation `(N, H, W)`, uint8.
        """
        if targets.ndim == 1:
            return StoredPictures(images.__getitem__, len(images), targets, images=images)
        return StoredPictures(images.__getitem__, len(images), None, targets.__getitem__, images=images, masks=targets)

    def chosen(self, indices: Sequence[int]) -> Pictures:
        """Some of them, by their indices."""
        places = list(indices)
        return Pictures(
            _At(self.read, places),
            len(places),
            None if self.targets is None else self.targets[places],
            None if self.read_mask is None else _At(self.read_mask, places),
            _At(self.name, places),
        )


@attrs.frozen(eq=False)
class _At:
    """A function of places among the chosen; a lambda could not be sent to workers."""

    function: Callable[[int], Any]
    places: list[int]

    def __call__(self, index: int) -> Any:
        return self.function(self.places[index])


@attrs.frozen(eq=False)
class StoredPictures(Pictures):
    """Those that are in memory.

    Attributes:
        images: `(N, C, H, W)`, uint8.
        masks: `(N, H, W)`, uint8, for a segmentation.
    """

    images: Tensor = attrs.field(kw_only=True)
    masks: Tensor | None = attrs.field(default=None, kw_only=True)

    def chosen(self, indices: Sequence[int]) -> Pictures:
        """Some of them, by their indices."""
        targets = self.targets if self.masks is None else self.masks
        if targets is None:
            raise DataError("pictures have neither classes nor masks")
        places = list(indices)
        return Pictures.stored(self.images[places], targets[places])


@attrs.frozen(eq=False)
class Fitted:
    """Pictures as tensors of whole numbers, of one size.

    Attributes:
        pictures: As they come.
        channels: What they are made of.
        sides: `(height, width)`; None is that of each.
        resizes: Whether pictures of another size are resized; else they are errors.
    """

    pictures: Pictures
    channels: int
    sides: tuple[int, int] | None
    resizes: bool = False

    def __len__(self) -> int:
        return self.pictures.count

    @property
    def images(self) -> Tensor | None:
        """All of them, where they are in memory and have the size."""
        stored = self.pictures
        fits = isinstance(stored, StoredPictures) and tuple(stored.images.shape[-2:]) == self.sides
        return stored.images if isinstance(stored, StoredPictures) and fits else None

    def image(self, index: int) -> Tensor:
        """A picture, `(C, H, W)`, uint8.

        Raises:
            DataError: If it cannot be read, or has another size.
        """
        given = self._given(self.pictures.read, index)
        if isinstance(given, Tensor):
            if self.sides in (None, tuple(given.shape[-2:])):
                return given
            given = _as_picture(given)
        picture = _in_mode(given, _MODES[self.channels])
        self._check_size(picture.size, index)
        if self.sides is not None and picture.size != self.sides[::-1]:
            from PIL.Image import Resampling

            picture = picture.resize(self.sides[::-1], Resampling.BILINEAR)
        return _as_tensor(picture)

    def mask(self, index: int) -> Tensor | None:
        """The mask of a picture, `(H, W)`, uint8; None for a classification."""
        if self.pictures.read_mask is None:
            return None
        given = self._given(self.pictures.read_mask, index)
        if isinstance(given, Tensor):
            if self.sides in (None, tuple(given.shape)):
                return given
            given = _as_picture(given)
        if self.sides is not None and given.size != self.sides[::-1]:
            from PIL.Image import Resampling

            given = given.resize(self.sides[::-1], Resampling.NEAREST)
        return torch.from_numpy(np.array(given, dtype=np.uint8))

    def _given(self, read: Callable[[int], Any], index: int) -> Any:
        try:
            return read(index)
        except LossregError:
            raise
        except Exception as error:  # pillow's readers raise many kinds for a damaged file
            raise DataError(f"{self.pictures.name(index)} cannot be read: {describe_error(error)}") from error

    def _check_size(self, size: tuple[int, int], index: int) -> None:
        if self.resizes or self.sides in (None, size[::-1]):
            return
        height, width = self.sides or (0, 0)
        raise DataError(
            f"pictures are of several sizes: {self.pictures.name(index)} is {size[1]}x{size[0]} (height x width), the "
            f"first to train on {height}x{width}; write size={height} or size=[{height}, {width}] to resize all"
        )

    def kept(self) -> Fitted:
        """The same, decoded into memory if that takes at most 1 GiB."""
        height, width = self.sides or (0, 0)
        has_masks = self.pictures.read_mask is not None
        if self.images is not None or len(self) * (self.channels + has_masks) * height * width > DECODED:
            return self
        images = torch.empty((len(self), self.channels, height, width), dtype=torch.uint8)
        masks = torch.empty((len(self), height, width), dtype=torch.uint8) if has_masks else None
        with ThreadPoolExecutor(available_cores()) as threads:  # decoding leaves the interpreter to others
            for index, (image, mask) in enumerate(threads.map(self._both, range(len(self)))):
                images[index] = image
                if masks is not None and mask is not None:
                    masks[index] = mask
        targets = masks if masks is not None else self.pictures.targets
        if targets is None:
            raise DataError("pictures have neither classes nor masks")
        return attrs.evolve(self, pictures=Pictures.stored(images, targets))

    def parts(self) -> Iterator[Tensor]:
        """All pictures, `(n, C, H, W)` at a time, read in several threads where they are not in memory."""
        height, width = self.sides or (1, 1)
        step = max(1, READ_AT_ONCE // (self.channels * height * width))
        if self.images is not None:
            yield from self.images.split(step)
            return
        with ThreadPoolExecutor(available_cores()) as threads:
            for first in range(0, len(self), step):
                yield torch.stack(list(threads.map(self.image, range(first, min(first + step, len(self))))))

    def _both(self, index: int) -> tuple[Tensor, Tensor | None]:
        return self.image(index), self.mask(index)


def _as_picture(values: Tensor) -> PIL.Image.Image:
    """`(C, H, W)` or `(H, W)`, uint8, as pillow has it."""
    from PIL import Image

    array = values.numpy() if values.ndim == 2 else values.permute(1, 2, 0).numpy()
    return Image.fromarray(np.ascontiguousarray(array[..., 0] if array.shape[2:] == (1,) else array))


def _in_mode(picture: PIL.Image.Image, mode: str) -> PIL.Image.Image:
    """A picture upright, grey or coloured, with 8 bits for each number."""
    from PIL import Image, ImageOps

    picture = ImageOps.exif_transpose(picture)
    if picture.mode in _WIDE:
        wide = np.asarray(picture.convert("I"), dtype=np.float64)
        picture = Image.fromarray(np.clip(np.rint(wide / 257), 0, 255).astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")  # what a palette says of transparent colours is in it then
    return picture if picture.mode == mode else picture.convert(mode)


def _as_tensor(picture: PIL.Image.Image) -> Tensor:
    pixels = np.array(picture)  # torch warns of an array that cannot be written to
    return torch.from_numpy(pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1)))
