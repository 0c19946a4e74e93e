"""The entry points of installed distributions, read from their metadata once and cheaply."""

from __future__ import annotations

import contextlib
import importlib.metadata
import re
from collections.abc import Iterator

import attrs

from lossreg.names import canonical
from lossreg.plugins.provenance import Provenance
from lossreg.plugins.requirements import concerns_lossreg

GROUP = "lossreg"
#: Our bridges to other packages: `name = module`, where `name` is an extra of ours whose first requirement is the
#: distribution of the package.
BRIDGES = "lossreg.bridges"
OWN_DISTRIBUTION = "lossreg"  # its plugins are the built-ins
_OF_EXTRA = re.compile(r"""(?P<name>[\w.-]+).*;.*\bextra == ["'](?P<extra>[\w.-]+)["']""")
_UNKNOWN = "?"  # in place of what damaged metadata do not tell


@attrs.frozen
class EntryPoint:
    """One line of a distribution's entry points, not loaded yet.

    Attributes:
        name: The plugin's name.
        value: What it names: `package.module`, `package.module:object`, either with `[extras]`.
        distribution: The distribution's name.
        version: The distribution's version.
        requirements: What the distribution requires of lossreg.
        bridged: Of a bridge, the distribution whose components it offers; else None.
        bridged_version: The installed version of that; None if it is not installed.
    """

    name: str
    value: str
    distribution: str
    version: str
    requirements: tuple[str, ...] = ()
    bridged: str | None = None
    bridged_version: str | None = None

    @property
    def module(self) -> str:
        """The module that it names."""
        return self.value.partition(":")[0].partition("[")[0].strip()

    @property
    def is_own(self) -> bool:
        """Whether it belongs to lossreg itself, and is not a bridge."""
        return canonical(self.distribution) == OWN_DISTRIBUTION and self.bridged is None

    @property
    def provenance(self) -> Provenance:
        """What its components are recorded with: those of a bridge with the distribution that they are in."""
        if self.bridged is not None:
            return Provenance(self.name, self.bridged, self.bridged_version)
        return Provenance(self.name, self.distribution, self.version)

    def load(self) -> object:
        """Imports the module, and gets the object in it, if one is named."""
        plugin: object = importlib.metadata.EntryPoint(self.name, self.value, GROUP).load()
        return plugin


def entry_points() -> list[EntryPoint]:
    """The entry points of the group `lossreg`, our own first, the others by (distribution, name)."""
    return scan()[0]


def scan() -> tuple[list[EntryPoint], list[EntryPoint]]:
    """The entry points of the group `lossreg`, and our bridges, to installed packages and to others, by name.

    Reads each distribution's metadata once. Of two installations of one distribution on `sys.path`, Python imports the
    first, and so only the first counts.
    """
    found: list[EntryPoint] = []
    bridges: list[EntryPoint] = []
    seen: dict[str, str] = {}  # of which distribution which version is the first
    for distribution in importlib.metadata.distributions():
        text = _read(distribution, "entry_points.txt")
        if text is None or f"[{GROUP}]" not in text:
            # The distribution may hide a later installation of itself; its metadata would cost a parse for each.
            name, version = _folder_identity(distribution)
            if name:
                seen.setdefault(canonical(name), version)
            continue
        name, version, requirements, extras = _identity(distribution)
        if canonical(name) in seen:
            continue
        if name != _UNKNOWN:  # two of which nothing tells the name are two
            seen[canonical(name)] = version
        found += [EntryPoint(point, value, name, version, requirements) for point, value in _section(text, GROUP)]
        if canonical(name) == OWN_DISTRIBUTION:
            bridges += [
                EntryPoint(point, value, name, version, bridged=extras[canonical(point)])
                for point, value in _section(text, BRIDGES)
                if canonical(point) in extras
            ]
    bridges = [attrs.evolve(one, bridged_version=seen.get(canonical(one.bridged or ""))) for one in bridges]
    found.sort(key=lambda point: (not point.is_own, point.distribution, point.name))
    return found, sorted(bridges, key=lambda point: point.name)


def _section(text: str, group: str) -> Iterator[tuple[str, str]]:
    """The names and values in the section of a group; `Distribution.entry_points` would read the file again."""
    inside = False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            inside = line == f"[{group}]"
        elif inside and line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            yield name.strip(), value.strip()


def _read(distribution: importlib.metadata.Distribution, file: str) -> str | None:
    try:
        return distribution.read_text(file)
    except (OSError, UnicodeDecodeError):  # a damaged installation of another distribution is not ours to report
        return None


def _folder_identity(distribution: importlib.metadata.Distribution) -> tuple[str, str]:
    """Name and version as the folder `name-version.dist-info` (or `.egg-info`) tells them; empty where it does not."""
    path = getattr(distribution, "_path", None)
    folder = getattr(path, "name", "")
    if folder == "EGG-INFO":  # name-version.egg/EGG-INFO
        folder = getattr(getattr(path, "parent", None), "name", "")
    stem, _, suffix = folder.rpartition(".")
    if suffix not in ("dist-info", "egg-info", "egg"):
        return "", ""
    name, _, version = stem.partition("-")
    return name, version.partition("-")[0]


def _identity(distribution: importlib.metadata.Distribution) -> tuple[str, str, tuple[str, ...], dict[str, str]]:
    """Name, version, requirements of lossreg, and for each extra the distribution that is first in it.

    `Distribution.name` parses all of the metadata as an e-mail, which costs more than importing a small plugin, so only
    the head is read here.
    """
    name, version = _folder_identity(distribution)
    text = _read(distribution, "METADATA")
    required: list[str] = []
    if text is None:  # an egg: its requirements stand in a file of their own
        text = _read(distribution, "PKG-INFO") or ""
        with contextlib.suppress(Exception):  # of importlib_metadata, which libraries may put in its place
            required += distribution.requires or []
    head = text.partition("\n\n")[0].replace("\n ", " ")  # a long field goes on behind white space
    for line in head.splitlines():
        field, _, value = line.partition(": ")
        if field == "Name":
            name = value.strip()
        elif field == "Version":
            version = value.strip()
        elif field == "Requires-Dist":
            required.append(value.strip())
    extras: dict[str, str] = {}
    for match in filter(None, map(_OF_EXTRA.match, required)) if canonical(name) == OWN_DISTRIBUTION else ():
        extras.setdefault(canonical(match["extra"]), match["name"])
    return name or _UNKNOWN, version or _UNKNOWN, tuple(dict.fromkeys(filter(concerns_lossreg, required))), extras
