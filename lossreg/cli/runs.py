"""`lossreg runs`."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from lossreg.cli.output import columns
from lossreg.cli.plugin_options import plugin_options
from lossreg.errors import ConfigError
from lossreg.run_spec import COMPONENT_FIELDS
from lossreg.training.record.directory import RUNS, absolute_path
from lossreg.training.record.listing import Unreadable, find_runs
from lossreg.training.record.query import Condition, Order, check_fields, main_metric, value_of
from lossreg.training.record.reading import RunSummary
from lossreg.values import finite, one_line, shortened

_SHOWN = {"created", "status", "epochs", "epochs_done", "directory", *COMPONENT_FIELDS}


@click.command("runs")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path())
@click.option(
    "--where", multiple=True, metavar="CONDITION", help='Only such runs: loss=dice, "test_accuracy>=0.9"; repeatable.'
)
@click.option("--sort", metavar="FIELD", help="By a field; -FIELD for the greatest first. [default: -created]")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@plugin_options
def runs_command(
    folder: str | None, where: tuple[str, ...], sort: str | None, limit: int | None, as_json: bool
) -> None:
    """List past runs: those in DIR (runs), and in the folders in it.

    Each line has the start, the status, the epochs that are done, the final metric, the directory and the parts of a
    run. A CONDITION compares a field by =, !=, >=, <=, > or <: a setting, a component (by its name, full id or spec
    text), a parameter such as opt.lr, a metric, or status, created, seconds, device and others. A directory that is
    not a run's, or is broken, is a line on stderr.

    \b
    Examples:
      lossreg runs
      lossreg runs --where loss=dice --sort -test_accuracy --limit 5
      lossreg runs --where "test_accuracy>=0.9" --where opt.lr=0.1
      lossreg runs --where status=failed
      lossreg runs runs/compare --json
    """
    conditions = [Condition.parse(text) for text in where]
    order = Order("created", descending=True) if sort is None else Order.parse(sort)
    if folder == "":
        raise ConfigError("DIR is empty; name a folder of runs, or leave it out")
    place = Path(folder or RUNS)
    _check_folder(place, is_named=folder is not None)
    asked = {condition.field: f"--where {one_line(condition.text)}" for condition in conditions}
    asked = {order.field: f"--sort {one_line(sort or '')}", **asked}
    runs, unreadable = _found(place, params=any("." in field for field in asked))
    check_fields(asked, runs)
    wanted = order.apply(run for run in runs if all(condition.holds(run) for condition in conditions))[:limit]
    if as_json:
        click.echo(json.dumps([_as_json(run) for run in wanted], allow_nan=False))
    elif wanted:
        extra = [field for field in asked if not _is_shown(field, wanted)]
        click.echo("\n".join(_table(wanted, place, extra)))
    for one in unreadable:
        click.echo(one.reason, err=True)
    if not wanted:
        click.echo(f"no run in {one_line(str(place))}{' fits' if runs else ''}", err=True)


def _check_folder(place: Path, *, is_named: bool) -> None:
    absolute_path(place)  # says so if the working directory was removed
    if os.path.isdir(place):  # noqa: PTH112  # a Path raises for what cannot be a name
        return
    shown = one_line(str(place))
    if os.path.isfile(place):  # noqa: PTH113  # see above
        raise ConfigError(f"{shown} is not a folder of runs: it is a file")
    if is_named:
        raise ConfigError(f"there is no folder {shown}")
    raise ConfigError(f"there is no folder {shown} here: lossreg run makes it; name another, or a run directory")


def _found(place: Path, *, params: bool) -> tuple[list[RunSummary], list[Unreadable]]:
    """The runs of a folder; nothing of them is garbage, so none is looked for meanwhile."""
    runs, unreadable = [], []
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        for one in find_runs(place, params=params):
            if isinstance(one, Unreadable):
                unreadable.append(one)
            else:
                runs.append(one)
    finally:
        if was_enabled:
            gc.enable()
    return runs, unreadable


def _is_shown(field: str, runs: Sequence[RunSummary]) -> bool:
    return field in _SHOWN or all(main_metric(run) == field for run in runs)


def _table(runs: Sequence[RunSummary], place: Path, extra: Sequence[str]) -> Iterator[str]:
    """A line of titles, and one for each run; the parts are last, since a terminal may cut them."""
    titles = ("started", "status", "epochs", "metric", *extra, "directory", "parts")
    rows = [
        (_when(run.created), run.status, _epochs(run), _metric(run), *(_cell(run, field) for field in extra),
         _name(run.directory, place), _parts(run))
        for run in runs
    ]  # fmt: skip
    yield from columns([titles, *rows])


def _name(directory: Path, place: Path) -> str:
    name = str(directory) if directory == place else str(directory).removeprefix(f"{place}{os.sep}")
    return shortened(one_line(name))


def _when(time: datetime | None) -> str:
    return "-" if time is None else f"{time.astimezone():%Y-%m-%d %H:%M}"


def _epochs(run: RunSummary) -> str:
    return f"{run.epochs_done}/{'?' if run.epochs is None else run.epochs}"


def _metric(run: RunSummary) -> str:
    name = main_metric(run)
    return "-" if name is None else f"{name} {_number(run.final[name])}"


def _cell(run: RunSummary, field: str) -> str:
    value = value_of(run, field)
    text = _when(value) if isinstance(value, datetime) else "-" if value is None else _number(value)
    return f"{field}={shortened(text)}"


def _number(value: float | str | None) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _parts(run: RunSummary) -> str:
    labels = run.labels
    return shortened("  ".join(labels[field] for field in COMPONENT_FIELDS if field in labels))


def _as_json(run: RunSummary) -> dict[str, Any]:
    return {
        "directory": str(run.directory),
        "status": run.status,
        "created": run.created and run.created.isoformat(),
        "components": dict(run.components),
        "objects": list(run.objects),
        "spec": dict(run.spec),
        "device": run.device,
        "epochs": run.epochs,
        "epochs_done": run.epochs_done,
        "final": finite(run.final),
        "best_epoch": run.best_epoch,
        "chosen_on": run.chosen_on,
        "seconds": run.seconds,
        "reason": run.reason,
        "versions": dict(run.versions),
        "command": run.command,
    }
