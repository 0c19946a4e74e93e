"""The arithmetic of schedules: a small language over numbers, checked and never evaluated as Python.

An expression such as `"epoch // 2"` comes from a command line, a file or a past run, so it must not be able to
reach anything. Evaluators that exist (simpleeval, asteval, numexpr) were passed over for their record of sandbox
escapes; this one turns each allowed syntax node into a closure over floats and refuses every other node.
"""

from __future__ import annotations

import ast
import math
import operator
import warnings
from collections.abc import Callable, Mapping, Sequence

from lossreg.errors import ExpressionError
from lossreg.suggestions import did_you_mean
from lossreg.values import one_line

MAX_LENGTH = 200  # characters
MAX_NODES = 64

CONSTANTS: Mapping[str, float] = {"pi": math.pi, "e": math.e}
VARIABLES = ("epoch", "step", "epochs", "steps_per_epoch")

#: Function -> (implementation, fewest arguments, most arguments).
FUNCTIONS: Mapping[str, tuple[Callable[..., float], int, int]] = {
    "min": (min, 2, MAX_NODES),
    "max": (max, 2, MAX_NODES),
    "abs": (abs, 1, 1),
    "floor": (math.floor, 1, 1),
    "ceil": (math.ceil, 1, 1),
    "sqrt": (math.sqrt, 1, 1),
    "exp": (math.exp, 1, 1),
    "log": (math.log, 1, 2),
    "sin": (math.sin, 1, 1),
    "cos": (math.cos, 1, 1),
}

#: Every word that means something in an expression; no component may have such a name.
WORDS = frozenset({*CONSTANTS, *VARIABLES, *FUNCTIONS})

_Number = Callable[[Mapping[str, float]], float]


def _power(base: float, exponent: float) -> float:
    result: float | complex = base**exponent
    if isinstance(result, complex):
        raise ValueError(f"{base:g} ** {exponent:g} is not a real number")
    return result


_BINARY: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
}
_UNARY: Mapping[type[ast.unaryop], Callable[[float], float]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Not: operator.not_,
}
_COMPARE: Mapping[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


class Expression:
    """An arithmetic expression over `epoch`, `step`, `epochs` and `steps_per_epoch`.

    Operators: `+ - * / // % **`, comparisons, `and or not`, `a if c else b`. Functions, with positional arguments:
    `min max abs floor ceil sqrt exp log sin cos`. Constants: `pi`, `e`. All arithmetic is in floats; a comparison is
    1 or 0. Use it for multipliers of a learning rate (`torch.optim.lr_scheduler.LambdaLR`).

    Args:
        text: The expression; at most 200 characters and 64 nodes.

    Attributes:
        text: What was written, without surrounding blanks.
        names: The variables that it uses, a frozenset of str.

    Raises:
        ExpressionError: If the text is not an expression of this language.

    Example:
        >>> half = Expression("epoch // 2")
        >>> [half({"epoch": epoch}) for epoch in range(5)]
        [0.0, 0.0, 1.0, 1.0, 2.0]
        >>> Expression("__import__('os')")
        Traceback (most recent call last):
        ...
        lossreg.errors.ExpressionError: expression "__import__('os')": there is no function '__import__'. \
Functions: abs, ceil, cos, exp, floor, log, max, min, sin, sqrt
    """

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        tree = _parse(self.text)
        self.names = frozenset(n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id in VARIABLES)
        self._value = _compile(tree.body, self.text)

    def __call__(self, values: Mapping[str, float]) -> float:
        """The value for these variables.

        Args:
            values: A number for each of `names`.

        Raises:
            ExpressionError: If there is no value, or it is not real, finite and at least 0.
        """
        try:
            value = self._value(values)
        except KeyError as error:
            raise ExpressionError(f"{_named(self.text)} needs a value for {error}", text=self.text) from None
        except OverflowError:
            raise self._no_value(values, "the value is too large") from None
        except ZeroDivisionError:
            raise self._no_value(values, "division by zero") from None
        except ValueError as error:
            raise self._no_value(values, str(error)) from None
        if not math.isfinite(value) or value < 0:
            raise self._no_value(values, f"is {value:g}; it must be finite and at least 0")
        return float(value)

    def _no_value(self, values: Mapping[str, float], what: str) -> ExpressionError:
        where = ", ".join(f"{name} = {values[name]:g}" for name in VARIABLES if name in self.names)
        at = f" at {where}" if where else ""
        return ExpressionError(f"{_named(self.text)}{at}: {what}", text=self.text, values=dict(values))

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __reduce__(self) -> tuple[type[Expression], tuple[str]]:
        return Expression, (self.text,)


def _named(text: str) -> str:
    """An expression in a message, on one line."""
    return f'expression "{one_line(text)}"'


def _parse(text: str) -> ast.Expression:
    if len(text) > MAX_LENGTH:
        raise ExpressionError(
            f"expression of {len(text)} characters: at most {MAX_LENGTH} are allowed: {text[:40]!r}...", text=text
        )
    if not text:
        raise ExpressionError("the expression is empty", text=text)
    if not text.isascii():  # Python reads some other letters as ASCII ones
        raise ExpressionError(f"{_named(text)} has a character that is not ASCII", text=text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `2(3)` warns before it is refused below, and `1if 1else 2` too
            tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        where = _place(error, text) if isinstance(error, SyntaxError) else ""
        reason = error.msg if isinstance(error, SyntaxError) else str(error) or type(error).__name__
        raise ExpressionError(f"{_named(text)}{where}: {reason}", text=text) from None
    nodes = sum(isinstance(node, ast.expr) for node in ast.walk(tree))
    if nodes > MAX_NODES:
        raise ExpressionError(f"{_named(text)} has {nodes} nodes; at most {MAX_NODES} are allowed", text=text)
    return tree


def _place(error: SyntaxError, text: str) -> str:
    """Where an expression is wrong; Python has 0 for what is missing at its end."""
    if not error.offset or error.offset > len(text):
        return " at its end"
    return f" at character {error.offset}"


def _compile(node: ast.expr, text: str) -> _Number:
    """Turns a syntax node into a function of the variables; whatever is not listed here is refused."""
    match node:
        case ast.Constant(value=bool()):
            raise _refused(text, node, "True and False are not numbers; write 1 and 0")
        case ast.Constant(value=int() | float() as number):
            return _constant(text, node, number)
        case ast.Name(id=name):
            return _name(text, node, name)
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            return _apply(_UNARY[type(op)], [_compile(operand, text)])
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _apply(_BINARY[type(op)], [_compile(left, text), _compile(right, text)])
        case ast.BoolOp(op=op, values=values):
            return _boolean(isinstance(op, ast.And), [_compile(value, text) for value in values])
        case ast.Compare(left=left, ops=ops, comparators=comparators) if all(type(op) in _COMPARE for op in ops):
            return _comparison(
                [_COMPARE[type(op)] for op in ops], [_compile(operand, text) for operand in (left, *comparators)]
            )
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return _conditional(_compile(test, text), _compile(body, text), _compile(orelse, text))
        case ast.Call():
            return _call(text, node)
        case ast.Lambda(body=body):
            inner = ast.get_source_segment(text, body) or ""
            raise _refused(text, node, f"write only what stands behind the colon: {inner!r}")
    if isinstance(node, ast.Constant):
        raise _refused(text, node, "only numbers are part of the language")
    if isinstance(node, ast.BinOp | ast.UnaryOp | ast.Compare):
        raise _refused(text, node, "this operator is not part of the language")
    raise _refused(text, node, f"{type(node).__name__} is not part of the language")


def _refused(text: str, node: ast.expr, why: str) -> ExpressionError:
    written = ast.get_source_segment(text, node) or text
    where = "" if written == text else f" at {written!r}"
    return ExpressionError(f"{_named(text)}{where}: {why}", text=text)


def _constant(text: str, node: ast.expr, number: float) -> _Number:
    try:
        value = float(number)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise _refused(text, node, "the number is too large")
    return lambda _: value


def _name(text: str, node: ast.expr, name: str) -> _Number:
    if name in VARIABLES:
        return lambda values: float(values[name])
    if name in CONSTANTS:
        return _constant(text, node, CONSTANTS[name])
    if name in FUNCTIONS:
        raise _refused(text, node, f"{name} is a function; write {name}(...)")
    known = [*VARIABLES, *CONSTANTS]
    raise ExpressionError(
        f"{_named(text)}: there is no name {name!r}.{did_you_mean(name, known)} Names: {', '.join(known)}",
        text=text,
    )


def _apply(function: Callable[..., float], operands: Sequence[_Number]) -> _Number:
    if len(operands) == 1:
        (only,) = operands
        return lambda values: float(function(only(values)))
    if len(operands) == 2:
        first, second = operands
        return lambda values: function(first(values), second(values))
    return lambda values: function(*[operand(values) for operand in operands])


def _boolean(is_and: bool, operands: Sequence[_Number]) -> _Number:
    def value(values: Mapping[str, float]) -> float:
        result = 0.0
        for operand in operands:
            result = operand(values)
            if bool(result) != is_and:
                break
        return result

    return value


def _comparison(tests: Sequence[Callable[[float, float], bool]], operands: Sequence[_Number]) -> _Number:
    def value(values: Mapping[str, float]) -> float:
        left = operands[0](values)
        for test, operand in zip(tests, operands[1:], strict=True):
            right = operand(values)
            if not test(left, right):
                return 0.0
            left = right
        return 1.0

    return value


def _conditional(test: _Number, body: _Number, orelse: _Number) -> _Number:
    return lambda values: body(values) if test(values) else orelse(values)


def _call(text: str, node: ast.Call) -> _Number:
    if not isinstance(node.func, ast.Name):
        raise _refused(text, node, "only the functions of the language can be called")
    name = node.func.id
    if name not in FUNCTIONS:
        hint = did_you_mean(name, FUNCTIONS)
        raise ExpressionError(
            f"{_named(text)}: there is no function {name!r}.{hint} Functions: {', '.join(sorted(FUNCTIONS))}",
            text=text,
        )
    function, fewest, most = FUNCTIONS[name]
    if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
        raise _refused(text, node, f"{name} takes positional arguments only")
    if not fewest <= len(node.args) <= most:
        takes = f"{fewest}" if fewest == most else f"{fewest} or {most}" if most < MAX_NODES else f"at least {fewest}"
        raise _refused(text, node, f"{name} takes {takes} argument{'s' * (takes != '1')}, {len(node.args)} given")
    return _apply(function, [_compile(argument, text) for argument in node.args])
