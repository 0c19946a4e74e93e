"""Whether a run that goes on from a saved state ends with the weights of one that was not interrupted."""

from __future__ import annotations

import collections
import io
import pkgutil
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch

from lossreg.registry.registries import Registries
from lossreg.training.api import run_request
from lossreg.training.arguments import split_arguments
from lossreg.training.hardware.distributed import Processes
from lossreg.training.hooks import RunHooks
from lossreg.training.loop import train_epoch, training_step
from lossreg.training.optim.modes import has_modes
from lossreg.training.parts import Parts
from lossreg.training.results import RunResult
from lossreg.training.seeds import seed_process
from lossreg.training.selection import Request
from lossreg.training.setup import set_up
from lossreg.training.state import Run

EXACT = "exact"
_TORCH = ("state", "param_groups", "defaults")  # what torch's own state_dict has, or nobody has to keep


@attrs.define(eq=False)
class Saved:
    """An observer that keeps the state at the end of the first epoch, as a checkpoint would.

    Attributes:
        weights: The model's.
        optimizer: What `torch.save` made of the optimizer's `state_dict()`.
        values: What the optimizer holds, by where it is.
        random: The states of the generators.
        unreadable: What the trial before the run says of the state.
        evaluated_in: What is wrong with the mode in which weights were evaluated, or None.
    """

    weights: dict[str, torch.Tensor] = attrs.field(factory=dict)
    optimizer: bytes = b""
    values: dict[str, Any] = attrs.field(factory=dict)
    random: tuple[Any, ...] = ()
    unreadable: str | None = None
    evaluated_in: str | None = None

    def lossreg_epoch_finished(self, run: Run, record: Mapping[str, Any]) -> None:
        """Keeps the state."""
        if record["epoch"]:
            return
        parts = run.parts
        self.weights = _copied(parts.objective.state_dict())
        file = io.BytesIO()
        torch.save(parts.optimization.optimizer.state_dict(), file)
        self.optimizer = file.getvalue()
        self.values = _values(parts.optimization.optimizer)
        self.random = _random_states()
        self.unreadable = parts.optimization.needs.unreadable
        if has_modes(run.optimizer) and parts.optimization.needs.modes:
            run.optimizer.eval()  # again: it changes nothing
            if not _equal(self.weights, parts.objective.state_dict()):
                self.evaluated_in = "evaluated in the mode of training"


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
    """Trains, and goes on from the state at the end of the first epoch in parts that are built anew.

    Args:
        arguments: Those of `lossreg.run`.
        registries: Where names are looked up.
        folder: Where the run directory is made.

    Raises:
        LossregError: If the run is refused.
    """
    spec, objects = split_arguments(arguments, "run", registries)
    saved = Saved()
    result = run_request(Request(spec, objects, registries), out=folder / "run", quiet=True, observers=[saved])
    spec, objects = split_arguments(arguments, "run", registries)
    parts = set_up(Request(spec, objects, registries), Processes(), quiet=True)
    first = _copied(parts.objective.state_dict())
    last = result.model.state_dict()
    trained = [name for name, one in parts.objective.model.named_parameters() if one.requires_grad]
    names = {name: next(key for key in first if key.endswith(name)) for name in trained}
    unmoved = [name for name in trained if torch.equal(last[name], first[names[name]])]
    try:
        resumed, readable = _resume(parts, saved, last)
    finally:
        parts.close()
    wrong = saved.evaluated_in
    if readable == (saved.unreadable is not None):
        wrong = f"the trial before the run says of the state: {saved.unreadable or 'it can be read'}"
    return Outcome(result, resumed, unmoved, wrong, str(parts.optimization.needs))


def _resume(parts: Parts, saved: Saved, expected: Mapping[str, torch.Tensor]) -> tuple[str, bool]:
    """`exact` or why not, and whether the state could be read safely."""
    optimizer = parts.optimization.optimizer
    state, way, readable = _read(saved.optimizer)
    try:
        parts.objective.load_state_dict(saved.weights)
        optimizer.load_state_dict(state)
        lost = [*_lost(saved.values, _values(optimizer))]
        _go_on(parts, saved)
    except Exception as error:  # of another library's code
        return f"does not load: {_line(error)}", readable
    found = parts.objective.model.state_dict()
    if _equal(found, expected):
        return way or EXACT, readable
    gap = max((found[name].double() - one.double()).abs().max().item() for name, one in expected.items())
    why = f"; not as saved: {', '.join(lost[:3])}" if lost else ""
    return f"differs by {gap:.1g}{why}{f' ({way})' if way else ''}", readable


def _read(saved: bytes) -> tuple[Any, str, bool]:
    """A state, what had to be said to read it, and whether nothing had to."""
    try:
        return torch.load(io.BytesIO(saved), weights_only=True), "", True
    except Exception:  # pickle's, and whatever its objects raise
        held = torch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(saved))
    try:
        with torch.serialization.safe_globals([pkgutil.resolve_name(name) for name in held]):
            state = torch.load(io.BytesIO(saved), weights_only=True)
        return state, f"{EXACT}, with `torch.serialization.safe_globals` of {', '.join(map(_short, held))}", False
    except Exception:  # it refuses more than names
        state = torch.load(io.BytesIO(saved), weights_only=False)
        return state, f"{EXACT}, with `weights_only=False`: it holds {', '.join(map(_short, held))}", False


def _short(name: str) -> str:
    return f"`{name.rpartition('.')[2]}`"


def _go_on(parts: Parts, saved: Saved) -> None:
    """The epochs after the first."""
    run, hooks = Run(parts.spec, Path(), parts), RunHooks.none()
    step = training_step(parts)
    seed_process(parts.spec.seed, 0)
    _set_random_states(saved.random)
    for epoch in range(1, parts.spec.epochs):
        run.epoch = epoch
        parts.weights.begin_epoch()
        train_epoch(run, step, hooks)
        parts.weights.end_epoch(epoch)


def _random_states() -> tuple[Any, ...]:
    return torch.get_rng_state(), random.getstate(), np.random.get_state()  # what optimizers draw from


def _set_random_states(states: tuple[Any, ...]) -> None:
    torch.set_rng_state(states[0])
    random.setstate(states[1])
    np.random.set_state(states[2])


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
