"""The tables of a page, as texts with what they are sorted by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs

from lossreg.past_runs.cells import SEED, Cell
from lossreg.past_runs.metrics import direction, directions_of, is_measure, measure_of, metrics_in
from lossreg.reports.amounts import Amount
from lossreg.reports.numbers import amount_text, decimals_for, number_text, seconds_text
from lossreg.training.choosing import Directions
from lossreg.training.record.reading import ENDED, PastRun
from lossreg.values import one_line

NOTHING = "–"


@attrs.frozen
class Entry:
    """What is in one place of a table.

    Attributes:
        text: As it is shown.
        order: What it is sorted by: a number, or None for the text itself.
        note: What else there is to say, or nothing.
    """

    text: str
    order: float | None = None
    note: str = ""


@attrs.frozen
class Column:
    """The head of a column.

    Attributes:
        text: Its name.
        is_number: Whether it holds numbers, which are aligned to the right.
        hint: What it means, or nothing.
    """

    text: str
    is_number: bool = True
    hint: str = ""


@attrs.frozen
class Row:
    """A row; the key of its cell's curve tells which line it belongs to, if it belongs to one."""

    head: Entry
    entries: tuple[Entry, ...]
    key: int | None = None


@attrs.frozen
class Table:
    """A table; the first column holds the heads of its rows."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def results_table(cells: Sequence[Cell]) -> Table:
    """What each cell reached: the mean over its runs, with the standard deviation."""
    metrics = [metric for metric in metrics_in(run.final for cell in cells for run in cell.runs) if is_measure(metric)]
    directions = directions_of(run for cell in cells for run in cell.runs)
    columns: list[tuple[Column, list[Entry]]] = []
    if any(run.status not in ENDED for cell in cells for run in cell.runs):
        columns.append((Column("status", is_number=False), [Entry(cell.status) for cell in cells]))
    if any(len(cell.runs) > 1 for cell in cells):
        columns.append((Column("runs"), [Entry(str(len(cell.runs)), len(cell.runs)) for cell in cells]))
    for metric in metrics:
        amounts = [Amount.of(run.final.get(metric) for run in cell.counted) for cell in cells]
        columns.append((Column(metric, hint=_better(metric, directions)), _amounts(amounts)))
    times = [Amount.of(run.seconds for run in cell.counted) for cell in cells]
    columns.append(
        (
            Column("time", hint="of a run"),
            [Entry(seconds_text(one.mean), one.mean) if one else Entry(NOTHING) for one in times],
        )
    )
    return _table(Column("cell", is_number=False), [Entry(cell.label) for cell in cells], columns, range(len(cells)))


def place_of(run: PastRun, folders: Sequence[Path]) -> str:
    """The directory of a run, below the folder that was named."""
    for folder in folders:
        if folder in run.directory.parents:
            return one_line(str(run.directory.relative_to(folder)))
    return one_line(str(run.directory))


def runs_table(cells: Sequence[Cell], folders: Sequence[Path] = ()) -> Table:
    """Each run with its seed and how it ended."""
    members = [(cell, run) for cell in cells for run in cell.runs]
    runs = [run for _, run in members]
    columns: list[tuple[Column, list[Entry]]] = []
    if len(cells) > 1:
        columns.append((Column("cell", is_number=False), [Entry(cell.label) for cell, _ in members]))
    columns.append((Column("seed"), [_seed(run) for run in runs]))
    columns.append((Column("status", is_number=False), [Entry(run.status, note=run.reason or "") for run in runs]))
    for metric in metrics_in(run.final for run in runs):
        if is_measure(metric) and measure_of(metric) != "loss":
            values = [Amount.of([run.final.get(metric)]) for run in runs]
            columns.append((Column(metric), _amounts(values)))
    columns.append((Column("epochs"), [_epochs(run) for run in runs]))
    if any(run.best_epoch is not None for run in runs):
        kept = [
            Entry(NOTHING) if run.best_epoch is None else Entry(str(run.best_epoch), run.best_epoch) for run in runs
        ]
        columns.append((Column("best epoch", hint="its weights were kept"), kept))
    took = [Entry(NOTHING) if run.seconds is None else Entry(seconds_text(run.seconds), run.seconds) for run in runs]
    columns.append((Column("time"), took))
    columns.append((Column("started", is_number=False), [_started(run) for run in runs]))
    heads = [Entry(place_of(run, folders)) for run in runs]
    return _table(Column("run directory", is_number=False), heads, columns)


def differences_table(cells: Sequence[Cell]) -> Table:
    """The settings in which the cells differ."""
    settings = list(cells[0].differing)
    columns = [
        (Column(key, is_number=False), [Entry(cell.differing[key], _number(cell.differing[key])) for cell in cells])
        for key in settings
    ]
    columns.append((Column("seeds", is_number=False), [Entry(", ".join(cell.seeds)) for cell in cells]))
    return _table(Column("cell", is_number=False), [Entry(cell.label) for cell in cells], columns, range(len(cells)))


def origins_table(runs: Sequence[PastRun]) -> Table:
    """Versions and machine; where runs differ, how many have which."""
    facts = [{**run.versions, **_machine(run)} for run in runs]
    names = dict.fromkeys(name for one in facts for name in one)
    rows = []
    for name in names:
        values = [one.get(name, "not recorded") for one in facts]
        each = dict.fromkeys(values)
        counted = [f"{value} ({_runs(values.count(value))})" for value in each]
        rows.append(Row(Entry(name), (Entry(values[0] if len(each) == 1 else ", ".join(counted)),)))
    return Table((Column("", is_number=False), Column("", is_number=False)), tuple(rows))


def _machine(run: PastRun) -> dict[str, str]:
    """What run.json tells of where and how it computed."""
    found: dict[str, Any] = {"device": run.device, "threads": run.facts.get("threads")}
    found["processes"] = run.facts.get("processes")
    precision = run.facts.get("precision")
    found["precision"] = precision.get("used") if isinstance(precision, dict) else None
    return {name: str(value) for name, value in found.items() if isinstance(value, str | int)}


def _table(
    head: Column, heads: Sequence[Entry], columns: Sequence[tuple[Column, Sequence[Entry]]], keys: Iterable[int] = ()
) -> Table:
    numbered = dict(enumerate(keys))
    rows = tuple(
        Row(entry, tuple(entries[index] for _, entries in columns), numbered.get(index))
        for index, entry in enumerate(heads)
    )
    return Table((head, *(column for column, _ in columns)), rows)


def _amounts(amounts: Sequence[Amount | None]) -> list[Entry]:
    decimals = decimals_for([amount.mean for amount in amounts if amount])
    return [Entry(amount_text(amount, decimals), amount.mean) if amount else Entry(NOTHING) for amount in amounts]


def _better(metric: str, directions: Directions) -> str:
    better = direction(metric, directions)
    return f"{better} is better" if better else ""


def _seed(run: PastRun) -> Entry:
    text = run.spec.get(SEED, NOTHING)
    return Entry(text, _number(text))


def _epochs(run: PastRun) -> Entry:
    text = number_text(run.epochs_done, 0)
    return Entry(text if run.epochs in (None, run.epochs_done) else f"{text} of {run.epochs}", run.epochs_done)


def _started(run: PastRun) -> Entry:
    if run.created is None:
        return Entry(NOTHING)
    try:
        return Entry(run.created.strftime("%Y-%m-%d %H:%M"), run.created.timestamp())
    except (ValueError, OverflowError, OSError):  # a year that no clock has
        return Entry(NOTHING)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
