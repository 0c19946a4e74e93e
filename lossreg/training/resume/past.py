"""The run that goes on: its directory, its record and its newest checkpoint, read before anything is built."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from lossreg.checkpoints.checkpoint import Checkpoint
from lossreg.checkpoints.folder import CheckpointFolder
from lossreg.checkpoints.manifest import MANIFEST
from lossreg.durations import seconds_of
from lossreg.errors import ConfigError
from lossreg.run_spec import CHANGEABLE, RunSpec
from lossreg.training.hardware.launcher import launch_id
from lossreg.training.record.differences import other_facts, other_files, other_samples, other_versions
from lossreg.training.record.directory import CHECKPOINTS, RunDirectory, absolute_path
from lossreg.training.record.files import to_count, to_number
from lossreg.training.record.metrics_file import METRICS, read_rows
from lossreg.training.record.reading import read_content
from lossreg.training.record.recorder import Resumed, now
from lossreg.training.record.run_json import (
    MAX_STEPS,
    MAX_TIME,
    NAME,
    PATIENCE,
    TARGET,
    RunRecord,
    read_run_record,
)
from lossreg.values import shown

MAX_SHOWN = 10  # settings in a message

logger = logging.getLogger("lossreg")


@attrs.frozen
class Resumption:
    """A past run that goes on.

    Attributes:
        directory: Its directory, which this process holds now.
        content: Its run.json.
        record: What that says for a repeat.
        checkpoint: The newest one that is whole; None of a run that is started anew after its processes died early.
        rows: The rows of the epochs that were recorded until then.
    """

    directory: RunDirectory
    content: Mapping[str, Any]
    record: RunRecord
    checkpoint: Checkpoint | None
    rows: list[dict[str, Any]]

    @property
    def resumed(self) -> Resumed | None:
        """Where it goes on, for the new run.json."""
        if self.checkpoint is None:
            return None
        facts = self.checkpoint.facts
        before = self.content.get("resumed")
        history = [one for one in before if isinstance(one, dict)] if isinstance(before, list) else []
        asked = self.content.get("from_data")
        words = {field: one for field, one in asked.items() if isinstance(one, str)} if isinstance(asked, dict) else {}
        return Resumed(
            started=str(self.content.get("started")),
            metrics_bytes=facts["metrics_bytes"],
            history=[*history, {"at": now(), "step": facts["step"], "checkpoint": self.checkpoint.path.name}],
            row=self.rows[-1] if self.rows else None,
            from_data={field: (one, self.record.spec.get(field)) for field, one in words.items()},
        )


def past_settings(directory: str | Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a past run, with those that are given in their place.

    Args:
        directory: Its directory.
        given: Settings as `lossreg.run` takes them; what was a Python object has to be among them.

    Raises:
        ConfigError: If its run.json cannot be read, or a Python object is missing.
    """
    record = _record(absolute_path(directory))[1]
    missing = {field: name for field, name in record.objects.items() if field not in given}
    if missing:
        named = " and ".join(f"{field} ({name})" for field, name in missing.items())
        raise ConfigError(
            f"the run in {directory} cannot go on without its {named}: it was a Python object, which has no text; give "
            "it again to lossreg.run"
        )
    return {**{key: value for key, value in record.spec.items() if key not in record.objects}, **given}


def open_past_run(path: Path, *, begins_anew: bool = False) -> Resumption:
    """Takes the directory of a run that goes on, and finds what it goes on from.

    Args:
        path: The directory.
        begins_anew: Whether a run without a checkpoint begins anew.

    Raises:
        LossregError: If it is not a run directory, another process works on it, or there is nothing to go on from.
    """
    directory = RunDirectory.reopen(path)
    try:
        content, record = _record(directory.path)
        folder = CheckpointFolder(directory.path / CHECKPOINTS)
        for place in (folder.path, directory.path / METRICS):
            if place.is_symlink():
                raise ConfigError(
                    f"the run in {path} cannot go on: {place} is a link, and a run writes in its own directory alone; "
                    "put in its place what it leads to"
                )
        folder.sweep()
        if begins_anew and not folder.list():
            return Resumption(directory, content, record, None, [])
        if not folder.path.is_dir():
            raise ConfigError(
                f"the run in {path} has no checkpoint to go on from; lossreg run -c {directory.path / NAME} begins it "
                "anew"
            )
        checkpoint = folder.newest()
        rows = read_rows(directory.path, _metrics_bytes(checkpoint))
    except BaseException:
        directory.close()
        raise
    return Resumption(directory, content, record, checkpoint, rows)


def _metrics_bytes(checkpoint: Checkpoint) -> int:
    """How far metrics.jsonl was; what else a run goes on from is there then, too."""
    for fact in ("step", "epochs_done", "metrics_bytes"):
        if to_count(checkpoint.facts.get(fact)) is None:
            raise ConfigError(f"{checkpoint.path} is not a checkpoint of a run: its {MANIFEST} does not tell {fact}")
    length: int = checkpoint.facts["metrics_bytes"]
    return length


def _record(directory: Path) -> tuple[dict[str, Any], RunRecord]:
    content = read_content(directory)
    return content, read_run_record(content, directory / NAME)


def check_settings(past: Resumption, spec: RunSpec, facts: Mapping[str, Any], *, override: bool) -> None:
    """Checks that a run goes on with what it began with, and that there is something left to do.

    Args:
        past: The run.
        spec: The settings as it is to go on, with full ids.
        facts: What the new run.json says of data and parts.
        override: Whether other settings are taken, with a warning.

    Raises:
        ConfigError: With each difference.
    """
    differences = _differences(past.record, spec)
    differences += [one for one in _since(past.record, past.checkpoint, spec) if one not in differences]
    differences += _other_classes(past.record, spec, facts["objects"])
    differences += _other_data(past.content, facts)
    if past.checkpoint is not None and (override or not differences):
        _check_unfinished(past, past.checkpoint, spec)
    if differences:
        listed = "; ".join(differences[:MAX_SHOWN])
        more = f"; and {len(differences) - MAX_SHOWN} more" if len(differences) > MAX_SHOWN else ""
        if not override:
            raise ConfigError(
                f"the run in {past.directory.path} cannot go on with other settings: {listed}{more}; leave them out, "
                "take them all the same (--override), or begin a new run"
            )
        logger.warning("the run goes on with other settings: %s%s", listed, more)
    for line in _other_machine(past.content, facts):
        logger.warning("%s", line)


def _since(record: RunRecord, checkpoint: Checkpoint | None, spec: RunSpec) -> list[str]:
    """What is not as the checkpoint says; a run.json that was edited by hand is not what the run began with."""
    written = None if checkpoint is None else checkpoint.facts.get("spec")
    if not isinstance(written, dict):  # one of before does not tell
        return []
    return _differences(attrs.evolve(record, spec=written), spec)


def _differences(record: RunRecord, spec: RunSpec) -> list[str]:
    named = {key: value for key, value in record.spec.items() if key not in record.objects}
    then, now_ = RunSpec.from_mapping(named, str(record.file)), dict(spec.items())
    found = []
    for key, was in then.items():
        if key not in CHANGEABLE and was != now_[key] and key not in record.objects:
            found.append(f"{key} was {_text(was)} and is {_text(now_[key])}")
    return found


def _other_classes(record: RunRecord, spec: RunSpec, objects: Mapping[str, str]) -> list[str]:
    """Where a Python object has made place for one of another class; the checkpoint knows those that have a state."""
    found = []
    for key in ("loss", "model"):
        was, is_ = record.objects.get(key), objects.get(key) or _text(getattr(spec, key))
        if was is not None and was.rpartition(".")[2] != is_.rpartition(".")[2]:  # its module may have another name
            found.append(f"{key} was {was} and is {is_}")
    return found


def _text(value: Any) -> str:
    return "none" if value is None else value if isinstance(value, str) else shown(value)


def _other_data(content: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
    """What tells that the data set is another one."""
    then, now_ = content.get("data"), facts["data"]
    if not isinstance(then, dict):
        return []
    found = [
        f"the data set had {key} {_text(then[key])} and has {_text(value)}"
        for key, value in now_.items()
        if key in then and then[key] != value
    ]
    found += [*other_files("the run's beginning", content, facts)] or other_samples("the run", content, facts)
    was, is_ = content.get("validation"), facts["validation"]
    if isinstance(was, dict) and is_ is not None and was.get("digest") != is_["digest"]:
        found.append("the validation split has other samples")
    return found


def _other_machine(content: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
    """Sentences about what keeps the run from being the same bits as one that was never broken off."""
    then = content.get("versions")
    versions = other_versions(then if isinstance(then, dict) else {}, facts["versions"])
    changed = [f"{name} {before} (here {here})" for name, before, here in versions]
    if changed:
        yield f"the run began with {', '.join(changed)}: what follows may differ in the last bits"
    for before, here in other_facts(content, facts):
        yield f"the run began {before} and goes on {here}: what follows may differ in the last bits"


def _check_unfinished(past: Resumption, checkpoint: Checkpoint, spec: RunSpec) -> None:
    """Checks that something is left to do."""
    has_ended = past.content.get("status") in ("finished", "stopped")
    where = past.directory.path
    step, epochs = checkpoint.facts["step"], checkpoint.facts["epochs_done"]
    by = past.content.get("stopped_by") if has_ended else None
    if by in (MAX_STEPS, MAX_TIME) and getattr(spec, by) == past.record.spec.get(by):
        raise ConfigError(
            f"the run in {where} has come to its end ({past.content.get('reason')}); with a greater {by} "
            f"(--{by.replace('_', '-')}) it goes on"
        )
    if by in (PATIENCE, TARGET):
        raise ConfigError(f"the run in {where} has come to its end: {past.content.get('reason')}")
    # One that was killed as it ended, before its weights were written, has as many as it is to have.
    if spec.max_steps is not None and step + has_ended > spec.max_steps:
        raise ConfigError(_done_already(past, f"{step:,} steps", f"max_steps is {spec.max_steps:,} (--max-steps)"))
    seconds = to_number(past.content.get("seconds"))
    if by == MAX_TIME and spec.max_time is not None and seconds is not None and seconds >= seconds_of(spec.max_time):
        raise ConfigError(_done_already(past, f"{seconds:g} seconds", f"max_time is {spec.max_time} (--max-time)"))
    if epochs + has_ended > spec.epochs:
        if epochs == spec.epochs == past.record.spec.get("epochs", spec.epochs):
            raise ConfigError(
                f"the run in {where} has come to its end: all of its {epochs} epochs are done; with more epochs "
                "(--epochs) it goes on"
            )
        raise ConfigError(_done_already(past, f"{epochs:,} epochs", f"epochs is {spec.epochs:,} (--epochs)"))


def _done_already(past: Resumption, done: str, limit: str) -> str:
    return f"the run in {past.directory.path} cannot go on: {limit}, but {done} are done already; give a greater one"


def find_restarted(runs: Path) -> Path | None:
    """The directory of the run that torchrun starts again, where its name was not given."""
    wanted = launch_id()
    try:
        found = sorted(runs.iterdir(), reverse=True)  # names begin with the time
    except OSError:
        return None
    for path in found:
        with contextlib.suppress(ConfigError):
            if wanted is not None and read_content(path).get("launch") == wanted:
                return path
    return None
