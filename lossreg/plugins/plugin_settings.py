"""Which plugins may load, and how strictly: flags, then the environment, then a project's file."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from lossreg.errors import ConfigError
from lossreg.names import canonical
from lossreg.suggestions import did_you_mean
from lossreg.values import shown

PLUGINS_VARIABLE = "LOSSREG_PLUGINS"
STRICT_VARIABLE = "LOSSREG_STRICT"
BRIDGES_VARIABLE = "LOSSREG_BRIDGES"
PROJECT_KEYS = ("plugins", "block", "strict")
_ON, _OFF = ("1", "true", "yes"), ("0", "false", "no")  # the words of a switch; an empty one is off, too


def _names(names: Iterable[str]) -> frozenset[str]:
    return frozenset(map(canonical, names))


def _optional_names(names: Iterable[str] | None) -> frozenset[str] | None:
    return None if names is None else _names(names)


@attrs.frozen
class PluginSettings:
    """Which plugins may load. The built-ins always do.

    Attributes:
        allow: Names of the only plugins (or their distributions) that may load; None is all.
        block: Names of plugins (or their distributions) that may not load; they are not imported at all.
        strict: Whether a plugin that fails, or is odd, is an error instead of a warning.
        local: Further Python files and modules to load, whose components are `local.<name>`.
        required_block: Those of the blocked names that must be installed, because a flag names them.
        bridges: Whether bridges to other packages may load.
    """

    allow: frozenset[str] | None = attrs.field(default=None, converter=_optional_names)
    block: frozenset[str] = attrs.field(default=(), converter=_names)
    strict: bool = False
    local: tuple[str, ...] = ()
    required_block: frozenset[str] = attrs.field(default=(), converter=_names)
    bridges: bool = True

    def permits(self, plugin: str, distribution: str) -> bool:
        """Whether a plugin may load."""
        names = {canonical(plugin), canonical(distribution)}
        return not names & self.block and (self.allow is None or bool(names & self.allow))


def load_settings(environment: Mapping[str, str] | None = None, directory: Path | None = None) -> PluginSettings:
    """The settings of the environment, and where it says nothing, of the nearest project file.

    `LOSSREG_PLUGINS="a,b"` allows only these plugins, an empty value the built-ins alone; `LOSSREG_STRICT=1` is
    strict; `LOSSREG_BRIDGES=0` loads no bridge to another package. The project file is the first `lossreg.toml`, or
    `pyproject.toml` with a table `[tool.lossreg]`, found upward from the directory, with the keys `plugins` (the only
    ones to load), `block` and `strict`. It can never name code to load.

    Args:
        environment: None is the process's own.
        directory: None is the working directory.

    Raises:
        ConfigError: If a value or a key is wrong.
    """
    environment = os.environ if environment is None else environment
    project, file = _project_table(directory) if directory else _project_table_here()
    allow: Iterable[str] | None = _listed(project, "plugins", file)
    if PLUGINS_VARIABLE in environment:
        allow = [name for name in environment[PLUGINS_VARIABLE].split(",") if name.strip()]
    strict = project.get("strict", False)
    if not isinstance(strict, bool):
        raise ConfigError(f"{file}: strict is true or false, not {strict!r}")
    if STRICT_VARIABLE in environment:
        strict = _switch(STRICT_VARIABLE, environment[STRICT_VARIABLE], "strict")
    bridges = _switch(BRIDGES_VARIABLE, environment.get(BRIDGES_VARIABLE, "1"), "with bridges")
    return PluginSettings(allow, _listed(project, "block", file) or (), strict, bridges=bridges)


def _project_table_here() -> tuple[dict[str, Any], Path | None]:
    try:
        return _project_table(Path.cwd())
    except FileNotFoundError:  # the working directory was removed
        return {}, None


def _switch(variable: str, text: str, meaning: str) -> bool:
    word = text.strip().lower()
    if word not in (*_ON, *_OFF, ""):
        raise ConfigError(
            f"the environment variable {variable} is one of {', '.join(_ON)} ({meaning}) or {', '.join(_OFF)} "
            f"({_negated(meaning)}), not {shown(text)}"
        )
    return word in _ON


def _negated(meaning: str) -> str:
    return meaning.replace("with ", "without ") if meaning.startswith("with ") else f"not {meaning}"


def _listed(table: Mapping[str, Any], key: str, file: Path | None) -> list[str] | None:
    names = table.get(key)
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise ConfigError(f"{file}: {key} is a list of names of plugins, not {names!r}")
    return names


def _project_table(directory: Path) -> tuple[dict[str, Any], Path | None]:
    for folder in (directory, *directory.parents):
        for name in ("lossreg.toml", "pyproject.toml"):
            file = folder / name
            table = _table(file)
            if table is not None:
                for key in table:
                    if key not in PROJECT_KEYS:
                        hint = did_you_mean(key, PROJECT_KEYS)
                        raise ConfigError(f"{file}: there is no key {key!r}.{hint} Keys: {', '.join(PROJECT_KEYS)}")
                return table, file
    return {}, None


def _table(file: Path) -> dict[str, Any] | None:
    own = file.name == "lossreg.toml"
    try:
        if not stat.S_ISREG(file.stat().st_mode):  # a pipe would be waited for
            raise OSError(errno.EINVAL, "it is not a regular file")
        text = file.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        if not own:  # nothing says that it has anything for us
            return None
        raise ConfigError(f"{file} cannot be read: {error}") from error
    if not own and "tool.lossreg" not in text:
        return None
    from lossreg.toml_text import read_toml  # most starts meet no such file

    try:
        content: Any = read_toml(text)
    except ValueError as error:
        raise ConfigError(f"{file} is not TOML: {error}") from error
    tools = content.get("tool")
    table = content if own else tools.get("lossreg") if isinstance(tools, dict) else None
    if table is not None and not isinstance(table, dict):
        raise ConfigError(f"{file}: [tool.lossreg] is a table, not {table!r}")
    return table
