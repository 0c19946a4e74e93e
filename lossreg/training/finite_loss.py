"""That the training loss stays finite: looked at when it is logged, or strictly before every update."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import torch
from torch import Tensor

from lossreg.errors import RunFailedError
from lossreg.training.not_finite import are_finite, not_finite_weights
from lossreg.training.not_finite_report import Report
from lossreg.training.replay import Cause

if TYPE_CHECKING:
    from lossreg.training.optim.step import TrainingStep
    from lossreg.training.state import Run
    from lossreg.training.weights import AveragedStep


class FiniteLoss:
    """Ends a run whose training loss is not finite, with what can be said of the cause.

    Its methods are called by all processes at the same step, and all of them end with the same message.

    Args:
        run: The run, before its first step in this process.

    Attributes:
        step: What makes the steps, which knows the norm of gradients that are clipped.
        checkpoint: The last checkpoint of the run, whose weights are finite; None without one, or if this process does
            not write them.
    """

    step: TrainingStep | AveragedStep | None = None
    checkpoint: Path | None = None

    def __init__(self, run: Run) -> None:
        self._run = run
        self._seen = run.step  # the last step with a loss that was seen to be finite

    def go_on(self) -> None:
        """After the run has taken up from a checkpoint, whose weights are finite."""
        self._seen = self._run.step

    def guard(self) -> StrictGuard | None:
        """What checks before every update, where the run asks for it; else None."""
        return StrictGuard(self, self._run) if self._run.spec.nan == "strict" else None

    def checked(self, loss: float, began_well: Callable[[], bool]) -> float:
        """Checks the loss of the last step, or the mean of an epoch.

        Args:
            loss: The loss, of all processes together.
            began_well: Whether the first loss of the epoch was finite; it may wait for the device.

        Raises:
            RunFailedError: If it is not finite.
        """
        run = self._run
        if not math.isfinite(loss):
            if run.epoch == 0 and not began_well():
                self.fail(
                    f"the training loss is {loss} in the first step, before the weights were changed: model, loss or "
                    "samples of that batch are the cause",
                    step=1,
                )
            self.fail(f"the training loss is {loss} at epoch {run.epoch}, step {run.step}", step=run.step)
        self._seen = run.step
        return loss

    def check_weights(self) -> None:
        """Checks all weights, before a file keeps them.

        Raises:
            RunFailedError: If one is not finite.
        """
        run = self._run
        if not_finite_weights(run.parts.objective, run.exempt) is not None:
            self.fail(f"the weights are not finite after epoch {run.epoch}, step {run.step}", step=run.step)

    def fail(self, what: str, *, step: int, cause: Cause | None = None) -> NoReturn:
        """Ends the run, in all processes.

        Args:
            what: The beginning of the message.
            step: The step that is looked at, from 1; where it is not among those that are done, its update is not made.
            cause: What is known of the cause; None looks for it.

        Raises:
            RunFailedError: Always.
        """
        run = self._run
        norm = None if self.step is None else self.step.gradient_norm
        report = Report(run, step, self._seen, norm, self.checkpoint)
        head, further = f"{what}{report.facts()}", report.further()

        def end(causes: list[Cause | None]) -> NoReturn:
            first = next((one for one in causes if one is not None and one.is_known), causes[0])
            said = ";\n  ".join([*([] if first is None else [first.text]), *further])
            raise RunFailedError(f"{head}:\n  {said}", epoch=run.epoch, step=step)

        run.parts.processes.check_together(cause or report.cause(), end)
        raise AssertionError("what ends the run has raised")


class StrictGuard:
    """Checks loss and gradients before every update, for which it waits for the device in each step.

    When it ends the run, weights and buffers are those before the step.

    Args:
        watch: Ends the run.
        run: The run.
    """

    def __init__(self, watch: FiniteLoss, run: Run) -> None:
        self._watch = watch
        self._run = run
        self._kept: list[tuple[Tensor, Tensor]] = []

    def begin(self, *, keeps_weights: bool) -> None:
        """Before a step.

        Args:
            keeps_weights: Whether the weights may change before they can be checked: an optimizer with a closure.
        """
        objective = self._run.parts.objective
        changed = [*objective.buffers(), *(objective.trainable().values() if keeps_weights else ())]
        self._kept = [(tensor, tensor.detach().clone()) for tensor in changed]

    def check(self, loss: Tensor) -> None:
        """Before the update.

        Args:
            loss: This process's share of the loss, 0-d.

        Raises:
            RunFailedError: If loss or gradients are not finite; scaled gradients may be, for their step is left out.
        """
        parts = self._run.parts
        scaled = parts.optimization.scaler is not None
        gradients = {} if scaled else {n: p.grad for n, p in parts.objective.trainable().items() if p.grad is not None}
        loss_is_finite, *finite = are_finite([loss, *gradients.values()])
        if not self._any(not loss_is_finite or not all(finite)):
            return
        self._put_back()
        step = self._run.step + 1
        where = "in the first step" if step == 1 else f"at epoch {self._run.epoch}, step {step}"
        value = parts.processes.all_reduce(loss.detach().clone()).item()
        if not math.isfinite(value):
            self._watch.fail(f"the training loss is {value} {where}, before the weights were changed", step=step)
        broken = [name for name, is_finite in zip(gradients, finite, strict=True) if not is_finite]
        last = broken[-1] if broken else "a parameter"
        self._watch.fail(
            f"the gradient is not finite {where}, though the loss is {value:g}",
            step=step,
            cause=Cause(f"on the way back it is that of {last} first; what divides by 0 there, as a root does, is one"),
        )

    def check_update(self) -> None:
        """After the step of an optimizer with a closure, which computes gradients elsewhere, too.

        Raises:
            RunFailedError: If it made a weight that is not finite.
        """
        parts, step = self._run.parts, self._run.step + 1
        name = not_finite_weights(parts.objective, self._run.exempt)
        if not self._any(name is not None):
            return
        self._put_back()
        self._watch.fail(
            f"the update of epoch {self._run.epoch}, step {step} is not finite, though the loss was; it is undone",
            step=step,
            cause=Cause(f"it made NaN or infinity of {name}"),
        )

    def _any(self, here: bool) -> bool:
        """Whether it is so in any process."""
        processes = self._run.parts.processes
        if processes.world_size == 1:
            return here
        return bool(processes.all_reduce(torch.tensor(float(here), device=self._run.device)).item())

    @torch.no_grad()
    def _put_back(self) -> None:
        for tensor, value in self._kept:
            tensor.copy_(value)
