"""MNIST and its relatives, by torchvision's loaders."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import platformdirs
import torch

from lossreg.data import Data, Scaling
from lossreg.errors import DataError


def load_mnist(root: str | Path | None = None) -> Data:
    """70,000 handwritten digits (LeCun et al. 1998), 28x28, grey values in [0, 1]; 60,000 to train on.

    Args:
        root: The folder that holds, or gets, `MNIST/raw`; None is `$LOSSREG_DATA`, else the user's cache folder.

    Raises:
        DataError: If the files are missing and cannot be downloaded, or cannot be read.
    """
    return _load("MNIST", root)


def load_fashion_mnist(root: str | Path | None = None) -> Data:
    """70,000 pictures of clothes (Xiao et al. 2017), 28x28, grey values in [0, 1]; 60,000 to train on.

    Args:
        root: The folder that holds, or gets, `FashionMNIST/raw`; None is `$LOSSREG_DATA`, else the user's cache folder.

    Raises:
        DataError: If the files are missing and cannot be downloaded, or cannot be read.
    """
    return _load("FashionMNIST", root)


def load_kmnist(root: str | Path | None = None) -> Data:
    """70,000 cursive Japanese characters (Clanuwat et al. 2018), 28x28, grey values in [0, 1]; 60,000 to train on.

    Args:
        root: The folder that holds, or gets, `KMNIST/raw`; None is `$LOSSREG_DATA`, else the user's cache folder.

    Raises:
        DataError: If the files are missing and cannot be downloaded, or cannot be read.
    """
    return _load("KMNIST", root)


def _load(name: str, root: str | Path | None) -> Data:
    from torchvision import datasets  # 1.4 s that only these data sets need

    folder = Path(root or os.environ.get("LOSSREG_DATA") or platformdirs.user_cache_path("lossreg")).expanduser()
    there = [place for place in (folder, *folder.parents) if place.exists()]
    _check_links(getattr(datasets, name), folder / name / "raw")
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(patience or 30)  # seconds without an answer; torchvision would wait forever
    try:
        train, classes = _read(getattr(datasets, name), folder, train=True)
        test, _ = _read(getattr(datasets, name), folder, train=False)
    except Exception as error:
        _remove_empty(folder / name / "raw", there[0])  # torchvision makes the folders before it downloads
        reason = " ".join(str(error).split())
        raise DataError(
            f"{name} is not in {folder / name / 'raw'} and could not be downloaded, or its files are damaged "
            f"({type(error).__name__}: {reason}). Point --data.root at a copy, or use --data digits, "
            "which needs no download"
        ) from error
    finally:
        socket.setdefaulttimeout(patience)
    return Data(
        train=train,
        test=test,
        task="classification",
        in_shape=(1, 28, 28),
        num_classes=classes,
        input_scaling=Scaling(),
    )


def _check_links(dataset: Any, raw: Path) -> None:
    """Checks that a download would write in this folder alone; where all files are there, links are fine.

    Raises:
        DataError: If one of the files that it would write is a link.
    """
    packed = [raw / Path(file).name for file, _ in dataset.resources]
    files = [place.with_suffix("") for place in packed]
    link = next((place for place in (*packed, *files) if place.is_symlink()), None)
    if link is not None and not all(place.is_file() for place in files):
        raise DataError(
            f"{dataset.__name__} is not complete in {raw}, and is not downloaded there: {link} is a link, which may "
            "lead anywhere; remove it, or point --data.root at another folder"
        )


def _remove_empty(folder: Path, keep: Path) -> None:
    for place in (folder, *folder.parents):
        if place == keep or not place.is_dir() or any(place.iterdir()):
            return
        place.rmdir()


def _read(dataset: Any, folder: Path, *, train: bool) -> tuple[tuple[torch.Tensor, torch.Tensor], int]:
    """A split, and how many classes it has; the bytes that were read are let go before the next is."""
    split = dataset(folder, train=train, download=True)
    # What ToTensor gives, for all images at once.
    return (split.data.unsqueeze(1).float().div_(255), split.targets.long()), len(split.classes)
