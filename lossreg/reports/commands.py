"""The command line that repeats a run, from its settings alone. Needs no torch."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from lossreg.errors import LossregError
from lossreg.groups import ParamGroup
from lossreg.run_spec import SETTINGS, RunSpec
from lossreg.training.record.reading import PastRun
from lossreg.values import one_line


def repeat_command(run: PastRun) -> str | None:
    """The command line with all settings of a run that are not the default ones.

    Returns:
        One line for a shell; None if a component was a Python object, or the settings cannot be read, so that no
        command repeats the run.
    """
    settings = run.facts.get("spec")
    if run.objects or not isinstance(settings, Mapping):
        return None
    try:
        spec = RunSpec.from_mapping(settings, "")
    except (LossregError, TypeError, ValueError):  # of whatever a file that was changed by hand holds
        return None
    words = ["lossreg", "run", *_files(run.facts), *_options(spec)]
    return one_line(shlex.join(words))


def repeat_from_directory(run: PastRun) -> str:
    """The command line that repeats a run from its directory."""
    return one_line(shlex.join(["lossreg", "run", "-c", str(run.directory)]))


def _options(spec: RunSpec) -> Iterator[str]:
    default = RunSpec()
    for key, setting in SETTINGS.items():
        value = getattr(spec, key)
        if value == getattr(default, key):
            continue
        flag = setting.flags[0]
        if setting.kind == "switch":
            yield flag
        elif setting.kind == "groups":
            for group in value:
                yield from (flag, _group_text(group))
        else:
            text = str(getattr(value, "text", value))
            # A value that begins like an option needs the equals sign.
            yield from ([f"{flag}={text}"] if text.startswith("-") else [flag, text])


def _group_text(group: ParamGroup) -> str:
    return group.pattern if group.is_preset else f"{group.pattern}: {group.value}"


def _files(facts: Mapping[str, Any]) -> Iterator[str]:
    """`-p FILE` for each file that a component or a run hook came from."""
    components = facts.get("components")
    participants = facts.get("participants")
    origins = [*(components.values() if isinstance(components, Mapping) else ())]
    origins += participants if isinstance(participants, list) else []
    files = [origin.get("file") for origin in origins if isinstance(origin, Mapping)]
    for file in dict.fromkeys(file for file in files if isinstance(file, str)):
        yield from ("-p", file)
