"""Whether a run that is stopped and goes on ends with the weights of one in one piece."""

from __future__ import annotations

import collections
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import torch

import lossreg
from lossreg import RunResult
from lossreg.registry.registries import Registries
from lossreg.training.optim.modes import has_modes
from lossreg.training.state import Run

EXACT = "exact"
_TORCH = ("state", "param_groups", "defaults")  # what torch's own state_dict has, or does not have to be kept


@attrs.define(eq=False)
class Watch:
    """An observer of one run.

    Attributes:
        at: The step after which the optimizer is looked at; None is before the first one of this process.
        first: The weights before the first step.
        values: What the optimizer holds then, by where it is.
        steps: Of an epoch.
        unreadable: Why the state of the optimizer is not plain data, as it was found before the run; or None.
        needs: What the optimizer needs.
        evaluated_in: What is wrong with the mode in which weights were evaluated, or None.
    """

    at: int | None = None
    first: dict[str, torch.Tensor] = attrs.field(factory=dict)
    values: dict[str, Any] = attrs.field(factory=dict)
    steps: int = 0
    unreadable: str | None = None
    needs: str = ""
    evaluated_in: str | None = None

    def lossreg_run_started(self, run: Run) -> None:
        """Looks at the parts."""
        optimization = run.parts.optimization
        self.first, self.steps = _copied(run.model.state_dict()), run.parts.samples.plan.steps
        self.unreadable, self.needs = optimization.needs.unreadable, str(optimization.needs)
        if self.at is None:
            self.values = _values(optimization.optimizer)

    def lossreg_logged(self, run: Run, record: Mapping[str, Any]) -> None:
        """Looks at the optimizer."""
        if record["step"] == self.at:
            self.values = _values(run.parts.optimization.optimizer)

    def lossreg_epoch_finished(self, run: Run, record: Mapping[str, Any]) -> None:
        """Looks whether the weights are those of evaluation."""
        if record["epoch"] == 0 and has_modes(run.optimizer) and run.parts.optimization.needs.modes:
            weights = _copied(run.parts.objective.state_dict())
            run.optimizer.eval()  # again: it changes nothing
            if not _equal(weights, run.parts.objective.state_dict()):
                self.evaluated_in = "evaluated in the mode of training"


@attrs.frozen(eq=False)
class Outcome:
    """A run, and what became of it when it was stopped and went on.

    Attributes:
        result: The run in one piece.
        resumed: `exact`, or why not.
        unmoved: The weights that are as they were at first.
        wrong: What contradicts what was said before the run, or None.
        needs: What the optimizer needs.
    """

    result: RunResult
    resumed: str
    unmoved: list[str]
    wrong: str | None
    needs: str

    @property
    def losses(self) -> tuple[float, float]:
        """Of training, in the first epoch and in the last."""
        return self.result.metrics[0]["train_loss"], self.result.metrics[-1]["train_loss"]


def run_and_resume(arguments: Mapping[str, Any], registries: Registries, folder: Path) -> Outcome:
    """Trains in one piece, and once more with a stop after the first step of the second epoch.

    Args:
        arguments: Those of `lossreg.run`.
        registries: Where names are looked up.
        folder: Where the run directories are made.

    Raises:
        LossregError: If the run is refused.
    """
    usual: dict[str, Any] = {"registries": registries, "quiet": True}
    watch = Watch()
    result = lossreg.run(
        **arguments, **usual, log_every=1, checkpoint_every=None, out=folder / "whole", observers=[watch]
    )
    last = result.model.state_dict()
    trained = [name for name, one in result.model.named_parameters() if one.requires_grad]
    unmoved = [name for name in trained if torch.equal(last[name], watch.first[name])]
    before, after = Watch(watch.steps + 1), Watch()
    lossreg.run(**arguments, **usual, log_every=1, max_steps=before.at, out=folder / "stopped", observers=[before])
    try:
        resumed = lossreg.run(resume=folder / "stopped", max_steps=None, **usual, observers=[after])
    except Exception as error:  # of another library's code, too
        said = f"is refused: {watch.unreadable}" if watch.unreadable else f"does not go on: {_line(error)}"
        wrong = None if watch.unreadable else "the trial before the run says that its state can be kept"
        return Outcome(result, said, unmoved, watch.evaluated_in or wrong, watch.needs)
    wrong = f"the trial before the run says of the state: {watch.unreadable}" if watch.unreadable else None
    found = resumed.model.state_dict()
    how = EXACT if _equal(found, last) else _difference(found, last, [*_lost(before.values, after.values)])
    return Outcome(result, how, unmoved, watch.evaluated_in or wrong, watch.needs)


def _difference(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor], lost: list[str]) -> str:
    gap = max((found[name].double() - one.double()).abs().max().item() for name, one in expected.items())
    why = f"; not as it was: {', '.join(lost[:3])}" if lost else ""
    return f"differs by {gap:.1g}{why}"


def _copied(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: one.detach().clone() for name, one in state.items()}


def _equal(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def _line(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0] if text else ''}"[:160]


def _values(optimizer: Any) -> dict[str, Any]:
    """What an optimizer holds, by where it is: plain values, copies of tensors, states of generators."""
    found: dict[str, Any] = {}
    numbers: dict[int, int] = {}
    for group in optimizer.param_groups:
        for one in group["params"]:
            numbers.setdefault(id(one), len(numbers))
    for index, group in enumerate(optimizer.param_groups):
        found.update(_flat({key: value for key, value in group.items() if key != "params"}, f"param_groups[{index}]"))
    for one, state in getattr(optimizer, "state", {}).items():
        found.update(_flat(state, f"state[{numbers.get(id(one), one if isinstance(one, str) else '?')}]"))
    own = {name: value for name, value in vars(optimizer).items() if name not in _TORCH and not name.startswith("_opt")}
    found.update(_flat(own, ""))
    return found


def _flat(value: Any, where: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, torch.nn.Parameter | torch.nn.Module | torch.optim.Optimizer):
        return
    if isinstance(value, torch.Generator):
        yield where, value.get_state()
    elif isinstance(value, torch.Tensor):
        yield where, value.detach().clone()
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list | tuple | collections.deque):
        for index, item in enumerate(value):
            yield from _flat(item, f"{where}[{index}]")
    elif isinstance(value, bool | int | float | str | type(None)):
        yield where, value


def _lost(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """The kinds of values that are not in the second as in the first."""
    told = set()
    for where, value in before.items():
        name = where.rpartition("]")[2].strip(".") or where.partition("[")[0]
        if name not in told and (where not in after or not _same(value, after[where])):
            told.add(name)
            yield f"`{name}`"


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    return type(one) is type(other) and (one == other or one != one)
