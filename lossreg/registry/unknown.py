"""What is said of a name that leads to no component, or to several."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from lossreg.errors import AmbiguousNameError, UnknownNameError
from lossreg.names import normalize, plural, with_article
from lossreg.plugins.provenance import PluginReport
from lossreg.registry.entry import RegistryEntry
from lossreg.suggestions import close_matches, did_you_mean
from lossreg.values import shown

if TYPE_CHECKING:
    from lossreg.registry.registry import Registry

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


def unknown(
    registry: Registry[Any, Any],
    name: str,
    words: Collection[str],
    other_kinds: Iterable[str],
    reports: Iterable[PluginReport],
) -> UnknownNameError:
    """The error for a name that no component has.

    Args:
        registry: Where it was looked up.
        name: As it was written.
        words: The short names and the aliases of all components, and all of these as full ids.
        other_kinds: The kinds that have a component of this name.
        reports: How the loading of each plugin went.
    """
    from lossreg.plugins.bridges import offered_if_installed  # only errors need these
    from lossreg.spec_hints import registering_hint

    kind, written = registry.kind, normalize(name)
    names = {*registry.names(), *(word for word in words if "." in word)}
    suggestions = close_matches(written, sorted(names))
    offer = offered_if_installed(kind, name)
    hint = registering_hint(name) if offer is None else None
    lines = [offer or f"no {kind} named {shown(name)}.{_meant(suggestions, written, names, words)} {_listed(registry)}"]
    lines += [hint.replace(". ", "  ", 1)] if hint else []
    lines += [f"  {other} {shown(name)} exists; it is not {with_article(kind)}" for other in other_kinds]
    lines += [f"  {report.explanation}" for report in reports if report.state not in ("loaded", "aside")]
    return UnknownNameError("\n".join(lines), kind=kind, name=name, suggestions=suggestions)


def _meant(suggestions: Iterable[str], written: str, names: Collection[str], words: Iterable[str]) -> str:
    meant = " or ".join(map(repr, suggestions))
    return f" Did you mean {meant}?" if meant else did_you_mean(written, sorted({*words}.difference(names)))


def _listed(registry: Registry[Any, Any]) -> str:
    """The names that there are, as far as they are few: those of tables are not listed."""
    names = sorted(map(registry.short_name, registry.declared))
    more = len(registry) - min(len(names), LISTED)
    listed = [*names[:LISTED], f"... {more} more"] if more else names
    return f"{plural(registry.kind).capitalize()}: {', '.join(listed) or 'none'} (lossreg list {registry.kind})"
