"""What plugins require of lossreg, and whether the installed version meets it."""

from __future__ import annotations

import functools
import re

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*", re.ASCII | re.IGNORECASE)


def concerns_lossreg(requirement: str) -> bool:
    """Whether a requirement is one of lossreg itself, told by its name alone: most are not, and parsing is slow.

    Example:
        >>> [concerns_lossreg(text) for text in ("Lossreg[test] >=9", "lossreg-focal>=1", "torch")]
        [True, False, False]
    """
    name = _NAME.match(requirement.strip())
    return name is not None and name[0].rstrip("._-").lower() == "lossreg"


def unmet_requirement(requirements: tuple[str, ...], installed: str) -> str | None:
    """The first requirement of lossreg that the installed version does not meet, or None.

    Example:
        >>> unmet_requirement(("lossreg>=0.1,<1",), "0.3.0"), unmet_requirement(("lossreg~=2.0",), "0.3.0")
        (None, 'lossreg~=2.0')
    """
    return next((requirement for requirement in requirements if not _is_met(requirement, installed)), None)


@functools.lru_cache(maxsize=256)  # most plugins write the same
def _is_met(requirement: str, installed: str) -> bool:
    from packaging.requirements import InvalidRequirement, Requirement  # a start without such a plugin needs it not

    try:
        parsed = Requirement(requirement)
    except InvalidRequirement:  # pip would have refused it; an installation that got past pip is not judged here
        return True
    if parsed.marker is not None and not parsed.marker.evaluate({"extra": ""}):
        return True
    return parsed.specifier.contains(installed, prereleases=True)


def unmet_requirements(requirements: list[str]) -> list[str]:
    """What the requirements of a distribution ask for and do not find installed, one line each."""
    import importlib.metadata

    from packaging.requirements import InvalidRequirement, Requirement

    lines = []
    for text in requirements:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            lines.append(f"{text}: cannot be read")
            continue
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            installed = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            lines.append(f"{requirement}: not installed")
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            lines.append(f"{requirement}: {installed} is installed")
    return lines
