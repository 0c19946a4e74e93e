"""Checks all cells of a comparison before the first one trains, and decides where the runs go."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from lossreg.comparison.cells import Question, expand
from lossreg.comparison.jobs import Job, Slots, do, slots_for, warm_up
from lossreg.comparison.naming import Cell, find_cell, firsts_of, make_cells
from lossreg.comparison.question import Options, check_options
from lossreg.comparison.watching import CellRun
from lossreg.comparison.worker import devices, plan
from lossreg.errors import ConfigError, LossregError
from lossreg.registry.registries import default
from lossreg.run_spec import RunSpec
from lossreg.training.hardware.launcher import find_launch
from lossreg.validation import read_target

logger = logging.getLogger("lossreg")


@attrs.frozen
class Planned:
    """A comparison that was checked and not started.

    Attributes:
        cells: What will be run.
        seeds: With which each.
        notes: What is to be said aloud.
        validated: Whether all runs have a validation split.
        kinds: The types of device that the runs chose.
        baseline: The cell that the others are compared with, or None.
        params: Of each cell, field -> all parameters of its component.
    """

    cells: tuple[Cell, ...]
    seeds: tuple[int, ...]
    notes: tuple[str, ...]
    validated: bool
    kinds: frozenset[str]
    baseline: Cell | None
    params: tuple[Mapping[str, Mapping[str, Any]], ...]

    @property
    def runs(self) -> list[CellRun]:
        """All runs: each seed of all cells before the next seed, so that early numbers are of all."""
        return [CellRun(cell, seed) for seed in self.seeds for cell in self.cells]


def plan_comparison(question: Question, options: Options) -> Planned:
    """Makes the cells and checks each: names, parameters, contracts.

    Raises:
        LossregError: If a cell cannot be run; it names the cell.
    """
    _check_alone()
    check_options(options)
    if any(choice.is_dotted for choice in question.choices):
        warm_up()  # reading their values imports torch here, too
    specs, notes = expand(question, default)
    if any(spec.target is not None for spec in specs):
        raise ConfigError(
            "the setting target ends runs, which a comparison does not do: write it as --target (target = in "
            "[compare]), and the time until it is reached is measured"
        )
    labels = [cell.label for cell in make_cells(specs, [{}] * len(specs))]
    planned = _plan_all(specs, labels, options)
    tasks = sorted({one["task"] for one in planned})
    if len(tasks) > 1:
        raise ConfigError(f"cells of different tasks have no metric in common: {' and '.join(tasks)}")
    firsts = firsts_of([one["spec"] for one in planned], [one["params"] for one in planned])
    planned = [planned[place] for place in dict.fromkeys(firsts)]
    cells = make_cells([one["spec"] for one in planned], [one["params"] for one in planned])
    warnings = dict.fromkeys(warning for one in planned for warning in one["warnings"])
    return Planned(
        tuple(cells),
        question.seeds,
        (*notes, *warnings),
        all(one["validated"] for one in planned),
        frozenset(one["device"].partition(":")[0] for one in planned),
        None if options.baseline is None else find_cell(options.baseline, cells),
        tuple(one["params"] for one in planned),
    )


def _check_alone() -> None:
    if find_launch() is not None:
        raise ConfigError(
            "a comparison starts its runs itself, and this process is one of several that train together: start "
            "lossreg compare without torchrun"
        )


def _warn(job: Job, kind: str, value: Any) -> None:
    """Passes on what a worker logs."""
    del job
    if kind == "warning":
        logger.warning("%s", value)


def _plan_all(specs: Sequence[RunSpec], labels: Sequence[str], options: Options) -> list[dict[str, Any]]:
    """What the checks of all cells found, in worker processes."""
    slots = slots_for(len(specs), options.jobs)
    target = read_target(options.target)
    seen: set[Any] = set()
    tasks = []
    for number, spec in enumerate(specs):
        kind = (spec.data, spec.validate, spec.eval_train)
        tasks.append((number, spec, None if kind in seen else target))
        seen.add(kind)
    jobs = [Job(f"plan {slot}", functools.partial(plan, tasks[slot :: slots.count])) for slot in range(slots.count)]
    outcomes = do(jobs, slots, _warn)
    planned: dict[int, dict[str, Any]] = {}
    for outcome in outcomes.values():
        if outcome.error is not None:
            raise outcome.error
        planned |= {one["number"]: one for one in outcome.value}
    failed = next((planned[number] for number in sorted(planned) if "error" in planned[number]), None)
    if failed is not None:
        error: LossregError = failed["error"]
        if len(specs) > 1:
            error.message = f"cell {labels[failed['number']]}: {error.message}"
        raise error
    return [planned[number] for number in range(len(specs))]


def find_slots(runs: int, options: Options, planned: Planned) -> Slots:
    """Where the runs go."""
    if "cuda" not in planned.kinds:
        if options.devices:
            raise ConfigError(
                f"devices (--devices) are CUDA devices, and the runs are on {', '.join(sorted(planned.kinds))}"
            )
        return slots_for(runs, options.jobs)
    requests = {cell.spec.device for cell in planned.cells}
    if not requests <= {"auto", "cuda"}:
        return slots_for(runs, options.jobs or 1)
    found = do([Job("devices", devices)], Slots(1, 1), lambda *_: None)["devices"].value or []
    numbers = tuple(device.partition(":")[2] for device in found)
    wanted = tuple(device.removeprefix("cuda:") for device in options.devices)
    missing = [number for number in wanted if number not in numbers]
    if missing:
        raise ConfigError(f"devices (--devices): there is no cuda:{missing[0]}; this machine has {', '.join(found)}")
    return slots_for(runs, options.jobs, visible_devices(wanted or numbers))


def visible_devices(numbers: Sequence[str]) -> tuple[str, ...]:
    """CUDA devices as they are named in CUDA_VISIBLE_DEVICES, which may hide some of the machine's."""
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return tuple(named[int(number)] if int(number) < len(named) else number for number in numbers)


def described(slots: Slots) -> str:
    """How runs share the machine, for a person."""
    threads = f"{slots.threads} thread{'' if slots.threads == 1 else 's'} each"
    spread = f", on CUDA devices {', '.join(slots.devices)}" if slots.devices else ""
    return f"{slots.count} at once, {threads}{spread}"
