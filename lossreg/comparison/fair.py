"""The same small budget of learning rates for every cell, chosen on the validation split."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import attrs

from lossreg.comparison.naming import Cell, firsts_of, make_cells
from lossreg.comparison.planning import Planned
from lossreg.comparison.results import Attempt
from lossreg.comparison.watching import CellRun
from lossreg.errors import ConfigError
from lossreg.spec import ComponentSpec
from lossreg.training.choosing import gets_greater

SPAN = 10.0  # the rates go from a tenth of the cell's own to ten times as much
_METRICS = ("validation_accuracy", "validation_label_accuracy", "validation_mean_absolute_error", "validation_loss")


@attrs.frozen
class Trial:
    """A run by which a rate is chosen.

    Attributes:
        number: Of the cell, in the order of the plan.
        rate: The learning rate that was tried.
        run: The run.
    """

    number: int
    rate: float
    run: CellRun


@attrs.frozen
class Rate:
    """The rate that was chosen for a cell.

    Attributes:
        label: The cell, as it was asked for.
        rate: The rate; None where no trial came to its end, and the cell keeps its own.
        tried: All rates, from the smallest to the greatest.
        seconds: What the trials took.
        by: The metric.
    """

    label: str
    rate: float | None
    tried: tuple[float, ...]
    seconds: float
    by: str | None

    @property
    def note(self) -> str:
        """What a reader should know."""
        tried = ", ".join(f"{rate:g}" for rate in self.tried)
        cost = f"{len(self.tried)} trials took {self.seconds:.1f} s"
        if self.rate is None:
            return f"{self.label}: none of the rates {tried} gave a finite metric, so its own is kept; {cost}."
        edge = self.rate in (self.tried[0], self.tried[-1]) and len(self.tried) > 2
        warning = "; it is at the edge of those, so a better one may lie beyond" if edge else ""
        return f"{self.label}: rate {self.rate:g} of {tried}, by {self.by}{warning}; {cost}."


def rates_around(rate: float, count: int) -> tuple[float, ...]:
    """Rates with equal ratios around one, to three digits.

    Example:
        >>> rates_around(0.01, 3), rates_around(0.001, 5)
        ((0.001, 0.01, 0.1), (0.0001, 0.000316, 0.001, 0.00316, 0.01))
    """
    exponents = (2 * index / (count - 1) - 1 for index in range(count))
    return tuple(float(f"{rate * SPAN**exponent:.3g}") for exponent in exponents)


def check_fair(planned: Planned) -> None:
    """Checks that every cell has a rate to choose, and a split to choose it on.

    Raises:
        ConfigError: If one has not.
    """
    if not planned.validated:
        raise ConfigError("--fair chooses a rate for each cell on its validation split: add --validate 0.1")
    for cell, params in zip(planned.cells, planned.params, strict=True):
        if _rate(params) is None:
            raise ConfigError(
                f"--fair: the optimizer of the cell {cell.label} has no learning rate of its own to vary (lr); leave "
                "the cell or --fair out"
            )


def trials_of(planned: Planned, count: int) -> list[Trial]:
    """The trials of all cells, with the first seed: one of each cell before the next."""
    rates = [rates_around(_rate(params) or math.nan, count) for params in planned.params]
    trials = []
    for index in range(count):
        for number, cell in enumerate(planned.cells):
            rate = rates[number][index]
            tried = attrs.evolve(_with_rate(planned, number, rate), label=f"{cell.label} at rate {rate:g}")
            trials.append(Trial(number, rate, CellRun(tried, planned.seeds[0], is_trial=True)))
    return trials


def choose(planned: Planned, trials: Sequence[Trial], attempts: Mapping[str, Attempt]) -> tuple[Planned, list[Rate]]:
    """The plan with the best rate of each cell, and how each was chosen."""
    rates = [
        _best(cell.label, [trial for trial in trials if trial.number == number], attempts)
        for number, cell in enumerate(planned.cells)
    ]
    params = [
        of_cell if rate.rate is None else {**of_cell, "optimizer": {**of_cell["optimizer"], "lr": rate.rate}}
        for of_cell, rate in zip(planned.params, rates, strict=True)
    ]
    specs = [
        cell.spec if rate.rate is None else _with_rate(planned, number, rate.rate).spec
        for number, (cell, rate) in enumerate(zip(planned.cells, rates, strict=True))
    ]
    firsts = firsts_of(specs, params)  # cells that differ in the rate alone may come to the same
    kept = list(dict.fromkeys(firsts))
    specs, params = [specs[place] for place in kept], [params[place] for place in kept]
    cells = [
        attrs.evolve(made, asked=planned.cells[place].name)
        for made, place in zip(make_cells(specs, params), kept, strict=True)
    ]
    baseline = None
    if planned.baseline is not None:
        baseline = cells[kept.index(firsts[planned.cells.index(planned.baseline)])]
    return attrs.evolve(planned, cells=tuple(cells), params=tuple(params), baseline=baseline), rates


def _best(label: str, trials: Sequence[Trial], attempts: Mapping[str, Attempt]) -> Rate:
    done = [(trial, attempts[trial.run.name]) for trial in trials if trial.run.name in attempts]
    seconds = sum(attempt.seconds or 0.0 for _, attempt in done)
    tried = tuple(sorted(trial.rate for trial in trials))
    found = list(_scores(done))
    if not found:
        return Rate(label, None, tried, seconds, None)
    by = found[0][1]
    rate, _, _ = max(found, key=lambda one: one[2] if gets_greater(by) else -one[2])
    return Rate(label, rate, tried, seconds, by)


def _scores(done: Sequence[tuple[Trial, Attempt]]) -> Iterator[tuple[float, str, float]]:
    """Rate, metric and value of each trial that came to its end."""
    for trial, attempt in done:
        by = next((name for name in _METRICS if name in attempt.final), None)
        if attempt.is_done and by is not None:
            yield trial.rate, by, attempt.final[by]


def _rate(params: Mapping[str, Mapping[str, object]]) -> float | None:
    """The learning rate of a cell's optimizer."""
    rate = params.get("optimizer", {}).get("lr")
    return float(rate) if isinstance(rate, int | float) and rate > 0 else None


def _with_rate(planned: Planned, number: int, rate: float) -> Cell:
    cell = planned.cells[number]
    optimizer: ComponentSpec = cell.spec.optimizer.with_params({"lr": rate})
    (made,) = make_cells([attrs.evolve(cell.spec, optimizer=optimizer)], [planned.params[number]])
    return made
