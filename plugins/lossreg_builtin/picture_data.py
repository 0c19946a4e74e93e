"""Data sets of pictures: their `size`, `augment` and `normalize`, and the samples that they make.

Every data set with these parameters goes this way: `PictureOptions.parse` checks what was written before anything is
read, and `picture_data` makes a `lossreg.Data` of pictures.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lossreg.data import Data, Scaling
from lossreg.errors import DataError
from lossreg.values import shown
from lossreg_builtin.augment import Augmentation, parse_augment
from lossreg_builtin.picture_size import Size, sides_of
from lossreg_builtin.pictures import Fitted, Pictures, StoredPictures

if TYPE_CHECKING:
    from lossreg.data import Task

#: Bytes of a split as a model takes it, up to which it is made once. Fixed, so that what a run does depends on no
#: machine: a validation split is cut by what tensors hold, and by the places of samples that are read one by one.
WHOLE_SPLIT = 2**30

CONVERTED_AT_ONCE = 2**24  # numbers
IGNORED = -100  # the ignore_index of torch's losses unless it is set

Normalize = bool | Sequence[float | Sequence[float]] | None
Augment = str | Sequence[str] | None


@attrs.frozen(eq=False)
class PictureOptions:
    """What a user says of a data set of pictures, checked.

    Attributes:
        channels: 1 or 3: what pictures are made of.
        size: `(height, width)` that every picture is resized to; None leaves them as they are.
        augmentation: What is done to training pictures at random.
        normalize: True to compute the scaling from the training split; or the scaling.
        ignored: The value of a mask that belongs to no class, which is the target -100.
    """

    channels: int
    size: tuple[int, int] | None
    augmentation: Augmentation | None
    normalize: Scaling | bool
    ignored: int | None = None

    @classmethod
    def parse(
        cls,
        *,
        channels: int,
        size: Size = None,
        augment: Augment = None,
        normalize: Normalize = None,
        ignored: int | None = None,
    ) -> PictureOptions:
        """Checks what was written; reads nothing.

        Args:
            channels: 1 or 3.
            size: A side of squares in pixels, or `[height, width]`.
            augment: Texts that name transforms.
            normalize: True, or `[mean, std]`, each a number or one for each channel, of values in [0, 1].
            ignored: The value of a mask that belongs to no class.

        Raises:
            DataError: If something is wrong.
        """
        return cls(
            channels,
            sides_of(size, channels),
            parse_augment(augment, ignored=ignored),
            _scaling(normalize, channels),
            ignored,
        )


def _scaling(normalize: Normalize, channels: int) -> Scaling | bool:
    if normalize is None or isinstance(normalize, bool):
        return bool(normalize)
    pair = list(normalize) if isinstance(normalize, Sequence) and not isinstance(normalize, str) else []
    example = "[0.5, 0.25]" if channels == 1 else "[[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]"
    if len(pair) != 2:
        raise DataError(
            f"normalize={shown(normalize)} is not true, false or [mean, std] of values from 0 to 1, such as {example}"
        )
    try:
        scaling = Scaling(*pair)
    except DataError:
        raise DataError(
            f"normalize={shown(normalize)}: each mean is a finite number, and each std a number above 0; write "
            f"[mean, std], such as {example}"
        ) from None
    if not scaling.fits(channels):
        raise DataError(
            f"normalize={shown(normalize)}: the pictures have {channels} channel{'s' * (channels > 1)}; write one mean "
            f"and one std, or one for each channel, such as {example}"
        )
    return scaling


def picture_data(
    train: Pictures,
    test: Pictures,
    options: PictureOptions,
    *,
    num_classes: int,
    task: Task = "classification",
    **facts: Any,
) -> Data:
    """Makes a data set of pictures.

    Splits of up to 1 GiB are tensors. The samples of greater ones, and of a training split that is augmented, are made
    as they are read.

    Args:
        train: The split to train on.
        test: The split to evaluate on.
        options: What the user said.
        num_classes: How many classes there are.
        task: `classification` or `segmentation`.
        facts: Further fields of `Data`.

    Raises:
        DataError: If a picture cannot be read, sizes differ and none is set, or a transform does not fit.
    """
    if not train.count or not test.count:
        raise DataError(f"there is no picture to {'test' if train.count else 'train'} on")
    channels, augmentation = options.channels, options.augmentation
    sides = options.size or _first_sides(Fitted(train, channels, None).image(0))
    fitted = Fitted(train, channels, sides, resizes=options.size is not None)
    takes_whole = augmentation is not None and augmentation.wants_whole and options.size is not None
    if not takes_whole:
        fitted = fitted.kept()
    tested = Fitted(test, channels, sides, resizes=options.size is not None).kept()
    scaling = scaling_of(fitted) if options.normalize is True else options.normalize or Scaling()
    plain = PictureSet(fitted, scaling, options.ignored)
    augmented: AugmentedPictures | None = None
    if augmentation is not None:
        source = Fitted(train, channels, None) if takes_whole else fitted
        augmentation.check(source.image(0), (channels, *sides), source.mask(0))
        augmented = AugmentedPictures(source, scaling, options.ignored, augmentation, plain)
    return Data(
        train=plain.cheapest() if augmented is None else augmented,
        test=PictureSet(tested, scaling, options.ignored).cheapest(),
        task=task,
        in_shape=(channels, *sides),
        num_classes=num_classes,
        input_scaling=scaling,
        resized=options.size is not None,
        **facts,
    )


def _first_sides(image: Tensor) -> tuple[int, int]:
    height, width = image.shape[-2:]
    return height, width


def scaling_of(fitted: Fitted) -> Scaling:
    """Mean and standard deviation of each channel, over all pictures, of values in [0, 1].

    They are made from sums of whole numbers, so that they are the same on every machine.

    Raises:
        DataError: If a channel has one value alone.
    """
    total, squares, count = np.zeros(fitted.channels, object), np.zeros(fitted.channels, object), 0
    for images in fitted.parts():
        numbers = images.transpose(0, 1).reshape(fitted.channels, -1).long()
        total += np.array(numbers.sum(1).tolist(), object)
        squares += np.array(numbers.square().sum(1).tolist(), object)
        count += numbers.shape[1]
    means = [value / count / 255 for value in total]
    deviations = [
        ((square * count - value * value) / count**2) ** 0.5 / 255 for value, square in zip(total, squares, strict=True)
    ]
    if 0 in deviations:
        raise DataError("normalize: all training pictures have one and the same value; leave normalize out")
    return Scaling(means, deviations)


def to_inputs(images: Tensor, scaling: Scaling) -> Tensor:
    """Pictures as a model takes them: `(raw / 255 - mean) / std`, as float32.

    Args:
        images: `(*, C, H, W)`, uint8.
        scaling: One mean and one deviation, or one for each channel.
    """
    if scaling == Scaling():
        return images.float().div_(255)
    mean, std = _tensors(scaling)
    return images.double().div_(255).sub_(mean).div_(std).float()  # rounded once, as for predictions


@functools.lru_cache
def _tensors(scaling: Scaling) -> tuple[Tensor, Tensor]:
    """Mean and deviation, `(C, 1, 1)` each."""
    mean, std = (torch.tensor(one, dtype=torch.float64)[:, None, None] for one in (scaling.mean, scaling.std))
    return mean, std


def to_targets(masks: Tensor, ignored: int | None) -> Tensor:
    """Masks as losses take them.

    Args:
        masks: `(*, H, W)`, uint8.
        ignored: The value that becomes -100.
    """
    targets = masks.long()
    return targets if ignored is None else targets.masked_fill_(masks == ignored, IGNORED)


class PictureSet(Dataset[tuple[Tensor, Tensor]]):
    """Pictures as samples.

    Args:
        fitted: Of one size.
        scaling: How they are made numbers for a model.
        ignored: The value of masks that is no class.
    """

    def __init__(self, fitted: Fitted, scaling: Scaling, ignored: int | None) -> None:
        self.fitted = fitted
        self.scaling = scaling
        self.ignored = ignored
        if fitted.pictures.targets is not None:
            self.targets = fitted.pictures.targets

    def __len__(self) -> int:
        return len(self.fitted)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self._sample(self.fitted.image(index), self.fitted.mask(index), index)

    def _sample(self, image: Tensor, mask: Tensor | None, index: int) -> tuple[Tensor, Tensor]:
        target = self.targets[index] if mask is None else to_targets(mask, self.ignored)
        return to_inputs(image, self.scaling), target

    def cheapest(self) -> tuple[Tensor, Tensor] | Dataset[tuple[Tensor, Tensor]]:
        """All samples as tensors, where they are in memory and take at most 1 GiB; else these."""
        images, stored = self.fitted.images, self.fitted.pictures
        if images is None or not isinstance(stored, StoredPictures):
            return self
        of_masks = 0 if stored.masks is None else 8 * stored.masks.numel()
        if 4 * images.numel() + of_masks > WHOLE_SPLIT:
            return self
        inputs = torch.empty(images.shape)
        step = max(1, CONVERTED_AT_ONCE // images[0].numel())
        for first in range(0, len(images), step):
            inputs[first : first + step] = to_inputs(images[first : first + step], self.scaling)
        return inputs, self.targets if stored.masks is None else to_targets(stored.masks, self.ignored)


class AugmentedPictures(PictureSet):
    """Pictures that are changed at random each time they are read.

    Args:
        fitted: As they are augmented.
        scaling: How they are made numbers for a model.
        ignored: The value of masks that is no class.
        augmentation: What changes them.
        unchanged: The same samples as they are.
    """

    def __init__(
        self,
        fitted: Fitted,
        scaling: Scaling,
        ignored: int | None,
        augmentation: Augmentation,
        unchanged: PictureSet,
    ) -> None:
        super().__init__(fitted, scaling, ignored)
        self.augmentation = augmentation
        self.unchanged = unchanged

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self._sample(*self.augmentation(self.fitted.image(index), self.fitted.mask(index)), index)

    @property
    def plain(self) -> tuple[Tensor, Tensor] | Dataset[tuple[Tensor, Tensor]]:
        """The samples without augmentation: a validation split is cut off these."""
        return self.unchanged.cheapest()
