"""What is said of a name that leads to no component, or to several."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import attrs

from lossreg.errors import AmbiguousNameError, UnknownNameError
from lossreg.names import canonical, normalize, plural, with_article
from lossreg.plugins.provenance import BUILTIN, LOCAL, PluginReport
from lossreg.registry.entry import RegistryEntry
from lossreg.suggestions import close_matches, did_you_mean
from lossreg.values import shown

LISTED = 20  # names that an error lists
_NEAR = 12  # words that are looked at, of which several lead to one component
_SUGGESTED = 3
#: What is written for no scheduler: YAML's word for None reaches a parameter of type str as a text.
_NOTHING = ("false", "no", "null", "off")


def ambiguous(kind: str, name: str, candidates: Sequence[RegistryEntry[Any]]) -> AmbiguousNameError:
    """The error for a short name that several plugins offer."""
    offers = " and ".join(f"{c.id} ({c.provenance})" for c in candidates)
    return AmbiguousNameError(
        f"{shown(name)} is offered by {offers}. Write the full id.",
        kind=kind,
        name=name,
        candidates=tuple(c.id for c in candidates),
    )


@attrs.frozen
class Known:
    """What can be named of a kind.

    Attributes:
        kind: The kind.
        names: The short names, where these resolve, else the full ids.
        listed: Those of them that an error may list: without those of tables, which are hundreds.
        words: The names and aliases, and all of these as full ids.
        leads_to: Gives the full id of the component that a word leads to.
    """

    kind: str
    names: Collection[str]
    listed: Sequence[str]
    words: Collection[str]
    leads_to: Callable[[str], str | None]


def unknown(
    known: Known, name: str, other_kinds: Iterable[str], reports: Iterable[PluginReport], offer: str | None
) -> UnknownNameError:
    """The error for a name that no component has.

    Args:
        known: What there is.
        name: As it was written.
        other_kinds: The kinds that have a component of this name.
        reports: How the loading of each plugin went.
        offer: What would have the name if it was installed, as a sentence; or None.
    """
    from lossreg.spec_hints import RANGES, registering_hint  # only errors need it

    kind, written = known.kind, normalize(name)
    names = {*known.names, *(word for word in known.words if "." in word)}
    suggestions = _suggested(known, name, sorted(names))
    hint = registering_hint(name) if offer is None else None
    meant = _meant(suggestions, written, {*known.words} - names)
    if kind == "scheduler" and written in _NOTHING:
        meant = " Did you mean scheduler='none', a constant rate?"
    reports = [*reports]
    said = f"no {kind} named {shown(name)}"
    plugin = None if hint else _absent_plugin(written, reports)
    if plugin is None:
        said += f".{meant} {_listed(known)}"
    else:
        said += f": no plugin {shown(plugin)} is installed.{meant or _way_to(plugin, written)}"
    lines = [offer or said]
    lines += [hint.replace(". ", "  ", 1)] if hint else []
    lines += [f"  {other} {shown(name)} exists; it is not {with_article(kind)}" for other in other_kinds]
    lines += [f"  {RANGES[written]} is a range of a search: lossreg.adapters.optuna"] if written in RANGES else []
    lines += [f"  {report.explanation}" for report in reports if report.state not in ("loaded", "aside")]
    return UnknownNameError("\n".join(lines), kind=kind, name=name, suggestions=suggestions)


def _suggested(known: Known, name: str, names: Iterable[str]) -> tuple[str, ...]:
    """The names that were probably meant, one of each component; of a class's name the component's alone."""
    last = name.strip().rpartition(".")[2]
    compact = last.lower().replace("_", "")
    if last != last.lower():
        same = [one for one in names if one.replace("_", "") in (compact, compact.removesuffix(known.kind))]
        if same:
            return (same[0],)
    found: dict[str, str] = {}
    for word in close_matches(normalize(name), names, _NEAR):
        found.setdefault(known.leads_to(word) or word, word)
    return tuple(found.values())[:_SUGGESTED]


def _absent_plugin(written: str, reports: Iterable[PluginReport]) -> str | None:
    """The plugin of a full id if it is not there; None of other names.

    Args:
        written: The name, normalised; one with more points is the path of a class.
        reports: How the loading of each plugin went.
    """
    plugin, _, short = written.partition(".")
    known = {BUILTIN, LOCAL, *(report.provenance.plugin for report in reports)}
    is_full_id = plugin.isidentifier() and short.isidentifier()
    return plugin if is_full_id and canonical(plugin) not in map(canonical, known) else None


def _way_to(plugin: str, written: str) -> str:
    """How a component of a plugin that is not there can be had, as the end of a message."""
    short = written.removeprefix(f"{plugin}.")
    return (
        " Install the distribution that offers it (pip install ...; lossreg plugins lists those that are there). A "
        f"file or module of your own that registers {short} is loaded with -p FILE (local=[FILE] of load_registries), "
        f"and its name is {LOCAL}.{short}"
    )


def _meant(suggestions: Iterable[str], written: str, aliases: Iterable[str]) -> str:
    meant = " or ".join(map(repr, suggestions))
    return f" Did you mean {meant}?" if meant else did_you_mean(written, sorted(aliases))


def _listed(known: Known) -> str:
    more = len(known.names) - min(len(known.listed), LISTED)
    listed = [*known.listed[:LISTED], f"... {more} more"] if more else known.listed
    return f"{plural(known.kind).capitalize()}: {', '.join(listed) or 'none'} (lossreg list {known.kind})"
