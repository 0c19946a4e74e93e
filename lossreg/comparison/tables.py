"""A comparison as columns of text, and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from lossreg.comparison.results import CellResult, Comparison, directions_of
from lossreg.comparison.statistics import Difference, Spread


def table_lines(comparison: Comparison) -> list[str]:
    """A line for each cell, best first."""
    head = ["cell", "done", *(_heading(name) for name in _columns(comparison)), *_comparing(comparison)]
    rows = [head, *([*_row(result, comparison)] for result in comparison.cells)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [*lines, *_failures(comparison)]


def csv_text(comparison: Comparison) -> str:
    """A row for each cell: what differs, mean and standard deviation of every metric, the difference."""
    differs = list(dict.fromkeys(key for result in comparison.cells for key in result.cell.differs))
    metrics = list(dict.fromkeys(name for result in comparison.cells for name in result.summary))
    difference = ("mean", "sd", "low", "high", "n", "wins", "ties", "losses", "seeds_needed")
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        [
            "cell",
            *differs,
            "runs",
            "done",
            *(f"{name}_{part}" for name in metrics for part in ("mean", "sd", "n")),
            *(f"difference_{part}" for part in difference),
        ]
    )
    for result in comparison.cells:
        numbers = [result.summary.get(name) for name in metrics]
        writer.writerow(
            [
                result.label,
                *(result.cell.differs.get(key) for key in differs),
                len(result.runs),
                len(result.done),
                *(value for one in numbers for value in ((one.mean, one.sd, one.n) if one else (None, None, 0))),
                *(getattr(result.difference, part) if result.difference else None for part in difference),
            ]
        )
    return stream.getvalue()


def _columns(comparison: Comparison) -> list[str]:
    """The summaries that a table shows."""
    if comparison.metric is None:
        return []
    base = comparison.metric.removeprefix("test_")
    named = [f"{split}_{name}" for name in directions_of(comparison.cells) for split in ("validation", "test")]
    wanted = [
        f"validation_{base}", f"test_{base}", f"best_validation_{base}", f"best_test_{base}", *named,
        "validation_loss", "test_loss", "target_epochs", "target_seconds", "seconds",
    ]  # fmt: skip
    found = {name for result in comparison.cells for name in result.summary}
    if comparison.target is not None:  # that no run reached it is an answer, too
        found |= {"target_epochs", "target_seconds"}
    return [name for name in dict.fromkeys(wanted) if name in found]


def _heading(name: str) -> str:
    return {"target_epochs": "epochs to target", "target_seconds": "seconds to target"}.get(
        name, name.replace("best_", "best ")
    )


def _comparing(comparison: Comparison) -> list[str]:
    return [] if comparison.reference is None else ["difference [95%]", "wins"]


def _row(result: CellResult, comparison: Comparison) -> Iterator[str]:
    yield result.label
    yield f"{len(result.done)}/{len(result.runs)}"
    for name in _columns(comparison):
        found = result.summary.get(name)
        yield _spread(found) if not name.startswith("target") else _to_target(found, len(result.done))
    if comparison.reference is not None:
        yield "" if result.difference is None else _difference(result.difference)
        yield "" if result.difference is None else f"{result.difference.wins} of {result.difference.n}"


def _spread(found: Spread | None) -> str:
    if found is None:
        return "-"
    return f"{found.mean:.4g}" if found.sd is None else f"{found.mean:.4g} ± {found.sd:.2g}"


def _to_target(found: Spread | None, done: int) -> str:
    if found is None:
        return "never" if done else "-"
    return _spread(found) if found.n == done else f"{_spread(found)} ({found.n} of {done})"


def _difference(difference: Difference) -> str:
    if difference.low is None or difference.high is None:
        return f"{difference.mean:+.2g} [-]"
    return f"{difference.mean:+.2g} [{difference.low:+.2g}, {difference.high:+.2g}]"


def _failures(comparison: Comparison) -> Sequence[str]:
    """A line for each run that did not come to its end, but for those that fail for the same reason."""
    lines: dict[tuple[str, str | None], list[int]] = {}
    for result in comparison.cells:
        for run in result.runs:
            if not run.is_done:
                lines.setdefault((result.label, run.reason), []).append(run.seed)
    return [
        f"{label}, seed {', '.join(map(str, seeds))}: {reason or 'not run'}" for (label, reason), seeds in lines.items()
    ]
