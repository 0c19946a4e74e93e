"""Cells: the runs of a page, those together that differ in their seed alone. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import attrs

from lossreg.run_spec import COMPONENT_FIELDS, RUN_KEYS
from lossreg.training.record.reading import PastRun, short_text

SEED = "seed"
NOT_RECORDED = "not recorded"
LONGEST = 200  # characters of a name, which a page has many times
ENDED = ("finished", "stopped")  # the statuses of runs whose metrics are those of a whole run


@attrs.frozen
class Cell:
    """Runs of the same settings.

    Attributes:
        name: What tells it from the other cells; of a cell that is alone, its parts.
        differing: Setting -> its text, for the settings that differ between cells.
        runs: In the order of their seeds.
    """

    name: str
    differing: Mapping[str, str]
    runs: tuple[PastRun, ...]

    @property
    def counted(self) -> tuple[PastRun, ...]:
        """The runs whose final metrics count: those that came to their end, or all where none did."""
        whole = tuple(run for run in self.runs if run.status in ENDED)
        return whole or self.runs

    @property
    def seeds(self) -> list[str]:
        """The seeds of its runs."""
        return [run.spec.get(SEED, NOT_RECORDED) for run in self.runs]

    @property
    def status(self) -> str:
        """How its runs ended: `finished`, or `2 finished, 1 failed`."""
        statuses = [run.status for run in self.runs]
        each = dict.fromkeys(statuses)
        return statuses[0] if len(each) == 1 else ", ".join(f"{statuses.count(one)} {one}" for one in each)


@attrs.frozen
class Amount:
    """A number over the runs of a cell.

    Attributes:
        mean: The mean.
        deviation: The standard deviation of a sample (with n - 1); None for a single run.
        count: Of how many runs.
    """

    mean: float
    deviation: float | None
    count: int

    @classmethod
    def of(cls, values: Iterable[float | str | None]) -> Amount | None:
        """The amount of some values, or None if no number is among them.

        Example:
            >>> Amount.of([1.0, None, 3.0])
            Amount(mean=2.0, deviation=1.4142135623730951, count=2)
        """
        numbers = [float(value) for value in values if isinstance(value, int | float)]
        if not numbers:
            return None
        mean, count = math.fsum(numbers) / len(numbers), len(numbers)
        # `hypot` squares nothing that could overflow, and takes a tenth of the time of `statistics.stdev`.
        deviation = math.hypot(*(number - mean for number in numbers)) / math.sqrt(count - 1) if count > 1 else None
        return cls(mean, deviation, count)


def settings_of(run: PastRun) -> dict[str, str]:
    """Setting -> its text, without the seed; the class of a component that was a Python object."""
    settings = {**run.spec, **run.components}
    settings.pop(SEED, None)
    return settings


def cells_of(runs: Sequence[PastRun]) -> list[Cell]:
    """The cells of some runs, in the order in which their first runs come."""
    groups: dict[tuple[tuple[str, str], ...], list[PastRun]] = {}
    for run in runs:
        groups.setdefault(tuple(sorted(settings_of(run).items())), []).append(run)
    settings = [dict(key) for key in groups]
    texts = _texts(settings)
    differing = [key for key in _ordered(settings) if len({one.get(key) for one in settings}) > 1]
    return [
        Cell(
            _name({key: texts[key].get(one.get(key), NOT_RECORDED) for key in differing}) or _parts(members[0]),
            {key: texts[key].get(one.get(key), NOT_RECORDED) for key in differing},
            tuple(sorted(members, key=_seed)),
        )
        for one, members in zip(settings, groups.values(), strict=True)
    ]


def common_settings(cells: Sequence[Cell]) -> dict[str, str]:
    """Setting -> its text, for the settings in which all cells agree."""
    first = settings_of(cells[0].runs[0])
    apart = cells[0].differing
    return {key: first[key] for key in _ordered([first]) if key not in apart}


def _texts(settings: Sequence[Mapping[str, str]]) -> dict[str, dict[str | None, str]]:
    """Setting -> value -> as a person would write it: without a plugin's name, where that tells no two apart."""
    texts: dict[str, dict[str | None, str]] = {}
    for key in _ordered(settings):
        values = {one[key] for one in settings if key in one}
        short: dict[str | None, str] = {
            value: short_text(value) if key in COMPONENT_FIELDS else value for value in values
        }
        texts[key] = short if len({*short.values()}) == len(values) else {value: value for value in values}
    return texts


def _ordered(settings: Sequence[Mapping[str, str]]) -> list[str]:
    found = {key for one in settings for key in one}
    return [*(key for key in RUN_KEYS if key in found), *sorted(found - {*RUN_KEYS})]


def _name(differing: Mapping[str, str]) -> str:
    """The name of a cell: its components as they are, other settings with their name."""
    return _cut(
        " · ".join(
            text if key in COMPONENT_FIELDS and text not in ("none", NOT_RECORDED) else f"{key} = {text}"
            for key, text in differing.items()
        )
    )


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def _parts(run: PastRun) -> str:
    labels = run.labels
    return _cut(" · ".join(labels[key] for key in ("loss", "optimizer", "scheduler") if key in labels) or "run")


def _seed(run: PastRun) -> tuple[int, int, str]:
    text = run.spec.get(SEED, "")
    return (0, int(text), "") if text.isdecimal() and len(text) < 20 else (1, 0, text)
