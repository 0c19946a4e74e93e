"""Pictures as arrays of pixels, in the size and the channels that a model takes."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from lossreg.errors import DataError

if TYPE_CHECKING:
    import PIL.Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")

MODES = {1: "L", 3: "RGB"}  # channels -> how pillow calls such a picture
_WIDE = ("I;16", "I;16B", "I;16L", "I;16N", "I")  # 16 bits a pixel
_GREY = (*_WIDE, "1", "L", "LA")
_ORIENTATION, _TURNED = 0x0112, range(5, 9)  # of EXIF: those by a quarter


def open_picture(data: bytes) -> PIL.Image.Image:
    """A picture, upright and without transparency.

    Raises:
        DataError: If it is damaged, of another format, or has transparent pixels.
    """
    from PIL import Image, ImageOps  # only pictures need it

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture: Image.Image = Image.open(io.BytesIO(data), formats=_FORMATS)
            picture.load()
            picture = ImageOps.exif_transpose(picture)
    except Exception as error:  # pillow's readers raise many kinds for a damaged file
        raise _unreadable(error) from error
    if picture.has_transparency_data:
        alpha = picture.convert("RGBA").getchannel("A")
        if alpha.getextrema()[0] != 255:
            raise DataError("it has transparent pixels, which have no value; put it on a background first")
        picture = picture.convert("RGBA").convert("RGB")
    return picture


def look_at(stream: Any) -> tuple[tuple[int, int], bool]:
    """The size of a picture as width and height, upright, and whether it is grey; its pixels are not read.

    Args:
        stream: An open file.

    Raises:
        DataError: If it is damaged, or of another format.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(stream, formats=_FORMATS) as picture:
                is_turned = picture.format == "JPEG" and picture.getexif().get(_ORIENTATION) in _TURNED
                width, height = picture.size
                return (height, width) if is_turned else (width, height), picture.mode in _GREY
    except Exception as error:  # pillow's readers raise many kinds for a damaged file
        raise _unreadable(error) from error


def pixels_of(
    picture: PIL.Image.Image, channels: int, size: tuple[int, int] | None
) -> tuple[np.ndarray[Any, Any], float]:
    """The pixels, `(channels, height, width)`, and the greatest value that they can have.

    Args:
        picture: As `open_picture` gives it.
        channels: 1 or 3.
        size: Width and height that it is resized to, bilinearly; None leaves it as it is.
    """
    is_wide = picture.mode in _WIDE
    picture = picture.convert("I").convert("F") if is_wide else picture.convert(MODES[channels])
    if size is not None and picture.size != size:
        from PIL.Image import Resampling

        picture = picture.resize(size, Resampling.BILINEAR)
    pixels = np.asarray(picture)
    pixels = pixels.transpose(2, 0, 1) if pixels.ndim == 3 else np.repeat(pixels[None], channels, axis=0)
    return pixels, 65535.0 if is_wide else 255.0


def _unreadable(error: Exception) -> DataError:
    why = " ".join(str(error).split()) or type(error).__name__
    why = "it is not one, or damaged" if "BytesIO" in why or "BufferedReader" in why else why
    return DataError(f"it cannot be read as a PNG, JPEG, BMP or WebP picture: {why}")
