"""The index of a bridge: what a version of a package offers, as JSON. Nothing here imports the package, or torch."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from lossreg import __version__

FORMAT = 1
MAX_BYTES = 20_000_000  # the largest, timm's, has a fiftieth

Fields = dict[str, Any]


class IndexFileError(ValueError):
    """An index that cannot be read or used: why, in one line."""


@attrs.frozen
class Index:
    """What a version of a package offers.

    Attributes:
        package: The package that all factories are in, as it is imported.
        version: The version of its distribution.
        common: Kind -> the fields that all components of the kind have unless they say otherwise.
        components: Kind -> name -> the further fields of its record.
        left_out: Kind -> name -> why it is not offered.
        made_by: The version of lossreg that made it.
    """

    package: str
    version: str
    common: Mapping[str, Fields]
    components: Mapping[str, Mapping[str, Fields]]
    left_out: Mapping[str, Mapping[str, str]]
    made_by: str = __version__

    def rows(self, kind: str) -> dict[str, Fields]:
        """The components of a kind with all their fields, by name."""
        common = self.common.get(kind, {})
        return {name: {**common, **fields} for name, fields in self.components.get(kind, {}).items()}


def read_index(file: Path, package: str) -> Index:
    """Reads an index.

    Args:
        file: The file.
        package: The package that it has to be of.

    Raises:
        IndexFileError: If it cannot be read, is of another format or package, or names anything outside of the package.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise IndexFileError(f"{file} cannot be read: {error.strerror or error}") from error
    if len(content) > MAX_BYTES:
        raise IndexFileError(f"{file} is larger than {MAX_BYTES:,} bytes")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise IndexFileError(f"{file} is not JSON: {error}") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise IndexFileError(f"{file} is not an index of format {FORMAT}")
    if found.get("package") != package:
        raise IndexFileError(f"{file} is an index of {found.get('package')!r}, not of {package}")
    try:
        index = Index(
            package,
            str(found["version"]),
            _tables(found["common"]),
            {kind: _tables(table) for kind, table in _tables(found["components"]).items()},
            {kind: _tables(table, str) for kind, table in _tables(found["left_out"]).items()},
            str(found["lossreg"]),
        )
    except (KeyError, TypeError) as error:
        raise IndexFileError(f"{file} is not an index: {error}") from error
    check_targets(index, str(file))
    return index


def _tables(value: Any, kind: type = dict) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(one, kind) for one in value.values()):
        raise TypeError("a table is missing")
    return value


def check_targets(index: Index, where: str) -> None:
    """Checks that all factories are in the package itself.

    Raises:
        IndexFileError: If one is not.
    """
    # One identifier behind the colon: `timm.optim:os.system` would lead out of the package.
    fits = re.compile(rf"{re.escape(index.package)}(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII).fullmatch
    for kind, table in index.components.items():
        for name, fields in table.items():
            factory = fields.get("factory")
            if not (isinstance(factory, str) and fits(factory)):
                raise IndexFileError(
                    f"{where}: the factory of {kind} {name!r} is {factory!r}; an index of {index.package} names what "
                    "is in that package alone"
                )
    for kind, fields in index.common.items():
        if "factory" in fields:
            raise IndexFileError(f"{where}: a factory is one component's, and not common to every {kind}")


def write_index(index: Index, file: Path) -> None:
    """Writes an index, whole or not at all: beside the file, and then in its place.

    Raises:
        OSError: If it cannot be written.
    """
    lines = _lines(
        {
            "format": FORMAT,
            "package": index.package,
            "version": index.version,
            "lossreg": index.made_by,
            "common": index.common,
            "components": index.components,
            "left_out": index.left_out,
        }
    )
    import tempfile  # reading, which every start may do, goes without

    descriptor, beside = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.", suffix=".part")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(f"{lines}\n")
        Path(beside).chmod(0o644)  # mkstemp lets only the owner read it
        Path(beside).replace(file)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def _lines(value: Any, depth: int = 0) -> str:
    """JSON with a line for each component, so that the difference between two versions can be read."""
    if depth == 3 or not isinstance(value, Mapping):
        return json.dumps(value, separators=(",", ":"), sort_keys=True)
    inner = ",\n".join(f"{json.dumps(key)}: {_lines(item, depth + 1)}" for key, item in sorted(value.items()))
    return f"{{\n{inner}\n}}" if inner else "{}"
