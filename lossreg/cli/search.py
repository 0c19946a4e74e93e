"""What `lossreg list --search` shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click

from lossreg.cli.output import columns, component_json, json_text
from lossreg.component_table import Row
from lossreg.errors import ConfigError
from lossreg.plugins.provenance import BUILTIN
from lossreg.registry.entry import RegistryEntry
from lossreg.registry.search import Query, Rank, Searched, order
from lossreg.values import printable, shown

SHOWN = 40  # components of a list, unless all are asked for


def show_found(
    text: str,
    entries: Sequence[RegistryEntry[Any]],
    *,
    everything: bool,
    as_json: bool,
    absent: Callable[[str, Row], bool] | None,
) -> None:
    """Shows the components that a text fits, best first, or what is near it.

    Args:
        text: The text.
        entries: The components that are searched.
        everything: Whether all are shown, however many there are.
        as_json: Whether they are printed as JSON, all of them.
        absent: Whether a component of a package that is not installed is searched, by the name of its plugin; None is
            none of them.

    Raises:
        ConfigError: If the text has no letter or digit.
    """
    if not any(sign.isalnum() for sign in text):
        raise ConfigError(f"--search {shown(text)} has no letter or digit; write words to look for: --search focal")
    from lossreg.registry.registries import default

    query = Query(text)
    found = _ranked(query, entries)
    if as_json:
        click.echo(json_text([component_json(default.of(_kind(entry)), entry) for entry in found]))
    elif found:
        click.echo(printable("\n".join(_lines(found, len(found) if everything else SHOWN))))
    if not found:
        near = query.near(default.of(_kind(entry)).short_name(entry) for entry in entries)
        meant = f" Near: {', '.join(near)}." if near else ""
        click.echo(printable(f"nothing is found for {shown(text)}.{meant} All names: lossreg list --all"), err=True)
    if absent is not None:
        for line in _not_installed(query, absent):
            click.echo(printable(line), err=True)


def _kind(entry: RegistryEntry[Any]) -> str:
    return entry.declared.kind


def _ranked(query: Query, entries: Iterable[RegistryEntry[Any]]) -> list[RegistryEntry[Any]]:
    found = []
    for entry in entries:
        searched = Searched(entry.id, entry.words, entry.summary)
        rank = query.rank(searched)
        if rank is not None:
            found.append((order(rank, searched, entry.provenance.plugin, BUILTIN), entry))
    return [entry for _, entry in sorted(found, key=lambda pair: pair[0])]


def _lines(found: Sequence[RegistryEntry[Any]], most: int) -> list[str]:
    """A line for each component, and how many there are of each plugin where these are not all."""
    from lossreg.registry.registries import default

    rows = [
        (default.of(_kind(one)).short_name(one), _kind(one), one.provenance.plugin, one.summary) for one in found[:most]
    ]
    lines = columns(rows)
    if len(found) > most:
        counts = Counter(one.provenance.plugin for one in found)
        each = ", ".join(f"{plugin} {count:,}" for plugin, count in counts.most_common())
        lines += [
            "",
            f"the best {most} of {len(found):,}: {each}. --all lists all of them; a KIND or more words, fewer.",
        ]
    return lines


def _not_installed(query: Query, fits: Callable[[str, Row], bool]) -> Iterable[str]:
    """What packages that are not installed have, a line for each of them."""
    from lossreg.plugins.bridges import absent_lines

    def key(plugin: str, row: Row) -> Any:
        if not fits(plugin, row):
            return None
        searched = Searched(f"{plugin}.{row.name}", (row.name, *row.aliases), row.summary)
        rest = query.without(plugin)
        rank = Rank.WORD if rest is None else rest.rank(searched)
        # A summary has all words of many a text; of what is not installed that would be a line too many.
        return None if rank is None or rank is Rank.SUMMARY else order(rank, searched, plugin, BUILTIN)

    return absent_lines(key)
