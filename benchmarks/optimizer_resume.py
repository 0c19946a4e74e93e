"""Whether a run that goes on from a saved state ends with the weights of one that was not interrupted."""

from __future__ import annotations

import collections
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import torch

from lossreg.checkpoints.folder import CheckpointFolder
from lossreg.registry.registries import Registries
from lossreg.training.api import run_request
from lossreg.training.arguments import split_arguments
from lossreg.training.optim.modes import has_modes
from lossreg.training.optim.trial_step import why_not_kept
from lossreg.training.record.directory import CHECKPOINTS
from lossreg.training.results import RunResult
from lossreg.training.selection import Request
from lossreg.training.state import Run

EXACT = "exact"
KEPT = 1000  # checkpoints: all
_TORCH = ("state", "param_groups", "defaults")  # what torch's own state_dict has, or nobody has to keep


@attrs.define(eq=False)
class Saved:
    """An observer that looks at a run at its start, and at the end of its first epoch.

    Attributes:
        trained: The names of the model's parameters that are trained.
        first: The first weights of the model.
        needs: What the optimizer needs.
        said: Why its state cannot be kept, as the trial before the run says, or None.
        why_not: Why it cannot, as it is after the first epoch, or None.
        values: What the optimizer holds then, by where it is.
        evaluated_in: What is wrong with the mode in which weights were evaluated, or None.
    """

    trained: list[str] = attrs.field(factory=list)
    first: dict[str, torch.Tensor] = attrs.field(factory=dict)
    needs: str = ""
    said: str | None = None
    why_not: str | None = None
    values: dict[str, Any] = attrs.field(factory=dict)
    evaluated_in: str | None = None

    def lossreg_run_started(self, run: Run) -> None:
        """Keeps the first weights, and what is known of the optimizer."""
        needs = run.parts.optimization.needs
        self.trained = [name for name, one in run.model.named_parameters() if one.requires_grad]
        self.first = _copied(run.model.state_dict())
        self.needs, self.said = str(needs), needs.unreadable

    def lossreg_epoch_finished(self, run: Run, record: Mapping[str, Any]) -> None:
        """Keeps what the optimizer holds."""
        if record["epoch"]:
            return
        optimizer = run.parts.optimization.optimizer
        self.why_not = why_not_kept(optimizer)
        self.values = _values(optimizer)
        if has_modes(run.optimizer) and run.parts.optimization.needs.modes:
            before = _copied(run.parts.objective.state_dict())
            run.optimizer.eval()  # again: it changes nothing
            if not _equal(before, run.parts.objective.state_dict()):
                self.evaluated_in = "evaluated in the mode of training"


class Loaded:
    """An observer that keeps what the optimizer of a run holds that goes on."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def lossreg_run_started(self, run: Run) -> None:
        """Keeps it."""
        self.values = _values(run.parts.optimization.optimizer)


@attrs.frozen(eq=False)
class Outcome:
    """A run, and what became of its state.

    Attributes:
        result: The run.
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
    """Trains, and goes on from the checkpoint after the first epoch, in parts that are built anew.

    Args:
        arguments: Those of `lossreg.run`.
        registries: Where names are looked up.
        folder: Where the run directory is made.

    Raises:
        LossregError: If the run is refused.
    """
    kept = {"checkpoint_every": 1, "keep": KEPT, **arguments}

    def request() -> Request:
        return Request(*split_arguments(kept, "run", registries), registries)

    saved = Saved()
    result = run_request(request(), out=folder / "run", quiet=True, observers=[saved])
    last = result.model.state_dict()
    unmoved = [name for name in saved.trained if torch.equal(last[name], saved.first[name])]
    if saved.why_not is None:
        resumed = _resume(request(), saved, folder / "run", _copied(last))
    else:
        resumed = f"not at all: {saved.why_not}"
    wrong = saved.evaluated_in
    if (saved.said is None) != (saved.why_not is None):
        wrong = f"the trial before the run says of the state: {saved.said or 'it can be kept'}"
    return Outcome(result, resumed, unmoved, wrong, saved.needs)


def _resume(request: Request, saved: Saved, directory: Path, expected: Mapping[str, torch.Tensor]) -> str:
    """`exact` or why not."""
    for checkpoint in CheckpointFolder(directory / CHECKPOINTS).list():
        if checkpoint.facts["epochs_done"] > 1:
            shutil.rmtree(checkpoint.path)
    loaded = Loaded()
    try:
        result = run_request(request, resume=directory, quiet=True, observers=[loaded])
    except Exception as error:  # of another library's code
        return f"does not load: {_line(error)}"
    found = result.model.state_dict()
    if _equal(found, expected):
        return EXACT
    gap = max((found[name].double() - one.double()).abs().max().item() for name, one in expected.items())
    lost = [*_lost(saved.values, loaded.values)]
    why = f"; not as saved: {', '.join(lost[:3])}" if lost else ""
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
