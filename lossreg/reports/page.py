"""The page: what is known of some runs, put into the template. One file, which needs no other and no network."""

from __future__ import annotations

import base64
import functools
import hashlib
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import resources
from typing import Any

import attrs
import jinja2

import lossreg
from lossreg.past_runs.cells import SEED, Cell, cells_of
from lossreg.past_runs.metrics import main_metric, metrics_in
from lossreg.past_runs.sources import Source
from lossreg.reports import svg
from lossreg.reports.amounts import Amount
from lossreg.reports.commands import repeat_command, repeat_from_directory
from lossreg.reports.comparison import ComparisonSummary
from lossreg.reports.curves import Chart, charts_of, first_shown
from lossreg.reports.tables import (
    Column,
    Entry,
    Row,
    Table,
    differences_table,
    origins_table,
    place_of,
    results_table,
    runs_table,
)
from lossreg.run_spec import RUN_KEYS, RunSpec
from lossreg.training.record.reading import PastRun
from lossreg.training.record.texts import setting_text
from lossreg.values import one_line

OPEN = 4  # cells whose commands are shown without a click
LONGEST = 200  # characters of a label
NUMBERS = 50  # rows of the table of numbers behind a picture
_DIGITS = 6  # of a number in the data of the curves: more than a picture or a reading of it shows


@attrs.frozen
class Repeat:
    """How a run is repeated.

    Attributes:
        directory: Its run directory.
        recorded: The command line that it was started with, if that was recorded.
        command: The one with all its settings; None if no command can say them.
        from_directory: The one that reads its directory.
        names_file: Whether `command` names a file that it would run.
        obstacle: Why `command` is None, or what it does not say.
    """

    directory: str
    recorded: str | None
    command: str | None
    from_directory: str
    names_file: bool
    obstacle: str


def render_page(source: Source, comparisons: Sequence[ComparisonSummary] = (), *, made: datetime) -> str:
    """The page as one HTML text.

    Args:
        source: The runs.
        comparisons: What `lossreg compare` found, for the folders that have it.
        made: When the page is made.
    """
    cells = _cells(source, comparisons)
    charts = charts_of(cells)
    shown = _first_shown(cells, charts)
    style, script = _text("page.css"), _text("page.js")
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            title=_title(cells, source),
            facts=_facts(cells, source, made),
            version=lossreg.__version__,
            style=style,
            script=script,
            style_hash=_csp_hash(style),
            script_hash=_csp_hash(script),
            cells=cells,
            comparisons=comparisons,
            charts=charts,
            picture=svg.picture_of(charts[0], shown) if charts else None,
            legend=[(curve.key, curve.name, svg.style_of(curve.key), curve.key in shown) for curve in _legend(charts)],
            numbers=_numbers_table(charts[0], shown) if charts else None,
            data=_data(charts, shown),
            geometry=svg,
            results=results_table(cells),
            differences=differences_table(cells) if len(cells) > 1 else None,
            settings=_settings_table(_common_settings(cells)),
            runs=runs_table(cells, source.folders),
            repeats=[
                (cell.label, [_repeat(run, place_of(run, source.folders)) for run in cell.runs]) for cell in cells
            ],
            are_open=len(source.runs) <= OPEN,
            origins=origins_table(source.runs),
            warnings=[*source.unreadable, *_warnings(source.runs)],
            style_of=svg.style_of,
            of_curves=len(cells) > 1,
        )
    )


def _cells(source: Source, comparisons: Sequence[ComparisonSummary]) -> list[Cell]:
    """The cells, by the labels of their comparison if there is one; a page has a label many times, so none is long."""
    labels = {place: label for one in comparisons for place, label in one.labels.items()}
    return [
        cell if len(cell.label) <= LONGEST else attrs.evolve(cell, label=f"{cell.label[: LONGEST - 1]}…")
        for cell in cells_of(source.runs, labels)
    ]


def _first_shown(cells: Sequence[Cell], charts: Sequence[Chart]) -> list[int]:
    if len(cells) == 1 or not charts:
        return [curve.key for chart in charts for curve in chart.curves]
    metric = main_metric([metrics_in(run.final for run in cell.counted) for cell in cells])
    finals = [Amount.of(run.final.get(metric) for run in cell.counted) if metric else None for cell in cells]
    return first_shown(cells, finals, charts[0].better)


def _legend(charts: Sequence[Chart]) -> Sequence[Any]:
    return charts[0].curves if charts else ()


def _title(cells: Sequence[Cell], source: Source) -> str:
    if len(cells) > 1:
        differing = list(cells[0].differing)
        what = (
            f"{len(differing)} settings"
            if len(differing) > 3
            else " and ".join(filter(None, [", ".join(differing[:-1]), differing[-1]]))
        )
        return f"{len(cells)} cells that differ in {what}"
    run = source.runs[0]
    data = run.labels.get("data")
    return f"{cells[0].label} on {data}" if data else cells[0].label


def _facts(cells: Sequence[Cell], source: Source, made: datetime) -> list[str]:
    """What a reader should know first, each as a few words."""
    runs = source.runs
    facts = [one_line(str(folder)) for folder in source.folders] or (
        [one_line(str(runs[0].directory))] if len(runs) == 1 else []
    )
    if len(runs) > 1:
        facts.append(f"{len(runs)} runs")
    for key in ("data", "model") if len(cells) > 1 else ("model",):
        values = {run.labels.get(key) for run in runs}
        if len(values) == 1 and None not in values:
            facts.append(f"{key}: {values.pop()}")
    facts.append(f"page made {made:%Y-%m-%d %H:%M}")
    return facts


def _warnings(runs: Sequence[PastRun]) -> list[str]:
    """What is wrong with some runs, or with what was concluded from them."""
    notes = [f"{one_line(str(run.directory))}: {note}" for run in runs for note in run.notes]
    on_test = sum(run.chosen_on == "test" for run in runs)
    if on_test:
        whose = "Its" if len(runs) == 1 else "Their"
        which = "This run" if len(runs) == 1 else f"{on_test} of the {len(runs)} runs"
        notes.append(
            f"{which} chose something (such as the epoch to keep) on the test split. {whose} test metrics are no "
            "measure of new data."
        )
    return notes


def _common_settings(cells: Sequence[Cell]) -> dict[str, str]:
    """Setting -> its text, for the settings in which all cells agree; the class of a component that was an object."""
    run = cells[0].runs[0]
    apart = {SEED, *(key.partition(".")[0] for key in cells[0].differing)}
    settings = {**run.spec, **run.components}
    known = [key for key in RUN_KEYS if key in settings]
    return {key: settings[key] for key in [*known, *sorted(settings.keys() - {*RUN_KEYS})] if key not in apart}


def _settings_table(settings: Mapping[str, str]) -> Table:
    """Setting and value; what is not the default value is marked, and comes first."""
    defaults = {key: setting_text(value) for key, value in RunSpec().items()}
    plain = {key: text.removeprefix("builtin.") for key, text in settings.items()}
    changed = [key for key in settings if plain[key] != defaults.get(key)]
    rows = [Row(Entry(key, note="set"), (Entry(settings[key]),)) for key in changed]
    rows += [Row(Entry(key), (Entry(settings[key]),)) for key in settings if key not in changed]
    return Table((Column("setting", is_number=False), Column("value", is_number=False)), tuple(rows))


def _repeat(run: PastRun, place: str) -> Repeat:
    command = repeat_command(run)
    obstacle = ""
    if run.objects:
        named = ", ".join(f"{field} ({run.components[field]})" for field in run.objects)
        obstacle = f"A Python object, which no command line can name: {named}."
    elif command is None:
        obstacle = "Its settings are not those of this version of lossreg."
    elif run.facts.get("repeatable") is False:
        obstacle = "Code that is not in a file took part, so the command line alone does not repeat it."
    names_file = command is not None and " -p " in command
    return Repeat(place, run.command, command, repeat_from_directory(run), names_file, obstacle)


def _numbers_table(chart: Chart, shown: Sequence[int]) -> Table:
    """The numbers of the picture: a row for each place, at most about `NUMBERS`, with the last."""
    axis = chart.axes[0]
    curves = [curve for curve in chart.curves if curve.key in shown]
    found = [dict(zip(curve.x[axis], curve.y, strict=True)) for curve in curves]
    places = sorted({place for one in found for place in one})
    stride = math.ceil(len(places) / NUMBERS) or 1
    kept = [place for index, place in enumerate(places) if index % stride == 0 or place == places[-1]]
    rows = [Row(Entry(f"{place:g}", place), tuple(_reading(one.get(place)) for one in found)) for place in kept]
    return Table((Column(axis), *(Column(curve.name) for curve in curves)), tuple(rows))


def _reading(value: float | None) -> Entry:
    return Entry("–") if value is None else Entry(f"{value:.5g}".replace("-", "−", 1) if value < 0 else f"{value:.5g}")


def _data(charts: Sequence[Chart], shown: Sequence[int]) -> dict[str, Any]:
    """All curves for the script. Places are kept once: those of the metrics of a cell are the same."""
    places: dict[tuple[float, ...], int] = {}

    def kept(values: Sequence[float]) -> int:
        return places.setdefault(tuple(map(_short, values)), len(places))

    content = [
        {
            "name": chart.name,
            "axes": chart.axes,
            "better": chart.better,
            "note": chart.note,
            "curves": [
                {
                    "key": curve.key,
                    "name": curve.name,
                    "x": {axis: kept(values) for axis, values in curve.x.items()},
                    "y": [value if value is None else _short(value) for value in curve.y],
                    "sd": [value if value is None else _short(value) for value in curve.deviations],
                    "n": curve.counts[0] if len({*curve.counts}) == 1 else curve.counts,
                }
                for curve in chart.curves
            ],
        }
        for chart in charts
    ]
    return {"charts": content, "places": list(places), "shown": list(shown)}


def _short(value: float) -> float:
    rounded = float(f"{value:.{_DIGITS}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


@functools.cache
def _environment() -> jinja2.Environment:
    # Autoescape for every template: what is in the page came from files that anyone may have written.
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    return environment


@functools.cache
def _text(name: str) -> str:
    return (resources.files(__package__) / "templates" / name).read_text(encoding="utf-8")


def _csp_hash(text: str) -> str:
    """What a Content Security Policy calls a text that is allowed."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
