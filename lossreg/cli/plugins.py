"""`lossreg plugins`."""

from __future__ import annotations

import json

import click

from lossreg.cli.doctor import doctor_command
from lossreg.cli.output import columns
from lossreg.cli.plugin_options import plugin_options
from lossreg.plugins.bridges import absent_bridges, pip_command
from lossreg.plugins.provenance import PluginReport, offers
from lossreg.values import printable


@click.group("plugins", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@plugin_options
@click.pass_context
def plugins_command(ctx: click.Context, as_json: bool) -> None:
    """List the plugins of all installed distributions, what each offers, and why one failed to load.

    A plugin that fails costs itself and one warning line; everything else works.

    \b
    Examples:
      lossreg plugins
      lossreg plugins --json
      lossreg plugins doctor builtin         everything that is wrong with one plugin
    """
    if ctx.invoked_subcommand is not None:
        return
    from lossreg.registry.registries import default

    rows = [
        {
            "name": report.provenance.plugin,
            "distribution": report.provenance.distribution,
            "version": report.provenance.version,
            "state": report.state,
            "milliseconds": round(report.milliseconds, 3),
            "offers": _offers(report),
            "problem": report.problem,
        }
        for report in default.reports
    ]
    if as_json:
        click.echo(json.dumps(rows))
        return
    table = [("NAME", "DISTRIBUTION", "VERSION", "STATE", "MS", "OFFERS")]
    for report in default.reports:
        who = report.provenance
        offered = "; ".join(f"{kind}: {_names(names, report)}" for kind, names in _offers(report).items())
        text = report.problem or offered or "run hooks"
        milliseconds = f"{report.milliseconds:.1f}"
        table.append((who.plugin, who.distribution or "", who.version or "", report.state, milliseconds, text))
    lines = columns(table)
    absent = absent_bridges()
    if absent:
        lines += ["", f"not installed: {', '.join(point.name for point in absent)} ({pip_command(absent)})"]
    click.echo(printable("\n".join(lines)))


def _offers(report: PluginReport) -> dict[str, list[str]]:
    """Kind -> the names that a plugin offers, those of its tables as the registries have read them."""
    from lossreg.registry.registries import default

    found = dict(offers(report.components))
    for kind in {table.kind: None for table in report.tables}:
        entries = default.of(kind).entries
        own = [one.name for one in entries if one.from_table and one.provenance == report.provenance]
        found[kind] = sorted([*found.get(kind, ()), *own])
    return found


def _names(names: list[str], report: PluginReport) -> str:
    """The names of one kind; of hundreds their number."""
    return f"{len(names):,}" if report.tables else ", ".join(names)


plugins_command.add_command(doctor_command)
