"""The few words that a parameter can be, read from its factory's source: completion imports no factory."""

from __future__ import annotations

import ast
import importlib.machinery
import importlib.util
from pathlib import Path

_Function = ast.FunctionDef | ast.AsyncFunctionDef
MAX_STEPS = 5  # from a name to what it stands for: a re-export, an alias, a type within a type


def words_in_source(target: str, parameter: str) -> list[str]:
    """The words that a value of a parameter can be; none where they are not few, or not found.

    Args:
        target: The factory, `"module:attribute"`.
        parameter: Its parameter.

    Example:
        >>> words_in_source("lossreg_builtin.dice:DiceLoss", "reduction")
        ['mean', 'sum', 'none']
    """
    module, _, name = target.partition(":")
    try:
        found = _find(module, name, MAX_STEPS)
        if found is None:
            return []
        node, tree = found
        return _words_of(_function(node), parameter, tree)
    except (OSError, ValueError, ImportError, SyntaxError):  # what cannot be read has no words
        return []


def _find(module: str, name: str, steps: int) -> tuple[ast.stmt, ast.Module] | None:
    """The class or function of a name, also where the module has it from another one."""
    file = _file(module)
    if file is None or not steps:
        return None
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ClassDef | _Function) and node.name == name:
            return node, tree
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _find(_absolute(node, module, file), alias.name, steps - 1)
    return None


def _file(module: str) -> Path | None:
    """A module's source; looking for a module below a package would import the package."""
    top, *rest = module.split(".")
    spec = importlib.machinery.PathFinder.find_spec(top) or importlib.util.find_spec(top)
    if spec is None or spec.origin is None:
        return None
    if not rest:
        return Path(spec.origin)
    path = Path(next(iter(spec.submodule_search_locations or ()))).joinpath(*rest)
    return path / "__init__.py" if path.is_dir() else path.with_name(f"{path.name}.py")


def _absolute(node: ast.ImportFrom, module: str, file: Path) -> str:
    parts = module.split(".")
    if not node.level:
        return node.module or ""
    up = node.level - (file.name == "__init__.py")
    return ".".join([*parts[: len(parts) - up], *([node.module] if node.module else [])])


def _function(node: ast.stmt) -> _Function | None:
    if isinstance(node, _Function):
        return node
    body = node.body if isinstance(node, ast.ClassDef) else []
    return next((one for one in body if isinstance(one, _Function) and one.name == "__init__"), None)


def _words_of(function: _Function | None, parameter: str, tree: ast.Module) -> list[str]:
    if function is None:
        return []
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults: dict[str, ast.expr | None] = {
        **dict(zip([one.arg for one in positional][::-1], arguments.defaults[::-1], strict=False)),
        **dict(zip([one.arg for one in arguments.kwonlyargs], arguments.kw_defaults, strict=True)),
    }
    for one in (*positional, *arguments.kwonlyargs):
        if one.arg == parameter:
            if one.annotation is not None:
                return _words(one.annotation, tree, MAX_STEPS)
            default = defaults.get(parameter)
            return ["true", "false"] if isinstance(default, ast.Constant) and isinstance(default.value, bool) else []
    return []


def _words(annotation: ast.expr, tree: ast.Module, steps: int) -> list[str]:
    """The words of an annotation: of a Literal, of bool, of an alias of one, of several types."""
    if not steps:
        return []
    match annotation:
        case ast.Constant(value=None):
            return ["none"]
        case ast.Constant(value=str() as text):
            return _words(ast.parse(text, mode="eval").body, tree, steps - 1)
        case ast.Name(id="bool"):
            return ["true", "false"]
        case ast.Name(id=name):
            return [word for value in _assigned(name, tree) for word in _words(value, tree, steps - 1)]
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return [*_words(left, tree, steps - 1), *_words(right, tree, steps - 1)]
        case ast.Subscript(value=ast.Name(id="Literal") | ast.Attribute(attr="Literal"), slice=index):
            items = index.elts if isinstance(index, ast.Tuple) else [index]
            values = [item.value for item in items if isinstance(item, ast.Constant)]
            return [str(value).lower() if isinstance(value, bool | None) else str(value) for value in values]
        case ast.Subscript(value=ast.Name(id="Optional") | ast.Attribute(attr="Optional"), slice=index):
            return [*_words(index, tree, steps - 1), "none"]
    return []


def _assigned(name: str, tree: ast.Module) -> list[ast.expr]:
    return [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and any(isinstance(one, ast.Name) and one.id == name for one in node.targets)
    ]
