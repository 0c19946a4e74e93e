"""Ends a run that does not get better, or has reached its target, and keeps the weights of the best epoch."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import torch

from lossreg.training.choosing import Best, is_better, worst
from lossreg.training.record.run_json import PATIENCE, TARGET
from lossreg.training.state import Run


class EarlyStopping:
    """Watches the metric of a run's choices after each epoch.

    Args:
        run: The run; the best epoch is kept in its `best`.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._choices = run.parts.choices
        self._waited = 0  # epochs since the best

    def after_epoch(self, row: Mapping[str, Any]) -> None:
        """Keeps the weights that have just been evaluated, if they are the best, and requests a stop if it is time.

        Args:
            row: The metrics of the epoch.
        """
        monitor = self._choices.monitor
        if monitor is not None:
            self._compare(monitor, row)
        self._end_at_target(row)

    def go_on(self, row: Mapping[str, Any]) -> None:
        """Requests the stop that was due when the run was broken off.

        Args:
            row: The metrics of the last epoch, which it has seen.
        """
        if self._choices.monitor is not None:
            self._end_if_waited(self._choices.monitor)
        self._end_at_target(row)

    def _end_at_target(self, row: Mapping[str, Any]) -> None:
        target = self._choices.target
        if target is not None:
            value = self._run.parts.processes.broadcast_object(row[target.metric])
            if target.is_reached(value):
                self._request(f"{target.metric} is {value:.6g}: the target {target.text} is reached", TARGET)

    def _compare(self, monitor: str, row: Mapping[str, Any]) -> None:
        run = self._run
        value = run.parts.processes.broadcast_object(row[monitor])  # all processes keep the same epoch
        directions = self._choices.directions
        best = worst(monitor, run.best.value if run.best else None, directions)
        if is_better(monitor, value, best, directions):
            objective = run.parts.objective
            model, loss = objective.model.state_dict(), objective.loss_state()
            run.best = Best(row["epoch"], value, dict(row), _copied(model), _copied(loss))
            self._waited = 0
            return
        self._waited += 1
        self._end_if_waited(monitor)

    def _end_if_waited(self, monitor: str) -> None:
        run = self._run
        if self._waited >= (run.spec.patience or math.inf):
            best = worst(monitor, run.best.value if run.best else None)
            best_of = f"the best is {best:.6g}, of epoch {run.kept_epoch}"
            known = best_of if run.best else "it was never finite"
            self._request(f"no better {monitor} for {_epochs(self._waited)}; {known}", PATIENCE)

    def _request(self, reason: str, by: str) -> None:
        """Ends the run, unless something else does, or this was its last epoch."""
        run = self._run
        if run.stop_reason is None and run.epoch + 1 < run.spec.epochs:
            run.stop_reason, run.stopped_by = reason, by

    def restore(self, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Gives model and loss the weights of the best epoch, if one was kept.

        Args:
            rows: Of all epochs.

        Returns:
            The row of the epoch whose weights the model has now.
        """
        best, objective = self._run.best, self._run.parts.objective
        if best is None:
            return rows[-1]
        if best.epoch != rows[-1]["epoch"]:
            objective.model.load_state_dict(best.model)
            objective.loss.load_state_dict(best.loss, strict=False)  # what it shares with the model is not in it
        return best.row

    def state_dict(self) -> dict[str, Any]:
        """All that the next epoch needs to know of the past ones."""
        best = self._run.best
        return {"waited": self._waited, "best": None if best is None else attrs.asdict(best, recurse=False)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes up where another left off."""
        self._waited = state["waited"]
        self._run.best = None if state["best"] is None else Best(**state["best"])


def _copied(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state on the CPU that training does not change."""
    return {
        name: value.detach().to("cpu", copy=True) if isinstance(value, torch.Tensor) else copy.deepcopy(value)
        for name, value in state.items()
    }


def _epochs(count: int) -> str:
    return "1 epoch" if count == 1 else f"{count} epochs"
