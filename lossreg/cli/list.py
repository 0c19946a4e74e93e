"""`lossreg list`."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping, Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from lossreg.cli.output import columns, component_json
from lossreg.cli.plugin_options import plugin_options
from lossreg.components import KINDS
from lossreg.errors import ConfigError
from lossreg.names import canonical, normalize, with_article
from lossreg.registry.entry import RegistryEntry
from lossreg.registry.registry import PLURALS
from lossreg.suggestions import did_you_mean
from lossreg.values import printable, shown

#: Other words for a kind: its plural, and what an option calls it.
WORDS: Mapping[str, str] = {
    **{kind: kind for kind in KINDS},
    **{plural: kind for kind, plural in PLURALS.items()},
    "opt": "optimizer",
    "sched": "scheduler",
    "data": "dataset",
}


def complete_kind(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Completes the words for kinds."""
    return [CompletionItem(kind) for kind in KINDS if kind.startswith(incomplete)]


def _complete_plugin(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from lossreg.cli.completion import complete_plugin  # only completion needs it

    return complete_plugin(ctx, param, incomplete)


def check_kind(word: str) -> str:
    """The kind for a word.

    Raises:
        ConfigError: If it is none.
    """
    kind = WORDS.get(normalize(word))
    if kind is None:
        named = f" {_known_as(word)}" if _known_as(word) else did_you_mean(word, KINDS)
        raise ConfigError(f"there is no kind {shown(word)}.{named} Kinds: {', '.join(KINDS)}")
    return kind


def kinds_of(name: str) -> list[str]:
    """The kinds that have a component of this name."""
    from lossreg.registry.registries import default

    return [kind for kind in KINDS if name in default.of(kind)]


def _known_as(name: str) -> str:
    """A sentence on the components of a name that was written for a kind, or nothing."""
    kinds = kinds_of(name)
    return f"There is {with_article(kinds[0])} {name}: lossreg show {kinds[0]} {name}." if kinds else ""


@click.command("list")
@click.argument("kind", required=False, shell_complete=complete_kind)
@click.argument("pattern", required=False)
@click.option(
    "--of",
    "plugin",
    metavar="PLUGIN",
    shell_complete=_complete_plugin,
    help="Only what this plugin (or distribution) offers.",
)
@click.option("--where", multiple=True, metavar="FIELD=VALUE", help="Only with this in the contract: target=index.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@plugin_options
def list_command(
    kind: str | None, pattern: str | None, plugin: str | None, where: tuple[str, ...], as_json: bool
) -> None:
    """List components: all of them, those of a KIND, or those whose name fits a PATTERN.

    KIND is loss, optimizer, scheduler, model, dataset, metric or observer (or losses, opt, ...). PATTERN may have * and
    ?, and is compared with the name and the full id.

    \b
    Examples:
      lossreg list
      lossreg list loss
      lossreg list "*mnist*"
      lossreg list dataset "*mnist*" --json
      lossreg list loss --where target=index
      lossreg list --of builtin
    """
    from lossreg.registry.registries import default

    if kind is not None and pattern is None and any(sign in kind for sign in "*?["):
        kind, pattern = None, kind
    kind = kind and check_kind(kind)
    kinds = KINDS if kind is None else (kind,)
    tests = [_test(text, kinds) for text in where]
    if plugin is not None:
        _check_plugin(plugin)
    default.load()
    found = {}
    for each in kinds:
        registry = default.of(each)
        wanted = normalize(pattern or "*")
        chosen = [entry for entry in registry.entries if _fits(entry, wanted)]
        rows = [component_json(registry, entry) for entry in chosen]
        found[each] = [row for row in rows if _is_of(row, plugin) and all(_has(row, test) for test in tests)]
    if as_json:
        click.echo(json.dumps([row for rows in found.values() for row in rows], default=repr))
        return
    if not any(found.values()):
        what = kind or "component"
        asked = f" {shown(pattern)}" if pattern else ""
        click.echo(f"no {what} fits{asked} (lossreg list{f' {kind}' if kind else ''})", err=True)
    blocks = []
    for each, rows in found.items():
        if rows:
            lines = columns([(row["name"], row["plugin"], row["summary"]) for row in rows], indent="  ")
            blocks.append("\n".join([PLURALS[each], *lines]))
    if blocks:
        click.echo(printable("\n\n".join(blocks)))


def _fits(entry: RegistryEntry[Any], pattern: str) -> bool:
    names = (entry.name, entry.id, *entry.component.aliases)
    return any(fnmatch.fnmatchcase(name, pattern) for name in names)


def _test(text: str, kinds: Sequence[str]) -> tuple[str, str]:
    from lossreg.registry.registries import default

    field, sign, value = text.partition("=")
    fields = {name for kind in kinds for name in default.of(kind).component_type.contract_fields()}
    if not sign or normalize(field) not in fields:
        hint = did_you_mean(field, sorted(fields))
        raise ConfigError(f"--where {text}: write FIELD=VALUE.{hint} Fields: {', '.join(sorted(fields))}")
    return normalize(field), value.strip().lower()


def _has(row: dict[str, Any], test: tuple[str, str]) -> bool:
    field, value = test
    return field in row["contract"] and str(row["contract"][field]).lower() == value


def _is_of(row: dict[str, Any], plugin: str | None) -> bool:
    return plugin is None or canonical(plugin) in (canonical(row["plugin"]), canonical(row["distribution"] or ""))


def _check_plugin(plugin: str) -> None:
    from lossreg.registry.registries import default

    known = {name for r in default.reports for name in (r.provenance.plugin, r.provenance.distribution) if name}
    if canonical(plugin) not in map(canonical, known):
        hint = did_you_mean(canonical(plugin), sorted(known))
        raise ConfigError(f"there is no plugin {shown(plugin)}.{hint} Plugins: lossreg plugins")
