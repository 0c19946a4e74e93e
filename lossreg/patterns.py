"""Patterns over parameters: globs over names, sizes and types of modules, joined by `&`, `|` and `!`."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping

from lossreg.errors import ConfigError
from lossreg.pattern_terms import AllOf, AnyOf, Dimensions, Glob, Not, Pattern, Shape, Type
from lossreg.values import one_line, shortened, shown

MAX_LENGTH = 10_000  # characters of a pattern
MAX_DEPTH = 50  # levels of parentheses and of `!`; a deeper pattern is a mistake


@functools.lru_cache(maxsize=1024)
def parse_pattern(text: str) -> Pattern:
    """Reads a pattern.

    The terms are globs over names (`*.bias`), `ndim>=2` (or `==`, `!=`, `<`, `<=`, `>`), `shape=(10, *)` and
    `type=Linear`. `!` before a term negates it, `&` joins terms that must all hold, and `|` those of which one must;
    `&` binds more tightly than `|`, and parentheses group.

    Raises:
        ConfigError: With the place of what is wrong.

    Example:
        >>> from lossreg.pattern_terms import ParameterFacts
        >>> pattern = parse_pattern("ndim >= 2 & !(*embed* | head.*)")
        >>> pattern.text
        'ndim>=2 & !(*embed* | head.*)'
        >>> [pattern.matches(ParameterFacts(name, (8, 8))) for name in ("block.weight", "head.weight")]
        [True, False]
    """
    if len(text) > MAX_LENGTH:
        raise ConfigError(f"the pattern {shown(text)} is too long: {MAX_LENGTH} characters are allowed")
    parser = _Parser(text)
    pattern = parser.any_of()
    if not parser.at_end():
        raise parser.error("there is no '(' before this ')'" if parser.next() == ")" else "'&' or '|' is missing")
    return pattern


def split_patterns(text: str) -> list[str]:
    """A list of patterns in one text, cut at the commas outside of parentheses and brackets.

    Example:
        >>> split_patterns("stem.*, shape=(10, *)")
        ['stem.*', 'shape=(10, *)']
    """
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([") - (character in ")]")
        if character == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def pattern_texts(value: object, setting: str, example: str) -> list[str]:
    """The texts of a setting that is one text with commas, or a list of texts.

    Raises:
        ConfigError: If it is something else, or a text is empty.
    """
    is_list = isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)
    texts = [value] if isinstance(value, str) else list(value) if is_list else []  # type: ignore[call-overload]  # is_list
    if not texts or not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"{setting} is a list of patterns over parameters, such as {example!r}, not {shown(value)}")
    parts = [part for text in texts for part in split_patterns(text)]
    if not all(parts):
        raise ConfigError(f"{setting}: a pattern of {shown(value)} is empty; write, for example, {example!r}")
    return parts


class _Parser:
    """Reads one pattern from left to right."""

    _NDIM = re.compile(r"ndim\s*(==|!=|<=|>=|<|>|=)\s*(\d{1,3})(?=\s*(?:[&|)]|$))", re.ASCII)
    _SHAPE = re.compile(r"shape\s*={1,2}\s*\(((?:\s*(?:\*|\d{1,18})\s*,)*\s*(?:\*|\d{1,18})?\s*)\)", re.ASCII)
    _TYPE = re.compile(r"type\s*={1,2}\s*", re.ASCII)
    _GLOB = re.compile(r"(?:\[!?\]?[^\]]*\]|[^\s&|()!=<>])+")

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def next(self) -> str:
        """The next character that is not blank, or nothing."""
        while self._text[self._at : self._at + 1].isspace():
            self._at += 1
        return self._text[self._at : self._at + 1]

    def at_end(self) -> bool:
        """Whether only blanks are left."""
        return not self.next()

    def error(self, why: str) -> ConfigError:
        """What is wrong at this place."""
        where = "at the end" if self.at_end() else f"at {shown(self._text[self._at :])}"
        return ConfigError(
            f"{shown(self._text)} is not a pattern: {where}, {why}; write, for example, '*.bias' or 'ndim>=2 & !head.*'"
        )

    def any_of(self) -> Pattern:
        """Patterns joined by `|`."""
        return self._joined("|", self._all_of, AnyOf)

    def _all_of(self) -> Pattern:
        return self._joined("&", self._one, AllOf)

    def _joined(
        self, sign: str, read: Callable[[], Pattern], join: Callable[[tuple[Pattern, ...]], Pattern]
    ) -> Pattern:
        found = [read()]
        while self.next() == sign:
            self._at += 1
            found.append(read())
        return found[0] if len(found) == 1 else join(tuple(found))

    def _one(self) -> Pattern:
        sign = self.next()
        if sign not in ("!", "("):
            return self._term()
        self._at += 1
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self.error(f"more than {MAX_DEPTH} levels are nested")
        if sign == "!":
            pattern: Pattern = Not(self._one())
        else:
            pattern = self.any_of()
            if self.next() != ")":
                raise self.error("')' is missing" if self.at_end() else "'&', '|' or ')' is missing")
            self._at += 1
        self._depth -= 1
        return pattern

    def _term(self) -> Pattern:
        if found := self._take(self._NDIM):
            return Dimensions("==" if found[1] == "=" else found[1], int(found[2]))
        if found := self._take(self._SHAPE):
            sizes = [size.strip() for size in found[1].split(",")]
            return Shape(tuple(None if size == "*" else int(size) for size in sizes if size))
        is_type = self._take(self._TYPE) is not None
        glob = self._take(self._GLOB)
        if glob is None:
            raise self.error("the name of a class is missing" if is_type else "a term is missing")
        if self.next() in ("=", "<", ">"):
            written = shortened(one_line(glob[0]))
            raise self.error(f"{written} cannot be compared; ndim>=2, shape=(10, *) and type=Linear can")
        return Type(glob[0]) if is_type else Glob(glob[0])

    def _take(self, expression: re.Pattern[str]) -> re.Match[str] | None:
        self.next()
        found = expression.match(self._text, self._at)
        if found:
            self._at = found.end()
        return found
