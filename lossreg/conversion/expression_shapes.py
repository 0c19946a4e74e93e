"""What an expression of a schedule looks like: its parts, found by a pattern with holes."""

from __future__ import annotations

import ast
import functools
import math

from lossreg.conversion.literal_arithmetic import NotLiteralError, computed
from lossreg.errors import ExpressionError
from lossreg.expression import Expression


def parsed(text: str) -> ast.expr | None:
    """The syntax tree of an expression; None if it is not one.

    Example:
        >>> parsed("epoch +") is None
        True
    """
    try:
        Expression(text)
    except ExpressionError:
        return None
    return ast.parse(text.strip(), mode="eval").body


def same(one: ast.expr, other: ast.expr) -> bool:
    """Whether two expressions are the same but for blanks and parentheses that change nothing."""
    return ast.dump(one) == ast.dump(other)


def fitted(pattern: str, node: ast.expr) -> dict[str, ast.expr] | None:
    """What stands in the holes of a pattern where an expression is like it; None where it is not.

    Args:
        pattern: An expression in which each word of capital letters is a hole; a word that occurs twice stands for the
            same twice.
        node: The expression.

    Example:
        >>> holes = fitted("RATE ** (TIME // LENGTH)", parsed("0.1 ** (epoch // 30)"))
        >>> {name: ast.unparse(found) for name, found in holes.items()}
        {'RATE': '0.1', 'TIME': 'epoch', 'LENGTH': '30'}
    """
    holes: dict[str, ast.expr] = {}
    return holes if _fits(_tree(pattern), node, holes) else None


def first_fitted(patterns: tuple[str, ...], node: ast.expr) -> dict[str, ast.expr] | None:
    """The holes of the first pattern that an expression is like."""
    return next((holes for one in patterns if (holes := fitted(one, node)) is not None), None)


def terms(node: ast.expr, kind: type[ast.operator]) -> list[ast.expr]:
    """The terms of a sum or a product, in their order.

    Example:
        >>> [ast.unparse(one) for one in terms(parsed("(epoch >= 3) + (epoch >= 5)"), ast.Add)]
        ['epoch >= 3', 'epoch >= 5']
    """
    found: list[ast.expr] = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, kind):
        found.append(node.right)
        node = node.left
    return [node, *reversed(found)]


def number_in(node: ast.expr | None) -> float | None:
    """The value of an expression of numbers alone; None where it has anything else, or no finite one.

    Example:
        >>> number_in(parsed("1 - 1/4"))
        0.75
    """
    try:
        value = None if node is None else _number(node)
    except (NotLiteralError, ArithmeticError, TypeError):
        return None
    return value if value is not None and math.isfinite(value) else None


def _number(node: ast.expr) -> float | None:
    match node:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _number(operand)
            return None if inner is None else -inner
        case ast.BinOp(left=left, op=op, right=right):
            first, second = _number(left), _number(right)
            return None if first is None or second is None else float(computed(op, first, second))
    return None


@functools.cache
def _tree(pattern: str) -> ast.expr:
    return ast.parse(pattern, mode="eval").body


def _fits(shape: ast.AST, node: ast.AST, holes: dict[str, ast.expr]) -> bool:
    if isinstance(shape, ast.Name) and shape.id.isupper() and isinstance(node, ast.expr):
        return same(holes.setdefault(shape.id, node), node)
    if type(shape) is not type(node):
        return False
    for field in shape._fields:
        wanted, there = getattr(shape, field, None), getattr(node, field, None)
        if isinstance(wanted, list) and isinstance(there, list):
            if len(wanted) != len(there) or not all(map(lambda a, b: _fits(a, b, holes), wanted, there)):
                return False
        elif isinstance(wanted, ast.AST) and isinstance(there, ast.AST):
            if not _fits(wanted, there, holes):
                return False
        elif wanted != there:
            return False
    return True
