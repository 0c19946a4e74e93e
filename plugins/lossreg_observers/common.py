"""What the trackers have in common: finding their library, and what of a row is a curve."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import lossreg as lr


def load_library(module: str, extra: str) -> Any:
    """Imports the library of a tracker.

    Args:
        module: What to import.
        extra: The optional dependency of lossreg that installs it.

    Raises:
        MissingLibraryError: If it, or something that it needs, is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise lr.MissingLibraryError(
            f"the observer {extra} needs {error.name}, which is not installed: pip install 'lossreg[{extra}]'",
            library=error.name,
        ) from error


def numbers(record: Mapping[str, Any]) -> dict[str, float]:
    """The fields of a row that make curves, each below the kind of the row.

    Example:
        >>> numbers({"kind": "epoch", "epoch": 1, "step": 9, "lr": 0.1, "train_loss": 2.5, "weights": "raw"})
        {'epoch/lr': 0.1, 'epoch/train_loss': 2.5}
    """
    return {
        f"{record['kind']}/{name}": float(value)
        for name, value in record.items()
        if name not in ("epoch", "step") and isinstance(value, int | float)
    }


def how_it_failed(error: BaseException) -> int | None:
    """The exit code of a run that was ended from outside, by Ctrl-C or another signal; None if it failed."""
    if isinstance(error, KeyboardInterrupt):
        return 130
    return error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else None
