"""What was probably meant by a name that is not known."""

from __future__ import annotations

from collections.abc import Iterable

MAX_COMPARED = 100  # characters; no name is longer, and comparing costs the square of it


def close_matches(name: str, known: Iterable[str], most: int = 3) -> tuple[str, ...]:
    """The names that were probably meant, best first; at most three, or so many.

    A name may be meant by the initials of its words (`ce`), by its beginning, and by the name of a class (`L1Loss`).

    Example:
        >>> close_matches("dise", ["dice", "l1", "mse"]), close_matches("ce", ["cross_entropy", "dice"])
        (('dice',), ('cross_entropy',))
    """
    import difflib  # only errors need it

    if len(name) > MAX_COMPARED:
        return ()
    names = list(known)
    close = difflib.get_close_matches(name, names, n=most, cutoff=0.6)
    bare = name.removesuffix("loss").rstrip("_")
    meant = [one for one in names if "." not in one and bare in (one, _initials(one))]
    begun = [one for one in names if len(name) >= 3 and one.startswith(name)]
    return tuple(dict.fromkeys([*meant, *begun] if meant else [*close, *begun]))[:most]


def _initials(name: str) -> str:
    words = name.split("_")
    return "".join(word[:1] for word in words) if len(words) > 1 else name


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence with a blank before it, or nothing.

    Example:
        >>> did_you_mean("dise", ["dice", "l1", "mse"])
        " Did you mean 'dice'?"
    """
    matches = close_matches(name, known)
    return f" Did you mean {' or '.join(map(repr, matches))}?" if matches else ""
