"""The installed distributions that offer plugins, read from their metadata once and cheaply."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator

import attrs

from lossreg.names import normalize

GROUP = "lossreg"
HOME = "lossreg"  # the distribution whose plugins are the built-ins

_REQUIREMENT = re.compile(r"lossreg\b\s*\(?(?P<clauses>[^;\[)]*)\)?\s*(?P<marker>;.*)?", re.IGNORECASE)
_CLAUSE = re.compile(r"\s*(>=|<)\s*(\d+(?:\.\d+)*)\s*", re.ASCII)


@attrs.frozen
class EntryPoint:
    """One line of a distribution's entry points, not loaded yet.

    Attributes:
        name: The plugin's name.
        module: The module that it names.
        distribution: The distribution's name.
        version: The distribution's version.
        requirements: What the distribution's metadata require of lossreg.
    """

    name: str
    module: str
    distribution: str
    version: str
    requirements: tuple[str, ...] = ()


def entry_points() -> list[EntryPoint]:
    """The entry points of the group `lossreg`, our own first, the others by (distribution, name).

    Reads each distribution's metadata once. Of two installations of one distribution on `sys.path`, Python imports the
    first, and so only the first counts.
    """
    found: list[EntryPoint] = []
    seen: set[str] = set()
    for distribution in importlib.metadata.distributions():
        text = _read(distribution, "entry_points.txt")
        if text is None or f"[{GROUP}]" not in text:
            # Its name would tell whether it hides a later installation, but asking costs a parse for each of them.
            _remember(distribution, seen)
            continue
        name, version, requirements = _identity(distribution)
        if normalize(name) in seen:
            continue
        seen.add(normalize(name))
        found += [EntryPoint(point, module, name, version, requirements) for point, module in _section(text)]
    return sorted(found, key=lambda point: (normalize(point.distribution) != HOME, point.distribution, point.name))


def _section(text: str) -> Iterator[tuple[str, str]]:
    """The names and modules in the section of our group; `Distribution.entry_points` would read the file again."""
    inside = False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            inside = line == f"[{GROUP}]"
        elif inside and line and not line.startswith(("#", ";")):
            name, _, module = line.partition("=")
            yield name.strip(), module.strip()


def _read(distribution: importlib.metadata.Distribution, file: str) -> str | None:
    try:
        return distribution.read_text(file)
    except (OSError, UnicodeDecodeError):  # a damaged installation of somebody else's is not ours to report
        return None


def _remember(distribution: importlib.metadata.Distribution, seen: set[str]) -> None:
    # The folder `name-version.dist-info` tells the name without parsing the metadata.
    folder = getattr(getattr(distribution, "_path", None), "name", "")
    if folder.endswith(".dist-info"):
        seen.add(normalize(folder.partition("-")[0]))


def _identity(distribution: importlib.metadata.Distribution) -> tuple[str, str, tuple[str, ...]]:
    """Name, version and requirements of lossreg, from the head of the metadata.

    `Distribution.name` parses all of the metadata as an e-mail, which costs more than importing a small plugin.
    """
    text = _read(distribution, "METADATA") or _read(distribution, "PKG-INFO") or ""
    name = version = "?"
    requirements = []
    for line in text.splitlines():
        if not line:
            break
        if line.startswith("Name: "):
            name = line[6:].strip()
        elif line.startswith("Version: "):
            version = line[9:].strip()
        elif line.startswith("Requires-Dist: lossreg") and _REQUIREMENT.fullmatch(line[15:].strip()):
            requirements.append(line[15:].strip())
    return name, version, tuple(requirements)


def unmet_requirement(requirements: tuple[str, ...], installed: str) -> str | None:
    """The first requirement of lossreg that the installed version does not meet, or None.

    Example:
        >>> unmet_requirement(("lossreg>=0.1,<1",), "0.3.0"), unmet_requirement(("lossreg~=2.0",), "0.3.0")
        (None, 'lossreg~=2.0')
    """
    for requirement in requirements:
        if not _plainly_met(requirement, installed) and not _met(requirement, installed):
            return requirement
    return None


def _plainly_met(requirement: str, installed: str) -> bool:
    """Whether `>=` and `<` with plain numbers, which nearly all have, are met: importing packaging takes 30 ms."""
    match = _REQUIREMENT.fullmatch(requirement)
    if match is None or match["marker"] or not re.fullmatch(r"[\d.]+", installed):
        return False
    clauses = [_CLAUSE.fullmatch(clause) for clause in match["clauses"].split(",")] if match["clauses"].strip() else []
    version = _numbers(installed)
    return all(clause is not None and (version >= _numbers(clause[2])) == (clause[1] == ">=") for clause in clauses)


def _numbers(version: str) -> tuple[int, ...]:
    numbers = [int(part) for part in version.split(".")]
    while numbers and numbers[-1] == 0:  # 1.0 is 1
        numbers.pop()
    return tuple(numbers)


def _met(requirement: str, installed: str) -> bool:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        parsed = Requirement(requirement)
    except InvalidRequirement:  # pip would have refused it; this is not the place to judge
        return True
    if parsed.marker is not None and not parsed.marker.evaluate({"extra": ""}):
        return True
    return parsed.specifier.contains(installed, prereleases=True)
