"""`lossreg plan`."""

from __future__ import annotations

import json
from typing import Any

import click

from lossreg.cli.plugin_options import plugin_options
from lossreg.cli.run_options import RunCommand, naming_file, run_options, settings_of
from lossreg.plugins.isolation import StdoutToStderr
from lossreg.values import printable


@click.command("plan", cls=RunCommand)
@run_options
@click.option("--json", "as_json", is_flag=True, help="Print the plan as one JSON object.")
@plugin_options
@click.pass_context
def plan_command(ctx: click.Context, /, **options: Any) -> None:
    """Check a run and show every parameter, how loss and data meet, and the learning rate of each epoch.

    Takes what `lossreg run` takes. Nothing is trained and nothing is written.

    \b
    Examples:
      lossreg plan --loss l1
      lossreg plan --sched lambda_lr --sched.lr_lambda "epoch // 2" --epochs 20
    """
    settings = settings_of(ctx)
    from lossreg.registry.registries import default
    from lossreg.training.api import plan_request
    from lossreg.training.selection import Request

    with StdoutToStderr(), naming_file(settings.file, settings.from_file):
        plan = plan_request(Request(settings.spec, {}, default))
    click.echo(json.dumps(plan.to_json(), allow_nan=False) if options["as_json"] else printable(str(plan)))
