"""run.json, the record of a run: written at its start and its end, read to repeat it. Needs no torch."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import attrs

from lossreg.errors import ConfigError
from lossreg.training.record.directory import replacing
from lossreg.training.record.files import to_cell, to_texts
from lossreg.values import one_line

NAME = "run.json"
FORMAT = 2
#: What can be read. Format 1 wrote "as it is" for `unchanged` in `contract`, and `averaging` for `reduction`.
READABLE = (1, 2)

#: What `stopped_by` says of a run that a setting ended.
PATIENCE, TARGET, MAX_STEPS, MAX_TIME = "patience", "target", "max_steps", "max_time"
#: Those after which a repeat ends in the same way: a clock does not go by steps.
ENDS_ITSELF = (PATIENCE, TARGET, MAX_STEPS)
_BEGIN, _BEFORE, _END = b'{\n  "format": ', b'{\n  "', b"\n}"
_TABLES = ("spec", "objects", "components", "versions")
_ENDING = ("reason", "stopped_by", "epochs_done", "steps_done")


def write_run_record(directory: Path, content: Mapping[str, Any]) -> None:
    """Writes run.json.

    Args:
        directory: The run directory.
        content: All fields but `format`, as plain values.
    """
    with replacing(directory / NAME) as partial:
        text = json.dumps({"format": FORMAT, **content}, indent=2, allow_nan=False)
        partial.write_text(f"{text}\n", encoding="utf-8")


def pick_fields(data: bytes, names: Collection[bytes]) -> dict[str, Any] | None:
    r"""Some fields of a run.json that is as `write_run_record` wrote it; of a large model, the others are most of it.

    Each field begins on a line of its own, indented by two blanks as nothing else is: no string holds a line break.

    Args:
        data: What the file holds.
        names: The fields.

    Returns:
        Those of the fields that there are; None for a text that is laid out otherwise.

    Example:
        >>> pick_fields(b'{\n  "format": 2,\n  "groups": [],\n  "device": "cpu"\n}\n', [b"device"])
        {'device': 'cpu'}
    """
    data = data.rstrip()
    if not data.startswith(_BEGIN) or not data.endswith(_END):
        return None
    fields = data[len(_BEFORE) : -len(_END)].split(_BEFORE[1:])
    wanted = [field.removesuffix(b",") for field in fields if field.partition(b'"')[0] in names]
    try:
        picked: dict[str, Any] = json.loads(b'{"' + b',"'.join(wanted) + b"}" if wanted else b"{}")
    except (ValueError, RecursionError):
        return None
    return picked


@attrs.frozen
class RunRecord:
    """What a past run tells those who repeat it.

    Attributes:
        file: Its run.json.
        spec: Field -> plain value; components are spec texts with full ids.
        objects: Field -> the class of what was a Python object.
        components: Field -> id, parameters and provenance of what was built by name.
        versions: Of torch and others.
        participants: Provenance of the plugins and files whose run hooks took part; None if it does not tell.
        observers: The classes of the observers, which were Python objects.
        ending: Why it was stopped (`reason`), by what (`stopped_by`), after how much (`epochs_done`, `steps_done`);
            empty unless it was.
    """

    file: Path
    spec: dict[str, Any]
    objects: dict[str, str]
    components: dict[str, dict[str, Any]]
    versions: dict[str, str]
    participants: list[dict[str, Any]] | None
    observers: list[str]
    ending: dict[str, Any]


def check_record(content: Mapping[str, Any], file: str | Path) -> None:
    """Checks that a run.json can be read, and that its tables are tables.

    Args:
        content: What was read.
        file: Where it was read from, for the message.

    Raises:
        ConfigError: If it is of a format that this version does not read, or damaged.
    """
    number = content.get("format")
    readable = " or ".join(map(str, READABLE))
    if type(number) is not int or number not in READABLE:
        raise ConfigError(f"{file} is not a run.json of format {readable}, which this lossreg reads")
    if "spec" not in content or not all(isinstance(content.get(name, {}), dict) for name in _TABLES):
        raise ConfigError(
            f"{file} is not a run.json of format {readable}, or a damaged one: spec, objects, components and versions "
            "are tables"
        )


def read_run_record(content: Mapping[str, Any], file: Path) -> RunRecord:
    """Checks what was read from a run.json.

    Raises:
        ConfigError: If it is of a format that this version does not read, or damaged.
    """
    check_record(content, file)
    return RunRecord(
        file,
        content["spec"],
        to_texts(content.get("objects", {})),
        {field: _told(origin) for field, origin in built_components(content).items()},
        to_texts(content.get("versions", {})),
        participants=[_told(one) for one in _listed(content, "participants", dict)]
        if "participants" in content
        else None,
        observers=[one_line(one) for one in _listed(content, "observers", str)],
        ending={key: to_cell(content.get(key)) for key in _ENDING} if content.get("status") == "stopped" else {},
    )


def _told(origin: Mapping[str, Any]) -> dict[str, Any]:
    """Where something came from: texts and numbers for a message, and parameters, which may be anything."""
    return {key: value if key == "params" else to_cell(value) for key, value in origin.items()}


def built_components(content: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Field -> id, parameters and provenance of what was built by name."""
    return {field: origin for field, origin in content.get("components", {}).items() if isinstance(origin, dict)}


def _listed(content: Mapping[str, Any], key: str, kind: type) -> list[Any]:
    value = content.get(key)
    return [item for item in value if isinstance(item, kind)] if isinstance(value, list) else []
