"""The settings of a run from a command line: options before the file, and dotted options over both."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import click

from lossreg.cli.config_file import load_config, load_past_run
from lossreg.cli.run_command import EDITS
from lossreg.errors import ConfigError, LossregError
from lossreg.groups import preset_of
from lossreg.names import normalize
from lossreg.registry.edits import Edit, merged
from lossreg.run_spec import RUN_KEYS, RunSpec
from lossreg.training.record.run_json import NAME
from lossreg.values import shown as quoted


@attrs.frozen
class RunSettings:
    """The settings of a run, and which of them a file gave.

    Attributes:
        spec: The settings.
        file: The file, or None.
        from_file: The settings that the file gave and no option replaced.
        repeats: The run.json of the past run that is repeated, or None.
    """

    spec: RunSpec
    file: str | None
    from_file: frozenset[str]
    repeats: Path | None = None


@contextlib.contextmanager
def naming_file(file: str | None, from_file: frozenset[str]) -> Iterator[None]:
    """An error about a setting that a file gave names the file."""
    try:
        yield
    except LossregError as error:
        if error.setting in from_file:
            error.message = f"{file}: {error.message}"
        raise


def settings_of(ctx: click.Context, resume: Path | None = None) -> RunSettings:
    """The settings of a run: options before the file, and dotted options edit what the two say.

    Args:
        ctx: Of the command.
        resume: The directory of a run that goes on, whose record is the file.

    Raises:
        LossregError: If the file or a setting is wrong.
    """
    from lossreg.registry.registries import default

    check_working_directory()
    flags = {key: value for key, value in ctx.params.items() if key in RUN_KEYS and value not in (None, ())}
    if "param_groups" in flags:
        flags["param_groups"] = groups_of(flags["param_groups"])
    from_flags = RunSpec.from_mapping(flags, "")
    settings = {key: getattr(from_flags, key) for key in flags}
    file: str | None = None
    config: dict[str, Any] = {}
    if resume is not None and ctx.params["config"] is not None:
        raise ConfigError("--resume and --config are given: a run goes on with its own settings; leave out one of them")
    if resume is not None:
        file, config = load_past_run(resume, default)
    elif ctx.params["config"] is not None:
        file, config = load_config(ctx.params["config"], default, replaced=flags.keys())
    from_file = frozenset(config.keys() - flags.keys())
    edits: list[Edit] = ctx.meta[EDITS]
    with naming_file(file, from_file):
        settings = merged(settings, config, edits, default)
    repeats = Path(file) if file is not None and resume is None and Path(file).name == NAME else None
    return RunSettings(RunSpec(**settings), file, from_file, repeats)


def check_working_directory() -> None:
    """Checks that there is one: torch ends the process without it."""
    try:
        Path.cwd()
    except OSError as error:
        raise ConfigError(f"the working directory cannot be used: {error.strerror}; change to another one") from error


def groups_of(texts: tuple[str, ...]) -> dict[str, str] | str:
    """`PATTERN: KEY=VALUE, ...` as patterns and options; `none` as it is."""
    if len(texts) == 1 and normalize(texts[0]) == "none":
        return texts[0]
    groups: dict[str, str] = {}
    for text in texts:
        if normalize(text) == "none":
            raise ConfigError(f"--param-groups {quoted(text)} drops all groups, and stands alone; leave it out")
        preset = preset_of(text)
        if preset is not None:
            groups[preset.pattern] = ""
            continue
        pattern, colon, options = map(str.strip, text.partition(":"))
        if not colon or not pattern or not options:
            raise ConfigError(
                f"--param-groups {quoted(text)}: write 'PATTERN: KEY=VALUE, ...', such as '*.bias: weight_decay=0', "
                "or a preset, no_decay or layer_decay(0.75)"
            )
        if pattern in groups:
            raise ConfigError(f"--param-groups: the pattern {quoted(pattern)} is given twice")
        groups[pattern] = options
    return groups
