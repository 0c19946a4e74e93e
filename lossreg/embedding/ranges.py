"""Ranges in texts, for a search, and texts in which values take their place. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TypeAlias

import attrs

Label: TypeAlias = "bool | int | float | str | None"


@attrs.frozen
class Numbers:
    """A range of numbers.

    Attributes:
        name: What a study calls it, such as `optimizer.lr`.
        written: As it was written.
        low: The least.
        high: The greatest.
        log: Whether numbers are drawn evenly by their logarithm.
        step: What lies between two numbers, or None.
        whole: Whether they are whole numbers.
    """

    name: str
    written: str
    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False


@attrs.frozen
class Choices:
    """What one of is taken; each may have ranges of its own, which count where it is taken.

    Attributes:
        name: What a study calls it, such as `optimizer`.
        written: As it was written.
        labels: What a study calls what can be taken: a number or a word itself, a component by its name.
        options: The text of each.
    """

    name: str
    written: str
    labels: tuple[Label, ...]
    options: tuple[Template, ...]


Range: TypeAlias = Numbers | Choices

#: Takes a number of a range, or the position of what is chosen.
Pick = Callable[[Range], float]


@attrs.frozen
class Template:
    """A text with ranges in it.

    Attributes:
        pieces: Texts and ranges, one behind the other.
    """

    pieces: tuple[str | Range, ...]

    @property
    def ranges(self) -> tuple[Range, ...]:
        """The ranges, without those inside of a choice."""
        return tuple(piece for piece in self.pieces if not isinstance(piece, str))

    @property
    def written(self) -> str:
        """The text as it was written."""
        return "".join(piece if isinstance(piece, str) else piece.written for piece in self.pieces)

    def filled(self, pick: Pick) -> str:
        """The text with a value for each range.

        Args:
            pick: What is asked for each.
        """
        return "".join(piece if isinstance(piece, str) else _picked(piece, pick) for piece in self.pieces)

    def ends(self) -> list[str]:
        """Texts in which each end of each range stands at least once, and all that can be chosen.

        Example:
            >>> from lossreg.embedding.range_text import read_template
            >>> read_template("sgd(lr=uniform(0.1, 1), momentum=choice(0, 0.5, 0.9))", "optimizer").ends()
            ['sgd(lr=0.1, momentum=0)', 'sgd(lr=1.0, momentum=0.5)', 'sgd(lr=0.1, momentum=0.9)']
        """
        every = [[piece] if isinstance(piece, str) else _ends_of(piece) for piece in self.pieces]
        count = max(map(len, every), default=1)
        return ["".join(some[number % len(some)] for some in every) for number in range(count)]


def _picked(found: Range, pick: Pick) -> str:
    value = pick(found)
    if isinstance(found, Choices):
        return found.options[int(value)].filled(pick)
    return _number_text(found, value)


def _number_text(found: Numbers, value: float) -> str:
    if found.whole:
        return repr(int(value))
    return repr(float(value) if found.step is None else _on_grid(found, value, found.step))


def _on_grid(found: Numbers, value: float, step: float) -> float:
    """The number of the grid that a value is nearest to: 0.3, where a study has 3 * 0.1 = 0.30000000000000004."""
    low, high, each = (Decimal(str(one)) for one in (found.low, found.high, step))
    count = min(round((Decimal(value) - low) / each), int((high - low) / each))
    return float(low + max(0, count) * each)


def _ends_of(found: Range) -> list[str]:
    if isinstance(found, Choices):
        return [text for option in found.options for text in option.ends()]
    return [_number_text(found, end) for end in (found.low, found.high)]
