"""The diabetes table that comes with scikit-learn."""

from __future__ import annotations

import numpy as np
import torch

from lossreg.data import Data, Scaling
from lossreg_builtin.sklearn_tables import read_table


def load() -> Data:
    """Ten measurements of 442 patients, and a measure of the disease's progression one year later.

    Every fifth patient, in the order of the file, is for testing (354 to train on, 88 to test). Each column, the
    target too, is standardised with the mean and the standard deviation of the training split, so an error of 1 is
    one standard deviation of the target.

    Source:
        Efron, Hastie, Johnstone and Tibshirani, "Least Angle Regression", Annals of Statistics 2004.

    Example:
        >>> data = load()
        >>> data.train[0].shape, data.test[1].shape
        (torch.Size([354, 10]), torch.Size([88, 1]))
    """
    features = read_table("diabetes_data_raw.csv.gz", delimiter=None)
    target = read_table("diabetes_target.csv.gz", delimiter=None)
    table = np.column_stack([features, target]).astype(np.float64)
    test = np.arange(len(table)) % 5 == 4
    mean, std = table[~test].mean(axis=0), table[~test].std(axis=0)
    table = (table - mean) / std
    tensor = torch.from_numpy(table.astype(np.float32))
    rows = torch.from_numpy(test)
    train_part, test_part = tensor[~rows], tensor[rows]
    return Data(
        train=(train_part[:, :-1], train_part[:, -1:]),
        test=(test_part[:, :-1], test_part[:, -1:]),
        task="regression",
        in_shape=(10,),
        out_features=1,
        input_scaling=Scaling(mean[:-1], std[:-1]),
        target_scaling=Scaling(mean[-1], std[-1]),
    )
