"""`lossreg list`."""

from __future__ import annotations

import fnmatch
import json

import click
from click.shell_completion import CompletionItem

from lossreg.cli.output import columns, component_json
from lossreg.components import KINDS
from lossreg.errors import ConfigError
from lossreg.names import normalize
from lossreg.suggestions import did_you_mean


def complete_kind(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Completes the words for kinds."""
    return [CompletionItem(kind) for kind in KINDS if kind.startswith(incomplete)]


def check_kind(word: str) -> str:
    """The kind for a word.

    Raises:
        ConfigError: If it is none.
    """
    if word.lower() not in KINDS:
        raise ConfigError(f"there is no kind {word!r}.{did_you_mean(word, KINDS)} Kinds: {', '.join(KINDS)}")
    return word.lower()


@click.command("list")
@click.argument("kind", required=False, shell_complete=complete_kind)
@click.argument("pattern", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_command(kind: str | None, pattern: str | None, as_json: bool) -> None:
    """List components: all of them, those of a KIND, or those whose name fits a PATTERN.

    KIND is loss, optimizer, scheduler, model or dataset. PATTERN may have * and ?, and is compared with the name and
    the full id.

    \b
    Examples:
      lossreg list
      lossreg list loss
      lossreg list "*mnist*"
      lossreg list dataset "*mnist*" --json
    """
    from lossreg.registry import PLURALS, default

    if kind is not None and pattern is None and any(sign in kind for sign in "*?["):
        kind, pattern = None, kind
    kinds = KINDS if kind is None else (check_kind(kind),)
    found = {}
    for each in kinds:
        registry = default.of(each)
        wanted = normalize(pattern or "*")
        chosen = [r for r in registry.values() if any(fnmatch.fnmatchcase(n, wanted) for n in (r.name, r.id))]
        found[each] = [component_json(registry, registered) for registered in chosen]
    if as_json:
        click.echo(json.dumps([row for rows in found.values() for row in rows], default=repr))
        return
    if not any(found.values()):
        what = kind or "component"
        click.echo(f"no {what} fits {pattern!r} (lossreg list{f' {kind}' if kind else ''})", err=True)
    blocks = []
    for each, rows in found.items():
        if rows:
            lines = columns([(row["name"], row["plugin"], row["summary"]) for row in rows], indent="  ")
            blocks.append("\n".join([PLURALS[each], *lines]))
    if blocks:
        click.echo("\n\n".join(blocks))
