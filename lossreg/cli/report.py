"""`lossreg report`."""

from __future__ import annotations

import logging

import click

from lossreg.cli.plugin_options import plugin_options
from lossreg.errors import ConfigError
from lossreg.values import one_line

logger = logging.getLogger("lossreg")


@click.command("report")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path())
@click.option(
    "--out",
    type=click.Path(),
    metavar="FILE",
    help="The page; another page that is there is replaced. [default: report.html, in the directory that is named; of "
    "several, in the working directory]",
)
@plugin_options
def report_command(runs: tuple[str, ...], out: str | None) -> None:
    """Write a page on past runs: one HTML file with curves, tables, settings and the commands that repeat them.

    RUN is a run directory, or a directory that holds some, such as a comparison. Runs that differ in their seed alone
    are shown together, as mean and standard deviation. The page loads nothing: it can be mailed, and opened from disk.

    \b
    Examples:
      lossreg report runs/first                       writes runs/first/report.html
      lossreg report runs/first runs/second --out both.html
      lossreg report runs/20260102-030405-compare     a comparison, with its verdict
    """
    from datetime import datetime

    from lossreg.past_runs.metrics import check_same_measures
    from lossreg.past_runs.sources import read_sources
    from lossreg.reports.comparison import read_comparison
    from lossreg.reports.writing import check_place, write_page

    place = None if out is None else check_place(runs, out)
    source = read_sources(runs)
    check_same_measures(source.runs)
    place = place or check_place(runs, out)
    comparisons = []
    for folder in source.folders:
        try:
            comparisons.append(read_comparison(folder))
        except ConfigError as error:  # its runs can be shown without it
            note = f"{error.message}; its verdict is left out"
            source = source.with_note(note)
            logger.warning("%s", note)

    from lossreg.reports.page import render_page  # jinja2: only once there is something to show

    write_page(place, render_page(source, [one for one in comparisons if one], made=datetime.now()))
    click.echo(one_line(str(place)))
