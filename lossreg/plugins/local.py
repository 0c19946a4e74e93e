"""Components without packaging: files and modules that a user names, and what a script or a notebook registers."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from lossreg.component import Component
from lossreg.errors import LossregError, PluginError, describe_error
from lossreg.plugins.checks import Offered, collect, hooks_of
from lossreg.plugins.isolation import StdoutToStderr, is_from_outside
from lossreg.plugins.provenance import LOCAL, PluginReport, Provenance

_FOLDER = "it is a folder; -p takes a Python file (./my_losses.py), a module (package.module) or no:NAME"


def load_local(source: str) -> PluginReport:
    """Loads a Python file (`./my_losses.py`) or a module (`package.module`): its hooks, and what it registers.

    A file becomes the importable module of its stem, so that its classes work in spawned processes.

    Raises:
        PluginError: If it does not exist, its import fails, or its hooks are wrong.
    """
    started = time.perf_counter()
    is_file = _is_file(source)
    try:
        with StdoutToStderr():
            module = _import_file(Path(source)) if is_file else importlib.import_module(source)
            offered = collect(module, LOCAL) if hooks_of(module) else Offered()
    except BaseException as error:
        if is_from_outside(error):
            raise
        problem = error.message if isinstance(error, LossregError) else _located(error, source) + _meant(error, source)
        raise PluginError(f"-p {source}: {problem}", plugin=source) from error
    file = getattr(module, "__file__", None)
    provenance = Provenance(LOCAL, file=file, sha256=file_hash(file) if file else None)
    milliseconds = (time.perf_counter() - started) * 1e3
    return PluginReport(provenance, "loaded", offered.components, milliseconds, plugin=module, tables=offered.tables)


def _is_file(source: str) -> bool:
    """Whether a word names a file; any other names a module."""
    return source.endswith(".py") or "/" in source or "\\" in source


def nothing_in(module: object, source: str) -> str:
    """What is wrong with a file or module that offers nothing."""
    if not _is_file(source) and getattr(module, "__file__", None) is None and Path(source).is_dir():
        return _FOLDER  # Python imports any folder as an empty package
    return "it registers nothing and has no hook"


def _meant(error: BaseException, source: str) -> str:
    """What was probably meant by a word that is not a module, as the end of a message, or nothing."""
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if _is_file(source) or missing not in (source, source.partition(".")[0]):
        return ""
    if Path(source).is_dir():
        return f"; {_FOLDER}"
    file = Path(f"{source}.py") if Path(f"{source}.py").is_file() else Path(source)
    return f"; a file is written with its ending or folder: -p ./{file}" if file.is_file() else ""


def _located(error: BaseException, source: str) -> str:
    """The error with the last line of the user's file that led to it."""
    line = None
    trace = error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).name == Path(source).name:
            line = trace.tb_lineno
        trace = trace.tb_next
    return describe_error(error) + (f" (line {line})" if line is not None else "")


def _import_file(path: Path) -> ModuleType:
    path = path.expanduser().resolve()
    if path.is_dir():
        raise PluginError(_FOLDER, plugin=str(path))
    if not path.is_file():
        raise PluginError("the file does not exist", plugin=str(path))
    if path.suffix != ".py":
        raise PluginError("it is not a Python file (.py)", plugin=str(path))
    name = path.stem
    if not name.isidentifier():
        raise PluginError(
            f"{name!r} is not the name of a module (letters, digits and _, no digit first); rename the file",
            plugin=str(path),
        )
    loaded = sys.modules.get(name)
    if loaded is not None and getattr(loaded, "__file__", None) == str(path):
        return loaded
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # last, so that it hides nothing; a spawned process gets it, too
        importlib.invalidate_caches()
    spec = None if loaded is not None else importlib.util.find_spec(name)
    if spec is None or spec.origin != str(path):
        raise PluginError(f"another module is called {name!r}; rename the file", plugin=str(path))
    return importlib.import_module(name)


def local_provenance(factory: object) -> Provenance:
    """The provenance of something that this process registers: the file of its module, if it has one."""
    module = sys.modules.get(getattr(factory, "__module__", None) or "")
    file = getattr(module, "__file__", None)
    return Provenance(LOCAL, file=file, sha256=file_hash(file)) if file else Provenance(LOCAL)


@functools.lru_cache(maxsize=128)
def file_hash(file: str) -> str | None:
    """The SHA-256 of a file when it was first asked for, or None if it cannot be read."""
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    except OSError:  # a notebook's cell has a made-up file name
        return None


def is_same(first: Component, second: Component) -> bool:
    """Whether two components are of the same function or class, which was defined again."""
    return _identity(first.factory) == _identity(second.factory)


def _identity(factory: Any) -> object:
    if isinstance(factory, str):
        return factory
    return getattr(factory, "__module__", None), getattr(factory, "__qualname__", repr(factory))
