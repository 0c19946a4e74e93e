"""compare.json, which `lossreg compare` writes: its name, its format, reading it. Needs no torch.

As with run.json, what is read may have been cut off or changed by hand: a field of a wrong type counts as missing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lossreg.errors import ConfigError
from lossreg.training.record.files import json_object, read_regular_file
from lossreg.values import one_line

NAME = "compare.json"
FORMAT = 1
MAX_BYTES = 100_000_000

logger = logging.getLogger("lossreg")


def read_compare_json(directory: Path) -> dict[str, Any] | None:
    """The compare.json of a directory; None if it has none. Its `cells` are a list, and nothing else is checked.

    Raises:
        ConfigError: If it cannot be read, is damaged, or of a format that this version does not read.
    """
    file = directory / NAME
    try:
        data = read_regular_file(file, MAX_BYTES)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _unusable(file, f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > MAX_BYTES:
        raise _unusable(file, f"cannot be read: it is longer than {MAX_BYTES:,} bytes")
    try:
        content = json_object(data)
    except ValueError as error:
        raise _unusable(file, f"is not a whole {NAME}: {error}") from error
    if content.get("format") != FORMAT or not isinstance(content.get("cells"), list):
        raise _unusable(file, f"is not a comparison of format {FORMAT}, which this lossreg reads")
    return content


def labelled_cells(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The cells that have a label."""
    return [cell for cell in content["cells"] if isinstance(cell, dict) and isinstance(cell.get("label"), str)]


def labels_in(directory: Path, content: Mapping[str, Any]) -> dict[str, str]:
    """Run directory -> the label of its cell.

    Args:
        directory: That of the comparison.
        content: Its compare.json.
    """
    return {
        str(directory / run["directory"]): one_line(cell["label"])
        for cell in labelled_cells(content)
        for run in (cell["runs"] if isinstance(cell.get("runs"), list) else [])
        if isinstance(run, dict) and isinstance(run.get("directory"), str)
    }


def read_labels(folders: Iterable[Path]) -> dict[str, str]:
    """Run directory -> the label of its cell, for the folders that are comparisons; warns of what cannot be read."""
    labels: dict[str, str] = {}
    for folder in folders:
        try:
            content = read_compare_json(folder)
        except ConfigError as error:  # its runs can be shown without it
            logger.warning("%s; its labels are left out", error.message)
        else:
            labels |= labels_in(folder, content) if content else {}
    return labels


def _unusable(file: Path, why: str) -> ConfigError:
    return ConfigError(one_line(f"{file} {why}"))
