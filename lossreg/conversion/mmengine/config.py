"""Configs of MMEngine as plain values, with the files that they are based on; nothing in them is run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from lossreg.conversion.bounds import check_size
from lossreg.conversion.python_literals import BASE, MOST, read_literals
from lossreg.conversion.unread import Unread
from lossreg.conversion.yaml_text import read_yaml
from lossreg.errors import ConfigError
from lossreg.values import one_line, shown

DELETE = "_delete_"
MOST_FILES = 100  # that a config is based on

_ASSIGNMENT = re.compile(r"(?m)^\w+[ \t]*=", re.ASCII)
_WHOLE = "convert the whole config, which MMEngine writes to the work directory of a training, or cfg.dump('whole.py')"


def read_config(text: str, where: str) -> tuple[dict[str, Any], list[str]]:
    """The values of a config: a Python file of literals, YAML or JSON.

    Args:
        text: What is in the file.
        where: Its path; files that it is based on are looked for below its folder.

    Returns:
        Names and values, merged as MMEngine does, and what was passed over, a sentence each.

    Raises:
        ConfigError: If it is broken, or is based on what is not to be had.
    """
    file = Path(where)
    return _Files(file.parent if file.is_file() else None).read(text, where, file, ())


@attrs.define
class _Files:
    """The files of one config.

    Attributes:
        root: The folder that none of them leaves; None if the config is not a file.
        left: How many more may be read.
    """

    root: Path | None
    left: int = MOST_FILES

    def read(self, text: str, where: str, file: Path, below: tuple[Path, ...]) -> tuple[dict[str, Any], list[str]]:
        """Reads one file with those that it is based on; `below` are the files that are based on it."""
        own, passed_over = _values(text, where, None)
        named = own.get(BASE)
        if named is None:
            return _named(own), passed_over
        base: dict[str, Any] = {}
        said: list[str] = []
        for one in self._paths(named, where, file):
            inner, more = self._based_on(one, where, (*below, file))
            said += more
            doubled = sorted(base.keys() & inner.keys())
            if doubled:
                raise ConfigError(
                    f"{where}: two of the files in {BASE} have {shown(doubled[0])}, which MMEngine refuses"
                )
            base |= inner
        own, passed_over = _values(text, where, base)
        return self._merged(_named(own), base, where), [*said, *passed_over]

    def _paths(self, named: Any, where: str, file: Path) -> list[Path]:
        """The files that one is based on."""
        texts = list(named) if isinstance(named, list | tuple) else [named]
        paths = []
        for text in texts:
            if not isinstance(text, str):
                why = str(text) if isinstance(text, Unread) else f"{where}: {BASE} is {shown(text)}, not a path"
                raise ConfigError(f"{why}; {_WHOLE}")
            if self.root is None:
                raise ConfigError(f"{where} is based on {shown(text)}, which is found from a file alone; {_WHOLE}")
            try:
                path = (file.parent / text).resolve()
                inside = "::" not in text and path.is_relative_to(self.root.resolve())
            except (OSError, ValueError, RuntimeError):
                inside = False
            if not inside:
                raise ConfigError(f"{where} is based on {shown(text)}, which is not below {self.root}; {_WHOLE}")
            paths.append(path)
        return paths

    def _based_on(self, path: Path, where: str, below: tuple[Path, ...]) -> tuple[dict[str, Any], list[str]]:
        self.left -= 1
        if any(path == one.resolve() for one in below):
            raise ConfigError(f"{where} is based on {path}, which is based on it")
        if self.left < 0:
            raise ConfigError(f"{where}: a config is based on more than {MOST_FILES} files")
        if not path.is_file():
            raise ConfigError(f"{where} is based on {path}, which is not a file")
        try:
            with path.open("rb") as stream:
                text = stream.read(MOST + 1).decode("utf-8-sig")
        except (OSError, ValueError) as error:
            why = "it is not text" if isinstance(error, ValueError) else error.strerror
            raise ConfigError(f"{path} cannot be read: {why}") from None
        return self.read(text, str(path), path, below)

    def _merged(self, own: Mapping[str, Any], base: Mapping[str, Any], where: str) -> dict[str, Any]:
        """What a config says over what it is based on: tables are merged, and all else is replaced."""
        merged = dict(base)
        for key, value in own.items():
            merged[key] = value
            if isinstance(value, Mapping) and key in base and not value.get(DELETE):
                if not isinstance(base[key], Mapping):
                    raise ConfigError(
                        f"{where}: {key} is a table, but {shown(base[key])} in a file of {BASE}; MMEngine refuses that "
                        f"without {DELETE}=True"
                    )
                merged[key] = self._merged(value, base[key], where)
        return merged


def _named(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != BASE and not key.startswith("__")}


def _values(text: str, where: str, base: Mapping[str, Any] | None) -> tuple[dict[str, Any], list[str]]:
    """The values of one file, by its suffix or by what is in it."""
    suffix = Path(where).suffix
    if suffix == ".json" or (suffix not in (".py", ".yaml", ".yml") and text.lstrip().startswith("{")):
        return _json(text, where), []
    if suffix in (".yaml", ".yml") or (suffix != ".py" and not _ASSIGNMENT.search(text)):
        return read_yaml(text, where), []
    return read_literals(text, where, base)


def _table(pairs: list[tuple[str, Any]], where: str) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for key, value in pairs:
        if key in table:
            raise ConfigError(f"{where} is not JSON that can be read: the key {shown(key)} occurs twice")
        table[key] = value
    return table


def _json(text: str, where: str) -> dict[str, Any]:
    try:
        content = json.loads(text, object_pairs_hook=lambda pairs: _table(pairs, where))
    except json.JSONDecodeError as error:
        raise ConfigError(f"{where}, line {error.lineno} is not JSON: {one_line(error.msg)}") from None
    except ConfigError:  # of a key that occurs twice
        raise
    except (ValueError, RecursionError):
        raise ConfigError(
            f"{where} is not JSON that can be read: it is nested too deep, or a number is too long"
        ) from None
    check_size(content, where)
    if not isinstance(content, dict):
        raise ConfigError(f"{where} holds no keys and values, but {shown(content)}")
    return content
