"""The built-in data sets against the files that they come from."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import datasets as peers

import lossreg
from lossreg.data import Data
from lossreg.errors import DataError


def tensors(data: Data) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Training inputs and targets, test inputs and targets."""
    assert isinstance(data.train, tuple)
    assert isinstance(data.test, tuple)
    return (*data.train, *data.test)


def test_digits_are_scikit_learn_s() -> None:
    """The digits are scikit-learn's 1,797 scans, each in one of the splits, with their labels."""
    inputs, targets, test_inputs, test_targets = tensors(lossreg.datasets.build("digits"))
    peer = peers.load_digits()
    assert len(inputs) + len(test_inputs) == len(peer.target) == 1797
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(peer.images[:, None].astype(np.float32) / 16), size=(28, 28), mode="bilinear"
    )
    ours = Counter((image.numpy().tobytes(), int(label)) for image, label in zip(inputs, targets, strict=True))
    ours += Counter((i.numpy().tobytes(), int(label)) for i, label in zip(test_inputs, test_targets, strict=True))
    theirs = Counter((i.numpy().tobytes(), int(label)) for i, label in zip(expected, peer.target, strict=True))
    assert ours == theirs


def test_digits_are_28_by_28_between_0_and_1() -> None:
    """Images are (1, 28, 28), float32, in [0, 1]."""
    inputs, targets, *_ = tensors(lossreg.datasets.build("digits"))
    assert inputs.shape[1:] == (1, 28, 28)
    assert (inputs.dtype, targets.dtype) == (torch.float32, torch.int64)
    assert 0 <= inputs.min() <= inputs.max() <= 1


def test_digits_that_are_changed_change_no_others() -> None:
    """What is read once is not shared: the tensors of each `load()` are its own."""
    for tensor in tensors(lossreg.datasets.build("digits")):
        tensor.zero_()
    assert all(tensor.any() for tensor in tensors(lossreg.datasets.build("digits")))


def test_the_split_of_digits_is_stratified() -> None:
    """Each class has a fifth of its samples, rounded, in the test split."""
    _, targets, _, test_targets = tensors(lossreg.datasets.build("digits"))
    for digit in range(10):
        train, test = int((targets == digit).sum()), int((test_targets == digit).sum())
        assert abs(test - (train + test) / 5) < 1


def test_diabetes_is_standardised_on_the_training_split() -> None:
    """Every column of the training split has mean 0 and variance 1, and undoing it gives scikit-learn's table."""
    inputs, targets, test_inputs, test_targets = tensors(lossreg.datasets.build("diabetes"))
    train = torch.cat([inputs, targets], dim=1).double()
    torch.testing.assert_close(train.mean(0), torch.zeros(11).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(train.std(0, correction=0), torch.ones(11).double(), atol=1e-6, rtol=0)
    peer = peers.load_diabetes(scaled=False)
    table = np.column_stack([peer.data, peer.target])
    is_test = np.arange(442) % 5 == 4
    mean, deviation = table[~is_test].mean(axis=0), table[~is_test].std(axis=0)
    ours = torch.cat([test_inputs, test_targets], dim=1).numpy() * deviation + mean
    np.testing.assert_allclose(ours, table[is_test], rtol=1e-4)


def write_idx(path: Path, magic: bytes, sizes: tuple[int, ...], content: bytes) -> None:
    """Writes a file of MNIST's format."""
    path.write_bytes(magic + b"".join(size.to_bytes(4, "big") for size in sizes) + content)


@pytest.mark.parametrize(
    ("name", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST"), ("kmnist", "KMNIST")]
)
def test_files_in_torchvision_s_layout_are_read(name: str, folder: str, tmp_path: Path) -> None:
    """Files that are there are read without a download; grey values become [0, 1]."""
    raw = tmp_path / folder / "raw"
    raw.mkdir(parents=True)
    pixels = bytes(range(256)) * 49  # 16 images
    for part in ("train", "t10k"):
        write_idx(raw / f"{part}-images-idx3-ubyte", b"\0\0\x08\x03", (16, 28, 28), pixels)
        write_idx(raw / f"{part}-labels-idx1-ubyte", b"\0\0\x08\x01", (16,), bytes(range(8)) * 2)
    inputs, targets, *_ = tensors(lossreg.datasets.build(name, root=tmp_path))
    expected = np.frombuffer(pixels, np.uint8).reshape(16, 1, 28, 28).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(inputs.numpy(), expected)
    assert targets.tolist() == [*range(8)] * 2


def test_damaged_files_are_an_error_that_names_another_data_set(tmp_path: Path) -> None:
    """A damaged file is an error that says where it is and offers digits."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (raw / f"{name}-ubyte").write_bytes(b"nonsense")
    with pytest.raises(DataError, match="--data digits") as caught:
        lossreg.datasets.build("mnist", root=str(tmp_path))
    assert str(raw) in str(caught.value)


def test_the_root_is_taken_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a root, LOSSREG_DATA names the folder."""
    monkeypatch.setenv("LOSSREG_DATA", str(tmp_path))
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (raw / f"{name}-ubyte").write_bytes(b"nonsense")
    with pytest.raises(DataError, match=str(raw)):
        lossreg.datasets.build("mnist")


@pytest.mark.mnist
def test_the_real_mnist(mnist_root: Path) -> None:
    """The real MNIST has 60,000 and 10,000 images whose bytes are those of the file."""
    inputs, targets, test_inputs, _ = tensors(lossreg.datasets.build("mnist", root=mnist_root))
    assert (len(inputs), len(test_inputs)) == (60_000, 10_000)
    labels = mnist_root / "MNIST" / "raw" / "train-labels-idx1-ubyte"
    packed = labels.with_suffix(".gz")
    content = labels.read_bytes() if labels.exists() else gzip.decompress(packed.read_bytes())
    assert bytes(targets.to(torch.uint8).tolist()) == content[8:]
