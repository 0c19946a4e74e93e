"""What was probably meant by a name that is not known."""

from __future__ import annotations

from collections.abc import Iterable


def close_matches(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """The names that were probably meant, best first; at most three.

    Example:
        >>> close_matches("dise", ["dice", "l1", "mse"])
        ('dice',)
    """
    import difflib  # only errors need it

    return tuple(difflib.get_close_matches(name, list(known), n=3, cutoff=0.6))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence with a blank before it, or nothing.

    Example:
        >>> did_you_mean("dise", ["dice", "l1", "mse"])
        " Did you mean 'dice'?"
    """
    matches = close_matches(name, known)
    return f" Did you mean {' or '.join(map(repr, matches))}?" if matches else ""
