"""What encoding and decoding a state have in common: codecs, keys, and the words for a place in a state."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import attrs

MARK = "$"  # the first character of the keys that say what an object of JSON stands for
NUMPY = re.compile(r"[<>|=]?[biufcSUmM]\d{0,9}(\[\w{1,10}\])?")  # numpy's dtypes of plain numbers and texts

#: The functions that may make the missing values of a `defaultdict`, by the names that a file has for them.
FACTORIES: dict[str, Callable[[], Any] | None] = {
    "none": None,
    **{kind.__name__: kind for kind in (bool, bytes, dict, float, frozenset, int, list, set, str, tuple)},
}

MAX_NESTED = 50  # lists and dictionaries within each other; each is up to three levels of JSON

Place = tuple[Any, ...]  # the keys that lead to a value in a state


@attrs.frozen
class Codec:
    """How objects of one class are written, declared by code and never by a file.

    Attributes:
        name: What a file calls them.
        kind: The class, exactly.
        to_plain: Gives plain data and tensors.
        from_plain: Makes an object of them.
    """

    name: str
    kind: type[Any]
    to_plain: Callable[[Any], Any]
    from_plain: Callable[[Any], Any]

    @classmethod
    def of_attributes(cls, name: str, kind: type[Any]) -> Codec:
        """A codec for objects that are what their attributes are.

        Example:
            >>> from types import SimpleNamespace
            >>> codec = Codec.of_attributes("space", SimpleNamespace)
            >>> codec.from_plain(codec.to_plain(SimpleNamespace(rank=4)))
            namespace(rank=4)
        """

        def from_plain(attributes: dict[str, Any]) -> Any:
            of: Any = kind
            made = of.__new__(of)
            vars(made).update(attributes)
            return made

        return cls(name, kind, lambda value: dict(vars(value)), from_plain)


def is_key(key: object) -> bool:
    """Whether a key of a dictionary can be written."""
    if type(key) is tuple:
        return all(map(is_key, key))
    return key is None or type(key) in (str, int, bool, float)


def words_for(place: Place) -> str:
    """A place in a state for a message.

    Example:
        >>> words_for(("optimizer", "state", 0))
        'optimizer.state.0'
    """
    return ".".join(map(str, place)) or "the state"


def type_words(value: object) -> str:
    """The class of a value and its module.

    Example:
        >>> type_words(re.compile("a"))
        'Pattern (re)'
    """
    return f"{type(value).__qualname__} ({type(value).__module__})"
