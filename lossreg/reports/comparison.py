"""What `lossreg compare` found, from its compare.json: the table of differences and the verdict. Needs no torch.

As with run.json, what is read may have been cut off or changed by hand: a field of a wrong type counts as missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from lossreg.past_runs.compare_json import labelled_cells, labels_in, read_compare_json
from lossreg.reports.amounts import Amount
from lossreg.reports.numbers import amount_text, decimals_for, number_text
from lossreg.reports.tables import NOTHING, Column, Entry, Row, Table
from lossreg.values import one_line

_GREATEST = 1e300  # beyond it, what is computed with a number overflows


@attrs.frozen
class ComparisonSummary:
    """A comparison as compare.json tells it.

    Attributes:
        labels: Run directory -> the label of its cell.
        verdict: The sentence, or nothing.
        metric: The metric that is compared, or None.
        reference: The label of the cell that the others are compared with, or None.
        confidence: Of the intervals, as a share.
        notes: What a reader should know of the numbers.
        table: A row for each cell.
    """

    labels: Mapping[str, str]
    verdict: str
    metric: str | None
    reference: str | None
    confidence: float
    notes: tuple[str, ...]
    table: Table


def read_comparison(directory: Path) -> ComparisonSummary | None:
    """Reads the compare.json of a directory; None if it has none.

    Raises:
        ConfigError: If it cannot be read, or is of a format that this version does not read.
    """
    content = read_compare_json(directory)
    return None if content is None else _summary(directory, content)


def _summary(directory: Path, content: Mapping[str, Any]) -> ComparisonSummary:
    cells = labelled_cells(content)
    metric = _text(content, "metric")
    return ComparisonSummary(
        labels_in(directory, content),
        _text(_table_in(content, "verdict"), "sentence") or "",
        metric,
        _text(content, "reference"),
        _confidence(content),
        tuple(one_line(note) for note in _listed(content, "notes") if isinstance(note, str)),
        _table(cells, content, metric),
    )


def _table(cells: Sequence[Mapping[str, Any]], content: Mapping[str, Any], metric: str | None) -> Table:
    columns = [(Column("runs done"), [_done(cell) for cell in cells])]
    for name in dict.fromkeys(filter(None, [_text(content, "chosen_by"), metric])):
        columns += _amounts(cells, name, name)
    differences = [_table_in(cell, "difference") for cell in cells]
    columns += _compared(differences, [_text(cell, "label") == _text(content, "reference") for cell in cells], content)
    columns += _amounts(cells, "target_epochs", "epochs to target", decimals=1)
    columns += _amounts(cells, "target_seconds", "seconds to target", decimals=1)
    heads = [Entry(one_line(cell["label"])) for cell in cells]
    rows = [Row(head, tuple(entries[index] for _, entries in columns)) for index, head in enumerate(heads)]
    return Table((Column("cell", is_number=False), *(column for column, _ in columns)), tuple(rows))


def _amounts(
    cells: Sequence[Mapping[str, Any]], name: str, head: str, decimals: int | None = None
) -> list[tuple[Column, list[Entry]]]:
    """The column of a summary, if any cell has it; with the decimals that suit its numbers, unless they are given."""
    amounts = [_amount(_table_in(cell, "summary").get(name)) for cell in cells]
    if not any(amounts):
        return []
    decimals = decimals_for([amount.mean for amount in amounts if amount]) if decimals is None else decimals
    return [(Column(head), [Entry(amount_text(one, decimals), one.mean) if one else Entry(NOTHING) for one in amounts])]


def _compared(
    differences: Sequence[Mapping[str, Any]], is_reference: Sequence[bool], content: Mapping[str, Any]
) -> list[tuple[Column, list[Entry]]]:
    """Difference, interval, wins and what they say, for each cell."""
    if _text(content, "reference") is None:
        return []
    names = ("mean", "low", "high")
    numbers = [tuple(_number(difference.get(name)) for name in names) for difference in differences]
    decimals = decimals_for([value for values in numbers for value in values if value is not None])

    def signed(value: float) -> str:
        return f"{'+' if value > 0 else ''}{number_text(value, decimals)}"

    means = [Entry(NOTHING) if mean is None else Entry(signed(mean), mean) for mean, _, _ in numbers]
    intervals = [
        Entry(NOTHING) if low is None or high is None else Entry(f"{signed(low)} to {signed(high)}", low)
        for _, low, high in numbers
    ]
    wins = [
        Entry(f"{difference['wins']} of {difference['n']}", difference["wins"])
        if type(difference.get("wins")) is int and type(difference.get("n")) is int
        else Entry(NOTHING)
        for difference in differences
    ]
    greater = content.get("better") == "greater"
    words = [
        Entry("reference") if itself else Entry(*_verdict(difference, low, high, greater=greater))
        for difference, (_, low, high), itself in zip(differences, numbers, is_reference, strict=True)
    ]
    return [
        (Column("difference"), means),
        (Column(f"{_confidence(content) * 100:.4g}% interval"), intervals),
        (Column("seeds won"), wins),
        (Column("verdict", is_number=False), words),
    ]


def _verdict(
    difference: Mapping[str, Any], low: float | None, high: float | None, *, greater: bool
) -> tuple[str, None, str]:
    """What the interval says, and why it says no more."""
    if not difference:
        return NOTHING, None, "no seed in common"
    needed = difference.get("seeds_needed")
    more = f"about {needed:,} seeds would tell" if type(needed) is int and 0 < needed < 1_000_000 else ""
    if low is None or high is None:
        return "no interval", None, _text(difference, "without") or ""
    if low <= 0 <= high:
        return "not told apart", None, more
    return "better" if (low > 0) == greater else "worse", None, ""


def _confidence(content: Mapping[str, Any]) -> float:
    confidence = _number(content.get("confidence"))
    return confidence if confidence is not None and 0 < confidence < 1 else 0.95


def _done(cell: Mapping[str, Any]) -> Entry:
    runs = [run for run in _listed(cell, "runs") if isinstance(run, dict)]
    done = [run for run in runs if run.get("status") in ("finished", "stopped")]
    reasons = dict.fromkeys(_text(run, "reason") for run in runs if run not in done)
    return Entry(f"{len(done)} of {len(runs)}", len(done), "; ".join(filter(None, reasons)))


def _amount(value: Any) -> Amount | None:
    if not isinstance(value, dict):
        return None
    mean, deviation = _number(value.get("mean")), _number(value.get("sd"))
    return None if mean is None else Amount(mean, deviation, 1)


def _number(value: Any) -> float | None:
    return value if type(value) in (int, float) and -_GREATEST < value < _GREATEST else None


def _text(table: Mapping[str, Any], key: str) -> str | None:
    value = table.get(key)
    return one_line(value) if isinstance(value, str) else None


def _table_in(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = table.get(key)
    return value if isinstance(value, dict) else {}


def _listed(table: Mapping[str, Any], key: str) -> list[Any]:
    value = table.get(key)
    return value if isinstance(value, list) else []
