"""Specs: their grammar, their one canonical text, and the fields of a run."""

from __future__ import annotations

import ast
import enum
import json
import math
import pickle
import random
import string
import time
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from lossreg.errors import ConfigError, SpecError
from lossreg.run_spec import RunSpec
from lossreg.spec import ComponentSpec, Value
from lossreg.spec_text import parse_params, parse_value
from tests.table import for_each

Spec = ComponentSpec


# The grammar of a component


@for_each(
    ("written", "name"),
    [
        ("dice", "dice"),
        ("dice()", "dice"),
        (" dice ( ) ", "dice"),
        ("Dice", "dice"),
        ("cross-entropy", "cross_entropy"),
        ("Cross-Entropy", "cross_entropy"),
        ("CROSS_ENTROPY", "cross_entropy"),
        ("builtin.dice", "builtin.dice"),
        ("Acme-Losses.Soft-Dice", "acme_losses.soft_dice"),
        ("l1", "l1"),
    ],
)
def test_a_name_alone_is_a_spec(written: str, name: str) -> None:
    """A short name or a full id is a spec without parameters; case does not count, and `-` reads as `_`."""
    spec = Spec.parse(written)
    assert (spec.name, spec.params, spec.text) == (name, (), name)


LITERALS: list[tuple[str, object, str]] = [
    # written, value, canonical text
    ("1", 1, "1"),
    ("-1", -1, "-1"),
    ("+1", 1, "1"),
    ("0", 0, "0"),
    ("1_000", 1000, "1000"),
    ("0x10", 16, "16"),
    ("0b101", 5, "5"),
    ("123456789012345678901234567890", 123456789012345678901234567890, "123456789012345678901234567890"),
    ("1.0", 1.0, "1.0"),
    (".5", 0.5, "0.5"),
    ("5.", 5.0, "5.0"),
    ("1e-3", 0.001, "0.001"),
    ("1E5", 100000.0, "100000.0"),
    ("1e-10", 1e-10, "1e-10"),
    ("-0.0", -0.0, "-0.0"),
    ("0.1", 0.1, "0.1"),
    ("inf", math.inf, "inf"),
    ("-inf", -math.inf, "-inf"),
    ("+inf", math.inf, "inf"),
    ("1e999", math.inf, "inf"),
    ("True", True, "True"),
    ("False", False, "False"),
    ("None", None, "None"),
    ("'mean'", "mean", "'mean'"),
    ('"mean"', "mean", "'mean'"),
    ("''", "", "''"),
    ('"it\'s"', "it's", '"it\'s"'),
    ("'say \"hi\"'", 'say "hi"', "'say \"hi\"'"),
    (r"'it\'s \"x\"'", 'it\'s "x"', r"""'it\'s "x"'"""),
    (r"'a\\b'", "a\\b", r"'a\\b'"),
    (r"'line\nline\ttab'", "line\nline\ttab", r"'line\nline\ttab'"),
    (r"'\x00'", "\x00", r"'\x00'"),
    (r"'\u00e9'", "é", "'é'"),
    ("'Grüße, 世界 🎲'", "Grüße, 世界 🎲", "'Grüße, 世界 🎲'"),
    ("'epoch // 2'", "epoch // 2", "'epoch // 2'"),
    ("'a(b=1), c=[2]'", "a(b=1), c=[2]", "'a(b=1), c=[2]'"),
    ("r'C:\\dir'", "C:\\dir", r"'C:\\dir'"),
    ("'a' 'b'", "ab", "'ab'"),
    ("[]", (), "[]"),
    ("()", (), "[]"),
    ("[1]", (1,), "[1]"),
    ("(1,)", (1,), "[1]"),
    ("(1)", 1, "1"),
    ("(0.9, 0.999)", (0.9, 0.999), "[0.9, 0.999]"),
    ("[0.9,0.999,]", (0.9, 0.999), "[0.9, 0.999]"),
    ("[1, [2, (3, 'x')], None]", (1, (2, (3, "x")), None), "[1, [2, [3, 'x']], None]"),
    ("[-inf, True]", (-math.inf, True), "[-inf, True]"),
]


@for_each(("written", "value", "text"), LITERALS, ids=[written for written, _, _ in LITERALS])
def test_a_literal_has_the_value_that_python_gives_it(written: str, value: object, text: str) -> None:
    """A literal has Python's value and type for it; `inf` is infinity, and lists are tuples."""
    ((key, read),) = Spec.parse(f"dice(smooth={written})").params
    assert key == "smooth"
    assert repr(read) == repr(value)  # also the type, and the sign of 0


@for_each(("written", "value", "text"), LITERALS, ids=[written for written, _, _ in LITERALS])
def test_a_literal_has_one_canonical_text(written: str, value: object, text: str) -> None:
    """However a literal is written, the canonical text is one."""
    assert Spec.parse(f"dice(smooth={written})").text == f"dice(smooth={text})"


@for_each(("written", "value", "text"), LITERALS, ids=[written for written, _, _ in LITERALS])
def test_a_value_from_python_has_the_same_text(written: str, value: object, text: str) -> None:
    """A spec that is made in Python from values equals the one that is read from text."""
    made = Spec("dice", {"smooth": value})
    assert made == Spec.parse(f"dice(smooth={written})")
    assert made.text == f"dice(smooth={text})"


@for_each(
    ("written", "text"),
    [
        ("sgd(momentum=0.9, lr=0.1)", "sgd(lr=0.1, momentum=0.9)"),
        (" sgd ( momentum = .9 ,lr=1e-1, ) ", "sgd(lr=0.1, momentum=0.9)"),
        ("sgd(\n  lr=0.1,\n  momentum=0.9,\n)\n", "sgd(lr=0.1, momentum=0.9)"),
        ("SGD(lr=0.1)", "sgd(lr=0.1)"),
        ("step-lr(step_size=5)", "step_lr(step_size=5)"),
        ("a(b=1, B=2, _c=3)", "a(B=2, _c=3, b=1)"),
    ],
)
def test_keys_are_sorted_and_blanks_are_uniform(written: str, text: str) -> None:
    """The canonical text has its keys sorted and one blank after each comma."""
    assert Spec.parse(written).text == text


@for_each(
    ("written", "inner", "text"),
    [
        ("mix(first=dice)", Spec("dice"), "mix(first=dice)"),
        ("mix(first=Dice())", Spec("dice"), "mix(first=dice)"),
        ("mix(first=builtin.dice)", Spec("builtin.dice"), "mix(first=builtin.dice)"),
        ("mix(first=dice( smooth = 1 ))", Spec("dice", {"smooth": 1}), "mix(first=dice(smooth=1))"),
        (
            "mix(first=acme.dice(weight=[1, 2], inner=l1(x='y')))",
            Spec("acme.dice", {"weight": [1, 2], "inner": Spec("l1", {"x": "y"})}),
            "mix(first=acme.dice(inner=l1(x='y'), weight=[1, 2]))",
        ),
    ],
)
def test_a_value_can_be_a_spec(written: str, inner: ComponentSpec, text: str) -> None:
    """A name or a call as a value is a nested spec, with its own canonical text."""
    spec = Spec.parse(written)
    assert spec.params == (("first", inner),)
    assert spec.text == text


def test_specs_stand_in_lists() -> None:
    """A list can hold specs."""
    spec = Spec.parse("sum(terms=[dice(smooth=1), l1()])")
    assert spec.params == (("terms", (Spec("dice", {"smooth": 1}), Spec("l1"))),)


NOT_SPECS = {
    "nothing": "",
    "blanks": "  \n",
    "positional argument": "dice(1)",
    "positional after a keyword": "dice(smooth=1, 2)",
    "positional argument in a nested spec": "mix(first=dice(1))",
    "starred": "dice(*x)",
    "starred literal": "dice(*[1, 2])",
    "starred in a list": "dice(x=[*y])",
    "double-starred": "dice(**x)",
    "double-starred literal": "dice(**{'smooth': 1})",
    "double-starred in a nested spec": "mix(first=dice(**x))",
    "the same key twice": "dice(smooth=1, smooth=2)",
    "the same key and value twice": "dice(smooth=1, smooth=1)",
    "the same key twice in a nested spec": "mix(first=dice(x=1, x=1))",
    "sum": "dice(smooth=1+2)",
    "difference": "dice(smooth=1-2)",
    "power": "dice(smooth=10**3)",
    "complex": "dice(smooth=1+2j)",
    "imaginary": "dice(smooth=2j)",
    "string times number": "dice(smooth='a'*9)",
    "not": "dice(smooth=not True)",
    "minus True": "dice(smooth=-True)",
    "minus a string": "dice(smooth=-'x')",
    "minus a name": "dice(smooth=-x)",
    "minus a list": "dice(smooth=-[1])",
    "bit not": "dice(smooth=~1)",
    "comparison": "dice(smooth=1<2)",
    "or": "dice(smooth=None or 1)",
    "if": "dice(smooth=1 if True else 2)",
    "lambda": "dice(smooth=lambda: 1)",
    "comprehension": "dice(smooth=[i for i in x])",
    "walrus": "dice(smooth=(x:=1))",
    "walrus for a key": "dice(smooth:=1)",
    "subscript": "dice(smooth=x[0])",
    "attribute of a number": "dice(smooth=(1).real)",
    "attribute of a call": "dice(smooth=x().y)",
    "call of a call": "dice(smooth=x()())",
    "long dotted name": "dice(smooth=a.b.c)",
    "f-string": "dice(smooth=f'{1}')",
    "bytes": "dice(smooth=b'x')",
    "dict without a key": "dice(smooth={'a': 1, **b})",
    "dict with a spec": "dice(smooth={'a': l1()})",
    "set": "dice(smooth={1})",
    "ellipsis": "dice(smooth=...)",
    "await": "dice(smooth=await x)",
    "yield": "dice(smooth=(yield))",
    "import": "dice(smooth=__import__('os'))",
    "import as the name": "__import__('os')",
    "value missing": "dice(smooth=)",
    "key missing": "dice(=1)",
    "key in quotes": "dice('smooth'=1)",
    "key with a dash": "dice(smooth-nr=1)",
    "key with a dot": "dice(a.b=1)",
    "keyword as key": "dice(for=1)",
    "None as key": "dice(None=1)",
    "colon for equals": "dice(smooth:1)",
    "semicolon": "dice(smooth=1; x=2)",
    "blank for comma": "dice(smooth=1 x=2)",
    "empty argument": "dice(,)",
    "two commas": "dice(smooth=1,,)",
    "number first": "1dice",
    "number": "5",
    "string": "'dice'",
    "product": "0.5*dice",
    "sum of specs": "dice(x=1) + l1(y=2)",
    "two names": "dice l1",
    "two calls": "dice(x=1)(y=2)",
    "attribute after the call": "dice(x=1).l1",
    "subscript after the call": "dice(x=1)[0]",
    "text after the call": "dice(x=1) l1",
    "comment": "dice # loss",
    "no name": "(smooth=1)",
    "open parenthesis": "dice(",
    "open argument": "dice(smooth=1",
    "closing parenthesis": "dice)",
    "one too many": "dice(smooth=1))",
    "brackets": "dice[smooth=1]",
    "braces": "dice{}",
    "dots only": "...",
    "dot at the end": "builtin.",
    "dot at the start": ".dice",
    "two dots": "builtin..dice",
    "three parts": "a.b.c",
    "dash at the start": "-dice",
    "slash": "a/b",
    "unclosed string": "dice(smooth='x)",
    "unknown escape": r"dice(smooth='\d')",
    "half an escape": r"dice(smooth='\x0')",
    "leading zero": "dice(smooth=010)",
    "letter outside ASCII": "dicé",
    "fullwidth letters": "ｄｉｃｅ",
    "null byte": "dice\x00",
    "null byte in a value": "dice(smooth=\x00)",
    "null byte in a string": "dice(smooth='\x00')",
    "lone surrogate": "dice\ud800",
    "lone surrogate in a string": "dice(smooth='\ud800')",
}


@for_each("text", NOT_SPECS.values(), ids=NOT_SPECS.keys())
def test_whatever_is_no_spec_is_refused(text: str) -> None:
    """Whatever is not a name with literals by keyword is a SpecError, and so a ValueError."""
    with pytest.raises(SpecError) as caught:
        Spec.parse(text)
    assert isinstance(caught.value, ValueError)


def test_error_holds_what_was_written() -> None:
    """The error holds the text that was written and shows it."""
    with pytest.raises(SpecError, match=r"dice\(1\)") as caught:
        Spec.parse("dice(1)")
    assert caught.value.text == "dice(1)"


@for_each(
    ("text", "advice"),
    [("dice(1)", "key=1"), ("dice(x=1, x=2)", "x is given twice"), ("dice(x=1+2)", "x=1 \\+ 2 is not a literal")],
)
def test_error_says_what_is_wrong(text: str, advice: str) -> None:
    """The error says what is wrong with the text."""
    with pytest.raises(SpecError, match=advice):
        Spec.parse(text)


@for_each(
    ("text", "why"),
    [
        ("sgd(lr=0.1", "the '(' at column 4 is not closed"),
        ("timm.optim.Lion(lr=0.1", "the '(' at column 16 is not closed"),
        ("a(b(c=1)", "the '(' at column 2 is not closed"),
        ("a(x=[1, 2)", "the '[' at column 5 is closed by ')' at column 10"),
        ("a(x=1]", "the '(' at column 2 is closed by ']' at column 6"),
        ("sgd(lr=0.1))", "the ')' at column 12 closes nothing"),
        ("sgd)", "the ')' at column 4 closes nothing"),
        ("a(x={'b': 1", "the '{' at column 5 is not closed"),
        ("a(x='b)", "the quote ' at column 5 is not closed"),
        ("a(x=\"it's)", 'the quote " at column 5 is not closed'),
        (r"a(x='b\')", "the quote ' at column 5 is not closed"),
        ("a(x='(', y=1+1)", "y=1 + 1 is not a literal"),
        (r"a(x='\\', y=1+1)", "y=1 + 1 is not a literal"),
        ("dice smooth=1", ""),
    ],
)
def test_a_bracket_or_quote_without_its_other_half_is_named(text: str, why: str) -> None:
    """With its column, counted from 1; not those within a quoted text."""
    with pytest.raises(SpecError) as caught:
        Spec.parse(text)
    assert caught.value.why == why
    assert f"{text!r} is not a spec{why and f': {why}'}; write name" in str(caught.value)


@for_each(
    ("text", "is_sum"),
    [
        ("dice + l1", True),
        ("0.5*dice - 2*cross_entropy(weight=[1, 2])", True),
        ("dice + timm.loss:JsdCrossEntropy()", True),
        ("2 * (dice + l1)", True),
        ("dice(x=1+1)", False),
        ("1 + 2", False),
        ("epoch * 2", False),
        ("a/b", False),
        ("dice +", False),
        ("-dice", False),
    ],
)
def test_a_sum_is_told_what_to_do(text: str, is_sum: bool) -> None:
    """Losses are added up by a function."""
    with pytest.raises(SpecError) as caught:
        Spec.parse(text)
    assert ("A sum of losses is a function of your own: give loss=FUNCTION" in str(caught.value)) == is_sum


HOSTILE = {
    "100,001 characters of a name": "a" * 100_001,
    "100,001 characters of blanks": " " * 100_001,
    "100,001 characters in a string": f"a(x='{'y' * 99_995}')",
    "a million characters": f"a(x={'1' * 1_000_000})",
    "blanks between two names": "a" + " " * 99_990 + "b",
    "null bytes": "\x00" * 1_000,
    "5,000-digit integer": f"a(x={'9' * 5_000})",
    "5,000-digit integer in a list": f"a(x=[{'9' * 5_000}])",
    "5,000-digit hexadecimal integer": f"a(x=0x{'f' * 5_000})",
    "5,000-digit negative hexadecimal integer": f"a(x=-0x{'f' * 5_000})",
    "5,000-digit integer in a nested spec": f"a(x=b(y=0x{'f' * 5_000}))",
    "nested brackets": f"a(x={'[' * 300}{']' * 300})",
    "many nested brackets": f"a(x={'[' * 4_000}{']' * 4_000})",
    "open brackets": f"a(x={'[' * 5_000}",
    "nested parentheses": f"a(x={'(' * 300}1{')' * 300})",
    "nested calls": "a(x=" * 300 + "1" + ")" * 300,
    "open calls": "a(" * 4_000,
    "calls of calls": "a" + "()" * 4_000,
    "calls of calls in a value": f"a(x=b{'()' * 1_500})",
    "long dotted name": "a" + ".b" * 4_000,
    "colons": "a:" * 4_999,
    "sum of paths": "a.b.c + " * 1_200 + "d",
    "quotes": "'\"" * 4_999,
    "long dotted name in a value": f"a(x=b{'.b' * 1_500})",
    "subscripts": f"a(x=b{'[0]' * 1_500})",
    "signs": f"a(x={'-' * 1_500}1)",
    "nots": f"a(x={'not ' * 1_500}1)",
    "sum": f"a(x=1{'+1' * 1_500})",
    "powers": f"a(x=1{'**1' * 1_500})",
    "lambdas": f"a(x={'lambda:' * 1_000}1)",
    "choices": f"a(x={'1if 1else ' * 900}1)",
    "positional signs": f"a({'-' * 1_500}1)",
}


@for_each("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_is_a_spec_error_at_once(text: str) -> None:
    """A very long, deeply nested or otherwise hostile text is a SpecError within a moment, never another error."""
    start = time.process_time()
    with pytest.raises(SpecError):
        Spec.parse(text)
    assert time.process_time() - start < 2.0


def test_error_about_a_long_text_is_short() -> None:
    """The error about a long text shows its beginning only."""
    with pytest.raises(SpecError) as caught:
        Spec.parse("a" * 100_001)
    assert len(str(caught.value)) < 250


@for_each(("text", "most"), [("a" + ".b" * 4_000, 350), ("a" + ".b" * 4_000 + ":C(x=1)", 250)])
def test_error_about_a_long_path_is_short(text: str, most: int) -> None:
    """That of a class is not repeated in the advice; what is no name is shown twice."""
    with pytest.raises(SpecError) as caught:
        Spec.parse(text)
    assert len(str(caught.value)) < most


def test_100_000_characters_are_allowed() -> None:
    """A spec of 100,000 characters is read: the weights of thousands of classes are."""
    text = f"a(x='{'y' * (100_000 - 7)}')"
    assert len(text) == 100_000
    assert Spec.parse(text).params == (("x", "y" * (100_000 - 7)),)


def test_reasonable_nesting_is_allowed() -> None:
    """Specs and lists, 20 deep, are read."""
    text = "a(x=[" * 20 + "1" + "])" * 20
    assert Spec.parse(text).text == text


def test_parsing_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A call in a value is a nested spec, never a call."""
    assert Spec.parse("a(x=print(end='called'))").params == (("x", Spec("print", {"end": "called"})),)
    assert capsys.readouterr().out == ""


# NaN


@for_each(
    "text",
    [
        "a(x=nan)",
        "a(x=NaN)",
        "a(x=NAN)",
        "a(x=-nan)",
        "a(x=+nan)",
        "a(x=[1, nan])",
        "a(x=(nan,))",
        "a(x=b(y=nan))",
        "a(x=nan())",
    ],
)
def test_nan_is_refused_in_a_text(text: str) -> None:
    """NaN is no value of a parameter, however it is written."""
    with pytest.raises(SpecError):
        Spec.parse(text)


@for_each("value", [math.nan, -math.nan, [math.nan], (1, (2, math.nan))], ids=repr)
def test_nan_is_refused_from_python(value: object) -> None:
    """A float NaN is refused, also inside a list."""
    with pytest.raises(SpecError, match="x is NaN"):
        Spec("a", {"x": value})


@for_each("text", ["nan", "NaN", " NAN ", "-nan", "+nan", "[1, nan]", "(nan,)", "dice(smooth=nan)"])
def test_nan_is_refused_on_the_command_line(text: str) -> None:
    """NaN is refused as a value on the command line, also inside a list or a nested spec."""
    with pytest.raises(SpecError):
        parse_value(text)


# Identity


def random_string(source: random.Random) -> str:
    """A string with quotes, escapes, brackets and letters of many scripts in it."""
    alphabet = string.printable + "'\"\\\x00\x1b\u2028éß世🎲\u200f"
    return "".join(source.choices(alphabet, k=source.randrange(12)))


def random_value(source: random.Random, depth: int) -> object:
    """A value of any kind that a spec can hold."""
    leaves: list[Any] = [
        None,
        True,
        False,
        math.inf,
        -math.inf,
        0.0,
        -0.0,
        source.randrange(-5, 5),
        source.randrange(-(10**30), 10**30),
        source.uniform(-1, 1),
        source.uniform(-1, 1) * 10.0 ** source.randrange(-300, 300),
        random_string(source),
        random_string(source),
    ]
    if depth and source.random() < 0.4:
        if source.random() < 0.5:
            return [random_value(source, depth - 1) for _ in range(source.randrange(4))]
        return random_spec(source, depth - 1)
    return source.choice(leaves)


def random_spec(source: random.Random, depth: int) -> ComponentSpec:
    """A spec with random parameters."""
    name = source.choice(["dice", "cross_entropy", "acme.tversky", "l1", "a_b.c_d"])
    keys = source.sample(["lr", "betas", "reduction", "x", "X", "_y", "weight_decay", "end"], k=source.randrange(5))
    return Spec(name, {key: random_value(source, depth) for key in keys})


def values_of(value: Value) -> object:
    """A value as plain data that tells 1, 1.0 and True apart, as well as 0.0 and -0.0."""
    match value:
        case ComponentSpec():
            return (value.name, [(key, values_of(inner)) for key, inner in value.params])
        case tuple():
            return [values_of(item) for item in value]
    return (type(value).__name__, repr(value))


RANDOM_SPECS = [random_spec(random.Random(seed), depth=3) for seed in range(400)]  # noqa: S311  # no secret


def test_text_of_random_specs_reads_back_as_the_same_spec() -> None:
    """parse(spec.text) equals the spec and holds the same values of the same types."""
    for spec in RANDOM_SPECS:
        back = Spec.parse(spec.text)
        assert back == spec
        assert back.text == spec.text
        assert values_of(back) == values_of(spec)


def test_random_strings_read_back_as_python_reads_them() -> None:
    """The text of a string is a Python literal for it."""
    source = random.Random(0)  # noqa: S311  # no secret
    for _ in range(300):
        value = random_string(source)
        text = Spec("a", {"x": value}).text
        assert ast.literal_eval(text.removeprefix("a(x=").removesuffix(")")) == value


def test_random_specs_survive_pickling() -> None:
    """A spec survives pickling, with values of the same types."""
    for spec in RANDOM_SPECS:
        back = pickle.loads(pickle.dumps(spec))  # noqa: S301  # our own bytes
        assert back == spec
        assert values_of(back) == values_of(spec)


def test_random_specs_are_one_key_with_their_copies() -> None:
    """Equal specs have equal hashes, so a spec is found by an equal one."""
    found = {spec: spec.text for spec in RANDOM_SPECS}
    assert all(found[Spec.parse(spec.text)] == spec.text for spec in RANDOM_SPECS)
    assert len(found) == len({spec.text for spec in RANDOM_SPECS})


@for_each(
    ("one", "other"),
    [(1, 1.0), (1, True), (1.0, True), (0, False), (0.0, -0.0), (1, "1"), (None, "None"), ([1], [1.0])],
)
def test_values_that_build_different_things_make_different_specs(one: object, other: object) -> None:
    """1, 1.0, True and '1' are different parameters, although Python calls some of them equal."""
    assert Spec("a", {"x": one}) != Spec("a", {"x": other})


def test_equality_is_equality_of_the_text() -> None:
    """Specs are equal if their canonical texts are, however they were written; a text is not a spec."""
    assert Spec.parse("Dice(b=.5,a=1)") == Spec("dice", {"a": 1, "b": 0.5})
    assert Spec("dice", (("b", 2), ("a", 1))) == Spec("dice", (("a", 1), ("b", 2)))
    assert Spec("dice") != Spec("dice", {"a": 1})
    assert Spec("dice") != "dice"


@for_each("written", ["Inf", "INF", "inf()"])
def test_equal_text_is_equal_value(written: str) -> None:
    """A value whose text reads as another value is refused or is that value: equal text never hides a difference."""
    try:
        spec = Spec.parse(f"a(x={written})")
    except SpecError:
        return
    assert values_of(Spec.parse(spec.text)) == values_of(spec)


@for_each("name", ["inf", "nan"])
def test_a_nested_spec_is_not_called_by_a_word_for_a_number(name: str) -> None:
    """A nested spec whose text would be a number is refused, or its text reads back as the spec."""
    try:
        spec = Spec("a", {"x": Spec(name)})
    except SpecError:
        return
    assert values_of(Spec.parse(spec.text)) == values_of(spec)


class Mode(enum.StrEnum):
    """A string that is an enum too."""

    MEAN = "mean"


class Level(enum.IntEnum):
    """An int that is an enum too."""

    HIGH = 3


@for_each(("value", "text"), [(Mode.MEAN, "a(x='mean')"), (Level.HIGH, "a(x=3)")])
def test_subclasses_of_the_literal_types_are_written_as_literals(value: object, text: str) -> None:
    """A value whose class derives from str or int is written as the plain string or number."""
    assert Spec("a", {"x": value}).text == text


@for_each(
    "value",
    [object(), {1}, b"x", 1j, print, range(3), [object()], [{"a": print}]],
    ids=lambda value: type(value).__name__,
)
def test_a_value_without_a_literal_is_refused(value: object) -> None:
    """A value that no literal stands for is a SpecError that names the parameter."""
    with pytest.raises(SpecError, match="x="):
        Spec("a", {"x": value})


@for_each("key", ["x y", "x=1, y", "x-y", "x.y", "", "1x", "for", "None", "x\n"])
def test_a_key_that_no_text_can_hold_is_refused(key: str) -> None:
    """A parameter's name that is no identifier is a SpecError, since its text would not read back."""
    with pytest.raises(SpecError):
        Spec("a", {key: 1})


@for_each("name", ["", "a b", "a(x=1)", "a(", "1a", "a.b.c", "a..b", ".a", "a/b", "a\x00", "é"])
def test_a_name_that_no_text_can_hold_is_refused(name: str) -> None:
    """A component's name that is no name is a SpecError, since its text would not read back."""
    with pytest.raises(SpecError):
        Spec(name, {"y": 2})


def test_an_integer_of_5000_digits_is_refused_from_python() -> None:
    """An integer too long for Python to write is a SpecError."""
    with pytest.raises(SpecError):
        Spec("a", {"x": 10**5_000})


def test_a_spec_cannot_be_changed() -> None:
    """A spec is frozen: neither its fields nor what they hold can be changed."""
    spec = Spec("a", {"x": [1, 2]})
    for field in ("name", "params", "text"):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(spec, field, "b")
    assert spec.params == (("x", (1, 2)),)


def test_a_spec_keeps_nothing_of_a_list_that_it_was_made_from() -> None:
    """A list or mapping that changes later does not change the spec."""
    values = [1, 2]
    params: dict[str, object] = {"x": values}
    spec = Spec("a", params)
    values.append(3)
    params["y"] = 4
    assert spec.text == "a(x=[1, 2])"


def test_with_name_keeps_the_parameters() -> None:
    """with_name gives the same parameters under another name and leaves the spec as it is."""
    spec = Spec.parse("dice(smooth=1)")
    assert spec.with_name("builtin.dice").text == "builtin.dice(smooth=1)"
    assert spec.text == "dice(smooth=1)"


def test_with_params_replaces_and_adds() -> None:
    """with_params replaces the parameters that are there, adds the others, and leaves the spec as it is."""
    spec = Spec.parse("sgd(lr=0.1, momentum=0.9)")
    assert spec.with_params({"lr": 1, "nesterov": True}).text == "sgd(lr=1, momentum=0.9, nesterov=True)"
    assert spec.text == "sgd(lr=0.1, momentum=0.9)"


def test_str_and_repr_show_the_text() -> None:
    """str() is the canonical text; repr() is the call that reads it."""
    spec = Spec.parse("Dice(smooth=1)")
    assert str(spec) == "dice(smooth=1)"
    assert repr(spec) == "ComponentSpec.parse('dice(smooth=1)')"


# Values on a command line


@for_each(
    ("text", "value"),
    [
        ("true", True),
        ("True", True),
        ("TRUE", True),
        (" true ", True),
        ("false", False),
        ("False", False),
        ("none", None),
        ("None", None),
        ("NONE", None),
        ("1", 1),
        ("-1", -1),
        ("+1", 1),
        ("1.0", 1.0),
        ("1e-3", 0.001),
        (" 3 ", 3),
        ("0x10", 16),
        ("inf", math.inf),
        ("-inf", -math.inf),
        ("'1'", "1"),
        ('"true"', "true"),
        ("[1, 2]", (1, 2)),
        ("(0.9, 0.999)", (0.9, 0.999)),
        ("1,2", (1, 2)),
        ("[]", ()),
        ("[True, None, 'x']", (True, None, "x")),
        ("[[1, 2], [3]]", ((1, 2), (3,))),
        ("dice(smooth=1)", Spec("dice", {"smooth": 1})),
        ("Dice()", Spec("dice")),
        ("sum", "sum"),
        ("Mean", "Mean"),
        ("a.b", "a.b"),
        ("a-b", "a-b"),
        ("epoch // 2", "epoch // 2"),
        ("min(1, epoch / 5)", "min(1, epoch / 5)"),
        ("exp(-epoch)", "exp(-epoch)"),
        ("1 / (1 + epoch)", "1 / (1 + epoch)"),
        ("lambda x: x", "lambda x: x"),
        ("__import__('os')", "__import__('os')"),
        ("~/data/x.csv", "~/data/x.csv"),
        ("C:\\data", "C:\\data"),
        ("cuda:0", "cuda:0"),
        ("1j", "1j"),
        ("01", "01"),
        ("", ""),
        ("[1, 2", "[1, 2"),
        ("'", "'"),
        ("\x00", "\x00"),
        ("Grüße", "Grüße"),
    ],
)
def test_a_value_on_the_command_line_is_a_literal_or_the_text(text: str, value: object) -> None:
    """A value is read as a literal, true, false and none in any case; what is not a literal is the text itself."""
    assert repr(parse_value(text)) == repr(value)


@for_each(
    "text",
    [
        "a" * 20_000,
        "9" * 5_000,
        "[" * 3_000,
        "-" * 5_000 + "1",
        "epoch" + " + epoch" * 500,
        "a" + ".b" * 1_500,
        "not " * 1_500 + "1",
    ],
    ids=["long", "digits", "brackets", "signs", "sum", "dots", "nots"],
)
def test_hostile_text_on_the_command_line_is_text(text: str) -> None:
    """A text that is too long or too deep for a literal is the text itself."""
    assert parse_value(text) == text


# A run


def run_with(**settings: Any) -> RunSpec:
    """A RunSpec with settings of any type."""
    return RunSpec(**settings)


def test_a_run_that_says_nothing_trains_with_sgd_on_the_digits() -> None:
    """Not given: the loss by task, sgd, no schedule, the digits, and the data set's own model."""
    spec = RunSpec()
    assert (spec.loss, spec.optimizer, spec.scheduler) == (None, Spec("sgd"), None)
    assert (spec.model, spec.data) == (None, Spec("digits"))


@for_each("field", ["loss", "optimizer", "scheduler", "model", "data"])
def test_a_component_is_a_text_or_a_spec(field: str) -> None:
    """A component may be given as a spec text or as a spec."""
    for value in ("Dice(smooth=1)", Spec("dice", {"smooth": 1})):
        assert getattr(run_with(**{field: value}), field) == Spec.parse("dice(smooth=1)")


@for_each("word", ["none", "None", " NONE "])
def test_none_is_a_word_for_no_scheduler(word: str) -> None:
    """The word `none` stands for a constant learning rate."""
    assert RunSpec(scheduler=word).scheduler is None


@for_each(
    "value", [5, True, 1.5, ["dice"], {"name": "dice"}, b"dice", object()], ids=lambda value: type(value).__name__
)
@for_each("field", ["loss", "optimizer", "scheduler", "model", "data"])
def test_a_component_of_another_type_is_refused(field: str, value: object) -> None:
    """A component that is neither text nor spec is a ConfigError that names the field."""
    with pytest.raises(ConfigError, match=field):
        run_with(**{field: value})


@for_each("field", ["optimizer", "data"])
def test_a_run_needs_an_optimizer_and_a_data_set(field: str) -> None:
    """None is no optimizer and no data set."""
    with pytest.raises(ConfigError, match=field):
        run_with(**{field: None})


@for_each("field", ["loss", "optimizer", "scheduler", "model", "data"])
def test_a_component_that_is_no_spec_is_a_spec_error(field: str) -> None:
    """A component's text that is no spec is a SpecError."""
    with pytest.raises(SpecError):
        run_with(**{field: "dice("})


WHOLE = ["epochs", "batch_size", "seed", "limit_train", "limit_test", "log_every"]


@for_each("value", [True, False, 1.0, 2.5, math.nan, math.inf, "3", [1], -1, -(10**30), 1j], ids=repr)
@for_each("field", WHOLE)
def test_a_count_is_a_whole_number_that_is_not_negative(field: str, value: object) -> None:
    """A count that is a boolean, a float, a text, a list or negative is a ConfigError that names the field."""
    with pytest.raises(ConfigError, match=field):
        run_with(**{field: value})


@for_each("field", ["epochs", "batch_size", "limit_train", "limit_test", "log_every"])
def test_a_count_is_at_least_one(field: str) -> None:
    """Every count but the seed is at least 1."""
    with pytest.raises(ConfigError, match=field):
        run_with(**{field: 0})
    assert getattr(run_with(**{field: 1}), field) == 1


@for_each("seed", [0, 1, 2**63 - 1])
def test_a_seed_is_any_number_that_torch_takes(seed: int) -> None:
    """A seed is 0 to 2**63 - 1."""
    assert RunSpec(seed=seed).seed == seed


def test_a_seed_of_more_than_63_bits_is_refused() -> None:
    """2**63 is no seed."""
    with pytest.raises(ConfigError, match="seed"):
        RunSpec(seed=2**63)


@for_each("field", ["limit_train", "limit_test"])
def test_a_limit_may_be_none(field: str) -> None:
    """None is no limit."""
    assert getattr(run_with(**{field: None}), field) is None


@for_each("field", ["epochs", "batch_size", "seed", "log_every"])
def test_a_count_that_is_no_limit_may_not_be_none(field: str) -> None:
    """None is not a number of epochs, no batch size, no seed and no interval of logging."""
    with pytest.raises(ConfigError, match=field):
        run_with(**{field: None})


@for_each("value", [0, 1, "true", None, "False", 1.0], ids=repr)
def test_eval_train_is_a_boolean(value: object) -> None:
    """eval_train is True or False; numbers and text are refused."""
    with pytest.raises(ConfigError, match="eval_train"):
        run_with(eval_train=value)


@for_each("value", [None, 0, True, ["cpu"], b"cpu"], ids=repr)
def test_a_device_request_is_text(value: object) -> None:
    """A device request that is not text is refused."""
    with pytest.raises(ConfigError, match="device"):
        run_with(device=value)


@for_each("value", ["batch", "Epoch", "", 1, True, ["epoch"]], ids=repr)
def test_a_scheduler_interval_is_epoch_or_step(value: object) -> None:
    """A scheduler_interval other than `epoch`, `step` and None is refused."""
    with pytest.raises(ConfigError, match="scheduler_interval"):
        run_with(scheduler_interval=value)


def test_a_run_cannot_be_changed() -> None:
    """A RunSpec is frozen."""
    spec = RunSpec()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        spec.epochs = 5  # type: ignore[misc]  # what is tested


def test_fields_are_given_by_name_only() -> None:
    """A RunSpec takes no positional arguments."""
    with pytest.raises(TypeError):
        RunSpec("dice")  # type: ignore[call-arg]  # what is tested


@for_each(
    ("written", "meant"),
    [
        ("epoch", "epochs"),
        ("optimiser", "optimizer"),
        ("batchsize", "batch_size"),
        ("sched", "scheduler"),
        ("Loss", "loss"),
        ("limit", "limit_train|limit_test"),
    ],
)
def test_an_unknown_key_gets_a_suggestion(written: str, meant: str) -> None:
    """An unknown key of a file is a ConfigError that names the file, the key and what was probably meant."""
    with pytest.raises(ConfigError, match=f"run.toml.*'{written}'.*Did you mean .*'({meant})'"):
        RunSpec.from_mapping({written: 1}, "run.toml")


@for_each("key", ["zzz", "", 3, None])
def test_an_unknown_key_that_resembles_nothing_lists_the_keys(key: object) -> None:
    """The error about an unknown key lists the keys that there are."""
    with pytest.raises(ConfigError, match="batch_size"):
        RunSpec.from_mapping({key: 1}, "run.toml")  # type: ignore[dict-item]  # what is tested


@for_each(
    ("settings", "kind"), [({"epochs": 0}, ConfigError), ({"loss": 5}, ConfigError), ({"loss": "dice("}, SpecError)]
)
def test_an_error_in_a_file_names_the_file(settings: dict[str, object], kind: type[Exception]) -> None:
    """An error about a value says where the value came from."""
    with pytest.raises(kind) as caught:
        RunSpec.from_mapping(settings, "run.toml")
    assert str(caught.value).startswith("run.toml: ")


RUNS = {
    "nothing": RunSpec(),
    "components": RunSpec(
        loss=Spec.parse("builtin.dice(smooth=1)"),
        optimizer=Spec.parse("adam(betas=(0.9, 0.99), lr=3e-4)"),
        scheduler=Spec.parse("lambda_lr(lr_lambda='epoch // 2')"),
        model=Spec.parse("mlp(hidden=[64, 32])"),
        data=Spec.parse("mnist"),
    ),
    "hard values": RunSpec(
        loss=Spec("acme.mix", {"a": math.inf, "b": 'it\'s "so"\n世', "c": Spec("l1", {"d": [True, None, -0.0]})})
    ),
    "settings": RunSpec(
        epochs=3,
        batch_size=7,
        seed=2**63 - 1,
        device="cuda:1",
        scheduler_interval="step",
        limit_train=10,
        limit_test=20,
        eval_train=True,
        log_every=1,
    ),
}


@for_each("spec", RUNS.values(), ids=RUNS.keys())
def test_items_make_the_same_run_again(spec: RunSpec) -> None:
    """from_mapping of the items gives an equal RunSpec."""
    assert RunSpec.from_mapping(dict(spec.items()), "items") == spec


@for_each("spec", RUNS.values(), ids=RUNS.keys())
def test_items_survive_json(spec: RunSpec) -> None:
    """The items written as JSON and read back give an equal RunSpec."""
    back = json.loads(json.dumps(dict(spec.items()), allow_nan=False))
    assert RunSpec.from_mapping(back, "run.json") == spec


def test_items_hold_components_as_canonical_text() -> None:
    """Components are plain text among the items, and a component that is not given is None."""
    items = dict(RunSpec(loss=Spec.parse("Dice(b=2, a=1)")).items())
    assert items["loss"] == "dice(a=1, b=2)"
    assert items["scheduler"] is None


def test_items_hold_every_field() -> None:
    """Every field of a RunSpec is among its items."""
    assert [key for key, _ in RunSpec().items()] == [field.name for field in attrs.fields(RunSpec)]


@for_each("spec", RUNS.values(), ids=RUNS.keys())
def test_a_run_survives_pickling(spec: RunSpec) -> None:
    """A RunSpec survives pickling."""
    assert pickle.loads(pickle.dumps(spec)) == spec  # noqa: S301  # our own bytes


def test_equal_runs_have_one_hash() -> None:
    """Equal RunSpecs are one key of a set."""
    assert len({RunSpec(epochs=3), RunSpec(epochs=3), RunSpec(epochs=4)}) == 2


@for_each("read", [parse_params, lambda text: ComponentSpec.parse(f"dice({text})")])
def test_a_part_of_several_lines_is_quoted_in_one(read: Callable[[str], object]) -> None:
    """What stands without a name may have line breaks; the message has none."""
    with pytest.raises(SpecError) as raised:
        read("a\n[null]")
    assert "stands without a name" in str(raised.value)
    assert "\n" not in str(raised.value)
