"""Python files that hold literals: their names and values, read from the syntax tree and never run."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Mapping
from typing import Any

import attrs

from lossreg.conversion.bounds import check_size
from lossreg.conversion.literal_arithmetic import NotLiteralError, computed, is_number
from lossreg.errors import ConfigError
from lossreg.values import one_line, shortened

MOST = 1_000_000  # characters; no person writes more
BASE = "_base_"

_CONTAINERS: Mapping[str, type] = {"dict": dict, "list": list, "tuple": tuple}
_CASTS: Mapping[str, type] = {"int": int, "float": float}


@attrs.frozen
class Unread:
    """A value that is not a literal.

    Attributes:
        line: Where it stands.
        text: What is written there.
        where: The file.
    """

    line: int
    text: str
    where: str

    def __str__(self) -> str:
        return f"{self.where}, line {self.line}: {self.text} is not a literal"


class Dotted(str):
    """The path of what a file imports, such as `torch.optim.AdamW`, which nothing is imported by."""

    __slots__ = ()


def read_literals(text: str, where: str, base: Mapping[str, Any] | None = None) -> tuple[dict[str, Any], list[str]]:
    """The names that a Python file assigns literals to.

    Literals are numbers, texts, True, False, None, lists, tuples, dictionaries, calls of `dict`, `list`, `tuple`, `int`
    and `float`, arithmetic of them, and names that were assigned before. What is imported is a `Dotted` path; any other
    value is `Unread`.

    Args:
        text: The file.
        where: Its name, for messages.
        base: What `_base_` means in an expression, as in `_base_.max_epochs`.

    Returns:
        The names with their values, and what was passed over: a sentence for each statement that may change them.

    Raises:
        ConfigError: If it is not Python, too long or nested too deep.

    Example:
        >>> read_literals("lr = 1e-3 * 2\\noptimizer = dict(type='SGD', lr=lr)", "config.py")[0]
        {'lr': 0.002, 'optimizer': {'type': 'SGD', 'lr': 0.002}}
    """
    reader = _Reader(where, base)
    try:
        for statement in parse_python(text, where).body:
            reader.read(statement)
    except RecursionError:
        raise ConfigError(f"{where} cannot be read: it is nested too deep") from None
    check_size(reader.names, where)
    return reader.names, reader.passed_over


def parse_python(text: str, where: str) -> ast.Module:
    """The syntax tree of a Python file.

    Raises:
        ConfigError: If it is not Python, with the line; if it is too long or nested too deep.
    """
    if len(text) > MOST:
        raise ConfigError(f"{where} cannot be read: it has more than {MOST:,} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # an escape such as "\d" warns before it is read
            return ast.parse(text)
    except SyntaxError as error:
        at = f", line {error.lineno}" if error.lineno else ""
        raise ConfigError(f"{where}{at} is not Python: {one_line(error.msg)}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise ConfigError(
            f"{where} is not Python that can be read: {one_line(str(error)) or 'nested too deep'}"
        ) from None


class _Reader:
    """Goes through the statements of one file."""

    def __init__(self, where: str, base: Mapping[str, Any] | None) -> None:
        self.names: dict[str, Any] = {}
        self.passed_over: list[str] = []
        self._where = where
        self._base = base

    def read(self, statement: ast.stmt) -> None:
        """Takes a statement in."""
        match statement:
            case ast.Import() | ast.ImportFrom():
                self._imported(statement)
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._assign(target, self.value(value), statement)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._assign(target, self.value(value), statement)
            case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                whole = ast.BinOp(ast.Name(name, ast.Load()), op, value)
                self.names[name] = self.value(ast.copy_location(whole, statement))
            case ast.Expr(value=ast.Constant()) | ast.Pass() | ast.Assert():
                pass
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=held, attr="update"), args=args, keywords=keywords)):
                self._update(held, args, keywords, statement)
            case ast.Delete(targets=targets) if all(isinstance(one, ast.Name) for one in targets):
                for one in targets:
                    self.names.pop(getattr(one, "id", ""), None)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                self.names[name] = self._unread(statement)
            case _:
                self._pass_over(statement)

    def _imported(self, statement: ast.Import | ast.ImportFrom) -> None:
        module = f"{statement.module or ''}." if isinstance(statement, ast.ImportFrom) else ""
        if isinstance(statement, ast.ImportFrom) and statement.level:
            self._pass_over(statement)
            return
        for one in statement.names:
            name = one.asname or (one.name if module else one.name.partition(".")[0])
            self.names[name] = Dotted(f"{module}{one.name}" if one.asname or module else name)

    def _assign(self, target: ast.expr, value: Any, statement: ast.stmt) -> None:
        match target:
            case ast.Name(id=name):
                self.names[name] = value
            case ast.Subscript(value=held, slice=ast.Constant(value=key)):
                container = self.value(held)
                try:
                    container[key] = value
                except (TypeError, IndexError):
                    self._pass_over(statement)
            case ast.Tuple(elts=targets) | ast.List(elts=targets) if isinstance(value, list | tuple) and len(
                value
            ) == len(targets):
                for inner, one in zip(targets, value, strict=True):
                    self._assign(inner, one, statement)
            case _:
                self._pass_over(statement)

    def _update(self, held: ast.expr, args: list[ast.expr], keywords: list[ast.keyword], statement: ast.stmt) -> None:
        container = self.value(held)
        made = self.value(ast.copy_location(ast.Call(ast.Name("dict", ast.Load()), args, keywords), statement))
        if isinstance(container, dict) and isinstance(made, dict):
            container.update(made)
        else:
            self._pass_over(statement)

    def _pass_over(self, statement: ast.stmt) -> None:
        """Says that a statement was not read; what it may assign is not known from here on."""
        text = self._unread(statement).text
        self.passed_over.append(f"{self._where}, line {statement.lineno}: {text} is not an assignment of a literal")
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                self.names[node.id] = self._unread(statement)

    def _unread(self, node: ast.stmt | ast.expr) -> Unread:
        return Unread(node.lineno, shortened(one_line(ast.unparse(node).partition("\n")[0])), self._where)

    def value(self, node: ast.expr) -> Any:
        """The value of an expression; `Unread` where it is no literal."""
        try:
            return self._value(node)
        except (NotLiteralError, TypeError, ValueError, ArithmeticError, LookupError):
            return self._unread(node)

    def _value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=bool() | int() | float() | str() | None as value):
                return value
            case ast.List(elts=items):
                return self._items(items)
            case ast.Tuple(elts=items):
                return tuple(self._items(items))
            case ast.Dict(keys=keys, values=values):
                return self._table(list(zip(keys, values, strict=True)))
            case ast.Name(id=name):
                return self._named(name)
            case ast.Attribute(value=held, attr=name):
                return self._attribute(self._literal(held), name)
            case ast.Subscript(value=held, slice=index):
                return self._literal(held)[self._literal(index)]
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Not() as sign, operand=operand):
                return self._signed(sign, self._literal(operand))
            case ast.BinOp(left=left, op=op, right=right):
                return computed(op, self._literal(left), self._literal(right))
            case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords) if name not in self.names:
                return self._called(name, args, keywords)
            case ast.Set(elts=[ast.Set(elts=[ast.Attribute() as inner])]):
                return self._literal(inner)  # {{_base_.lr}}, which mmengine puts the value in place of
        raise NotLiteralError

    def _literal(self, node: ast.expr) -> Any:
        """A value that something is done with, which can only be done with what is known."""
        value = self._value(node)
        if isinstance(value, Unread):
            raise NotLiteralError
        return value

    def _items(self, items: list[ast.expr]) -> list[Any]:
        values: list[Any] = []
        for item in items:
            if isinstance(item, ast.Starred):
                inner = self._literal(item.value)
                if not isinstance(inner, list | tuple):
                    raise NotLiteralError
                values.extend(inner)
            else:
                values.append(self.value(item))
        return values

    def _table(self, pairs: list[tuple[ast.expr | None, ast.expr]]) -> dict[Any, Any]:
        table: dict[Any, Any] = {}
        for key, value in pairs:
            if key is None:
                table.update(_mapping(self._literal(value)))
            else:
                table[self._literal(key)] = self.value(value)
        return table

    def _named(self, name: str) -> Any:
        if name == BASE and self._base is not None:
            return self._base
        if name in self.names:
            return self.names[name]
        raise NotLiteralError

    def _attribute(self, held: Any, name: str) -> Any:
        if isinstance(held, Dotted):
            return Dotted(f"{held}.{name}")
        return _mapping(held)[name]

    @staticmethod
    def _signed(sign: ast.unaryop, value: Any) -> Any:
        if isinstance(sign, ast.Not):
            return not value
        if not is_number(value):
            raise NotLiteralError
        return -value if isinstance(sign, ast.USub) else value

    def _called(self, name: str, args: list[ast.expr], keywords: list[ast.keyword]) -> Any:
        if name == "dict":
            table = _mapping(self._literal(args[0])) if args else {}
            pairs: list[tuple[ast.expr | None, ast.expr]] = [
                (None if word.arg is None else ast.Constant(word.arg), word.value) for word in keywords
            ]
            return {**table, **self._table(pairs)}
        if len(args) > 1 or keywords:
            raise NotLiteralError
        given = [self._literal(one) for one in args]
        if name in _CONTAINERS and all(isinstance(one, list | tuple) for one in given):
            return _CONTAINERS[name](*given)
        if name in _CASTS and len(given) == 1 and (is_number(given[0]) or given[0] in ("inf", "-inf")):
            return _CASTS[name](given[0])
        raise NotLiteralError


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise NotLiteralError
    return value
