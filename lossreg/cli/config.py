"""Settings of a run from a file: TOML, JSON, or the run.json of a past run."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from lossreg.building import check
from lossreg.errors import ConfigError, LossregError
from lossreg.registry import default
from lossreg.run_spec import COMPONENT_FIELDS, RunSpec, check_keys

FORMAT = 1  # of run.json; a later lossreg that changes it reads the old one too


def load_config(path: str, replaced: Collection[str] = ()) -> dict[str, Any]:
    """Reads a file of settings.

    Args:
        path: A `.json` file, a run directory, or a TOML file of any other name.
        replaced: Keys that options replace, so that a past run need not have them.

    Returns:
        The settings that the file has, as arguments for `lossreg.run`.

    Raises:
        ConfigError: If the file is not there, is broken, has an unknown key, or a value is wrong.
    """
    if not path:
        raise ConfigError("--config is empty; name a file, or leave the option out")
    file = Path(path)
    if file.is_dir():
        file /= "run.json"
    content = _read(file)
    if "format" in content or file.name == "run.json":
        content = _past_run(content, file, replaced)
    check_keys(content, str(file))
    spec = RunSpec.from_mapping(content, str(file))
    _check_components(spec, content.keys() - replaced, file)
    checked = dict(spec.items())
    return {key: checked[key] for key in content}


def _check_components(spec: RunSpec, keys: Collection[str], file: Path) -> None:
    """Looks up what the file names, so that an error there names the file."""
    for field, kind in COMPONENT_FIELDS.items():
        component = getattr(spec, field)
        if field in keys and component is not None:
            try:
                check(default.of(kind), component)
            except LossregError as error:
                error.message = f"{file}: {error.message}"
                raise


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(f"{file} cannot be read: {reason}") from error
    try:
        content = (
            json.loads(text, object_pairs_hook=_without_repeats) if file.suffix == ".json" else tomllib.loads(text)
        )
    except (ValueError, RecursionError) as error:
        kind = "JSON" if file.suffix == ".json" else "TOML"
        raise ConfigError(f"{file} is not {kind}: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{file} holds no keys and values")
    return content


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        repeated = next(key for key, _ in pairs if [other for other, _ in pairs].count(key) > 1)
        raise ValueError(f"the key {repeated!r} is there twice")
    return content


def _past_run(content: dict[str, Any], file: Path, replaced: Collection[str]) -> dict[str, Any]:
    objects, versions = content.get("objects", {}), content.get("versions", {})
    number = content.get("format")
    if type(number) is not int or number != FORMAT:
        raise ConfigError(f"{file} is no run.json of format {FORMAT}, which this lossreg reads")
    spec = content.get("spec")
    if not (isinstance(spec, dict) and isinstance(objects, dict) and isinstance(versions, dict)):
        raise ConfigError(
            f"{file} is no run.json of format {FORMAT}, or a damaged one: spec, objects and versions are tables"
        )
    missing = {field: name for field, name in objects.items() if field not in replaced}
    if missing:
        named = " and ".join(f"{field} ({name})" for field, name in missing.items())
        raise ConfigError(
            f"{file} cannot be repeated: its {named} was a Python object, which has no text; name another"
        )
    _check_origins(content.get("components", {}), spec, {*objects, *replaced}, file)
    _compare_versions(versions, file)
    return {key: value for key, value in spec.items() if key not in objects}


def _check_origins(components: Any, spec: dict[str, Any], replaced: Collection[str], file: Path) -> None:
    """Checks that what the past run was made of is here, and says where it came from if it is not."""
    for field, origin in components.items() if isinstance(components, dict) else ():
        kind = COMPONENT_FIELDS.get(field)
        if kind is None or field in replaced or not spec.get(field) or not isinstance(origin, dict):
            continue
        full_id, source = origin.get("id"), origin.get("file")
        if full_id not in default.of(kind):
            distribution = origin.get("distribution")
            came = "a process that registered it" if distribution is None else f"{distribution} {origin.get('version')}"
            if source:
                came = f"the file {source} (-p {source})"
            raise ConfigError(f"{file} cannot be repeated: its {kind} {full_id} is not here; it came from {came}")
        here = default.of(kind)[str(full_id)].provenance
        if here.sha256 != origin.get("sha256"):
            logging.getLogger("lossreg").warning("%s has changed since %s: the weights may differ", source, file)
        elif here.version != origin.get("version"):
            logging.getLogger("lossreg").warning(
                "%s was made with %s %s, here it is %s: the weights may differ",
                file, here.distribution, origin.get("version"), here.version,
            )  # fmt: skip


def _compare_versions(versions: dict[str, Any], file: Path) -> None:
    then, now = versions.get("torch"), importlib.metadata.version("torch")
    if then is not None and str(then).partition("+")[0] != now.partition("+")[0]:
        logging.getLogger("lossreg").warning(
            "%s was made with torch %s, here it is %s: the weights may differ", file, then, now
        )
