"""What is said of a name that leads to no component, or to several."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import attrs

from lossreg.errors import AmbiguousNameError, UnknownNameError
from lossreg.names import normalize, plural, with_article
from lossreg.plugins.provenance import PluginReport
from lossreg.registry.entry import RegistryEntry
from lossreg.suggestions import close_matches, did_you_mean
from lossreg.values import shown

LISTED = 20  # names that an error lists


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
    """

    kind: str
    names: Collection[str]
    listed: Sequence[str]
    words: Collection[str]


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
    suggestions = close_matches(written, sorted(names))
    hint = registering_hint(name) if offer is None else None
    meant = _meant(suggestions, written, {*known.words} - names)
    lines = [offer or f"no {kind} named {shown(name)}.{meant} {_listed(known)}"]
    lines += [hint.replace(". ", "  ", 1)] if hint else []
    lines += [f"  {other} {shown(name)} exists; it is not {with_article(kind)}" for other in other_kinds]
    lines += [f"  {RANGES[written]} is a range of a search: lossreg.adapters.optuna"] if written in RANGES else []
    lines += [f"  {report.explanation}" for report in reports if report.state not in ("loaded", "aside")]
    return UnknownNameError("\n".join(lines), kind=kind, name=name, suggestions=suggestions)


def _meant(suggestions: Iterable[str], written: str, aliases: Iterable[str]) -> str:
    meant = " or ".join(map(repr, suggestions))
    return f" Did you mean {meant}?" if meant else did_you_mean(written, sorted(aliases))


def _listed(known: Known) -> str:
    more = len(known.names) - min(len(known.listed), LISTED)
    listed = [*known.listed[:LISTED], f"... {more} more"] if more else known.listed
    return f"{plural(known.kind).capitalize()}: {', '.join(listed) or 'none'} (lossreg list {known.kind})"
