"""`lossreg plan`."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lossreg.cli.plugin_options import plugin_options
from lossreg.cli.run_command import RunCommand
from lossreg.cli.run_options import run_options
from lossreg.cli.run_settings import naming_file, settings_of
from lossreg.errors import ConfigError
from lossreg.plugins.isolation import StdoutToStderr
from lossreg.training.record.texts import short_text
from lossreg.values import printable

if TYPE_CHECKING:
    from lossreg.training.results import Plan

logger = logging.getLogger("lossreg")


@click.command("plan", cls=RunCommand)
@run_options
@click.option("--json", "as_json", is_flag=True, help="Print the plan as one JSON object.")
@click.option(
    "--plot", type=click.Path(), metavar="FILE", help="Also draw the learning rate over the run: a .png, .svg or .pdf."
)
@plugin_options
@click.pass_context
def plan_command(ctx: click.Context, /, **options: Any) -> None:
    """Check a run and show every parameter, how loss and data meet, and the learning rate of each epoch.

    Takes what `lossreg run` takes. Nothing is trained, and nothing is written but the picture that --plot asks for.

    \b
    Examples:
      lossreg plan --loss l1
      lossreg plan --sched lambda_lr --sched.lr_lambda "epoch // 2" --epochs 20
      lossreg plan --sched "warmup(cosine(), length='10%')" --plot rates.png
    """
    target = None if options["plot"] is None else _target(options["plot"])
    settings = settings_of(ctx)
    from lossreg.registry.registries import default
    from lossreg.training.planning import plan_request
    from lossreg.training.selection import Request

    with StdoutToStderr(), naming_file(settings.file, settings.from_file):
        plan = plan_request(Request(settings.spec, {}, default, repeats=settings.repeats))
    if target:
        _draw(plan, target)
    if options["as_json"]:
        click.echo(json.dumps(plan.to_json(), allow_nan=False))
        return
    click.echo(printable(str(plan)))
    if target:
        click.echo(printable(f"{'picture':<20}{target}"))


def _target(name: str) -> Path:
    """Where the picture shall be, before anything is loaded."""
    from lossreg.pictures.style import check_matplotlib, check_picture

    target = check_picture(name, "--plot")
    check_matplotlib()
    return target.absolute()  # a plugin may change the working directory


def _draw(plan: Plan, target: Path) -> None:
    """Draws the rates of each schedule that is known beforehand.

    Raises:
        ConfigError: If none is.
    """
    from lossreg.pictures.rates import RateCurve, rates_figure
    from lossreg.pictures.style import write_picture
    from lossreg.training.results import unknown_rates

    curves = []
    for label, epochs in plan.planned:
        if epochs is None:
            continue
        steps = [rate for epoch in epochs for rate in epoch.steps]
        curves.append(RateCurve(label, steps or [epoch.first for epoch in epochs], len(epochs[0].steps) or 1))
    if not curves:
        raise ConfigError(f"--plot: there is no learning rate to draw beforehand: {unknown_rates(plan)}")
    if len(curves) < len(plan.planned):
        unknown = [label for label, epochs in plan.planned if epochs is None]
        logger.warning("the rate of %s is not known beforehand, and is not in the picture", " and of ".join(unknown))
    scheduler = plan.spec.scheduler
    how = "constant rate" if scheduler is None else short_text(scheduler.text)
    write_picture(rates_figure(curves, plan.spec.epochs, f"{short_text(plan.spec.optimizer.text)}, {how}"), target)
