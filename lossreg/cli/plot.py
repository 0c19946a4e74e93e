"""`lossreg plot`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import click

from lossreg.cli.plugin_options import plugin_options
from lossreg.values import one_line, printable

if TYPE_CHECKING:
    from lossreg.pictures.series import Axis

logger = logging.getLogger("lossreg")


@click.command("plot")
@click.argument("runs", nargs=-1, required=True, type=click.Path(), metavar="RUN...")
@click.option("--metric", metavar="NAME", help="A column of metrics.jsonl. [default: an accuracy, or a loss]")
@click.option("--x", "axis", type=click.Choice(["epoch", "step", "seconds"]), help="What is on x. [default: epoch]")
@click.option("--log", is_flag=True, help="A logarithmic scale for the metric.")
@click.option(
    "--out",
    type=click.Path(),
    metavar="FILE",
    default="plot.png",
    help="A .png, .svg or .pdf; one that is there is replaced. [default: plot.png]",
)
@plugin_options
def plot_command(runs: tuple[str, ...], metric: str | None, axis: Axis | None, log: bool, out: str) -> None:
    """Draw the curves of one run, or a metric of several runs in one picture.

    RUN is a run directory, or a directory that has run directories below it, such as that of a comparison. Curves are
    labelled by what the runs differ in. Runs that differ in the seed alone become one curve, their mean, with a band
    from the least to the greatest value. One run without --metric is drawn as in its curves.png.

    \b
    Examples:
      lossreg plot runs/first
      lossreg plot runs/first runs/second --metric test_loss --log
      lossreg plot runs/compare --x seconds --out compare.pdf
    """
    from lossreg.past_runs.compare_json import read_labels
    from lossreg.past_runs.sources import read_sources
    from lossreg.pictures.curves import curves_figure
    from lossreg.pictures.overlay import overlay_figure
    from lossreg.pictures.style import check_matplotlib, check_picture, write_picture

    target = check_picture(out, "--out")
    check_matplotlib()
    source = read_sources(runs)
    found = source.runs
    for run in found:
        for note in run.notes:
            logger.warning("%s: %s", one_line(str(run.directory)), note)
    if len(found) == 1 and metric is None:
        figure = curves_figure(found[0], axis, log=log)
    else:
        figure = overlay_figure(found, metric, axis or "epoch", log=log, labels=read_labels(source.folders))
    write_picture(figure, target)
    click.echo(printable(str(target)))
