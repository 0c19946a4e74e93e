"""`lossreg plugins doctor`."""

from __future__ import annotations

import json
import site
import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from lossreg.cli.completion import complete_plugin
from lossreg.errors import ConfigError
from lossreg.plugins.entry_points import OWN_DISTRIBUTION

TIMEOUT = 120  # seconds for a plugin to load and import all its factories


@click.command("doctor")
@click.argument("name", shell_complete=complete_plugin)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array, one object for each distribution.")
@click.pass_context
def doctor_command(ctx: click.Context, name: str, as_json: bool) -> None:
    """Load one plugin in a process of its own and show everything that is wrong with it.

    NAME is a plugin, or a distribution. Shown are the full traceback of an import or a hook that raises, requirements
    that are not met, hooks that are misspelt or take wrong arguments, components whose factory does not exist, whose
    defaults do not fit, or that fail when they are tried once with random numbers, and how it is removed.
    The exit code is 1 if something is wrong.

    \b
    Examples:
      lossreg plugins doctor builtin
    """
    from lossreg.plugins.doctor import named, obstacles

    blocking = obstacles(named(name))
    findings = _examine(name)
    well = not blocking and all(map(_is_well, findings))
    click.echo(json.dumps(findings) if as_json else "\n\n".join([*map(_text, findings), *blocking]))
    ctx.exit(0 if well else 1)


def _examine(name: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "lossreg.cli.doctor", name]
    try:
        result = subprocess.run(  # noqa: S603  # our own module, and a name that is only compared
            command, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(f"plugin {name!r} did not load within {TIMEOUT} s") from None
    try:
        findings: list[dict[str, Any]] = json.loads(result.stdout)
    except ValueError:
        raise ConfigError(
            f"plugin {name!r} ended the process that loaded it, with exit code {result.returncode}:\n{result.stderr}"
        ) from None
    return findings


def _is_well(finding: dict[str, Any]) -> bool:
    parts = [*finding["hooks"], *finding["components"]]
    return not (
        finding["traceback"] or finding["requirements"] or finding["problem"] or any(part["problem"] for part in parts)
    )


def _text(finding: dict[str, Any]) -> str:
    lines = [f"plugin {finding['plugin']} = {finding['module']} ({finding['distribution']} {finding['version']})"]
    lines += [f"  requires    {requirement}" for requirement in finding["requirements"] or ["all met"]]
    imported = finding["milliseconds"] is not None
    lines.append(f"  import      {finding['milliseconds']:.1f} ms" if imported else "  import      failed:")
    if imported and not finding["hooks"]:
        lines.append("  hooks       none: no function is marked with @lossreg.hookimpl")
    lines += [f"  hook        {hook['name']}: {hook['problem'] or 'well'}" for hook in finding["hooks"]]
    lines += [f"  {part['kind']:<11} {part['name']}: {part['problem'] or 'well'}" for part in finding["components"]]
    if finding["problem"] and finding["hooks"]:
        lines.append(f"  problem     {finding['problem']}")
    lines += [f"    {line}" for line in (finding["traceback"] or "").splitlines()]
    if finding["distribution"] != OWN_DISTRIBUTION:
        lines.append(f"  {removal(finding)}")
    return "\n".join(lines)


def removal(finding: dict[str, Any]) -> str:
    """How a distribution is removed: pip does that only in the folders of its own environment."""
    folder = finding["folder"]
    own = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
    if folder is None or Path(folder).resolve() in [Path(one).resolve() for one in own]:
        return f"remove with {sys.executable} -m pip uninstall {finding['distribution']}"
    files = f"the files of {finding['distribution']}"
    return f"remove      from {folder}, which pip does not manage: delete {files}, or take the folder off PYTHONPATH"


def _child(name: str) -> None:
    from lossreg.plugins.doctor import examine, named
    from lossreg.plugins.isolation import StdoutToStderr, keep_stdout
    from lossreg.training.trial.component import try_component

    keep_stdout()
    with StdoutToStderr():
        findings = [examine(point, try_component) for point in named(name)]
    sys.stdout.write(json.dumps(findings, default=repr))


if __name__ == "__main__":
    _child(sys.argv[1])
