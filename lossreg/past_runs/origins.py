"""Whether what a past run was made of is here, and as it was then."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from lossreg.errors import ConfigError
from lossreg.registry.entry import RegistryEntry
from lossreg.registry.registries import Registries
from lossreg.run_spec import COMPONENT_FIELDS, LISTED_FIELDS
from lossreg.training.record.files import to_cell
from lossreg.values import one_line, shown

logger = logging.getLogger("lossreg")


def find_origin(
    origin: Mapping[str, Any], kind: str, run: object, registries: Registries, undone: str, otherwise: str = ""
) -> RegistryEntry[Any]:
    """The component that a past run was made of.

    Args:
        origin: What run.json tells of it.
        kind: `model`, `loss` and so on.
        run: The run, in a message.
        registries: Where it is looked for.
        undone: What cannot be done without it: `be repeated`, `be rebuilt`, `go on`.
        otherwise: What to do in place of registering one that a process had registered, or nothing.

    Raises:
        ConfigError: That says where it came from and what to do, if it is missing.
    """
    full_id, source, registry = str(origin.get("id")), origin.get("file"), registries.of(kind)
    if full_id not in registry:
        distribution = origin.get("distribution")
        came = f"{distribution} {origin.get('version')}: install it, or let its plugin load"
        if source:
            came = f"the file {source}: add -p {source}, or import it"
        elif distribution is None:
            came = f"a process that registered it: register it again{otherwise}"
        raise ConfigError(one_line(f"{run} cannot {undone}: its {kind} {full_id} is missing here; it came from {came}"))
    return registry[full_id]


def warn_of_change(origin: Mapping[str, Any], entry: RegistryEntry[Any], kind: str, run: object, effect: str) -> None:
    """Warns where a component is of another file or version than then.

    Args:
        origin: What run.json tells of it.
        entry: What it is here.
        kind: `model`, `loss` and so on.
        run: The run, in a message.
        effect: What that may come to, as a sentence.
    """
    here, source = entry.provenance, origin.get("file")
    if here.sha256 != origin.get("sha256"):
        moved = here.file != source and source is not None
        said = (
            f"{here.file} takes the place of {source} in {run}"
            if moved
            else (f"{source or entry.id} has changed since {run}")
        )
    elif here.version != origin.get("version"):
        then = f"{here.distribution} {origin.get('version')}"
        said = f"the {kind} of {run} was made with {then}, here it is {here.version}"
    else:
        return
    logger.warning("%s", one_line(f"{said}: {effect}"))


def check_origin(field: str, origin: Mapping[str, Any], run: object, registries: Registries) -> None:
    """Checks that what a run is rebuilt from is installed, with a warning where it has changed.

    Args:
        field: `model`, `loss`, `data` or `metrics`.
        origin: What run.json tells of it.
        run: The run, in a message.
        registries: Where it is looked for.

    Raises:
        ConfigError: If it is missing.
    """
    kind = {**COMPONENT_FIELDS, **LISTED_FIELDS}[field]
    origin = {key: to_cell(value) for key, value in origin.items()}  # anything may be in a file
    entry = find_origin(origin, kind, run, registries, "be rebuilt", f", or give {field}=")
    warn_of_change(origin, entry, kind, run, f"its {kind} may compute something else")


def warn_of_other_params(field: str, then: Any, now: Mapping[str, Any], run: object) -> None:
    """Warns where a parameter that was not set has another default than in the run.

    Args:
        field: `model` or `loss`.
        then: The parameters in run.json.
        now: Those that it is built with here.
        run: The run, in a message.
    """
    if not isinstance(then, Mapping):
        return
    for name in now.keys() & then.keys():
        if now[name] != then[name]:
            logger.warning(
                "%s",
                one_line(
                    f"{field} of {run}: {name} was {shown(then[name])} by default and is {shown(now[name])} now: it "
                    "may compute something else"
                ),
            )
