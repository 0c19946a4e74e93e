"""What a comparison asks, from Python's and TOML's values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from lossreg.comparison.cells import Choice, Question, seeds_from
from lossreg.errors import ConfigError
from lossreg.run_spec import COMPONENT_FIELDS, LISTED_FIELDS, RUN_KEYS, RunSpec, key_hint
from lossreg.spec import ComponentSpec, value_text
from lossreg.synonyms import meant_setting
from lossreg.validation import TargetText, read_target
from lossreg.values import plain, shown

MAX_RATES = 100  # tried for a cell

_GOES_ON = " A comparison that was broken off goes on if it is called again with the same out."


@attrs.frozen
class Options:
    """How a comparison is done, and what is asked of it.

    Attributes:
        jobs: Runs at once; None is what suits the machine.
        devices: CUDA devices over which runs are spread; empty is all.
        target: What runs are timed to: `test_accuracy>=0.97`.
        baseline: The cell that the others are compared with, by its label or a part of it; None is the best.
        fair: How many rates are tried for each cell; None keeps the cells' own.
        ray: The address of a Ray cluster that does the runs; empty starts one here, None does without.
        plots: Whether `curves.png` is drawn in each run directory.
    """

    jobs: int | None = None
    devices: tuple[str, ...] = ()
    target: str | None = None
    baseline: str | None = None
    fair: int | None = None
    ray: str | None = None
    plots: bool = False


def question_of(choices: Mapping[str, Any], seeds: int | None, *, pairs: bool) -> Question:
    """What keyword arguments ask.

    Raises:
        ConfigError: If one is not a setting, or is an object.
    """
    found, first = choices_of(choices)
    return Question(tuple(found), seeds_from(first, seeds), pairs)


def choices_of(table: Mapping[str, Any]) -> tuple[list[Choice], tuple[int, ...]]:
    """Settings and parameters with a value or a list of values, as Python and TOML have them; the seeds apart.

    Raises:
        ConfigError: If a key is not a setting, or a value is an object.
    """
    found = []
    seeds: tuple[int, ...] = ()
    for name, value in table.items():
        key = _key(name)
        is_list = isinstance(value, list | tuple) and key not in LISTED_FIELDS  # of which a run itself takes several
        values = tuple(value) if is_list else (value,)
        for one in values:
            if not isinstance(plain(one), str | ComponentSpec | int | float | Mapping | list | tuple | None):
                raise ConfigError(
                    f"{name}={shown(one)} is a Python object, which cannot be handed to other processes: register it "
                    "in a file, and name it"
                )
        if key == "seed":
            seeds = tuple(RunSpec(seed=one).seed for one in values)
        else:
            found.append(Choice(key, name, tuple(map(_as_text, values)) if "." in key else values))
    return found, seeds


def _key(name: str) -> str:
    """The setting, or field and parameter, that a key means.

    Raises:
        ConfigError: If it is neither.
    """
    field, dot, parameter = str(name).partition(".")
    if dot:
        meant = meant_setting(field) or field
        if meant in COMPONENT_FIELDS and parameter:
            return f"{meant}.{parameter.replace('-', '_')}"
    elif name in RUN_KEYS and name != "target":
        return name
    keys = ", ".join(key for key in RUN_KEYS if key != "target")
    hint = key_hint(str(name), lambda key: _GOES_ON if key in ("resume", "override") else "")
    raise ConfigError(f"compare has no key {shown(name)}.{hint} Keys: {keys}; a parameter is 'optimizer.lr'")


def _as_text(value: Any) -> str:
    """A Python value for a parameter, as it is written on a command line."""
    return value if isinstance(value, str) else value_text(dict(ComponentSpec("x", {"v": value}).params)["v"])


def check_options(options: Options) -> None:
    """Checks what no cell is needed for.

    Raises:
        ConfigError: That names the option.
    """
    jobs = options.jobs
    if jobs is not None and (isinstance(jobs, bool) or not isinstance(jobs, int) or not 1 <= jobs <= 1024):
        raise ConfigError(f"jobs (--jobs) is a whole number from 1 to 1024, not {shown(jobs)}")
    fair = options.fair
    if fair is not None and (isinstance(fair, bool) or not isinstance(fair, int) or not 2 <= fair <= MAX_RATES):
        raise ConfigError(f"fair (--fair) is a number of rates, from 2 to {MAX_RATES}, not {shown(fair)}")
    TargetText().check("target (--target)", read_target(options.target))
    if options.baseline is not None and not isinstance(options.baseline, str):
        raise ConfigError(f"baseline (--baseline) is the label of a cell, not {shown(options.baseline)}")
    if options.ray is not None:
        if not isinstance(options.ray, str):
            raise ConfigError(f"ray (--ray) is the address of a cluster, or empty, not {shown(options.ray)}")
        if options.jobs is not None or options.devices:
            raise ConfigError("--jobs and --devices are not for --ray, which goes by the resources of its cluster")
    for device in options.devices:
        if not isinstance(device, str) or not device.removeprefix("cuda:").isdecimal():
            raise ConfigError(f"devices (--devices) are CUDA devices, such as cuda:0, not {shown(device)}")
