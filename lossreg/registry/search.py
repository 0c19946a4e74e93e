"""Searching components by a text: over names, aliases and summaries, best first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

from lossreg.names import normalize, snake_case
from lossreg.suggestions import MAX_COMPARED, close_matches

FUZZY = 0.75  # of two names: twice the signs that they have in common, by the sum of their lengths
NEAR = 0.7  # the same, of a word of a name that is near a text for which nothing is found

_WORDS = re.compile(r"[^\W_]+")


class Rank(IntEnum):
    """How well a component fits a text; less is better."""

    NAME = 0  # it is the name, an alias or the full id
    FIRST_WORD = 1  # it is the first word of the name, or the first ones
    BEGINNING = 2  # the name begins with it
    WORD = 3  # its words are words of the name
    INSIDE = 4  # it is elsewhere in the name, or its words begin words of the name
    FUZZY = 5  # the name is nearly it
    SUMMARY = 6  # its words begin words of the name, the plugin's name or the summary


class Searched(NamedTuple):
    """What is searched of a component.

    Attributes:
        id: Its full id.
        words: Its name and aliases.
        summary: Its summary.
    """

    id: str
    words: Sequence[str]
    summary: str


class Query:
    """A text to search for.

    Args:
        text: As it was written.

    Example:
        >>> query = Query("Focal")
        >>> [query.rank(Searched(f"a.{name}", [name], "")) for name in ("focal", "focal_dice", "binary_focal", "dice")]
        [<Rank.NAME: 0>, <Rank.FIRST_WORD: 1>, <Rank.WORD: 3>, None]
    """

    def __init__(self, text: str) -> None:
        import difflib  # only a search needs it

        self.name = "_".join(normalize(text).split())
        self._words = [*dict.fromkeys(_WORDS.findall(normalize(text).replace("_", " ")))]
        # Of a class, `CrossEntropyLoss`, and without the signs between words, `crossentropy`.
        self._forms = {self.name, *(snake_case(text.strip(), kind) for kind in ("loss", "lr"))}
        self._bare = _bare(self.name)
        self._matcher = difflib.SequenceMatcher(None, "", self.name[:MAX_COMPARED], autojunk=False)

    def rank(self, one: Searched) -> Rank | None:
        """How well a component fits; None if it does not."""
        if one.id == self.name:
            return Rank.NAME
        found = min((rank for word in one.words if (rank := self._rank_of(word)) is not None), default=None)
        if found is None and self._words and self._is_in([one.id, *one.words, one.summary]):
            return Rank.SUMMARY
        return found

    def without(self, plugin: str) -> Query | None:
        """The same text without the name of a plugin; None if it is that name alone."""
        named = plugin.split("_")
        if not {*named} <= {*self._words}:
            return self
        left = [word for word in self._words if word not in named]
        return Query(" ".join(left)) if left else None

    def _rank_of(self, name: str) -> Rank | None:
        parts = name.split("_")
        if name in self._forms or _bare(name) == self._bare:
            return Rank.NAME
        if name.startswith(f"{self.name}_"):
            return Rank.FIRST_WORD
        if name.startswith(self.name):
            return Rank.BEGINNING
        if self._words and {*self._words} <= {*parts}:
            return Rank.WORD
        if self.name in name or (len(self._bare) > 2 and self._bare in _bare(name)):
            return Rank.INSIDE
        if self._words and all(any(part.startswith(word) for part in parts) for word in self._words):
            return Rank.INSIDE
        return Rank.FUZZY if len(self.name) > 3 and self.likeness(name, FUZZY) else None

    def _is_in(self, texts: Sequence[str]) -> bool:
        """Whether each word of the text begins a word of a name or summary."""
        words = {word for text in texts for word in _WORDS.findall(text.lower().replace("_", " "))}
        return all(any(word.startswith(wanted) for word in words) for wanted in self._words)

    def likeness(self, name: str, least: float) -> float:
        """How much a name is like the text, from 0 to 1; 0 if that is less than `least`."""
        matcher = self._matcher
        matcher.set_seq1(name)
        if matcher.real_quick_ratio() < least or matcher.quick_ratio() < least:
            return 0.0
        found = matcher.ratio()
        return found if found >= least else 0.0

    def near(self, names: Iterable[str]) -> list[str]:
        """The names that were probably meant, as errors name them, then those of which a word was; at most three."""
        by_short: dict[str, list[str]] = {}
        for name in sorted({*names}):
            by_short.setdefault(name.rpartition(".")[2], []).append(name)
        meant = [name for short in close_matches(self.name, by_short) for name in by_short[short]]
        by_word = [
            (-best, name)
            for short, those in by_short.items()
            if (best := max(self.likeness(part, NEAR) for part in short.split("_")))
            for name in those
        ]
        return list(dict.fromkeys([*meant, *(name for _, name in sorted(by_word))]))[:3]


def _bare(name: str) -> str:
    return name.replace("_", "")


def order(rank: Rank, one: Searched, plugin: str, builtin: str) -> tuple[Any, ...]:
    """What sorts what was found: by rank; then built-ins, short names, and the alphabet."""
    return rank, plugin != builtin, len(one.words[0]), one.id
