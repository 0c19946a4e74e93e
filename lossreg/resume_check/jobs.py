"""What the processes of a check do: train in one piece, train until a step, go on from there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from lossreg.run_spec import RunSpec

if TYPE_CHECKING:
    from lossreg.comparison.worker import Say
    from lossreg.training.results import RunResult
    from lossreg.training.state import Run

TIMES = ("seconds", "samples_per_second")


@attrs.frozen
class Asked:
    """A run, so that it can be handed to another process.

    Attributes:
        spec: Its settings.
        objects: Field -> the Python object to use instead of a name.
        observers: Python objects that observe it.
        metrics: Python objects that measure the model.
    """

    spec: RunSpec
    objects: Mapping[str, Any]
    observers: tuple[object, ...] = ()
    metrics: tuple[object, ...] = ()

    def request(self, **changes: Any) -> Any:
        """As the runner takes it."""
        from lossreg.registry.registries import default
        from lossreg.training.selection import Request

        return Request(attrs.evolve(self.spec, **changes), self.objects, default, self.observers, self.metrics)


@attrs.frozen
class Seen:
    """What was seen of a run, as digests.

    Attributes:
        began: What its parts kept outside of their states before its first step.
        restored: The states before its first step: of a run that goes on, as they came back.
        stopped: What the parts kept after the last step, and
        state: the states then.
        weights: Step -> the weights after it.
        final: The states when the run was over.
        rows: metrics.jsonl, without what the clock says.
        foreign: The parts that are of neither torch nor lossreg.
        reason: Why it ended before its last epoch, or None.
        steps: How many steps were done in the end.
    """

    began: dict[tuple[str, str], str]
    restored: dict[str, dict[str, str]]
    stopped: dict[tuple[str, str], str]
    state: dict[str, dict[str, str]]
    weights: dict[int, str]
    final: dict[str, dict[str, str]]
    rows: list[dict[str, Any]]
    foreign: list[str]
    reason: str | None
    steps: int


class _Watch:
    """An observer that takes the digests."""

    def __init__(self, at: int | None) -> None:
        self._at = at
        self.began: dict[tuple[str, str], str] = {}
        self.stopped: dict[tuple[str, str], str] = {}
        self.restored: dict[str, dict[str, str]] = {}
        self.state: dict[str, dict[str, str]] = {}
        self.final: dict[str, dict[str, str]] = {}
        self.weights: dict[int, str] = {}
        self.foreign: list[str] = []
        self.steps = 0

    def lossreg_run_started(self, run: Run) -> None:
        """Before the first step, or the first one after the run went on."""
        from lossreg.resume_check.attributes import attributes, foreign, name_of, parts_of

        self.began, self.restored = attributes(run.parts), _states(run)
        listed = [f"the {field} {name_of(part)}" for field, part in parts_of(run.parts) if foreign(part)]
        self.foreign = list(dict.fromkeys(listed))

    def lossreg_logged(self, run: Run, record: Mapping[str, Any]) -> None:
        """After each step."""
        from lossreg.resume_check.attributes import attributes
        from lossreg.resume_check.digests import digest

        self.weights[record["step"]] = digest(dict(run.model.state_dict()))
        if record["step"] == self._at:
            self.stopped, self.state = attributes(run.parts), _states(run)

    def lossreg_run_finished(self, run: Run, result: RunResult) -> None:
        """When all is done."""
        del result
        self.final, self.steps = _states(run), run.step


def _states(run: Run) -> dict[str, dict[str, str]]:
    """All that goes on, in words -> where in it -> digest."""
    from lossreg.resume_check.digests import leaves
    from lossreg.training.resume.optimizer_state import named_state
    from lossreg.training.resume.schedule_state import schedule_state
    from lossreg.training.seeds import generator_states

    objective, optimization = run.parts.objective, run.parts.optimization
    scaler = optimization.scaler
    states: dict[str, Any] = {
        "weights of the model": dict(objective.model.state_dict()),
        "weights of the loss": objective.loss_state(),
        "state of the optimizer": named_state(optimization.optimizer, objective.named())["state"],
        "state of the scheduler": [state and state["state"] for state in schedule_state(optimization.schedule)],
        "state of the scaler": None if scaler is None else scaler.state_dict(),
        "state of the averages": run.parts.weights.state_dict(),
        "state of the random generators": generator_states(run.device),
    }
    return {what: leaves(state) for what, state in states.items()}


def plan(asked: Asked, say: Say) -> dict[str, Any]:
    """A job: checks the run without training.

    Returns:
        `spec`, with full ids; `steps_per_epoch`; `unwritable`, a sentence, or None.
    """
    del say
    from lossreg.training.planning import plan_request

    planned = plan_request(asked.request())
    return {
        "spec": planned.spec,
        "steps_per_epoch": planned.facts["steps_per_epoch"],
        "unwritable": planned.facts["optimizer_needs"]["unreadable"],
    }


def train(asked: Asked, out: Path, steps: int, at: int | None, resume: Path | None, say: Say) -> Seen:
    """A job: trains a run until so many steps are done.

    Args:
        asked: The run.
        out: Its directory.
        steps: How many.
        at: The step after which it is looked at, if it is.
        resume: The directory in which it goes on, instead.
        say: For warnings.
    """
    del say
    import random

    import numpy as np

    from lossreg.training.execution import run_request

    # A run leaves these two as it finds them: equal ones tell a part that draws from them, and others, for the process
    # that goes on, whether their states come back.
    drawn = asked.spec.seed % 2**31 + (resume is not None)
    random.seed(drawn)
    np.random.seed(drawn)  # the generator of the module is what other code draws from
    watch = _Watch(at)
    request = asked.request(max_steps=steps)
    where: dict[str, Any] = {"out": out} if resume is None else {"resume": resume}
    result = run_request(request, **where, quiet=True, observers=[watch])
    lines = (result.directory / "metrics.jsonl").read_text().splitlines()
    rows = [{key: value for key, value in json.loads(line).items() if key not in TIMES} for line in lines]
    taken = {field.name: getattr(watch, field.name) for field in attrs.fields(Seen) if hasattr(watch, field.name)}
    return Seen(**taken, rows=rows, reason=result.reason)
