"""`lossreg verify-resume`."""

from __future__ import annotations

import json
from typing import Any

import click

from lossreg.cli.plugin_options import plugin_options
from lossreg.cli.run_command import RunCommand
from lossreg.cli.run_options import run_options
from lossreg.cli.run_settings import naming_file, settings_of
from lossreg.plugins.isolation import StdoutToStderr
from lossreg.values import printable

DIFFERS = 1


@click.command("verify-resume", cls=RunCommand)
@run_options
@click.option(
    "--steps", type=click.INT, metavar="K", help="Steps until the run is broken off. [default: into an epoch]"
)
@click.option("--more", type=click.INT, metavar="M", help="Steps after that. [default: into the next epoch]")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as one JSON object.")
@plugin_options
@click.pass_context
def verify_resume_command(ctx: click.Context, /, **options: Any) -> None:
    """Prove that a run goes on, after it was broken off, to the same bits.

    Takes what `lossreg run` takes. K + M steps in one piece are compared with K steps, a stop, and M steps in another
    process: weights, optimizer, scheduler, averages, random generators and metrics. Without limits, a few batches of
    the data set are taken. Where the two differ, what a part keeps outside of its state_dict() is named, and the exit
    code is 1. Nothing stays on the disk.

    \b
    Examples:
      lossreg verify-resume --opt "adamw(lr=1e-3)" --sched one_cycle --sched.max_lr 0.01
      lossreg verify-resume -p ./my_optimizer.py --opt mine --steps 10 --more 10
    """
    settings = settings_of(ctx)
    from lossreg.resume_check.api import verify_request

    with StdoutToStderr(), naming_file(settings.file, settings.from_file):
        report = verify_request(settings.spec, {}, steps=options["steps"], more=options["more"])
    click.echo(json.dumps(report.to_json(), allow_nan=False) if options["as_json"] else printable(str(report)))
    if not report.equal:
        ctx.exit(DIFFERS)
