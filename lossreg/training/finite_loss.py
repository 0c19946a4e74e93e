"""That the training loss stays finite: looked at when it is logged, or strictly before every update."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import attrs
import torch
from torch import Tensor

from lossreg.errors import RunFailedError
from lossreg.training.data.order import sample_order
from lossreg.training.not_finite import are_finite, not_finite_weights
from lossreg.training.optim.scheduler import learning_rate
from lossreg.training.replay import Cause, find_cause, name_samples

if TYPE_CHECKING:
    from lossreg.training.data.reader import Batch
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
        report = _Report(run, step, self._seen, norm, self.checkpoint)
        head, further = f"{what}{report.facts()}", report.further()

        def end(causes: list[Cause | None]) -> NoReturn:
            first = next((one for one in causes if one is not None and one.is_known), causes[0])
            said = ";\n  ".join([*([] if first is None else [first.text]), *further])
            raise RunFailedError(f"{head}:\n  {said}", epoch=run.epoch, step=step)

        run.parts.processes.check_together(cause or report.cause(), end)
        raise AssertionError("what ends the run has raised")


@attrs.frozen
class _Report:
    """What can be said of a step whose loss, gradients or weights are not finite.

    Attributes:
        run: The run.
        step: The step, from 1.
        seen: The last step that was seen to be finite.
        norm: Of the gradients of the step, where they were clipped.
        checkpoint: The last checkpoint, or None.
    """

    run: Run
    step: int
    seen: int
    norm: Tensor | None
    checkpoint: Path | None

    @property
    def is_first(self) -> bool:
        """Whether no update came before the step."""
        return self.step == 1

    @property
    def is_updated(self) -> bool:
        """Whether the step has changed the weights."""
        return self.step <= self.run.step

    def facts(self) -> str:
        """Learning rate and norm of the gradients, where they are known and can have a part in it."""
        rate = None if self.is_first else learning_rate(self.run.optimizer)
        norm = None if self.step < self.run.step else self._gradient_norm()
        shown = [None if rate is None else f"lr {rate:g}", None if norm is None else f"gradient norm {norm:.4g}"]
        return f" ({', '.join(filter(None, shown))})" if any(shown) else ""

    def _gradient_norm(self) -> float | None:
        """Of the step's gradients, which are still there; scaled ones say nothing."""
        if self.norm is not None:
            return self.norm.item()
        parts = self.run.parts
        gradients = [one.grad for one in parts.objective.trainable().values() if one.grad is not None]
        if parts.optimization.scaler is not None or not gradients or any(one.is_sparse for one in gradients):
            return None
        return torch.nn.utils.get_total_norm(gradients).item()

    def cause(self) -> Cause:
        """What is not finite first, by this process's share of the batch."""
        name = not_finite_weights(self.run.parts.objective, self.run.exempt)
        if name is None:
            return find_cause(self.run.parts.objective, self._batches())
        held = f"the weights hold NaN or infinity in {name}"
        if self.is_updated:
            return Cause(f"{held} by now, so that no module can be named")
        return Cause(held if self.is_first else f"{held}: the update of step {self.step - 1} overflowed")

    def further(self) -> list[str]:
        """The lines after the cause: since when, which samples, what may help."""
        parts = self.run.parts
        ignored = parts.objective.adapter.ignore_index
        may_be_ignored = ignored is not None and parts.samples.splits["train"].may_hold(ignored)
        lines = [
            self._since(),
            f"batch of step {self.step}: {name_samples(parts.samples.named(self._samples()))} of the training split",
            f"a batch whose targets are all ignored (ignore_index={ignored} of the loss) has no finite loss: its mean "
            "is 0 / 0"
            if may_be_ignored
            else None,
            f"what may help: {', '.join(self._advice())}",
            None if self.checkpoint is None else f"the last checkpoint, whose weights are finite: {self.checkpoint}",
        ]
        return list(filter(None, lines))

    def _since(self) -> str | None:
        if not self.is_updated:
            return None
        if self.is_first or self.seen >= self.step - 1:
            return "nan='strict' (--nan strict) ends a run before such a step changes the weights, and names the module"
        after = f"after step {self.seen}, the last one seen to be finite" if self.seen else "at some step before"
        strict = "nan='strict' (--nan strict) ends a run at the step itself, and names the module"
        return f"it may have begun earlier, {after}: {strict}"

    def _advice(self) -> Iterator[str]:
        if not self.is_first:
            yield "a lower learning rate"
            if self.run.spec.clip_grad_norm is None:
                yield "clip_grad_norm=1 (--clip-grad-norm 1)"
        if self.run.parts.objective.precision.name != "32":
            yield "precision='32' (--precision 32)"
        yield "a look at these samples"

    def _begin(self) -> int:
        """Where the step begins in the order of its epoch."""
        plan = self.run.parts.samples.plan
        return (self.step - 1 - self.run.epoch * plan.steps) * plan.batch_size * plan.accumulate

    def _order(self) -> Tensor:
        return sample_order(self.run.spec.seed, self.run.epoch, self.run.parts.samples.plan.count)

    def _samples(self) -> list[int]:
        """The samples of the step, over all processes."""
        plan, begin = self.run.parts.samples.plan, self._begin()
        samples: list[int] = self._order()[begin : begin + plan.batch_size * plan.accumulate].tolist()
        return samples

    def _batches(self) -> Iterator[tuple[Sequence[int], Batch]]:
        """This process's micro-batches of the step, once more, but for those in which no target counts."""
        run, samples, reduction = self.run, self.run.parts.samples, self.run.parts.fit.reduction
        begin, order = self._begin(), self._order()
        end = begin + samples.plan.batch_size * samples.plan.accumulate
        for first, last in samples.plan.ranges():
            if begin <= first < end:
                batch = samples.splits["train"].batch(order[first:last], run.spec.seed, run.epoch)
                if reduction.rule != "weights" or reduction.weight(batch[1]) > 0:
                    yield samples.named(order[first:last].tolist()), batch


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
