"""The answer of a comparison, honest about chance."""

from __future__ import annotations

from collections.abc import Sequence

from lossreg.comparison.results import CellResult, Verdict, directions_of
from lossreg.comparison.statistics import Difference
from lossreg.training.choosing import gets_greater


def judge(
    results: Sequence[CellResult],
    reference: CellResult | None,
    metric: str | None,
    *,
    chosen_by: str | None,
    is_baseline: bool,
) -> Verdict:
    """The sentence.

    Args:
        results: The cells, best first, with their differences.
        reference: The cell that they are compared with.
        metric: Which is compared.
        chosen_by: The metric by which they are ranked.
        is_baseline: Whether a person named the reference.
    """
    done = [result for result in results if metric is not None and metric in result.summary]
    if reference is None or metric is None or chosen_by is None or not done:
        return Verdict("No run came to its end, so there is nothing to compare.")
    best, greater = done[0], gets_greater(metric, directions_of(results))
    others = [result for result in done if result.label != reference.label]
    if not others:
        return Verdict(f"{shown(best, metric)}; no other cell to compare it with.", best.label)
    if is_baseline:
        return _against_baseline(others[0], reference, best, metric, greater=greater)
    return _best_of_all(reference, others, metric, chosen_by, greater=greater)


def shown(result: CellResult, metric: str) -> str:
    """`dice, sgd: test_accuracy 0.9611 ± 0.0034 over 3 seeds`."""
    found = result.summary[metric]
    deviation = "" if found.sd is None else f" ± {found.sd:.2g}"
    return f"{result.label}: {metric} {found.mean:.4g}{deviation} over {count(found.n)}"


def count(n: int) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{n} seed{'' if n == 1 else 's'}"


def _best_of_all(
    best: CellResult, others: Sequence[CellResult], metric: str, chosen_by: str, *, greater: bool
) -> Verdict:
    unclear = [other for other in others if not _is_worse(other.difference, greater=greater)]
    if not unclear:
        what = f"{others[0].label}" if len(others) == 1 else f"each of the other {len(others)} cells"
        return Verdict(
            f"{shown(best, metric)} is the best: better than {what}, the 95% interval of the paired difference "
            "excludes 0.",
            best.label,
            told_apart=True,
        )
    closest = min(unclear, key=lambda other: abs(other.difference.mean) if other.difference else float("inf"))
    more = f", and from {len(unclear) - 1} more" if len(unclear) > 1 else ""
    return Verdict(
        f"No cell is the best for certain. {shown(best, metric)} has the best {chosen_by}, but is not told apart from "
        f"{closest.label}{more} by {count(_seeds(closest))}: {_interval(closest.difference)}"
        f"{_advice(closest.difference)}.",
        best.label,
        seeds_needed=closest.difference.seeds_needed if closest.difference else None,
    )


def _against_baseline(
    other: CellResult, baseline: CellResult, best: CellResult, metric: str, *, greater: bool
) -> Verdict:
    difference = other.difference
    if difference is None or not difference.is_told_apart:
        return Verdict(
            f"{shown(other, metric)} is not told apart from the baseline {baseline.label} by {count(_seeds(other))}: "
            f"{_interval(difference)}{_advice(difference)}.",
            best.label,
            seeds_needed=difference.seeds_needed if difference else None,
        )
    how = "worse" if _is_worse(difference, greater=greater) else "better"
    return Verdict(
        f"{shown(other, metric)} is {how} than the baseline {baseline.label}: {_interval(difference)}.",
        best.label,
        told_apart=True,
    )


def _is_worse(difference: Difference | None, *, greater: bool) -> bool:
    """Whether a cell is worse for certain."""
    if difference is None or not difference.is_told_apart:
        return False
    return (difference.mean < 0) == greater


def _seeds(result: CellResult) -> int:
    return result.difference.n if result.difference else 0


def _interval(difference: Difference | None) -> str:
    if difference is None:
        return "they have no seed in common"
    if difference.low is None or difference.high is None:
        return f"the difference is {difference.mean:.2g}, and {difference.without}"
    return f"the difference is {difference.mean:.2g}, its 95% interval {difference.low:.2g} to {difference.high:.2g}"


def _advice(difference: Difference | None) -> str:
    if difference is None or difference.low is None:
        return "; run more seeds"
    if difference.seeds_needed is None:
        return "; no number of seeds that is worth its time would do" if difference.mean else ""
    if difference.seeds_needed <= difference.n:
        return f"; more than {difference.n} seeds may do"
    return f"; about {difference.seeds_needed} seeds would tell them apart"
