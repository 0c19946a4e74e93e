"""Augmentation by name against torchvision's own transforms."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torchvision.transforms import v2

from lossreg.errors import DataError
from lossreg_builtin.augment import Augmentation, parse_augment
from lossreg_builtin.transform_names import REFUSED, transforms_by_name
from tests.table import for_each

#: Those that change no masks: torchvision refuses or warns.
WITHOUT_MASKS = {"aug_mix", "auto_augment", "rand_augment", "random_erasing", "trivial_augment_wide"}

#: What the transforms need that have parameters without a default, and those that change the size.
ARGUMENTS = {
    "center_crop": "16",
    "gaussian_blur": "3",
    "pad": "2",
    "random_adjust_sharpness": "2.0",
    "random_affine": "10",
    "random_apply": "[random_invert(1.0)]",
    "random_choice": "[random_invert(1.0), 'random_vertical_flip']",
    "random_crop": "16",
    "random_order": "[random_invert, random_vertical_flip]",
    "random_posterize": "4",
    "random_resize": "16, 20",
    "random_resized_crop": "16",
    "random_rotation": "10",
    "random_shortest_size": "16",
    "random_solarize": "100",
    "resize": "16",
    "scale_jitter": "[16, 16]",
}


def pictures(*shape: int) -> torch.Tensor:
    """Random pictures, always the same."""
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def parsed(*texts: str, **settings: Any) -> Augmentation:
    """The augmentation that texts name."""
    found = parse_augment(texts, **settings)
    assert found is not None
    return found


@for_each(
    ("text", "peer"),
    [
        ("random_crop(32, padding=4)", v2.RandomCrop(32, padding=4)),
        ("random_crop([24, 32], [1, 2])", v2.RandomCrop([24, 32], [1, 2])),
        ("RandomHorizontalFlip", v2.RandomHorizontalFlip()),
        ("random_rotation(10, bilinear)", v2.RandomRotation(10, v2.InterpolationMode.BILINEAR)),
        ("auto_augment(cifar10)", v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10)),
        ("random_apply([color_jitter(0.4), 'gaussian_blur(3)'], p=0.3)",
         v2.RandomApply([v2.ColorJitter(0.4), v2.GaussianBlur(3)], p=0.3)),
    ],
)  # fmt: skip
def test_a_text_is_the_transform_that_it_names(text: str, peer: v2.Transform) -> None:
    """Values by place and by name, words and nested transforms arrive as torchvision takes them."""
    assert repr(parsed(text).transforms[0]) == repr(peer)


def test_a_text_may_be_a_list() -> None:
    """As it is written behind an option: with and without quotes."""
    found = parse_augment("[random_crop(32, padding=4), 'random_invert(p=1.0)', random_vertical_flip]")
    assert found is not None
    assert found.texts == ("random_crop(32, padding=4)", "random_invert(p=1.0)", "random_vertical_flip")
    assert parse_augment("[]") is None


@for_each("name", [name for name in transforms_by_name() if name not in REFUSED])
def test_every_transform_gives_a_picture(name: str) -> None:
    """Each transform of the installed torchvision makes one picture of 8 bits of one, or is refused with a reason."""
    text = f"{name}({ARGUMENTS.get(name, '')})"
    given = None if name in WITHOUT_MASKS else torch.zeros(24, 24, dtype=torch.uint8)
    changed, mask = parsed(text)(pictures(3, 24, 24), given)
    assert (changed.dtype, changed.shape[0]) == (torch.uint8, 1 if name == "grayscale" else 3)
    assert mask is None or mask.shape == changed.shape[1:]


def test_what_is_refused_exists() -> None:
    """The names that are refused are torchvision's."""
    assert set(REFUSED) <= set(transforms_by_name())


def test_transforms_draw_what_torchvision_s_own_draw() -> None:
    """With one seed of torch, several texts change a picture as torchvision's transforms in this order do."""
    picture = pictures(3, 32, 32)
    peers = v2.Compose([v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip(), v2.ColorJitter(0.4)])
    ours = parsed("random_crop(32, padding=4)", "random_horizontal_flip", "color_jitter(0.4)")
    torch.manual_seed(5)
    expected = peers(picture)
    torch.manual_seed(5)
    assert torch.equal(ours(picture)[0], expected)


def test_a_mask_follows_its_picture() -> None:
    """Where pixels of a picture go, those of its mask go; their values stay."""
    mask = pictures(24, 24)
    changed, followed = parsed("random_horizontal_flip(1.0)", "random_vertical_flip(1.0)", "color_jitter(0.9)")(
        pictures(3, 24, 24), mask
    )
    assert followed is not None
    assert torch.equal(followed, mask.flip(0, 1))
    assert changed.shape == (3, 24, 24)


def test_gaps_in_a_mask_are_ignored() -> None:
    """What a transform adds at the border is no class: 255 in the mask, 0 in the picture."""
    changed, mask = parsed("pad(2)", ignored=255)(pictures(3, 4, 4), torch.ones(4, 4, dtype=torch.uint8))
    assert mask is not None
    assert (mask == 255).sum() == (changed[0] == 0).sum() == 8 * 8 - 4 * 4
    assert (mask[2:-2, 2:-2] == 1).all()


def test_a_trial_leaves_the_generator() -> None:
    """Whether transforms fit is tried without a change of torch's generator."""
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    parsed("random_crop(8, padding=2)").check(pictures(1, 8, 8), (1, 8, 8))
    assert torch.equal(torch.rand(3), expected)


@for_each(
    ("text", "said"),
    [
        ("random_horizontal_flop", "Did you mean 'random_horizontal_flip'"),
        ("zzz", "There are aug_mix, auto_augment, center_crop"),
        ("cut_mix", "it mixes the samples of a batch"),
        ("normalize([0.5], [0.5])", "write normalize=True or normalize="),
        ("random_crop", r"random_crop needs size: random_crop\(size, padding=None"),
        ("random_crop(32, pading=4)", "no parameter 'pading'. Did you mean 'padding'"),
        ("random_crop(32, size=32)", "size is given twice"),
        ("random_crop(1, 2, 3, 4, 5, 6)", "takes 5 values by place"),
        ("random_crop(32", "is not a transform such as"),
        ("random_crop(__import__('os'))", "is not a literal"),
        ("os.system('true')", "is not a transform such as"),
        ("random_horizontal_flip(p=2)", "cannot be built: ValueError"),
        ("random_crop(nan)", "is NaN"),
        ("random_rotation(9, interpolation=linear)", "interpolation is one of nearest"),
        ("random_apply([random_apply([zzz])])", "no transform named 'zzz'"),
        ("(" * 150 + "1" + ")" * 150, "is not a transform"),
        ("random_crop(" + "-" * 5000 + "1)", "augment: "),
        ("x" * 200_000, "is too long"),
    ],
)
def test_a_text_that_is_wrong(text: str, said: str) -> None:
    """An error of one line says what is wrong and what was meant; nothing of the text is run."""
    with pytest.raises(DataError, match=said) as caught:
        parse_augment([text])
    assert "\n" not in str(caught.value)


@for_each(
    ("text", "said"),
    [
        ("random_crop(24)", r"turns 32x32 pixels \(height x width\) into 24x24, and.*end with resize\(\[32, 32\]\)"),
        ("random_crop(40)", "fails on a picture of 32x32: ValueError"),
        ("grayscale", r"with 1 channel, and test pictures have 3; grayscale\(3\)"),
    ],
)
def test_a_transform_that_does_not_fit(text: str, said: str) -> None:
    """Training pictures have to keep the size and the channels of the test split; an error says so before the run."""
    with pytest.raises(DataError, match=said):
        parsed(text).check(pictures(3, 32, 32), (3, 32, 32))
