"""Data sets of pictures: sizes, normalisation, augmentation in a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import lossreg
from lossreg.data import Data, Scaling
from lossreg.errors import DataError
from lossreg.trained.facts import DataFacts
from lossreg.trained.inputs import to_tensor
from lossreg.trained.samples import Samples
from lossreg_builtin import picture_data as module
from lossreg_builtin.picture_data import PictureOptions, picture_data, to_inputs
from lossreg_builtin.pictures import Pictures
from tests.table import for_each

IMAGES = torch.randint(0, 256, (24, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
CLASSES = torch.arange(24) % 3
AUGMENT = ("random_crop(8, padding=2)", "random_horizontal_flip")


def made(**options: Any) -> Data:
    """A data set of the pictures above."""
    stored = Pictures.stored(IMAGES, CLASSES)
    return picture_data(stored, stored.chosen(range(6)), PictureOptions.parse(channels=3, **options), num_classes=3)


def files(*sizes: tuple[int, int]) -> Pictures:
    """Pictures of some sizes, width and height, read one by one."""
    found = [
        Image.fromarray(np.random.default_rng(index).integers(0, 256, (*size[::-1], 3), dtype=np.uint8))
        for index, size in enumerate(sizes)
    ]
    return Pictures(found.__getitem__, len(found), torch.arange(len(found)) % 2)


def from_files(pictures: Pictures, **options: Any) -> Data:
    """A data set of them, coloured."""
    return picture_data(pictures, pictures, PictureOptions.parse(channels=3, **options), num_classes=2)


def weights(tmp_path: Path, name: str, data: Data, **settings: Any) -> list[torch.Tensor]:
    """Those of a small run."""
    result = lossreg.run(
        data=data, model="mlp(hidden=[4])", loss="cross_entropy", batch_size=8, out=tmp_path / name, quiet=True,
        **{"epochs": 2, **settings},
    )  # fmt: skip
    return [value.clone() for value in result.model.state_dict().values()]


def test_normalize_is_what_numpy_computes() -> None:
    """True: mean and deviation of each channel over the training split, in [0, 1]; both splits have it."""
    data = made(normalize=True)
    raw = IMAGES.double().numpy() / 255
    mean, std = raw.mean((0, 2, 3)), raw.std((0, 2, 3))
    assert data.input_scaling is not None
    np.testing.assert_allclose(data.input_scaling.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(data.input_scaling.std, std, rtol=1e-12)
    expected = torch.from_numpy((raw - mean[:, None, None]) / std[:, None, None]).float()
    assert isinstance(data.train, tuple)
    assert isinstance(data.test, tuple)
    torch.testing.assert_close(data.train[0], expected, rtol=1e-6, atol=1e-7)
    assert torch.equal(data.test[0], data.train[0][:6])


def test_without_options_pictures_are_those_of_to_tensor() -> None:
    """Values are those of torchvision's ToTensor: divided by 255, in float32."""
    data = made()
    assert isinstance(data.train, tuple)
    assert torch.equal(data.train[0], IMAGES.float() / 255)


@for_each("scaling", [Scaling(), Scaling(0.3, 0.7), Scaling((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))])
def test_predictions_take_pictures_as_the_training_did(scaling: Scaling) -> None:
    """What `predict` makes of a picture's bytes is, bit for bit, what the training made of them."""
    facts = DataFacts("classification", (3, 8, 8), 3, "float32", scaling, None, {})
    predicted = to_tensor(Samples(("a",), IMAGES[:4].numpy(), True, 255.0), facts, torch.float32)
    assert torch.equal(to_inputs(IMAGES[:4], scaling), predicted)


def test_normalize_is_recorded(tmp_path: Path) -> None:
    """run.json has the numbers that were computed."""
    data = made(normalize=True)
    weights(tmp_path, "run", data, epochs=1)
    assert data.input_scaling is not None
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["data"]["input_scaling"] == data.input_scaling.to_json()


def test_pictures_are_resized_as_pillow_does() -> None:
    """With a size, pictures of all sizes are resized bilinearly; those of that size stay as they are."""
    pictures = files((12, 10), (9, 5), (6, 4))
    data = from_files(pictures, size=[4, 6])
    assert isinstance(data.train, tuple)
    assert data.in_shape == (3, 4, 6)
    for index, ours in enumerate(data.train[0]):
        picture = pictures.read(index)
        assert isinstance(picture, Image.Image)
        resized = np.asarray(picture.resize((6, 4), Image.Resampling.BILINEAR))
        assert np.array_equal(ours.numpy(), resized.transpose(2, 0, 1).astype(np.float32) / np.float32(255))


def test_sizes_that_differ_need_a_size() -> None:
    """Without a size it is an error that names a picture, both sizes, and what to write."""
    with pytest.raises(DataError, match=r"picture 1 is 5x9 \(height x width\).* 10x12; write size=10 or"):
        from_files(files((12, 10), (9, 5)))


@pytest.mark.parametrize("bound", ["WHOLE_SPLIT", "DECODED"])
def test_a_greater_split_has_the_same_samples(bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too large to be kept as tensors, or decoded, is read one by one, with the same values."""
    from lossreg_builtin import pictures as source

    pictures = files((12, 10), (9, 5), (6, 4))
    whole = from_files(pictures, size=4, normalize=True)
    monkeypatch.setattr(module if bound == "WHOLE_SPLIT" else source, bound, 1)
    streamed = from_files(pictures, size=4, normalize=True)
    assert isinstance(whole.train, tuple)
    assert not isinstance(streamed.train, tuple)
    assert streamed.input_scaling == whole.input_scaling
    for index in range(3):
        inputs, target = streamed.train[index]
        assert torch.equal(inputs, whole.train[0][index])
        assert target == whole.train[1][index]


def test_only_training_pictures_are_augmented(tmp_path: Path) -> None:
    """Test and validation samples are those of a run without augmentation, and the same validation split is cut."""
    plain, augmented = made(), made(augment=["random_invert(1.0)"])
    assert isinstance(plain.test, tuple)
    assert isinstance(augmented.test, tuple)
    assert torch.equal(plain.test[0], augmented.test[0])
    assert not isinstance(augmented.train, tuple)
    assert torch.equal(augmented.train[0][0], (255 - IMAGES[0]).float() / 255)
    cuts = []
    for name, data in (("plain", plain), ("augmented", augmented)):
        settings = {} if name == "plain" else {"workers": 0}
        weights(tmp_path, name, data, epochs=1, validate="0.25", **settings)
        record = json.loads((tmp_path / name / "run.json").read_text())
        cuts.append((record["validation"]["digest"], record["digests"]["validation"]))
    assert cuts[0] == cuts[1]


def test_the_first_random_resized_crop_sees_whole_pictures() -> None:
    """With a size it crops out of the picture as it is, and other transforms see it in that size."""
    whole = files((40, 40))
    wide = Pictures(whole.read, 1, torch.zeros(1, dtype=torch.int64))
    cropped = from_files(wide, size=4, augment="random_resized_crop(4, scale=[0.01, 0.01], ratio=[1, 1])").train[0][0]
    small = from_files(wide, size=4, augment=["identity", "random_resized_crop(4, scale=[1, 1], ratio=[1, 1])"])
    assert cropped.std() > 3 * small.train[0][0].std()  # noise of single pixels, and means over hundreds


def test_augmentation_is_the_same_in_every_process(tmp_path: Path) -> None:
    """A run gives the same bits again, also where a worker reads the samples; another seed gives others."""
    first = weights(tmp_path, "first", made(augment=AUGMENT), workers=0)
    again = weights(tmp_path, "again", made(augment=AUGMENT), workers=1)
    plain = weights(tmp_path, "plain", made())
    assert all(map(torch.equal, first, again))
    assert not all(map(torch.equal, first, plain))


def test_every_epoch_augments_anew(tmp_path: Path) -> None:
    """A run that goes on after its first epoch has the bits of one that was not interrupted."""
    whole = weights(tmp_path, "whole", made(augment=AUGMENT), workers=0)
    weights(tmp_path, "part", made(augment=AUGMENT), workers=0, max_steps=3)
    resumed = lossreg.run(resume=tmp_path / "part", max_steps=6, data=made(augment=AUGMENT), quiet=True)
    assert all(map(torch.equal, whole, resumed.model.state_dict().values()))


@for_each(
    ("options", "said"),
    [
        ({"size": 0}, "size=0 is not a number of pixels"),
        ({"size": [1, 2, 3]}, r"or \[height, width\]"),
        ({"size": True}, "size=True"),
        ({"normalize": [0.5]}, r"is not true, false or \[mean, std\]"),
        ({"normalize": [[0.5, 0.5], 0.5]}, "the pictures have 3 channels"),
        ({"normalize": [0.5, 0]}, "above 0"),
        ({"normalize": ["a", "b"]}, r"write \[mean, std\]"),
        ({"augment": 3}, "augment"),
    ],
)
def test_options_that_are_wrong(options: dict[str, Any], said: str) -> None:
    """Each is refused before a picture is read, with an example."""
    with pytest.raises(DataError, match=said):
        PictureOptions.parse(channels=3, **options)


def test_pictures_of_one_colour_cannot_be_normalised() -> None:
    """A deviation of 0 is an error, not a division by it."""
    stored = Pictures.stored(torch.full((4, 1, 2, 2), 7, dtype=torch.uint8), torch.arange(4) % 2)
    with pytest.raises(DataError, match="one and the same value"):
        picture_data(stored, stored, PictureOptions.parse(channels=1, normalize=True), num_classes=2)


def test_pictures_of_16_bits_and_turned_ones() -> None:
    """A grey picture of 16 bits keeps its brightness, and one that a camera turned is upright."""
    wide = Image.fromarray(np.array([[0, 257, 65535]], dtype=np.uint16))
    turned = Image.new("L", (3, 1))
    turned.putdata([1, 2, 3])
    turned.getexif()[0x0112] = 3  # by 180 degrees
    pictures = Pictures([wide, turned].__getitem__, 2, torch.arange(2))
    data = picture_data(pictures, pictures, PictureOptions.parse(channels=1), num_classes=2)
    assert isinstance(data.train, tuple)
    assert (data.train[0] * 255).round().int().flatten().tolist() == [0, 1, 255, 3, 2, 1]
