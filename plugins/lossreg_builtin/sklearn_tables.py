"""Tables that lie in the scikit-learn distribution, read without importing it (which takes 1.6 s)."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from lossreg.errors import DataError


def read_table(file: str, delimiter: str | None = ",") -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Reads a compressed table of numbers.

    Args:
        file: Its name in `sklearn/datasets/data`.
        delimiter: What stands between two numbers; None is blanks.

    Returns:
        float32, one row a line.

    Raises:
        DataError: If scikit-learn or the file is missing.
    """
    spec = importlib.util.find_spec("sklearn")
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise DataError("this data set lies in scikit-learn, which is not installed: pip install scikit-learn")
    path = Path(next(iter(folders)), "datasets", "data", file)
    try:
        return np.loadtxt(path, delimiter=delimiter, dtype=np.float32)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: {error}; install scikit-learn again") from error
