"""The 1,797 scanned digits that come with scikit-learn."""

from __future__ import annotations

import functools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from lossreg.data import Data, Scaling
from lossreg_builtin.sklearn_tables import read_table


def load() -> Data:
    """Handwritten digits, 8x8 grey values resized bilinearly to 28x28 in [0, 1].

    The split is fixed and stratified: of each class, in the order of the file, every fifth sample is for testing
    (1,442 to train on, 355 to test).

    Source:
        Test part of the Optical Recognition of Handwritten Digits data set, Alpaydin and Kaynak, UCI 1998.

    Example:
        >>> data = load()
        >>> data.train[0].shape, data.test[0].shape
        (torch.Size([1442, 1, 28, 28]), torch.Size([355, 1, 28, 28]))
    """
    images, labels = _read()
    rank = np.zeros_like(labels)  # position within its class
    for digit in range(10):
        mine = labels == digit
        rank[mine] = np.arange(mine.sum())
    test = torch.from_numpy(rank % 5 == 4)
    targets = torch.from_numpy(labels)
    return Data(
        train=(images[~test], targets[~test]),  # copies, so that who changes them changes no later run
        test=(images[test], targets[test]),
        task="classification",
        in_shape=(1, 28, 28),
        num_classes=10,
        input_scaling=Scaling(),
    )


@functools.cache
def _read() -> tuple[Tensor, NDArray[np.int64]]:
    """Images and labels. They are kept: to read and to resize them takes as long as a short run on them."""
    table = read_table("digits.csv.gz")
    scans = torch.from_numpy(table[:, :-1].reshape(-1, 1, 8, 8) / 16)  # grey values 0 to 16
    return functional.interpolate(scans, size=(28, 28), mode="bilinear"), table[:, -1].astype(np.int64)
