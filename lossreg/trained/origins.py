"""Whether what a past run was made of is here, and as it was then."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from lossreg.errors import ConfigError
from lossreg.registry.registries import Registries
from lossreg.run_spec import COMPONENT_FIELDS
from lossreg.training.record.files import to_cell
from lossreg.values import one_line, shown

logger = logging.getLogger("lossreg")


def check_origin(field: str, origin: Mapping[str, Any], place: str, registries: Registries) -> None:
    """Checks that a component is installed, with a warning where it is of another version.

    Args:
        field: `model` or `loss`.
        origin: What run.json tells of it.
        place: The run directory in a message.
        registries: Where it is looked for.

    Raises:
        ConfigError: That says where it came from, if it is missing.
    """
    kind = COMPONENT_FIELDS[field]
    origin = {key: to_cell(value) for key, value in origin.items()}  # anything may be in a file
    full_id, source, registry = str(origin.get("id")), origin.get("file"), registries.of(kind)
    if full_id not in registry:
        distribution = origin.get("distribution")
        came = f"{distribution} {origin.get('version')}: install it, or let its plugin load"
        if source:
            came = f"the file {source}: add -p {source}"
        elif distribution is None:
            came = f"a process that registered it: register it again, or give {field}="
        raise ConfigError(
            one_line(f"{place} cannot be rebuilt: its {kind} {full_id} is missing here; it came from {came}")
        )
    here = registry[full_id].provenance
    if here.sha256 != origin.get("sha256"):
        logger.warning(
            "%s", one_line(f"{source or full_id} has changed since {place}: its {kind} may compute something else")
        )
    elif here.version != origin.get("version"):
        then = f"{here.distribution} {origin.get('version')}"
        logger.warning(
            "%s",
            one_line(f"the {kind} of {place} was made with {then}, here it is {here.version}: it may be another"),
        )


def warn_of_other_params(field: str, then: Any, now: Mapping[str, Any], place: str) -> None:
    """Warns where a parameter that was not set has another default than in the run.

    Args:
        field: `model` or `loss`.
        then: The parameters in run.json.
        now: Those that it is built with here.
        place: The run directory in a message.
    """
    if not isinstance(then, Mapping):
        return
    for name in now.keys() & then.keys():
        if now[name] != then[name]:
            logger.warning(
                "%s",
                one_line(
                    f"{field} of {place}: {name} was {shown(then[name])} by default and is {shown(now[name])} now: it "
                    "may compute something else"
                ),
            )
