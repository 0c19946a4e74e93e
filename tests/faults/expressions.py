"""Generated expressions, and what is asked of each of them."""

from __future__ import annotations

import ast
import math
import random
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lossreg.errors import ExpressionError
from lossreg.expression import CONSTANTS, FUNCTIONS, VARIABLES, WORDS, Expression
from lossreg.values import one_line

LIMIT = 0.01  # seconds of the processor for reading and evaluating one
VALUES: Mapping[str, float] = {"epoch": 3, "step": 7, "epochs": 10, "steps_per_epoch": 4}

_NUMBERS = (
    "0", "1", "2", "3", "7", "10", "0.5", ".1", "1.", "1e3", "1e-3", "1_000", "0x1f", "0b11", "0o7", "1e308", "1e-320",
    "5e-324", "0.0", "9999999999999999999", "1e999", "1j", "9" * 60,
)  # fmt: skip
_ALIEN = (
    "'a'", "None", "True", "...", "[]", "{}", "()", "x", "__import__", "epoch.real", "epoch[0]", "f'{epoch}'",
    "lambda: 1", "(epoch := 1)", "[a for a in b]", "max(*epoch)", "abs(x=1)", "b''", "'''", "\\", "\0", "\n", "#", ";",
    "=", "\uff45poch", "é", "\ud800", "await epoch", "1if 1else 2", "0777", "~1", "1 @ 2", "1 | 2", "1 is 2", "1 in 2",
    "epoch(1)",
)  # fmt: skip
_BINARY = ("+", "-", "*", "/", "//", "%", "**", "<", "<=", ">", ">=", "==", "!=", " and ", " or ")
_TOKENS = (*_BINARY, *WORDS, *_ALIEN, *_NUMBERS, "(", ")", ",", " if ", " else ", "not ", "-", "+", ".", "_", " ")

_NODES = (
    ast.Expression, ast.Constant, ast.Name, ast.Load, ast.UnaryOp, ast.BinOp, ast.BoolOp, ast.Compare, ast.IfExp,
    ast.Call, ast.operator, ast.unaryop, ast.cmpop, ast.boolop,
)  # fmt: skip


def generate(source: random.Random, depth: int = 4) -> str:
    """An expression by the grammar of the language, in which now and then something stands that is not part of it."""
    choice = source.random()
    if depth == 0 or choice < 0.15:
        if source.random() < 0.01:
            return source.choice(_ALIEN)
        return source.choice((*VARIABLES, *CONSTANTS)) if source.random() < 0.5 else source.choice(_NUMBERS)

    def part() -> str:
        return generate(source, depth - source.randint(1, 2) if depth > 1 else 0)

    if choice < 0.6:
        return f"{part()}{source.choice(_BINARY)}{part()}"
    if choice < 0.7:
        return f"{source.choice(('-', '+', 'not '))}{part()}"
    if choice < 0.78:
        return f"({part()})"
    if choice < 0.84:
        return f"{part()} if {part()} else {part()}"
    name = source.choice(tuple(FUNCTIONS))
    return f"{name}({', '.join(part() for _ in range(source.choice((1, 1, 2, 2, 3))))})"


def disturb(source: random.Random, text: str) -> str:
    """The text with a few tokens that were put in, taken out or put in the place of others."""
    for _ in range(source.randint(1, 3)):
        begin = source.randint(0, len(text))
        end = min(len(text), begin + source.choice((0, 0, 1, 1, 2, 5)))
        text = text[:begin] + source.choice((*_TOKENS, "")) + text[end:]
    return text


def soup(source: random.Random) -> str:
    """Tokens one after another."""
    return "".join(source.choice(_TOKENS) for _ in range(source.randint(1, 25)))


def expressions(source: random.Random, number: int, seeds: tuple[str, ...]) -> Iterator[str]:
    """Half of them by the grammar; the others disturbed ones, disturbed escapes, tokens, and the same many times."""
    for turn in range(number):
        kind = turn % 10
        if kind < 5:
            yield generate(source)
        elif kind < 7:
            yield disturb(source, generate(source))
        elif kind == 7:
            yield disturb(source, source.choice(seeds))
        elif kind == 8:
            yield soup(source)
        else:
            yield source.choice(_TOKENS) * source.randint(2, 70) + source.choice(("", "1", ")"))


def why_wrong(text: str, make: Callable[[str], Any] = Expression) -> str | None:
    """What is wrong with what the language makes of a text; None if nothing is.

    Args:
        text: Any text.
        make: What reads it.
    """
    try:
        made = make(text)
        value = made({name: VALUES[name] for name in made.names})
    except ExpressionError as error:
        message = str(error)
        return None if message == one_line(message) and len(message) < 1000 else f"a message of {message!r}"
    except BaseException as error:  # whatever it is, it is not the named error
        return f"{type(error).__name__}: {error}"
    if type(value) is not float or not math.isfinite(value) or value < 0:
        return f"the value {value!r}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of `1if 1else 2`
        tree = ast.parse(text.strip(), mode="eval")
    alien = next((type(node).__name__ for node in ast.walk(tree) if not isinstance(node, _NODES)), None)
    if alien is not None:
        return f"it takes a node {alien}"
    expected = by_python(tree)
    return None if value == expected else f"the value {value!r}, and Python says {expected!r}"


class _InFloats(ast.NodeTransformer):
    """Numbers, comparisons and `not` as calls of float: the language computes with nothing else."""

    def _converted(self, node: ast.expr) -> ast.expr:
        self.generic_visit(node)
        return ast.Call(ast.Name("float", ast.Load()), [node], [])

    visit_Constant = visit_Compare = visit_Name = _converted  # noqa: N815  # the names that ast looks for

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:  # the name that ast looks for
        """`not` gives a truth value, the others do not."""
        if isinstance(node.op, ast.Not):
            return self._converted(node)
        self.generic_visit(node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:  # the name that ast looks for
        """The functions give floats, too; their names are no numbers."""
        node.args = [self.visit(argument) for argument in node.args]
        return ast.Call(ast.Name("float", ast.Load()), [node], [])


def by_python(tree: ast.Expression) -> float:
    """The value by Python's own evaluation, of a tree that holds nothing but arithmetic."""
    names = {"float": float, **{name: getattr(math, name, None) or getattr(_BUILTINS, name) for name in FUNCTIONS}}
    code = compile(ast.fix_missing_locations(_InFloats().visit(tree)), "<expression>", "eval")
    return float(eval(code, {"__builtins__": {}, **names, **CONSTANTS, **VALUES}))  # noqa: S307  # checked above


_BUILTINS = sys.modules["builtins"]


def seconds(text: str, make: Callable[[str], Any] = Expression) -> float:
    """Seconds of the processor that reading and evaluating takes, without other threads and processes."""
    begin = time.thread_time()
    try:
        made = make(text)
        made({name: VALUES[name] for name in made.names})
    except Exception:  # noqa: S110  # that is judged elsewhere
        pass
    return time.thread_time() - begin


_EVENTS: list[str] = []
_IS_HEARD = [False]


def _hear(event: str, _: tuple[Any, ...]) -> None:
    if _IS_HEARD[0] and event != "compile":  # that is ast.parse
        _EVENTS.append(event)


@contextmanager
def heard() -> Iterator[list[str]]:
    """Within the block, what Python audits is in the list: imports, files, processes, attributes of frames and code."""
    if not _EVENTS and not getattr(_hear, "is_added", False):
        sys.addaudithook(_hear)
        _hear.is_added = True  # type: ignore[attr-defined]  # a hook cannot be removed, and is added once
    _EVENTS.clear()
    _IS_HEARD[0] = True
    try:
        yield _EVENTS
    finally:
        _IS_HEARD[0] = False
