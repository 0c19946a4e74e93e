"""YAML of unknown origin, read by a safe loader within bounds; and written."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

from lossreg.conversion.bounds import check_size
from lossreg.errors import ConfigError, MissingLibraryError
from lossreg.values import one_line, shown

MOST = 200_000  # characters; no person writes more, and the reader takes seconds for each million
_MERGE = "tag:yaml.org,2002:merge"

_NUMBER = re.compile(r"[-+]?(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)[eE][-+]?\d+", re.ASCII)


def read_yaml(text: str, where: str) -> dict[str, Any]:
    """The table that a YAML text holds, of plain values.

    Numbers such as `1e-3` are numbers, as OmegaConf and jsonargparse read them; PyYAML alone takes them for texts.

    Args:
        text: The text.
        where: The file, for messages.

    Raises:
        ConfigError: If it is not YAML, a key occurs twice, its top is not a table, or it is too long or too deep.
        MissingLibraryError: If PyYAML is not installed.
    """
    yaml = _library()
    if len(text) > MOST:
        raise ConfigError(f"{where} cannot be read: it has more than {MOST:,} characters")
    try:
        content = yaml.load(text, Loader=_loader())  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{where}{at} is not YAML: {one_line(str(error.problem or error.context))}") from None
    except yaml.reader.ReaderError as error:
        raise ConfigError(
            f"{where}, line {text.count(chr(10), 0, error.position) + 1} is not YAML: it holds the character "
            f"U+{error.character:04X}"
        ) from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a whole number of thousands of digits
        raise ConfigError(f"{where} is not YAML: {one_line(str(error))}") from None
    except RecursionError:
        raise ConfigError(f"{where} is not YAML that can be read: it is nested too deep") from None
    if content is None:
        raise ConfigError(f"{where} holds no keys and values: it is empty")
    if not isinstance(content, dict):
        raise ConfigError(f"{where} holds no keys and values, but {shown(content)}")
    check_size(content, where)
    return content


def write_yaml(content: Mapping[str, Any]) -> str:
    """A table as YAML, in its order.

    Raises:
        MissingLibraryError: If PyYAML is not installed.
    """
    text: str = _library().dump(_listed(content), Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=120)
    return text


def _listed(value: Any) -> Any:
    """A value with lists for tuples, which YAML has a tag of Python for."""
    if isinstance(value, Mapping):
        return {key: _listed(one) for key, one in value.items()}
    return [_listed(one) for one in value] if isinstance(value, list | tuple) else value


def _library() -> Any:
    try:
        import yaml  # for this command alone
    except ImportError:
        raise MissingLibraryError(
            'YAML is read and written by PyYAML, which is not installed: pip install "lossreg[convert]"', library="yaml"
        ) from None
    return yaml


@functools.cache
def _loader() -> Any:
    """PyYAML's safe loader, with the numbers of YAML 1.2, without dates and without keys that occur twice."""
    yaml = _library()
    resolvers = {
        first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:timestamp"]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_mapping_node(self: Any, anchor: Any) -> Any:
        node = yaml.SafeLoader.compose_mapping_node(self, anchor)
        seen = set()
        for key, _ in node.value:
            name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else key
            if name in seen and key.tag != _MERGE:
                raise yaml.composer.ComposerError(
                    None, None, f"the key {shown(key.value)} occurs twice", key.start_mark
                )
            seen.add(name)
        return node

    own = {"yaml_implicit_resolvers": resolvers, "compose_mapping_node": compose_mapping_node}
    loader: Any = type("Loader", (yaml.SafeLoader,), own)
    loader.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+.0123456789"))
    return loader


@functools.cache
def _dumper() -> Any:
    """PyYAML's safe one, which quotes a text that is a number in YAML 1.2."""
    dumper: Any = type("Dumper", (_library().SafeDumper,), {})
    dumper.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+.0123456789"))
    return dumper
