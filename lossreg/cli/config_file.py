"""Settings of a run from a file: TOML, JSON, or the run.json of a past run."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import platform
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from lossreg import __version__
from lossreg.checkpoints.reading import check_depth
from lossreg.cli.text_file import STDIN, named, read_text
from lossreg.errors import ConfigError, LossregError
from lossreg.past_runs.origins import find_origin, warn_of_change
from lossreg.plugins.participants import Participant, participants
from lossreg.registry.defaults import changed_defaults
from lossreg.registry.entry import RegistryEntry
from lossreg.registry.guesses import guess_parameter
from lossreg.registry.registries import Registries
from lossreg.run_spec import COMPONENT_FIELDS, LISTED_FIELDS, METRICS, RunSpec, check_keys
from lossreg.spec import ComponentSpec
from lossreg.toml_text import read_toml
from lossreg.training.record.differences import other_versions
from lossreg.training.record.owner import describe_unfinished
from lossreg.training.record.reading import read_content
from lossreg.training.record.run_json import ENDS_ITSELF, MAX_TIME, NAME, RunRecord, read_run_record
from lossreg.values import one_line, shown

COMPARISON = "compare"  # the table of a file that holds a comparison

logger = logging.getLogger("lossreg")


def load_config(path: str, registries: Registries, replaced: Collection[str] = ()) -> tuple[str, dict[str, Any]]:
    """Reads a file of settings.

    Args:
        path: A `.json` file, a run directory, a TOML file of any other name, or `-`, TOML from stdin.
        registries: Where the components of a past run are looked for.
        replaced: Keys that options replace, so that a past run need not have them.

    Returns:
        The file, and the settings that it has, as values of a RunSpec.

    Raises:
        ConfigError: If the file does not exist, is broken, has an unknown key, or a value is wrong.
    """
    file, content = _content(path)
    if COMPARISON in content:
        raise ConfigError(f"{file} has a table [{COMPARISON}]: it is for lossreg compare -c {file}")
    return str(file), _settings(content, file, registries, replaced)


def load_past_run(directory: Path, registries: Registries) -> tuple[str, dict[str, Any]]:
    """Reads the settings of a run that goes on.

    Args:
        directory: The run directory.
        registries: Where its components are looked for.

    Returns:
        Its run.json, and the settings, as values of a RunSpec.

    Raises:
        ConfigError: If it is not a run directory, is broken, or had a Python object for a part.
    """
    file = directory / NAME
    try:
        record = read_run_record(read_content(directory), file)
    except ConfigError as error:
        error.message = f"--resume: {error.message}"
        raise
    if record.objects:
        named = " and ".join(f"{field} ({name})" for field, name in record.objects.items())
        raise ConfigError(
            f"the run in {directory} cannot go on from the command line: its {named} was a Python object, which has no "
            "text; give it again to lossreg.run(resume=...)"
        )
    _check_origins(record, registries, (), "go on")
    spec = RunSpec.from_mapping(record.spec, str(file))
    return str(file), {key: getattr(spec, key) for key in record.spec}


def load_comparison(
    path: str, registries: Registries, replaced: Collection[str] = ()
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Reads a file of settings that may have a table of lists.

    Args:
        path: As for `load_config`.
        registries: As for `load_config`.
        replaced: As for `load_config`.

    Returns:
        The file, the settings that all cells share, as values of a RunSpec, and the table `[compare]` as it is.

    Raises:
        ConfigError: As `load_config`.
    """
    file, content = _content(path)
    table = content.pop(COMPARISON, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{file}: {COMPARISON} is a table, [{COMPARISON}], not {shown(table)}")
    doubled = sorted(content.keys() & table.keys())
    if doubled:
        raise ConfigError(
            f"{file}: {doubled[0]} is a setting of all cells and in [{COMPARISON}]; leave one of them out"
        )
    return str(file), _settings(content, file, registries, {*replaced, *table}), table


def _content(path: str) -> tuple[Path, dict[str, Any]]:
    """The file that a path means, and what is in it."""
    if path == STDIN:
        return Path(named(path)), _parse(read_text(path), Path(named(path)))
    if not path:
        raise ConfigError("--config is empty; name a file, or leave the option out")
    file = Path(path)
    try:
        if file.is_dir():
            file /= NAME
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error
    return file, _parse(read_text(str(file), regular=file.name == NAME), file)


def _settings(content: dict[str, Any], file: Path, registries: Registries, replaced: Collection[str]) -> dict[str, Any]:
    """The settings of a file, as values of a RunSpec."""
    if "format" in content or file.name == NAME:
        unfinished = describe_unfinished(content)
        if unfinished is not None:
            logger.warning("%s: %s", file, unfinished)
        content = _repeated(read_run_record(content, file), registries, replaced)
    check_keys(content, str(file), lambda key: guess_parameter(key, _components(content), registries))
    spec = RunSpec.from_mapping(content, str(file))
    return {key: getattr(spec, key) for key in content}


def _components(content: dict[str, Any]) -> dict[str, ComponentSpec | None]:
    """The components of a file, or the default ones."""
    written: dict[str, Any] = {key: content[key] for key in COMPONENT_FIELDS if isinstance(content.get(key), str)}
    spec = RunSpec(**written)
    return {field: getattr(spec, field) for field in COMPONENT_FIELDS}


def _parse(text: str, file: Path) -> dict[str, Any]:
    try:
        if file.suffix == ".json":
            check_depth(text.encode())
        content = json.loads(text, object_pairs_hook=_without_repeats) if file.suffix == ".json" else read_toml(text)
    except (ValueError, RecursionError) as error:
        kind = "JSON" if file.suffix == ".json" else "TOML"
        reason = "it is nested too deep" if isinstance(error, RecursionError) else one_line(str(error))
        raise ConfigError(f"{file} is not {kind}: {reason}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{file} holds no keys and values")
    return content


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        repeated, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {shown(repeated)} occurs twice")
    return content


def _repeated(record: RunRecord, registries: Registries, replaced: Collection[str]) -> dict[str, Any]:
    """The settings with which a past run is repeated."""
    missing = {field: name for field, name in record.objects.items() if field not in replaced}
    if missing:
        named = " and ".join(f"{field} ({name})" for field, name in missing.items())
        raise ConfigError(
            f"{record.file} cannot be repeated: its {named} was a Python object, which has no text; name another"
        )
    _check_origins(record, registries, replaced, "be repeated")
    _compare_participants(record, participants(registries.reports))
    _compare_versions(record)
    settings = {key: value for key, value in record.spec.items() if key not in record.objects}
    return _with_past_defaults(record, registries, replaced, settings)


def _check_origins(record: RunRecord, registries: Registries, replaced: Collection[str], undone: str) -> None:
    """Checks that what a past run was made of is installed, with a warning if it has changed.

    Args:
        record: Of the run.
        registries: Where it is looked for.
        replaced: Settings that options replace.
        undone: What cannot be done without it.
    """

    def find(origin: Mapping[str, Any], kind: str) -> RegistryEntry[Any]:
        return find_origin(origin, kind, record.file, registries, undone)

    deciding = [
        (record.components[field], kind)
        for field, kind in COMPONENT_FIELDS.items()
        if record.components.get(field)
        and record.spec.get(field)
        and field not in record.objects
        and field not in replaced
    ]
    if not {"optimizer", "param_groups"} & set(replaced):  # of several that stepped together
        named = [(name.partition("."), origin) for name, origin in record.components.items()]
        deciding += [(origin, kind) for (kind, dot, _), origin in named if dot and kind in ("optimizer", "scheduler")]
    for origin, kind in deciding:
        warn_of_change(origin, find(origin, kind), kind, record.file, "the weights may differ")
    listed = {kind: field for field, kind in LISTED_FIELDS.items() if field not in replaced}
    for name, origin in record.components.items():
        kind = name.partition(".")[0]
        if kind in listed:
            entry = find(origin, kind)
            if listed[kind] == METRICS:
                warn_of_change(origin, entry, kind, record.file, "what is measured may differ")


def _compare_participants(record: RunRecord, here: Collection[Participant]) -> None:
    """Warns of a stop, and of run hooks that took part in a past run and are missing or changed here, or are new."""
    if record.ending.get("stopped_by") == MAX_TIME:
        logger.warning(
            "%s was ended by the clock (max_time): a repeat may end at another step; --max-steps %s --max-time none "
            "ends it at the same one",
            record.file, record.ending["steps_done"],
        )  # fmt: skip
    elif record.ending and record.ending["stopped_by"] not in ENDS_ITSELF:
        by = f" by {record.ending['stopped_by']}" if record.ending["stopped_by"] else ""
        done, epochs, reason = record.ending["epochs_done"], record.spec.get("epochs"), record.ending["reason"]
        logger.warning("%s was stopped after %s of %s epochs%s: %s", record.file, done, epochs, by, reason)
    for then in record.participants or ():
        now = next((one for one in here if one.is_that_of(then)), None)
        if now is None:
            _warn_of_missing(then, record.file)
        elif now.provenance.version != then.get("version") or now.provenance.sha256 != then.get("sha256"):
            logger.warning("%s, whose run hooks took part in %s, has changed since", now, record.file)
    for now in here if record.participants is not None else ():
        if not any(now.is_that_of(then) for then in record.participants or ()):
            logger.warning("the run hooks of %s take part here, and did not in %s", now, record.file)
    for observer in record.observers:
        logger.warning(
            "the observer %s took part in %s; it was a Python object, which has no text", observer, record.file
        )


def _warn_of_missing(origin: Mapping[str, Any], file: Path) -> None:
    source, advice = origin.get("file"), f"add -p {origin.get('file')}"
    if origin.get("distribution") is not None:
        source = f"plugin {origin.get('plugin')!r} ({origin['distribution']} {origin.get('version')})"
        advice = f"install {origin['distribution']} {origin.get('version')}, or let it load"
    logger.warning(
        "the run hooks of %s took part in %s and are missing here, so the run may go another way; %s",
        source, file, advice,
    )  # fmt: skip


def _compare_versions(record: RunRecord) -> None:
    here = {name: importlib.metadata.version(name) for name in ("torch", "numpy")}
    now = {"lossreg": __version__, **here, "python": platform.python_version()}
    for name, before, after in other_versions(record.versions, now):
        logger.warning(
            "%s was made with %s %s, here it is %s: the weights may differ", record.file, name, before, after
        )


def _with_past_defaults(
    record: RunRecord, registries: Registries, replaced: Collection[str], settings: dict[str, Any]
) -> dict[str, Any]:
    """The settings, with a parameter written out where it was a default then that is another one now."""
    pinned = dict(settings)
    for name, origin in record.components.items():
        field = name.partition(".")[0]
        kind, recorded = COMPONENT_FIELDS.get(field), origin.get("params")
        if kind is None or field in replaced or field in record.objects or not isinstance(recorded, dict):
            continue
        try:
            entry = registries.of(kind)[str(origin.get("id"))]
            changed = changed_defaults(entry, recorded, _written(settings.get(field) if name == field else None))
        except LossregError:
            continue  # what is wrong with it is said when it is built
        for parameter, (then, now) in changed.items():
            pins = name == field and isinstance(settings.get(field), str)
            if pins:
                pinned[field] = ComponentSpec.parse(pinned[field]).with_params({parameter: then}).text
            logger.warning(
                "%s: the default of %s of %s was %s and is %s now; %s",
                record.file, parameter, entry.name, shown(then), shown(now),
                "the repeat takes the old one" if pins else "the weights may differ",
            )  # fmt: skip
    return pinned


def _written(text: Any) -> Collection[str]:
    return dict(ComponentSpec.parse(text).params) if isinstance(text, str) else ()
