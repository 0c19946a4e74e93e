"""The arithmetic of schedules: what an expression means, and all that it refuses."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
import time
from collections.abc import Callable

import attrs
import pytest

from lossreg.errors import ExpressionError
from lossreg.expression import CONSTANTS, FUNCTIONS, VARIABLES, WORDS, Expression
from tests.table import for_each


@attrs.frozen
class At:
    """Values of the variables, as floats."""

    epoch: float
    step: float
    epochs: float
    steps_per_epoch: float


POINTS = [
    At(0.0, 0.0, 20.0, 10.0),
    At(1.0, 10.0, 20.0, 10.0),
    At(2.0, 29.0, 20.0, 10.0),
    At(7.0, 73.0, 20.0, 10.0),
    At(19.0, 199.0, 20.0, 10.0),
    At(99.0, 123_456.0, 100.0, 1_248.0),
]

Formula = Callable[[At], float]

FORMULAS: list[tuple[str, Formula]] = [
    # Numbers.
    ("0", lambda _: 0.0),
    ("1_000", lambda _: 1000.0),
    (".5", lambda _: 0.5),
    ("5.", lambda _: 5.0),
    ("1e-3", lambda _: 0.001),
    ("0x10", lambda _: 16.0),
    ("1e308", lambda _: 1e308),
    # Names.
    ("epoch", lambda v: v.epoch),
    ("step", lambda v: v.step),
    ("epochs", lambda v: v.epochs),
    ("steps_per_epoch", lambda v: v.steps_per_epoch),
    ("pi", lambda _: math.pi),
    ("e", lambda _: math.e),
    # Arithmetic, with Python's precedence and signs.
    ("epoch + step", lambda v: v.epoch + v.step),
    ("epochs - epoch", lambda v: v.epochs - v.epoch),
    ("epoch * step", lambda v: v.epoch * v.step),
    ("1 / (1 + epoch)", lambda v: 1 / (1 + v.epoch)),
    ("epoch // 2", lambda v: v.epoch // 2),
    ("epoch % 3", lambda v: v.epoch % 3),
    ("-epoch % 3", lambda v: -v.epoch % 3),
    ("-epoch // 3 + epochs", lambda v: -v.epoch // 3 + v.epochs),
    ("0.95 ** epoch", lambda v: 0.95**v.epoch),
    ("2 ** 3 ** 2", lambda _: 512.0),
    ("-2 ** 2 + 5", lambda _: 1.0),
    ("(-2) ** 2", lambda _: 4.0),
    ("2 ** -epoch", lambda v: 2.0**-v.epoch),
    ("0 ** 0", lambda _: 1.0),
    ("1 + 2 * 3 - 4 / 5", lambda _: 1 + 2 * 3 - 4 / 5),
    ("(1 + 2) * (3 - 4 / 5)", lambda _: (1 + 2) * (3 - 4 / 5)),
    ("10 - 3 - 2", lambda _: 5.0),
    ("64 / 4 / 2", lambda _: 8.0),
    ("7 // 2 * 2", lambda _: 6.0),
    ("1 / 3", lambda _: 1 / 3),
    ("7 // 0.5", lambda _: 14.0),
    ("--epoch", lambda v: v.epoch),
    ("+epoch", lambda v: v.epoch),
    # Comparisons are 1 or 0.
    ("epoch < 7", lambda v: float(v.epoch < 7)),
    ("epoch <= 7", lambda v: float(v.epoch <= 7)),
    ("epoch > 7", lambda v: float(v.epoch > 7)),
    ("epoch >= 7", lambda v: float(v.epoch >= 7)),
    ("epoch == 7", lambda v: float(v.epoch == 7)),
    ("epoch != 7", lambda v: float(v.epoch != 7)),
    ("1 < epoch < 10", lambda v: float(1 < v.epoch < 10)),
    ("0 <= epoch < epochs <= 20", lambda v: float(0 <= v.epoch < v.epochs <= 20)),
    ("1 < epoch > 5 != epochs", lambda v: float(1 < v.epoch > 5 != v.epochs)),
    ("(epoch < 7) + (epoch < 10)", lambda v: float((v.epoch < 7) + (v.epoch < 10))),
    # Logic gives one of its operands, as in Python.
    ("epoch and step", lambda v: v.epoch and v.step),
    ("epoch or step", lambda v: v.epoch or v.step),
    ("not epoch", lambda v: float(not v.epoch)),
    ("not not epoch", lambda v: float(bool(v.epoch))),
    ("epoch > 1 and epoch < 10 or step > 100", lambda v: float((v.epoch > 1 and v.epoch < 10) or v.step > 100)),
    ("epoch and 2 and step", lambda v: v.epoch and 2.0 and v.step),
    ("0 or epoch or 5", lambda v: v.epoch or 5.0),
    # Choice.
    ("0.1 if epoch < 5 else 0.01", lambda v: 0.1 if v.epoch < 5 else 0.01),
    ("1 if epoch < 2 else 0.5 if epoch < 10 else 0.1", lambda v: 1.0 if v.epoch < 2 else 0.5 if v.epoch < 10 else 0.1),
    # Functions.
    ("min(epoch, 5)", lambda v: min(v.epoch, 5.0)),
    ("min(epoch, 5, step, 3)", lambda v: min(v.epoch, 5.0, v.step, 3.0)),
    ("max(epoch, 5)", lambda v: max(v.epoch, 5.0)),
    ("max(epoch - 5, 0, step - 50)", lambda v: max(v.epoch - 5, 0.0, v.step - 50)),
    ("abs(epoch - 5)", lambda v: abs(v.epoch - 5)),
    ("floor(epoch / 3)", lambda v: float(math.floor(v.epoch / 3))),
    ("floor(-1.5) + 2", lambda _: 0.0),
    ("ceil(epoch / 3)", lambda v: float(math.ceil(v.epoch / 3))),
    ("sqrt(1 + epoch)", lambda v: math.sqrt(1 + v.epoch)),
    ("exp(-epoch / 10)", lambda v: math.exp(-v.epoch / 10)),
    ("log(1 + epoch)", lambda v: math.log(1 + v.epoch)),
    ("log(1 + epoch, 10)", lambda v: math.log(1 + v.epoch, 10)),
    ("1 + sin(epoch)", lambda v: 1 + math.sin(v.epoch)),
    ("1 + cos(epoch)", lambda v: 1 + math.cos(v.epoch)),
    # Schedules as people write them.
    (
        "0.5 * (1 + cos(pi * epoch / epochs))",
        lambda v: 0.5 * (1 + math.cos(math.pi * v.epoch / v.epochs)),
    ),
    ("min(1, (step + 1) / (5 * steps_per_epoch))", lambda v: min(1.0, (v.step + 1) / (5 * v.steps_per_epoch))),
    ("0.1 ** (epoch // 30)", lambda v: 0.1 ** (v.epoch // 30)),
    ("(1 - epoch / epochs) ** 0.9", lambda v: (1 - v.epoch / v.epochs) ** 0.9),
    ("e ** -(epoch / 5)", lambda v: math.e ** -(v.epoch / 5)),
    (
        "(epoch + 1) / 5 if epoch < 5 else 0.97 ** (epoch - 5)",
        lambda v: (v.epoch + 1) / 5 if v.epoch < 5 else 0.97 ** (v.epoch - 5),
    ),
]


@for_each(("text", "formula"), FORMULAS, ids=[text for text, _ in FORMULAS])
@for_each("point", POINTS, ids=[f"epoch={point.epoch:g}" for point in POINTS])
def test_value_is_that_of_the_same_formula_in_python(text: str, formula: Formula, point: At) -> None:
    """An expression has the value of the same formula written in Python with floats."""
    assert Expression(text)(attrs.asdict(point)) == float(formula(point))


@for_each("text", ["epoch // 2", "epoch < 3", "floor(epoch)", "epoch and 1", "epoch if 1 else 0"])
def test_value_is_a_float_also_for_whole_numbers(text: str) -> None:
    """The value is a float even where the variables are ints."""
    assert type(Expression(text)({"epoch": 3})) is float


def test_arithmetic_is_in_floats_not_in_big_integers() -> None:
    """Numbers are floats, so 2**53 + 1 is rounded as a float is."""
    assert Expression("2 ** 53 + 1")({}) == 2.0**53


@for_each("text", ["0 and 1 / 0", "1 or 1 / 0", "1 if 1 else 1 / 0", "1 / 0 if 0 else 1", "2 < 1 < 1 / 0"])
def test_what_is_not_needed_is_not_evaluated(text: str) -> None:
    """`and`, `or`, `if` and a chain of comparisons evaluate only what they need, as Python does."""
    assert math.isfinite(Expression(text)({}))


@for_each(
    ("text", "names"),
    [
        ("1", set()),
        ("pi * e", set()),
        ("epoch // 2", {"epoch"}),
        ("min(epoch, step) if epochs else steps_per_epoch", {"epoch", "step", "epochs", "steps_per_epoch"}),
    ],
)
def test_names_are_the_variables_that_are_used(text: str, names: set[str]) -> None:
    """`names` holds the variables that the expression uses, not its constants and functions."""
    assert Expression(text).names == names


def test_variables_that_are_not_used_need_no_value() -> None:
    """Only the variables that the expression names need a value."""
    assert Expression("epoch + 1")({"epoch": 2, "unrelated": 5}) == 3.0


def test_words_are_those_of_the_language() -> None:
    """The words that no component may be called by are the variables, the constants and the functions."""
    language = "epoch step epochs steps_per_epoch pi e min max abs floor ceil sqrt exp log sin cos"
    assert set(language.split()) == WORDS == {*VARIABLES, *CONSTANTS, *FUNCTIONS}


# What is kept


def test_text_is_what_was_written_without_surrounding_blanks() -> None:
    """`text` is what was written, without blanks around it."""
    assert Expression("  epoch  //  2\t").text == "epoch  //  2"


def test_repr_shows_the_text() -> None:
    """The repr is the call that makes the expression."""
    assert repr(Expression("epoch // 2")) == "Expression('epoch // 2')"


def test_expressions_are_equal_by_text() -> None:
    """Expressions of the same text are equal, and others are not, even where the values are the same."""
    assert Expression("epoch // 2") == Expression(" epoch // 2 ")
    assert Expression("epoch // 2") != Expression("epoch//2")
    assert Expression("epoch") != "epoch"


def test_equal_expressions_have_one_hash() -> None:
    """Equal expressions are one key of a set."""
    assert len({Expression("epoch // 2"), Expression(" epoch // 2"), Expression("epoch")}) == 2


@for_each("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_keeps_an_expression(protocol: int) -> None:
    """An expression survives pickling, value and all."""
    copy = pickle.loads(pickle.dumps(Expression("epoch // 2"), protocol))  # noqa: S301  # our own bytes
    assert copy == Expression("epoch // 2")
    assert copy({"epoch": 5}) == 5 // 2


# What has no value


@for_each(
    "text",
    [
        "1 / 0",
        "1 // 0",
        "1 % 0",
        "0 ** -1",
        "log(0)",
        "log(-1)",
        "log(2, 1)",
        "sqrt(-1)",
        "exp(1000)",
        "10.0 ** 400",
        "floor(1e308 * 10)",
        "ceil(1e308 * 10 - 1e308 * 10)",
        "sin(1e308 * 10)",
    ],
)
def test_arithmetic_without_a_value_is_an_error(text: str) -> None:
    """Where Python's arithmetic raises, the expression raises an ExpressionError."""
    expression = Expression(text)
    with pytest.raises(ExpressionError):
        expression({})


@for_each(
    "text",
    ["(-8) ** (1 / 3)", "abs((-8) ** (1 / 3))", "((-1) ** 0.5) ** 2", "(-8) ** 0.5 == 1", "1 if (-1) ** 0.5 else 2"],
)
def test_a_complex_intermediate_result_is_an_error(text: str) -> None:
    """A negative number to a fractional power is refused even where the whole would be real again."""
    expression = Expression(text)
    with pytest.raises(ExpressionError, match="not a real number"):
        expression({})


@for_each("text", ["-1", "0 - epoch", "min(-1, 5)", "1e308 * 10", "-1e308 * 10", "1e308 * 10 - 1e308 * 10"])
def test_a_result_that_is_negative_or_not_finite_is_an_error(text: str) -> None:
    """The result must be finite and at least 0."""
    expression = Expression(text)
    with pytest.raises(ExpressionError, match="finite and at least 0"):
        expression({"epoch": 3})


def test_negative_intermediate_results_are_allowed() -> None:
    """Only the result has to be at least 0, not what comes on the way."""
    assert Expression("abs(0 - 5) + -2")({}) == 3.0


def test_enormous_powers_fail_at_once() -> None:
    """A tower of powers is an error within a moment, since all arithmetic is in floats."""
    towers = ["9**9**9", "9**9**9**9**9", "epoch**9**9**9", "(9.5**99)**99", "exp(exp(exp(9)))"]
    program = f"""
from lossreg import Expression, ExpressionError
for text in {towers}:
    try:
        Expression(text)({{"epoch": 9}})
    except ExpressionError as error:
        print(error.text)
"""
    # In a child process: integers would take years, and nothing interrupts their arithmetic.
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=240, check=True)
    assert child.stdout.splitlines() == towers


def test_error_names_the_values_of_the_variables() -> None:
    """The error says at which values of the variables there was no value, in the message and as attributes."""
    expression = Expression("1 / (7 - epoch)")
    with pytest.raises(ExpressionError, match="epoch = 7") as caught:
        expression({"epoch": 7})
    assert caught.value.text == "1 / (7 - epoch)"
    assert vars(caught.value)["values"] == {"epoch": 7}


# What is refused

REFUSED = {
    "nothing": "",
    "blanks": " \t\n",
    "comment only": "# epoch",
    "attribute": "epoch.real",
    "attribute of a number": "(1).__class__",
    "method": "epoch.__add__(1)",
    "classes of an empty tuple": "().__class__.__bases__[0].__subclasses__()",
    "subscript": "epoch[0]",
    "subscript of a list": "[1, 2][0]",
    "slice": "epoch[0:1]",
    "lambda": "lambda: 1",
    "called lambda": "(lambda: 1)()",
    "list comprehension": "[x for x in (1, 2)]",
    "set comprehension": "{x for x in (1, 2)}",
    "dict comprehension": "{x: x for x in (1, 2)}",
    "generator": "max(x for x in (1, 2))",
    "walrus": "(epoch := 3)",
    "walrus in an argument": "min((x := 1), 2)",
    "f-string": "f'{epoch}'",
    "f-string with a call": "f'{__import__(\"os\")}'",
    "string": "'epoch'",
    "string arithmetic": "'a' * 9",
    "implicit concatenation": "'a' 'b'",
    "docstring": '"""epoch"""',
    "bytes": "b'1'",
    "import": "import os",
    "__import__": "__import__('os')",
    "__import__ of a system call": "__import__('os').system('true')",
    "__builtins__": "__builtins__",
    "dunder name": "__name__",
    "dunder class": "__class__",
    "underscore": "_",
    "keyword argument": "max(1, 2, key=3)",
    "keyword argument alone": "sqrt(x=4)",
    "starred argument": "min(*epoch)",
    "starred list": "min(*[1, 2])",
    "double-starred argument": "min(1, 2, **{})",
    "complex number": "1j",
    "complex arithmetic": "(1j) ** 2 * -1",
    "True": "True",
    "False": "False",
    "True in arithmetic": "True + 1",
    "None": "None",
    "Ellipsis": "...",
    "NotImplemented": "NotImplemented",
    "tuple": "1, 2",
    "tuple in parentheses": "(1, 2)",
    "one-tuple": "epoch,",
    "empty tuple": "()",
    "list": "[1]",
    "set": "{1}",
    "dict": "{1: 2}",
    "starred": "*epoch",
    "bit or": "1 | 2",
    "bit and": "1 & 2",
    "bit xor": "1 ^ 2",
    "bit not": "~1",
    "shift left": "1 << 99",
    "shift right": "1 >> 1",
    "matrix product": "epoch @ epoch",
    "is": "epoch is 3",
    "is not": "epoch is not 3",
    "in": "epoch in (1, 2)",
    "not in": "epoch not in (1, 2)",
    "await": "await epoch",
    "yield": "(yield epoch)",
    "assignment": "epoch = 3",
    "two statements": "1; 2",
    "two lines": "1\n2",
    "statement": "del epoch",
    "assert": "assert epoch",
    "half an if": "1 if epoch",
    "unclosed parenthesis": "(1 + 2",
    "two numbers": "1 2",
    "operator alone": "+",
    "call of a variable": "epoch(1)",
    "call of a constant": "pi(1)",
    "call of a number": "2(3)",
    "call of a call": "sqrt(4)(1)",
    "function without a call": "sqrt",
    "function as an argument": "min(sqrt, 1)",
    "infinite literal": "1e400",
    "inf": "inf",
    "nan": "nan",
    "null byte": "epoch\x00",
    "null byte alone": "\x00",
    "lone surrogate": "epoch\ud800",
    "zero-width space": "epoch\u200b",
    "no-break space inside": "epoch\u00a0+ 1",
    "superscript": "epoch²",
    "cyrillic letter": "\u0435poch",
    "greek letter": "\u03c0",
    "cyrillic function": "m\u0456n(1, 2)",
    "fullwidth digit": "\uff11",
    "other operators": "2 × 3",
    "minus sign": "3 − 2",
}


@for_each("text", REFUSED.values(), ids=REFUSED.keys())
def test_whatever_is_not_arithmetic_is_refused(text: str) -> None:
    """Whatever is not arithmetic over the words of the language is refused before anything is evaluated."""
    with pytest.raises(ExpressionError):
        Expression(text)


@for_each("text", ["\uff45poch", "\u2147", "\uff50i", "\uff4din(1, 2)", "ep\u2092ch"])
def test_letters_that_python_folds_into_ascii_are_refused(text: str) -> None:
    """A name in look-alike letters that Python's parser folds into ASCII is not a name of the language."""
    with pytest.raises(ExpressionError):
        Expression(text)


@for_each(
    "name",
    [
        "eval",
        "exec",
        "open",
        "print",
        "compile",
        "getattr",
        "globals",
        "vars",
        "type",
        "sum",
        "round",
        "pow",
        "int",
        "input",
    ],
)
def test_builtins_are_not_known(name: str) -> None:
    """Python's own functions are no names of the language, called or not."""
    for text in (name, f"{name}(epoch)"):
        with pytest.raises(ExpressionError, match=f"'{name}'"):
            Expression(text)


@for_each("text", ["min()", "min(1)", "max(1)", "abs()", "abs(1, 2)", "sqrt(1, 2)", "log()", "log(1, 2, 3)"])
def test_a_wrong_number_of_arguments_is_refused(text: str) -> None:
    """A function with too few or too many arguments is refused when the expression is made."""
    with pytest.raises(ExpressionError, match="argument"):
        Expression(text)


@for_each(
    ("written", "meant"),
    [("epoc", "epoch"), ("epohs", "epochs"), ("stpe", "step"), ("steps_per_epoc", "steps_per_epoch")],
)
def test_a_misspelt_variable_gets_a_suggestion(written: str, meant: str) -> None:
    """The error about a name that is nearly right says which one was probably meant."""
    with pytest.raises(ExpressionError, match=f"(?s)Did you mean.*'{meant}'"):
        Expression(f"{written} // 2")


@for_each(("written", "meant"), [("flor", "floor"), ("sqr", "sqrt"), ("maxx", "max"), ("ciel", "ceil")])
def test_a_misspelt_function_gets_a_suggestion(written: str, meant: str) -> None:
    """The error about a function that is nearly right says which one was probably meant."""
    with pytest.raises(ExpressionError, match=f"(?s)Did you mean.*'{meant}'"):
        Expression(f"{written}(epoch, 2)")


def test_error_about_syntax_says_where() -> None:
    """The error about a text that cannot be parsed says at which character it goes wrong."""
    with pytest.raises(ExpressionError, match="character 7"):
        Expression("epoch epoch")


def test_error_keeps_the_text() -> None:
    """The error holds the text that was written."""
    with pytest.raises(ExpressionError) as caught:
        Expression("epoch.real")
    assert caught.value.text == "epoch.real"


# Limits


def test_200_characters_are_allowed_and_201_are_not() -> None:
    """An expression has at most 200 characters."""
    assert Expression("1 +".ljust(199) + "1")({}) == 2.0
    with pytest.raises(ExpressionError, match="200"):
        Expression("1 +".ljust(200) + "1")


def test_64_nodes_are_allowed_and_more_are_not() -> None:
    """An expression has at most 64 nodes: 63 signs before a number are, 64 are not."""
    assert Expression("-" * 62 + "+1")({}) == 1.0
    with pytest.raises(ExpressionError, match="64"):
        Expression("-" * 64 + "1")


HOSTILE = {
    "a million characters": "1" * 1_000_000,
    "5,000-digit integer": "9" * 5_000,
    "5,000-digit hexadecimal integer": "0x" + "f" * 5_000,
    "200 parentheses": "(" * 100 + ")" * 100,
    "deep parentheses": "(" * 5_000 + "1" + ")" * 5_000,
    "deep brackets": "[" * 100 + "]" * 100,
    "open brackets": "[" * 200,
    "deep calls": "abs(" * 1_000 + "1" + ")" * 1_000,
    "deep negation": "-" * 199 + "1",
    "deep lambdas": "lambda:" * 28 + "1",
    "deep attributes": "e" + ".e" * 99,
    "deep f-string": "f'" + "{" * 99 + "}" * 99,
    "long sum": "1" + "+1" * 99,
    "long power": "9" + "**9" * 66,
    "null bytes": "\x00" * 200,
}


@for_each("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_is_refused_at_once(text: str) -> None:
    """A very long or deeply nested text is an ExpressionError, never another error, within a moment."""
    start = time.process_time()
    with pytest.raises(ExpressionError):
        Expression(text)
    assert time.process_time() - start < 1.0


def test_error_about_a_long_text_is_short() -> None:
    """The error about a text that is too long does not repeat it."""
    with pytest.raises(ExpressionError) as caught:
        Expression("1" * 100_000)
    assert len(str(caught.value)) < 200


@for_each("text", ["", "1j", "epoc", "1 / 0"])
def test_errors_are_value_errors(text: str) -> None:
    """Every error about an expression is a ValueError too."""
    with pytest.raises(ValueError, match="expression"):
        Expression(text)({})
