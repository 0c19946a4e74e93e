"""`lossreg noise`."""

from __future__ import annotations

import json
from typing import Any

import click

from lossreg.cli.compare import FAILED, run_asked
from lossreg.cli.compare_options import CompareCommand, asked_of, compare_options
from lossreg.cli.plugin_options import plugin_options
from lossreg.comparison.noise import noise_of
from lossreg.errors import ConfigError
from lossreg.training.record.directory import RUNS, absolute_path
from lossreg.values import printable

SEEDS = 5  # by default: the deviation of fewer tells little


@click.command("noise", cls=CompareCommand)
@compare_options(SEEDS)
@plugin_options
@click.pass_context
def noise_command(ctx: click.Context, /, **options: Any) -> None:
    """Measure how much the seed alone changes: one run, repeated with several seeds.

    Takes the options of `lossreg run`. Says how far the metrics spread over seeds, and how great a difference between
    two cells must be for so many seeds to tell them apart; look before you compare. The runs are kept as those of
    `lossreg compare` are.

    \b
    Examples:
      lossreg noise --loss dice --opt sgd
      lossreg noise --loss dice --seeds 10 --out runs/noise
    """
    place = absolute_path(options["out"] or RUNS)  # before a plugin is imported, which may change the directory
    asked = asked_of(ctx, SEEDS)
    lists = [choice.flag for choice in asked.question.choices if len(choice.values) > 1]
    if lists:
        raise ConfigError(
            f"noise is about one run, but {lists[0]} is given more than once; lossreg compare takes lists"
        )
    comparison = run_asked(asked, place, is_named=bool(options["out"]), quiet=options["quiet"])
    noise = noise_of(comparison)
    if options["as_json"]:
        click.echo(json.dumps({**comparison.to_json(), "noise": noise.to_json()}, allow_nan=False))
    else:
        click.echo(printable("\n".join([comparison.table(), "", *noise.lines(), f"files in {comparison.directory}"])))
    if not comparison.is_whole:
        ctx.exit(FAILED)
