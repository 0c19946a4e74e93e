"""Python files that hold literals: their names and values, read from the syntax tree and never run."""

from __future__ import annotations

import ast
import copy
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from lossreg.conversion.bounds import check_size
from lossreg.conversion.literal_arithmetic import NotLiteralError, computed, is_number
from lossreg.conversion.unread import Changed, Changes, Unread
from lossreg.errors import ConfigError
from lossreg.values import one_line, shortened

MOST = 1_000_000  # characters; no person writes more
BASE = "_base_"

_CONTAINERS: Mapping[str, type] = {"dict": dict, "list": list, "tuple": tuple}
_CASTS: Mapping[str, type] = {"int": int, "float": float}
#: Methods that are carried out.
_METHODS: Mapping[type, tuple[str, ...]] = {
    dict: ("clear", "get", "pop", "setdefault"),
    list: ("append", "clear", "insert", "pop"),
}
#: What changes a list or a table in place, so that other names of it see that.
_IN_PLACE: Mapping[tuple[type, type], str] = {(list, ast.Add): "extend", (dict, ast.BitOr): "update"}
#: Functions that leave what they are given as it is, and hand out no part of it.
_LOOKING = ("bool", "isinstance", "len", "print", "repr", "str")
_COPYING = "copy.deepcopy"
#: What an expression raises that has no value, or none that is known.
_NO_VALUE = (NotLiteralError, TypeError, ValueError, ArithmeticError, LookupError)


class Dotted(str):
    """The path of what a file imports, such as `torch.optim.AdamW`, which nothing is imported by."""

    __slots__ = ()


def read_literals(text: str, where: str, base: Mapping[str, Any] | None = None) -> tuple[dict[str, Any], list[str]]:
    """The names that a Python file assigns literals to.

    Literals are numbers, texts, True, False, None, lists, tuples, dictionaries, calls of `dict`, `list`, `tuple`, `int`
    and `float`, arithmetic of them, and names that were assigned before. Methods that change a list or a table are
    carried out. What is imported is a `Dotted` path; any other value is `Unread`, and so is one that was a literal and
    may have been changed.

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
        return reader.finished(), reader.passed_over
    except RecursionError:
        raise ConfigError(f"{where} cannot be read: it is nested too deep") from None


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
        self._changes = Changes()
        self._definitions: list[ast.stmt] = []

    def read(self, statement: ast.stmt) -> None:
        """Takes a statement in."""
        match statement:
            case ast.Import() | ast.ImportFrom():
                self._imported(statement)
            case ast.Assign(targets=targets, value=value):
                assigned = self.value(value)
                for target in targets:
                    self._assign(target, assigned, statement)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._assign(target, self.value(value), statement)
            case ast.AugAssign():
                self._augment(statement)
            case ast.Expr(value=ast.Constant()) | ast.Pass() | ast.Assert():
                pass
            case ast.Expr(value=value):
                if isinstance(self.value(value), Unread):
                    self._pass_over(statement)
            case ast.Delete(targets=targets):
                for target in targets:
                    self._delete(target, statement)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                self._define(statement)
            case _:
                self._pass_over(statement)

    def finished(self) -> dict[str, Any]:
        """All names, once there is no statement left."""
        for definition in self._definitions:  # it may have been called after what it changes was assigned
            self._forget(definition, Changed.by(self._unread(definition)))
        for names in (self.names, self._base or {}):
            check_size(names, self._where)
            self._changes.cleared(names)
        return self.names

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
            case ast.Subscript(value=held, slice=index):
                try:
                    self._literal(held)[self._literal(index)] = value
                except _NO_VALUE:
                    self._pass_over(statement)
            case ast.Tuple(elts=targets) | ast.List(elts=targets) if isinstance(value, list | tuple) and len(
                value
            ) == len(targets):
                for inner, one in zip(targets, value, strict=True):
                    self._assign(inner, one, statement)
            case _:
                self._pass_over(statement)

    def _augment(self, statement: ast.AugAssign) -> None:
        held = copy.copy(statement.target)
        held.ctx = ast.Load()
        method = _IN_PLACE.get((type(self.value(held)), type(statement.op)))
        if method is not None:
            call = ast.Call(ast.Attribute(held, method, ast.Load()), [statement.value], [])
            if not isinstance(self.value(ast.copy_location(call, statement)), Unread):
                return
        whole = ast.copy_location(ast.BinOp(held, statement.op, statement.value), statement)
        self._assign(statement.target, self.value(whole), statement)

    def _delete(self, target: ast.expr, statement: ast.stmt) -> None:
        match target:
            case ast.Name(id=name):
                self.names.pop(name, None)
            case ast.Subscript(value=held, slice=index):
                try:
                    del self._literal(held)[self._literal(index)]
                except _NO_VALUE:
                    self._pass_over(statement)
            case _:
                self._pass_over(statement)

    def _define(self, statement: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self._definitions.append(statement)
        self._forget(statement, Changed.by(self._unread(statement)))
        self.names[statement.name] = self._unread(statement)

    def _pass_over(self, statement: ast.stmt) -> None:
        """Says that a statement was not read; what it may change is not known from here on."""
        why = Changed.by(self._unread(statement))
        self.passed_over.append(f"{self._where}, line {why.line}: {why.text} is not an assignment of a literal")
        self._forget(statement, why)

    def _forget(self, node: ast.AST, why: Unread) -> None:
        """What is not read of a file may change values: those that it has names of are not known from here on."""
        assigned = list(self._touched(node, why))  # after what has these names before it
        self.names.update(dict.fromkeys(assigned, why))

    def _touched(self, node: ast.AST, why: Unread) -> Iterator[str]:
        """Forgets the values that are used; gives the names that are assigned."""
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                yield name
            case ast.alias(name=name, asname=other):
                yield other or name.partition(".")[0]
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
                shared = {one for inner in ast.walk(node) if isinstance(inner, ast.Global) for one in inner.names}
                inside = [one for child in ast.iter_child_nodes(node) for one in self._touched(child, why)]
                yield from (one for one in inside if one in shared)
            case ast.comprehension(iter=values, ifs=conditions):  # whose target is a name of its own
                yield from (one for part in (values, *conditions) for one in self._touched(part, why))
            case ast.Name() | ast.Attribute(ctx=ast.Load()) | ast.Subscript(ctx=ast.Load()) if (
                _is_path(node) and (held := self._led_to(node)) is not None
            ):
                self._changes.add(held, why)
            case _:
                seen = self._looked_at(node)
                for child in ast.iter_child_nodes(node):
                    if not (child in seen and _is_path(child)):
                        yield from self._touched(child, why)

    def _led_to(self, path: ast.expr) -> Any:
        """What a path leads to; None if it leads nowhere."""
        try:
            return self._value(path)
        except _NO_VALUE:
            return None

    def _looked_at(self, node: ast.AST) -> list[ast.expr]:
        """The parts of an expression that it looks at, and neither changes nor hands out."""
        match node:
            case ast.Compare(left=left, comparators=others):
                return [left, *others]
            case ast.FormattedValue(value=value):
                return [value]
            case ast.Call(func=ast.Name(id=name), args=args) if name in _LOOKING and name not in self.names:
                return args
            case ast.Call(func=ast.Name() | ast.Attribute() as func, args=args) if _is_path(func):
                return args if self._led_to(func) == _COPYING else []
        return []

    def _unread(self, node: ast.stmt | ast.expr) -> Unread:
        return Unread(node.lineno, shortened(one_line(ast.unparse(node).partition("\n")[0])), self._where)

    def value(self, node: ast.expr) -> Any:
        """The value of an expression; `Unread` where it is no literal."""
        try:
            return self._value(node)
        except _NO_VALUE:
            unread = self._unread(node)
            self._forget(node, Changed.by(unread))
            return unread

    def _value(self, node: ast.expr) -> Any:
        return self._changes.known(self._written(node))

    def _written(self, node: ast.expr) -> Any:
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
            case ast.Call(func=ast.Attribute(value=held, attr=method), args=args, keywords=keywords):
                return self._carried_out(self._literal(held), method, args, keywords)
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
                values = computed(ast.Add(), values, list(inner))
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
        if name in self.names and name != BASE:  # which is never the list of files in an expression
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

    def _carried_out(self, container: Any, method: str, args: list[ast.expr], keywords: list[ast.keyword]) -> Any:
        """What a method of a list or a table returns."""
        if isinstance(container, dict) and method == "update":
            container.update(self._called("dict", args, keywords))
        elif isinstance(container, list) and method == "extend" and not keywords:
            (more,) = args
            container[:] = computed(ast.Add(), container, self._items([ast.Starred(more)]))
        elif method in _METHODS.get(type(container), ()) and not keywords:
            given = self._items(args)
            if method in ("get", "pop", "setdefault") and args:
                given[0] = self._literal(args[0])
            return getattr(container, method)(*given)
        else:
            raise NotLiteralError
        return None

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


def _is_path(node: ast.AST) -> bool:
    """Whether an expression only leads to a value: `a`, `a.b`, `a['b']`."""
    match node:
        case ast.Attribute(value=held) | ast.Subscript(value=held, slice=ast.Constant()):
            return _is_path(held)
    return isinstance(node, ast.Name)
