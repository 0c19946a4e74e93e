"""The texts of a file, a past run, a mapping or a RunSpec, as settings for `lossreg.parts`. Needs no torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from lossreg.errors import ConfigError
from lossreg.run_spec import RunSpec
from lossreg.spec import ComponentSpec
from lossreg.toml_text import MOST, read_toml
from lossreg.training.record.files import read_regular_file
from lossreg.training.record.reading import read_content
from lossreg.training.record.run_json import NAME, read_run_record
from lossreg.values import shown

#: The settings that are parts; what else a source says is for the loop of the host.
PART_KEYS = (
    "loss",
    "optimizer",
    "scheduler",
    "param_groups",
    "freeze",
    "unfreeze",
    "frozen_mode",
    "scheduler_interval",
)

#: What is no business of a loop: what a run trains, and where it is kept.
_NOT_LEFT = ("data", "model", "epochs", "observe", "metrics", "log_every", "checkpoint_every", "keep", "best")


@attrs.frozen
class Texts:
    """What a source says.

    Attributes:
        settings: Key -> value, of `PART_KEYS`.
        epochs: How many epochs, or None.
        task: Of the data set of a past run, or None.
        left: Settings other than the defaults that the loop of the host has to heed, such as clip_grad_norm.
        file: Where it was read from, or None.
    """

    settings: Mapping[str, Any]
    epochs: int | None = None
    task: str | None = None
    left: Mapping[str, Any] = attrs.field(factory=dict)
    file: str | None = None


def read_source(source: Any, replaced: Mapping[str, Any]) -> Texts:
    """Reads what `lossreg.parts` is given first.

    Args:
        source: A TOML file, a run directory or its run.json, a mapping, a RunSpec, or None.
        replaced: Keys that arguments replace, so that a past run need not have a text for them.

    Raises:
        ConfigError: If it cannot be read, has an unknown key, or a part was a Python object.
    """
    if source is None:
        return Texts({})
    if isinstance(source, RunSpec):
        return _texts(source, dict(source.items()))
    if isinstance(source, Mapping):
        return _texts(RunSpec.from_mapping(source, "lossreg.parts"), source)
    if not isinstance(source, str | os.PathLike):
        raise ConfigError(
            f"what lossreg.parts is given first is a TOML file, a run directory, a mapping or a RunSpec, not "
            f"{shown(source)}"
        )
    path = Path(source)
    if path.is_dir() or path.name == NAME:
        return _of_past_run(path, replaced)
    if not path.is_file():
        hint = "; a text is written lossreg.parts(loss=...)" if isinstance(source, str) else ""
        raise ConfigError(f"{shown(str(source))} is neither a file nor a run directory{hint}")
    try:
        settings = read_toml(read_regular_file(path, MOST).decode())
    except ValueError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    return _texts(RunSpec.from_mapping(settings, str(path)), settings, file=str(path))


def _of_past_run(path: Path, replaced: Mapping[str, Any]) -> Texts:
    content = read_content(path)
    record = read_run_record(content, path if path.name == NAME else path / NAME)
    for field, given in record.objects.items():
        if field in PART_KEYS and field not in replaced:
            raise ConfigError(
                f"{record.file}: the {field} of the run was a Python object ({given}), which has no text; give it: "
                f"lossreg.parts(..., {field}=...)"
            )
    settings = {key: value for key, value in record.spec.items() if key not in record.objects}
    data = content.get("data")
    task = data.get("task") if isinstance(data, dict) else None
    return _texts(RunSpec.from_mapping(settings, str(record.file)), settings, str(record.file), task)


def _texts(spec: RunSpec, given: Mapping[str, Any], file: str | None = None, task: str | None = None) -> Texts:
    defaults = RunSpec()
    left = {
        name: value
        for name, value in spec.items()
        if name not in (*PART_KEYS, *_NOT_LEFT) and getattr(spec, name) != getattr(defaults, name)
    }
    settings = {key: _as_given(getattr(spec, key), given[key]) for key in PART_KEYS if key in given}
    return Texts(settings, spec.epochs if "epochs" in given else None, task, left, file)


def _as_given(value: Any, given: Any) -> Any:
    """What was checked where that can be given to a RunSpec again, else what was written."""
    return value if isinstance(value, ComponentSpec) else given
