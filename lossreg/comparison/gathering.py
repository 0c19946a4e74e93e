"""What the runs of a comparison say together, from what each of them has left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lossreg.comparison.planning import Planned
from lossreg.comparison.results import (
    Attempt,
    CellResult,
    Comparison,
    metric_of,
    ranked,
    summarise,
    with_differences,
)
from lossreg.comparison.verdict import judge
from lossreg.validation import Target


def gathered(
    directory: Path,
    planned: Planned,
    attempts: Mapping[str, Attempt],
    target: Target | None,
    *,
    notes: Sequence[str],
    seconds: float,
) -> Comparison:
    """The comparison, as far as it is done.

    Args:
        directory: Of the comparison.
        planned: What was asked for.
        attempts: Name of a run -> what it has left.
        target: Where the runs end, or None.
        notes: What else a reader should know.
        seconds: That it took so far.
    """
    results = [
        summarise(
            cell,
            [
                attempts.get(cell.directory(seed)) or Attempt(seed, cell.directory(seed), "missing")
                for seed in planned.seeds
            ],
        )
        for cell in planned.cells
    ]
    metric, chosen_by = metric_of(results)
    reference = _reference(planned, results, chosen_by)
    if metric is not None and chosen_by is not None and reference is not None:
        results = ranked(with_differences(results, reference, metric), chosen_by)
    baseline = planned.baseline
    return Comparison(
        directory=directory,
        cells=tuple(results),
        metric=metric,
        chosen_by=chosen_by,
        reference=None if reference is None or len(results) == 1 else reference.label,
        target=None if target is None else target.text,
        notes=(*_notes(results, metric, chosen_by), *notes),
        verdict=judge(results, reference, metric, chosen_by=chosen_by, is_baseline=baseline is not None),
        seconds=seconds,
        is_whole=all(run.is_done for result in results for run in result.runs),
    )


def _reference(planned: Planned, results: Sequence[CellResult], chosen_by: str | None) -> CellResult | None:
    if chosen_by is None:
        return None
    if planned.baseline is not None:
        named = next(result for result in results if result.label == planned.baseline.label)
        return named if named.done else None
    return ranked(results, chosen_by)[0]


def _notes(results: Sequence[CellResult], metric: str | None, chosen_by: str | None) -> Iterable[str]:
    """What a reader should know of the numbers."""
    if metric is None or chosen_by is None or len(results) < 2:
        return
    if chosen_by == metric:
        yield (
            "Chosen on the test split, since the runs have no validation split: the best cell looks better there than "
            "on new data. --validate 0.1 chooses on a part of the training split."
        )
    else:
        yield f"Chosen on the validation split, by {chosen_by}; the test split was read once, at the end of each run."
    differs = {key.partition(".")[0] for result in results for key in result.cell.differs}
    if "loss" in differs:
        yield "The losses of cells with different losses are not comparable."
    yield "Intervals: Student's t on the paired differences of seeds, 95% each, not corrected for the number of cells."
