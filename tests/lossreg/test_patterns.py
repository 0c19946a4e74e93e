"""The language of patterns over parameters."""

from __future__ import annotations

import pytest

from lossreg.errors import ConfigError
from lossreg.pattern_terms import ParameterFacts
from lossreg.patterns import parse_pattern, split_patterns
from tests.table import for_each

LINEAR = ParameterFacts("body.0.weight", (8, 4), ("Linear",))
NORM = ParameterFacts("body.1.weight", (8,), ("LayerNorm",))
TABLE = ParameterFacts("embed.weight", (100, 4), ("MyEmbedding", "Embedding"))
HEAD = ParameterFacts("head.bias", (10,), ("Linear",))
ALL = (LINEAR, NORM, TABLE, HEAD)


@for_each(
    ("text", "expected"),
    [
        ("*", ALL),
        ("*.weight", (LINEAR, NORM, TABLE)),
        ("body.[!1].*", (LINEAR,)),
        ("ndim>=2", (LINEAR, TABLE)),
        ("ndim < 2", (NORM, HEAD)),
        ("ndim=1", (NORM, HEAD)),
        ("ndim!=1", (LINEAR, TABLE)),
        ("shape=(*, 4)", (LINEAR, TABLE)),
        ("shape = ( 8 , )", (NORM,)),
        ("shape=(8)", (NORM,)),
        ("type=Linear", (LINEAR, HEAD)),
        ("type=*Norm", (NORM,)),
        ("type=Embedding", (TABLE,)),
        ("!*.weight", (HEAD,)),
        ("ndim>=2 & !*embed*", (LINEAR,)),
        ("head.* | ndim>=2 & !embed*", (LINEAR, HEAD)),
        ("(head.* | ndim>=2) & !embed*", (LINEAR, HEAD)),
        ("!(head.* | ndim>=2)", (NORM,)),
        ("!!head.*", (HEAD,)),
    ],
)
def test_a_pattern_matches_what_it_says(text: str, expected: tuple[ParameterFacts, ...]) -> None:
    """Globs, sizes, types and their combinations pick exactly the parameters that they name."""
    assert tuple(one for one in ALL if parse_pattern(text).matches(one)) == expected


@for_each(
    ("text", "canonical"),
    [
        (" ndim >=2&! *embed*&!head.* ", "ndim>=2 & !*embed* & !head.*"),
        ("( a|b )&c", "(a | b) & c"),
        ("a|(b&c)", "a | b & c"),
        ("!(a&b)", "!(a & b)"),
        ("shape=(10,*)", "shape=(10, *)"),
        ("shape=(10)", "shape=(10,)"),
        ("shape=()", "shape=()"),
        ("ndim = 2", "ndim==2"),
        ("type == Linear", "type=Linear"),
        ("[2J", "[2J"),
    ],
)
def test_a_pattern_has_one_text(text: str, canonical: str) -> None:
    """Blanks and needless parentheses are gone, and the canonical text is its own."""
    assert parse_pattern(text).text == canonical
    assert parse_pattern(canonical).text == canonical


@for_each(
    ("text", "said"),
    [
        ("ndmi>=2", "at '>=2', ndmi cannot be compared"),
        ("ndim>=two", "at '>=two', ndim cannot be compared"),
        ("*.bias &", "at the end, a term is missing"),
        ("*.bias head.*", "at 'head.*', '&' or '|' is missing"),
        ("(*.bias", "at the end, ')' is missing"),
        ("*.bias)", "at ')', there is no '(' before this ')'"),
        ("type=", "at the end, the name of a class is missing"),
        ("& *.bias", "at '& *.bias', a term is missing"),
        ("", "at the end, a term is missing"),
        ("!" * 99 + "a", "levels are nested"),
        ("a" * 20_000, "is too long"),
    ],
)
def test_a_typing_error_is_told_with_its_place(text: str, said: str) -> None:
    """What is no pattern is refused, and the message says where."""
    with pytest.raises(ConfigError) as caught:
        parse_pattern(text)
    assert said in str(caught.value)


def test_a_list_is_cut_at_its_outer_commas() -> None:
    """Commas in a shape or in brackets belong to the pattern."""
    assert split_patterns("a.*, shape=(10, *) , [x,y]*") == ["a.*", "shape=(10, *)", "[x,y]*"]
