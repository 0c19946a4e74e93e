"""All that a run goes on from, in one place: what a checkpoint holds, and giving it back to freshly built parts."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

import attrs
import torch
from torch import Tensor

from lossreg.errors import CheckpointError, ConfigError
from lossreg.training.record.files import to_count
from lossreg.training.resume.optimizer_state import load_named_state, named_state
from lossreg.training.resume.running_mean import RunningMean
from lossreg.training.resume.schedule_state import Position, ScheduleState, schedule_state
from lossreg.training.seeds import generator_states, set_generator_states

if TYPE_CHECKING:
    from lossreg.training.early_stopping import EarlyStopping
    from lossreg.training.finite_loss import FiniteLoss
    from lossreg.training.state import Run

logger = logging.getLogger("lossreg")

#: Where in an epoch: between two steps; after its steps, before they are evaluated; after its row was recorded.
Phase = Literal["training", "evaluating", "recorded"]


@attrs.define(eq=False)
class Session:
    """A run in the making: the parts are in `run`, and how far they are is here.

    Attributes:
        run: The run.
        stopping: Watches the best epoch.
        watch: Watches that losses and weights are finite.
        rows: The rows of past epochs.
        phase: Where in the epoch.
        done: Steps of the epoch that are done.
        mean: Their mean loss.
        seconds: What the steps of the epoch took before the run went on from a checkpoint.
        row: The row of the epoch, as far as there is one.
        evaluations: Split -> how often it was evaluated before the evaluation under way.
        generators: The states of the generators before the evaluation under way, or None between steps.
        best: The value of the best epoch by the setting `best`, or None.
        is_lengthened: Whether the run goes on with another number of epochs.
    """

    run: Run
    stopping: EarlyStopping
    watch: FiniteLoss
    rows: list[dict[str, Any]] = attrs.field(factory=list)
    phase: Phase = "training"
    done: int = 0
    mean: RunningMean = attrs.field(init=False)
    seconds: float = 0.0
    row: dict[str, Any] = attrs.field(factory=dict)
    evaluations: Counter[str] = attrs.field(factory=Counter)
    generators: dict[str, Any] | None = None
    best: float | None = None
    is_lengthened: bool = False

    def __attrs_post_init__(self) -> None:
        self.mean = RunningMean(self.run.device)

    def begin_epoch(self, epoch: int) -> None:
        """Before the first step of an epoch."""
        self.run.epoch = epoch
        self.phase, self.done, self.seconds, self.row, self.generators = "training", 0, 0.0, {}, None
        self.mean = RunningMean(self.run.device)

    def begin_evaluation(self) -> None:
        """After the steps of an epoch: an evaluation that is broken off begins again from here."""
        self.phase = "evaluating"
        self.evaluations = self.run.parts.samples.evaluations.copy()
        self.generators = generator_states(self.run.device)

    def break_off(self) -> None:
        """Undoes what an evaluation that was broken off has changed."""
        counted = self.run.parts.samples.evaluations
        counted.clear()
        counted.update(self.evaluations)
        if self.generators is not None:
            set_generator_states(self.generators, self.run.device)

    def end_epoch(self) -> None:
        """After the row of an epoch is known."""
        self.rows.append(self.row)
        self.phase, self.generators = "recorded", None

    @property
    def epochs_done(self) -> int:
        """Epochs whose row is recorded."""
        return self.run.epoch + (self.phase == "recorded")

    def weights(self) -> dict[str, Mapping[str, Any]]:
        """The states of model and loss, by the names of their files."""
        objective = self.run.parts.objective
        loss = objective.loss_state()
        return {"model": objective.model.state_dict(), **({"loss": loss} if loss else {})}

    def state(self) -> dict[str, Any]:
        """All else that the run goes on from; of this process alone is what is in `own_state`."""
        parts = self.run.parts
        optimization = parts.optimization
        scaler = optimization.scaler
        return {
            "epoch": self.run.epoch,
            "step": self.run.step,
            "phase": self.phase,
            "done": self.done,
            "spanned": self.run.spec.epochs,
            "row": self.row,
            "optimizer": named_state(optimization.optimizer, parts.objective.named()),
            "schedule": schedule_state(optimization.schedule),
            "scaler": None if scaler is None else scaler.state_dict(),
            "weights": parts.weights.state_dict(),
            "stopping": self.stopping.state_dict(),
            "evaluations": dict(parts.samples.evaluations),
            "seconds": self.run.seconds,
        }

    def own_state(self) -> dict[str, Any]:
        """What each process has of its own, in the middle of an epoch also the buffers, as of batch normalisation."""
        parts = self.run.parts
        is_shared = parts.processes.world_size > 1 and parts.processes.rank > 0
        buffers = {name: one.detach().cpu() for name, one in parts.objective.named_buffers()} if is_shared else {}
        return {
            "generators": self.generators or generator_states(self.run.device),
            "mean": _moved(self.mean.state_dict()),
            "epoch_seconds": self.seconds,
            "buffers": buffers,
        }

    def restore(
        self,
        weights: Mapping[str, Mapping[str, Any]],
        state: Mapping[str, Any],
        own: list[Mapping[str, Any]],
        *,
        partly: bool = False,
    ) -> list[str]:
        """Takes up where a checkpoint left off.

        Args:
            weights: What `weights` gave.
            state: What `state` gave.
            own: What `own_state` gave, of each process.
            partly: Whether what does not fit is left out.

        Returns:
            What was left out.

        Raises:
            LossregError: If something does not fit.
        """
        run, parts = self.run, self.run.parts
        optimization = parts.optimization
        position = Position(state["epoch"], state["done"], state["spanned"])
        schedule = ScheduleState(optimization, state["schedule"], position, run.spec.epochs)
        if schedule.others and not partly:
            raise ConfigError(
                f"the state of the scheduler does not fit: {'; '.join(schedule.others)}; give the one that the run "
                "began with; override=True (--override) begins the other one at this place"
            )
        schedule.step_anew()
        differences = schedule.others + self._load_weights(weights, partly=partly)
        differences += load_named_state(
            optimization.optimizer, state["optimizer"], parts.objective.named(), partly=partly
        )
        schedule.load()
        if optimization.scaler is not None and state["scaler"] is not None:
            optimization.scaler.load_state_dict(state["scaler"])
        parts.weights.load_state_dict(state["weights"])
        self.stopping.load_state_dict(state["stopping"])
        run.epoch, run.step, run.seconds_before = state["epoch"], state["step"], state["seconds"]
        self.phase, self.done, self.row = state["phase"], state["done"], dict(state["row"])
        self.is_lengthened = state["spanned"] != run.spec.epochs
        parts.samples.evaluations.update(state["evaluations"])
        self._restore_own(own)
        self.watch.go_on()
        if self.phase == "evaluating":
            self.begin_evaluation()
        return differences

    def state_like(self) -> dict[str, Any]:
        """A state of the same form, from which a file takes the classes of what it names."""
        return {"shared": self.state(), "own": [self.own_state()]}

    def _load_weights(self, weights: Mapping[str, Mapping[str, Any]], *, partly: bool) -> list[str]:
        objective = self.run.parts.objective
        differences = load_weights(objective.model, weights["model"], "model", partly=partly)
        if "loss" in weights:
            # What the loss shares with the model is not in it.
            missing = load_weights(objective.loss, weights["loss"], "loss", partly=partly, complete=False)
            differences += missing
        return differences

    def _restore_own(self, own: list[Mapping[str, Any]]) -> None:
        processes, device = self.run.parts.processes, self.run.device
        is_same = len(own) == processes.world_size
        mine = own[processes.rank] if is_same else own[0]
        self.seconds = mine["epoch_seconds"]
        if is_same:
            self.mean.load_state_dict(mine["mean"])
            buffers = dict(self.run.parts.objective.named_buffers())
            with torch.no_grad():
                for name, value in mine["buffers"].items():
                    buffers[name].copy_(value)
        elif processes.is_main:  # the sum of all shares, in one process
            totals = [one["mean"]["total"] for one in own]
            self.mean.load_state_dict({**own[0]["mean"], "total": torch.stack(totals).sum(0)})
        else:
            self.mean.load_state_dict({**own[0]["mean"], "total": torch.zeros(())})
        if is_same or processes.is_main:
            set_generator_states(mine["generators"], device)


def check_state(state: Any) -> None:
    """Checks that the numbers by which a run counts are such.

    Args:
        state: What `Session.state` gave, or anything.

    Raises:
        ValueError: If one is not.
    """
    counts = ("epoch", "step", "done", "spanned")
    wrong = [name for name in counts if to_count(state[name]) is None]
    wrong += [] if _is_number(state["seconds"]) else ["seconds"]
    wrong += ["phase"] * (state["phase"] not in get_args(Phase)) + ["row"] * (not isinstance(state["row"], dict))
    evaluations = state["evaluations"]
    if not isinstance(evaluations, dict) or any(to_count(count) is None for count in evaluations.values()):
        wrong.append("evaluations")
    if wrong:
        raise ValueError(f"{', '.join(wrong)} cannot be used")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def load_weights(
    module: torch.nn.Module, state: Mapping[str, Any], what: str, *, partly: bool = False, complete: bool = True
) -> list[str]:
    """Gives a module the weights of a file.

    Args:
        module: The module.
        state: Its `state_dict()`, as it was.
        what: The module in a message.
        partly: Whether only what fits is taken.
        complete: Whether all of the module's own names have to be there.

    Returns:
        The differences that were passed over.

    Raises:
        ConfigError: If names or shapes differ, with the first of them.
    """
    here = module.state_dict()
    differences = [f"{name} is not in the file" for name in here if name not in state] if complete else []
    differences += [f"{name} is not in the {what}" for name in state if name not in here]
    wrong = [
        name
        for name, value in state.items()
        if isinstance(value, Tensor) and isinstance(here.get(name), Tensor) and here[name].shape != value.shape
    ]
    differences += [
        f"{name} is {tuple(here[name].shape)} in the {what}, and {tuple(state[name].shape)} in the file"
        for name in wrong
    ]
    if differences and not partly:
        more = f" and {len(differences) - 5} more" if len(differences) > 5 else ""
        raise ConfigError(f"the weights do not fit the {what}: {'; '.join(differences[:5])}{more}")
    fitting = {name: value for name, value in state.items() if name in here and name not in wrong}
    try:
        module.load_state_dict(fitting, strict=False)
    except Exception as error:  # of a module with a state of its own (`set_extra_state`)
        raise CheckpointError(f"the weights cannot be loaded into the {what}: {error}") from error
    return differences


def _moved(state: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value.detach().cpu() if isinstance(value, Tensor) else value for key, value in state.items()}
