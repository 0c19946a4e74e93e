"""`lossreg eval`."""

from __future__ import annotations

import json
from typing import Any

import click

from lossreg.cli.plugin_options import plugin_options
from lossreg.cli.trained_options import trained_options
from lossreg.plugins.isolation import StdoutToStderr
from lossreg.values import printable


@click.command("eval")
@trained_options(batch=True)
@click.option(
    "--data",
    "--dataset",
    metavar="SPEC",
    help="Another data set of the same task, of which all samples are used. [default: that of the run]",
)
@click.option(
    "--split", type=click.Choice(("test", "validation", "train")), default="test", show_default=True, help="The split."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@plugin_options
def eval_command(as_json: bool, data: str | None, split: Any, batch_size: int | None, **options: Any) -> None:
    """Evaluate the model of a past run.

    DIR is a run directory. On the run's own data set and machine the metrics are those that run.json has.

    \b
    Examples:
      lossreg eval runs/first
      lossreg eval runs/first --split train
      lossreg eval runs/first --data "mnist(root='data')"
      lossreg eval runs/first --checkpoint best --json
    """
    from lossreg.trained.evaluating import evaluate_run
    from lossreg.trained.loading import load_run
    from lossreg.training.stops import signals_as_exits

    with StdoutToStderr(), signals_as_exits():
        run = load_run(**options)
        result = evaluate_run(run, data=data, split=split, batch_size=batch_size)
    if as_json:
        click.echo(json.dumps({"directory": str(run.directory), **result.to_json()}, allow_nan=False))
        return
    numbers = [(name, "none" if value is None else f"{value:.4f}") for name, value in result.metrics.items()]
    rows = [*numbers, ("samples", str(result.samples)), ("data", result.data), ("weights", result.weights or "unknown")]
    for name, text in rows:
        click.echo(printable(f"{name:<25}{text}"))
