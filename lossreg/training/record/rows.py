"""The rows of a metrics.jsonl of unknown origin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lossreg.training.record.files import json_object, read_regular_file, to_count, to_row
from lossreg.values import one_line

METRICS = "metrics.jsonl"
MAX_METRICS = 200_000_000  # bytes of a metrics.jsonl, about a million rows


def read_rows(file: Path, rows: Mapping[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Sorts the rows of metrics.jsonl by kind, and says what was left out."""
    try:
        data = read_regular_file(file, MAX_METRICS)
    except (OSError, ValueError) as error:
        yield f"{METRICS} cannot be read: {getattr(error, 'strerror', None) or one_line(str(error))}"
        return
    if len(data) > MAX_METRICS:
        yield f"{METRICS} is longer than {MAX_METRICS:,} bytes: what is beyond them is left out"
    lines = data.split(b"\n")
    torn = lines.pop()
    wrong = []
    for number, line in enumerate(lines, 1):
        if not _add_row(line, rows) and line.strip():
            wrong.append(number)
    if torn and not _add_row(torn, rows):
        yield f"the last line of {METRICS} is cut off, and is left out"
    if wrong:
        what = f"line {wrong[0]} of {METRICS} is" if len(wrong) == 1 else f"{len(wrong)} lines of {METRICS} are"
        first = "" if len(wrong) == 1 else f" (line {wrong[0]} is the first)"
        yield f"{what} not a row, and left out{first}"


def _add_row(line: bytes, rows: Mapping[str, list[dict[str, Any]]]) -> bool:
    """Adds a line to the rows of its kind; False if it is no row."""
    try:
        row = json_object(line)
    except ValueError:
        return False
    kind = row.get("kind")
    if (
        not isinstance(kind, str)
        or kind not in rows
        or any(to_count(row.get(key)) is None for key in ("epoch", "step"))
    ):
        return False
    rows[kind].append(to_row(row))
    return True
