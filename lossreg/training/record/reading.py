"""Past runs, read for those who list, compare or picture them. Needs no torch.

What is read may have been cut off, changed by hand, or never written by lossreg: a field of a wrong type counts as
missing, text is made printable, and what cannot be used at all is one error of one line.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from lossreg.checkpoints.reading import check_depth
from lossreg.errors import ConfigError
from lossreg.run_spec import COMPONENT_FIELDS
from lossreg.training.record.files import (
    MAX_RECORD,
    Converted,
    cleaned,
    json_object,
    read_regular_file,
    to_cell,
    to_count,
    to_number,
    to_text,
    to_texts,
    to_time,
)
from lossreg.training.record.owner import describe_unfinished, is_gone
from lossreg.training.record.rows import METRICS, read_rows
from lossreg.training.record.run_json import NAME, built_components, check_record, pick_fields
from lossreg.training.record.texts import setting_text, short_text
from lossreg.values import one_line

STATUSES = ("running", "finished", "stopped", "failed", "interrupted")
ENDED = ("finished", "stopped")  # the statuses of a run that came to an end of its own
_FIELDS = frozenset(
    b"format status reason stopped_by objects spec versions device started seconds epochs_done best_epoch "
    b"chosen_on metrics measures command".split()
)
_FIELDS_AND_PARAMS = _FIELDS | {b"components"}
LOST = "lost"  # the status of a run that run.json calls running, and whose process is gone


@attrs.frozen
class RunSummary:
    """What run.json tells of a run.

    Attributes:
        directory: The run directory, as it was named.
        status: One of `STATUSES`, or `lost`: killed, or gone with its machine, without a word.
        created: When it started, with the offset from UTC; None if that is not known.
        spec: Setting -> its text: `none` for None, what is in lists and tables separated by commas and semicolons.
        components: `data`, `model`, `loss`, `optimizer`, `scheduler` -> spec text with full ids, or the class of what
            was a Python object; without those that the run did not have.
        objects: Those of `components` that were Python objects.
        versions: Of lossreg, torch and others.
        device: Where it computed; None if that is not known.
        epochs: How many it was to have; None if that is not known.
        epochs_done: How many are recorded.
        final: The metrics of the weights that were kept: the row of the best or last epoch, with the test split's.
            Empty if no epoch came to its end; a number that is not finite is None.
        best_epoch: The epoch whose weights were kept, with `patience`; else None.
        chosen_on: The split by which something was chosen: `validation`, `test`, `train`, or None.
        seconds: From the start of the run until run.json was written; None if that is not known.
        reason: Why it failed, was stopped or is lost; else None.
        command: The command line, if it was recorded.
        directions: Measure (`f1`, of `test_f1`) -> `higher` or `lower`, whichever is better, or None if neither is; of
            the metrics that the run named.
        built: Component -> its part of run.json, with the parameters it was built with; nothing of it is checked.
            Empty in a summary that was read without parameters.
    """

    directory: Path
    status: str
    created: datetime | None
    spec: Mapping[str, str]
    components: Mapping[str, str]
    objects: tuple[str, ...]
    versions: Mapping[str, str]
    device: str | None
    epochs: int | None
    epochs_done: int
    final: Mapping[str, float | str | None]
    best_epoch: int | None
    chosen_on: str | None
    seconds: float | None
    reason: str | None
    command: str | None
    directions: Mapping[str, str | None]
    built: Mapping[str, Mapping[str, Any]] = attrs.field(repr=False)

    def param(self, field: str, name: str) -> str | None:
        """The text of a parameter that a component was built with, also if it was not set; None if it has none."""
        params = self.built.get(field, {}).get("params")
        return setting_text(params[name]) if isinstance(params, dict) and name in params else None

    @property
    def labels(self) -> dict[str, str]:
        """The components as a person would name them: `cross_entropy`, `dice(smooth=1)`.

        Example:
            >>> short_text("builtin.dice(smooth=1)"), short_text("builtin.sgd(lr=0.5)")
            ('dice(smooth=1)', 'sgd(lr=0.5)')
        """
        return {field: short_text(text) for field, text in self.components.items()}


@attrs.frozen
class PastRun(RunSummary):
    """A run as its whole directory tells it.

    Attributes:
        rows: Kind (`step`, `epoch`, `test`) -> the rows of metrics.jsonl, in their order; a number that is not finite
            is None. All three kinds are there.
        facts: All of run.json as plain values with printable text: for those who show what has no attribute here.
        notes: What could not be read and was left out, a line each: a torn last line, a file that is missing.
    """

    rows: Mapping[str, list[dict[str, Any]]]
    facts: Mapping[str, Any]
    notes: tuple[str, ...]


def read_summary(directory: str | Path, *, params: bool = False) -> RunSummary:
    """Reads what a list needs of run.json, which is cheap.

    Args:
        directory: A run directory, or the run.json in it.
        params: Whether the parameters of components will be asked for (`param`).

    Raises:
        ConfigError: If there is no run directory of this name, it has no run.json, or that cannot be read.
    """
    return RunSummary(**_summary(*_record(directory, _FIELDS_AND_PARAMS if params else _FIELDS)))


def read_run(directory: str | Path) -> PastRun:
    """Reads run.json and metrics.jsonl.

    Args:
        directory: A run directory, or the run.json in it.

    Raises:
        ConfigError: As `read_summary`; a metrics.jsonl that is broken is none, and `notes` says what was left out.
    """
    place, content = _record(directory)
    rows: dict[str, list[dict[str, Any]]] = {"step": [], "epoch": [], "test": []}
    notes = list(read_rows(place / METRICS, rows))
    summary = _summary(place, content)
    whole = {name: dict(summary[name]) for name in ("spec", "versions", "final")}
    return PastRun(**{**summary, **whole}, rows=rows, facts=cleaned(content), notes=tuple(notes))


def read_content(directory: str | Path) -> dict[str, Any]:
    """All that a run.json holds, as it is.

    Args:
        directory: A run directory, or the run.json in it.

    Raises:
        ConfigError: If there is no run directory of this name, it has no run.json, or that cannot be read.
    """
    return _record(directory, check=check_depth)[1]


def _record(
    directory: str | Path, names: Collection[bytes] | None = None, check: Callable[[bytes], object] = len
) -> tuple[Path, dict[str, Any]]:
    """The directory of a run, and what its run.json holds, or at least the fields of these names.

    Args:
        directory: As `read_content` has it.
        names: The fields; None is all of them.
        check: Raises a ValueError for a text that is not to be read.
    """
    place = Path(directory)
    if place.name == NAME and not os.path.isdir(place):  # noqa: PTH112  # a Path raises for what cannot be a name
        place = place.parent
    try:
        data = read_regular_file(os.path.join(place, NAME), MAX_RECORD)  # noqa: PTH118  # a Path takes as long as reading
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(_why_no_run(place)) from None
    except (OSError, ValueError) as error:
        raise _unusable(place, f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > MAX_RECORD:
        raise _unusable(place, f"cannot be read: it is longer than {MAX_RECORD:,} bytes")
    try:
        check(data)
        picked = pick_fields(data, names) if names else None
        if picked is None or picked.get("status") == "running":  # of that one, the process is asked for
            return place, json_object(data)
        return place, picked
    except ValueError as error:
        raise _unusable(place, f"is not a whole run.json: {error}") from error


def _unusable(place: Path, why: str) -> ConfigError:
    return ConfigError(one_line(f"{place / NAME} {why}"))


def _why_no_run(place: Path) -> str:
    shown = one_line(str(place))
    if os.path.isdir(place):  # noqa: PTH112  # see above
        return f"{shown} is not a run directory: it has no {NAME}"
    return f"{shown} is not a run directory: it is a file" if place.exists() else f"there is no run directory {shown}"


def _summary(place: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a RunSummary."""
    try:
        check_record(content, os.path.join(place, NAME))  # noqa: PTH118  # see _record
    except ConfigError as error:
        raise ConfigError(one_line(error.message)) from error
    spec, objects = content["spec"], to_texts(content.get("objects", {}))
    metrics = content.get("metrics")
    status, reason = _status(content)
    components = {
        field: objects.get(field) or setting_text(spec[field])
        for field in COMPONENT_FIELDS
        if field in objects or spec.get(field) is not None
    }
    seconds = to_number(content.get("seconds"))
    return {
        "directory": place,
        "status": status,
        "created": to_time(content.get("started")),
        "spec": Converted(spec, setting_text),
        "components": components,
        "objects": tuple(field for field in COMPONENT_FIELDS if field in objects),
        "versions": Converted(content.get("versions", {}), setting_text),
        "device": to_text(content.get("device")),
        "epochs": to_count(spec.get("epochs")),
        "epochs_done": to_count(content.get("epochs_done")) or 0,
        "final": Converted(metrics if isinstance(metrics, dict) else {}, to_cell),
        "best_epoch": to_count(content.get("best_epoch")),
        "chosen_on": to_text(content.get("chosen_on")),
        "seconds": seconds if seconds is not None and seconds >= 0 else None,
        "reason": reason,
        "command": _command(content.get("command")),
        "directions": _directions(content.get("measures")),
        "built": built_components(content),
    }


def _status(content: Mapping[str, Any]) -> tuple[str, str | None]:
    """The status, and why the run ended early."""
    status = content.get("status")
    if status == "running" and is_gone(content.get("process")):
        return LOST, one_line(describe_unfinished(content) or "")
    return status if status in STATUSES else "unknown", to_text(content.get("reason"))


def _directions(value: Any) -> dict[str, str | None]:
    """Which values of a metric are better; what is not told so counts as neither."""
    told = {
        one_line(name): measure.get("better")
        for name, measure in (value.items() if isinstance(value, dict) else ())
        if isinstance(measure, dict)
    }
    return {name: better if better in ("higher", "lower") else None for name, better in told.items()}


def _command(value: Any) -> str | None:
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        import shlex  # few records have a list

        value = shlex.join(value)
    return to_text(value)
