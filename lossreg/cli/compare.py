"""`lossreg compare`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from lossreg.cli.compare_options import Asked, CompareCommand, asked_of, compare_options
from lossreg.cli.plugin_options import plugin_options
from lossreg.comparison.cells import SEEDS
from lossreg.comparison.planning import Planned
from lossreg.comparison.results import Comparison
from lossreg.comparison.session import plan, run_comparison
from lossreg.comparison.watching import Silence, Table
from lossreg.training.record.directory import RUNS, absolute_path
from lossreg.training.stops import signals_as_exits
from lossreg.values import printable

FAILED = 1  # the exit code of a comparison with a run that failed


@click.command("compare", cls=CompareCommand)
@compare_options(SEEDS)
@click.option("--pairs", is_flag=True, help="Take lists together, first with first, instead of in all combinations.")
@click.option(
    "--baseline", metavar="CELL", help="The cell that the others are compared with, such as 'sgd'. [default: the best]"
)
@click.option(
    "--fair",
    type=click.INT,
    metavar="N",
    help="Try N learning rates for each cell, around its own, and run it with the best on the validation split.",
)
@click.option(
    "--ray",
    is_flag=False,
    flag_value="",
    metavar="[ADDRESS]",
    help="Do the runs as tasks of Ray, on the cluster at ADDRESS, or else on this machine (extra: lossreg[ray]).",
)
@click.option("--dry-run", is_flag=True, help="Check and show the cells; train nothing.")
@plugin_options
@click.pass_context
def compare_command(ctx: click.Context, /, **options: Any) -> None:
    """Run all combinations of options that are given more than once, and say what is told apart.

    Every option of `lossreg run` may be given more than once, dotted ones too. Each combination is a cell; it is run
    with several seeds, and the same seed has the same initial weights and the same order of samples in all cells. All
    cells are checked before the first is run. Runs are done side by side, each in a run directory of its own below
    --out; called again with the same --out, what is finished is left as it is. The table is also in compare.json and
    compare.csv.

    \b
    Examples:
      lossreg compare --loss dice --loss cross_entropy --seeds 5
      lossreg compare --opt sgd --opt adam --opt.lr 0.1 --opt.lr 0.01 --validate 0.1 --dry-run
      lossreg compare --opt sgd --opt "adam(lr=1e-3)" --baseline sgd --target "test_accuracy>=0.97"
      lossreg compare --opt sgd --opt adam --validate 0.1 --fair 5
      lossreg compare -c compare.toml --out runs/first     the lists are in its table [compare]
    """
    place = absolute_path(options["out"] or RUNS)  # before a plugin is imported, which may change the directory
    asked = asked_of(ctx, SEEDS)
    if options["dry_run"]:
        _show_plan(plan(asked.question, asked.options), as_json=options["as_json"])
        return
    comparison = run_asked(asked, place, is_named=bool(options["out"]), quiet=options["quiet"])
    click.echo(
        json.dumps(comparison.to_json(), allow_nan=False) if options["as_json"] else printable(_text(comparison))
    )
    if not comparison.is_whole:
        ctx.exit(FAILED)


def run_asked(asked: Asked, place: Any, *, is_named: bool, quiet: bool) -> Comparison:
    """Does what a command line asks, with signals as `lossreg run` has them."""
    with signals_as_exits():
        return run_comparison(
            asked.question,
            asked.options,
            out=place if is_named else None,
            runs=place,
            watcher=Silence() if quiet else Table(),
        )


def _text(comparison: Comparison) -> str:
    return f"{comparison}\nfiles in {comparison.directory}"


def _show_plan(planned: Planned, *, as_json: bool) -> None:
    if as_json:
        cells = [
            {"name": cell.name, "label": cell.label, "differs": dict(cell.differs), "spec": dict(cell.spec.items())}
            for cell in planned.cells
        ]
        click.echo(json.dumps({"cells": cells, "seeds": list(planned.seeds), "notes": list(planned.notes)}))
        return
    for line in _plan_lines(planned):
        click.echo(printable(line))


def _plan_lines(planned: Planned) -> Iterator[str]:
    cells, seeds = len(planned.cells), len(planned.seeds)
    yield (
        f"{cells} cell{'' if cells == 1 else 's'}, {seeds} seed{'' if seeds == 1 else 's'} each "
        f"({', '.join(map(str, planned.seeds))}): {cells * seeds} runs"
    )
    differs = dict.fromkeys(key for cell in planned.cells for key in cell.differs)
    yield f"they differ in {', '.join(differs)}" if differs else "nothing differs but the seed"
    for number, cell in enumerate(planned.cells, 1):
        yield f"{number:>4}  {cell.label}"
    yield from planned.notes
