"""`lossreg list`."""

from __future__ import annotations

import fnmatch
import functools
import math
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from lossreg.cli.output import columns, component_json, json_text
from lossreg.cli.plugin_options import plugin_options
from lossreg.component import KINDS, Component
from lossreg.component_table import Row
from lossreg.errors import ConfigError
from lossreg.names import canonical, normalize, with_article
from lossreg.registry.entry import RegistryEntry
from lossreg.registry.registry import PLURALS, Registry
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


def _kind(word: str, search: str | None) -> str:
    """The kind for a word, or an error that says how to search."""
    try:
        return check_kind(word)
    except ConfigError as error:
        meant = word if search is None else f"{search} {word}"
        error.message += f"; lossreg list --search {shlex.quote(meant)} looks for a text"
        raise


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
@click.option("--search", metavar="TEXT", help="Only what this text fits: names, aliases and summaries, best first.")
@click.option("--all", "everything", is_flag=True, help="Also each of what only its number is shown of.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@plugin_options
def list_command(
    kind: str | None,
    pattern: str | None,
    plugin: str | None,
    where: tuple[str, ...],
    search: str | None,
    everything: bool,
    as_json: bool,
) -> None:
    """List components: all of them, those of a KIND, or those whose name fits a PATTERN.

    KIND is loss, optimizer, scheduler, model, dataset, metric or observer (or losses, opt, ...). PATTERN may have * and
    ?, and is compared with the name and the full id. Of plugins that bring in the hundreds of components of another
    package the number is shown, unless a PATTERN, --of, --where or --all asks for them. --search takes words in any
    order, and what is nearly a name.

    \b
    Examples:
      lossreg list
      lossreg list loss
      lossreg list "*mnist*"
      lossreg list dataset "*mnist*" --json
      lossreg list loss --where target=index
      lossreg list --of builtin
      lossreg list model --all
      lossreg list --search focal
      lossreg list optimizer --search "schedule free" --json
    """
    from lossreg.registry.registries import default

    if kind is not None and pattern is None and any(sign in kind for sign in "*?["):
        kind, pattern = None, kind
    kind = kind and _kind(kind, search)
    kinds = KINDS if kind is None else (kind,)
    tests = [_test(text, kinds) for text in where]
    if plugin is not None:
        _check_plugin(plugin)
    default.load()
    found = {
        each: [one for one in default.of(each).entries if _fits(one, pattern, plugin) and _has(one, tests)]
        for each in kinds
    }
    absent = None
    if plugin is None and default.settings.bridges:
        absent = functools.partial(_fits_absent, kinds=kinds, pattern=pattern, tests=tests)
    if search is not None:
        from lossreg.cli.search import show_found  # most lists do without

        entries = [entry for one in found.values() for entry in one]
        show_found(search, entries, everything=everything, as_json=as_json, absent=absent)
        return
    if as_json:
        rows = [component_json(default.of(each), entry) for each, entries in found.items() for entry in entries]
        click.echo(json_text(rows))
    elif not any(found.values()):
        what = kind or "component"
        asked = f" {shown(pattern)}" if pattern else ""
        hints = "".join(_values_of(test, kinds) for test in tests)
        click.echo(printable(f"no {what} fits{asked}{hints} (lossreg list{f' {kind}' if kind else ''})"), err=True)
    else:
        longest = math.inf if everything or pattern or plugin or tests else 0 if kind is None else FEW
        blocks = [_block(default.of(each), entries, longest) for each, entries in found.items() if entries]
        if any(block.is_short for block in blocks):
            blocks.append(_Block(_HINT.format(kind=kind or "KIND"), is_short=False))
        click.echo(printable("\n\n".join(block.text for block in blocks)))
    if pattern is not None and absent is not None:
        _tell_absent(absent)


#: How many components of a table are listed with others of the kind; of more than these the number is.
FEW = 60

_HINT = "lossreg list {kind} --of PLUGIN lists those of a plugin, --all those of all, and a PATTERN those that it fits."


class _Block(NamedTuple):
    """The lines of one kind.

    Attributes:
        text: The lines.
        is_short: Whether there are components of which it has the number alone.
    """

    text: str
    is_short: bool


def _block(registry: Registry[Any, Any], entries: Sequence[RegistryEntry[Any]], longest: float) -> _Block:
    """The components of one kind: how many each plugin has, if that is not seen, and the rows.

    Args:
        registry: The registry of the kind.
        entries: What is to be listed.
        longest: How many of a table are rows.
    """
    counts = Counter(entry.provenance.plugin for entry in entries)
    rows = [one for one in entries if not one.from_table or counts[one.provenance.plugin] <= longest]
    is_short = len(rows) < len(entries)
    each = ", ".join(f"{plugin} {count:,}" for plugin, count in counts.items())
    heading = f"{PLURALS[registry.kind]}: {each}" if is_short else PLURALS[registry.kind]
    cells = [(registry.short_name(one), one.provenance.plugin, one.summary) for one in rows]
    return _Block("\n".join([heading, *columns(cells, indent="  ")]), is_short)


def _fits(entry: RegistryEntry[Any], pattern: str | None, plugin: str | None) -> bool:
    """Whether an entry is asked for by its name and its plugin."""
    whose = entry.provenance
    if plugin is not None and canonical(plugin) not in (canonical(whose.plugin), canonical(whose.distribution or "")):
        return False
    return _is_like([entry.id, *entry.words], pattern)


def _is_like(names: Iterable[str], pattern: str | None) -> bool:
    """Whether a pattern fits one of the names."""
    if pattern is None:
        return True
    wanted = normalize(pattern)
    return any(fnmatch.fnmatchcase(name, wanted) for name in names)


def _fits_absent(
    plugin: str, row: Row, *, kinds: Collection[str], pattern: str | None, tests: Sequence[tuple[str, str]]
) -> bool:
    """Whether a component of a package that is not installed is asked for by its kind, its name and its contract."""
    names = (f"{plugin}.{row.name}", row.name, *row.aliases)
    return row.kind in kinds and _is_like(names, pattern) and (not tests or _has_these(row.make(), tests))


def _tell_absent(absent: Callable[[str, Row], bool]) -> None:
    """Names what packages that are not installed have of what is listed."""
    from lossreg.plugins.bridges import absent_lines  # a list of all, or of a kind, does without

    for line in absent_lines(lambda plugin, row: (len(row.name), row.name) if absent(plugin, row) else None):
        click.echo(printable(line), err=True)


def _test(text: str, kinds: Sequence[str]) -> tuple[str, str]:
    from lossreg.registry.registries import default

    field, sign, value = text.partition("=")
    fields = {name for kind in kinds for name in default.of(kind).component_type.contract_fields()}
    if not sign and normalize(field) in fields:
        raise ConfigError(f"--where {text}: write {normalize(field)}=VALUE, with a value as lossreg show has it")
    if not sign or normalize(field) not in fields:
        hint = did_you_mean(field, sorted(fields))
        raise ConfigError(f"--where {text}: write FIELD=VALUE.{hint} Fields: {', '.join(sorted(fields))}")
    return normalize(field), value.strip().lower()


def _values_of(test: tuple[str, str], kinds: Sequence[str]) -> str:
    """What a field of the contract is, if nothing has the value that was written, as a part of a message."""
    from lossreg.registry.registries import default

    field, wanted = test
    contracts = [entry.component.contract() for kind in kinds for entry in default.of(kind).entries]
    found = [contract[field] for contract in contracts if field in contract]
    values = sorted({str(value).lower() for value in found})
    if wanted in values or not all(isinstance(value, str | bool | None) for value in found):
        return ""
    return f"; {field} is one of {', '.join(values)}.{did_you_mean(wanted, values)}"


def _has(entry: RegistryEntry[Any], tests: Sequence[tuple[str, str]]) -> bool:
    """Whether the contract of an entry has these values; the record of a row is made for that alone."""
    return not tests or _has_these(entry.component, tests)


def _has_these(component: Component, tests: Sequence[tuple[str, str]]) -> bool:
    contract = component.contract()
    return all(field in contract and str(contract[field]).lower() == value for field, value in tests)


def _check_plugin(plugin: str) -> None:
    from lossreg.registry.registries import default

    known = {name for r in default.reports for name in (r.provenance.plugin, r.provenance.distribution) if name}
    if canonical(plugin) not in map(canonical, known):
        from lossreg.plugins.bridges import absent_bridges, pip_command  # only errors need it

        absent = [point for point in absent_bridges() if canonical(point.name) == canonical(plugin)]
        if absent and default.settings.bridges:
            raise ConfigError(f"{absent[0].name} is not installed: {pip_command(absent)}")
        hint = did_you_mean(canonical(plugin), sorted(known))
        raise ConfigError(f"there is no plugin {shown(plugin)}.{hint} Plugins: lossreg plugins")
