"""`lossreg export`."""

from __future__ import annotations

import json
from typing import Any

import click

from lossreg.cli.plugin_options import plugin_options
from lossreg.cli.trained_options import trained_options
from lossreg.plugins.isolation import StdoutToStderr
from lossreg.values import printable


@click.command("export")
@trained_options(batch=False, device=False)
@click.option("--to", required=True, type=click.Choice(("onnx", "torchscript", "pt2")), help="The format.")
@click.option(
    "--out",
    type=click.Path(),
    metavar="FILE",
    help="The file; one that is there is replaced. [default: model.onnx, model.torchscript.pt or model.pt2, in the run "
    "directory]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@plugin_options
def export_command(as_json: bool, to: Any, out: str | None, directory: str, checkpoint: str | None) -> None:
    """Export the model of a past run to a format of other programs.

    DIR is a run directory. The exported model takes a batch of any size. It is run once, and the file is written only
    if it gives what the original gives. onnx needs lossreg[onnx].

    \b
    Examples:
      lossreg export runs/first --to onnx
      lossreg export runs/first --to pt2 --out digits.pt2
      lossreg export runs/first --to torchscript --checkpoint best
    """
    from lossreg.trained.exporting import export_place, export_run
    from lossreg.trained.loading import load_run
    from lossreg.training.stops import signals_as_exits

    with StdoutToStderr(), signals_as_exits():
        place = export_place(directory, to, out)
        result = export_run(load_run(directory, checkpoint, device="cpu"), to, place)
    if as_json:
        click.echo(json.dumps(result.to_json(), allow_nan=False))
        return
    rows = [
        ("file", str(result.file)),
        ("weights", result.weights or "unknown"),
        ("greatest_difference", f"{result.difference:.3g} (at most {result.tolerance:.3g})"),
    ]
    for name, text in rows:
        click.echo(printable(f"{name:<25}{text}"))
