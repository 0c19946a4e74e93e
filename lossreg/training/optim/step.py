"""One step of the optimizer: gradients of a global batch, however it is cut, clipped and scaled."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from lossreg.training.data.batch_plan import StepPlan
from lossreg.training.data.reader import Batch
from lossreg.training.hardware.distributed import Processes
from lossreg.training.loss.reduction import Reduction
from lossreg.training.optim.needs import set_gradients

if TYPE_CHECKING:
    from torch.optim import Optimizer

logger = logging.getLogger("lossreg")


class Guard(Protocol):
    """Checks what a step is made of."""

    def begin(self, *, keeps_weights: bool) -> None:
        """Before a step."""

    def check(self, loss: Tensor) -> None:
        """Between the gradients and the update."""

    def check_update(self) -> None:
        """After the step of an optimizer with a closure."""


@attrs.frozen(eq=False)
class Closure:
    """What a step is given that computes loss and gradients itself.

    Attributes:
        compute: Clears the gradients, computes loss and gradients, and returns the loss.
        batch_norms: The layers of batch normalisation.
    """

    compute: Callable[[], Tensor]
    batch_norms: Sequence[_BatchNorm]

    def __call__(self) -> Tensor:
        """Computes loss and gradients."""
        return self.compute()

    def again(self) -> Tensor:
        """The same elsewhere than at the weights of the step, as in SAM: running statistics stay as they are."""
        tracking = [layer for layer in self.batch_norms if layer.training and layer.track_running_stats]
        try:
            for layer in tracking:
                layer.track_running_stats = False  # in training mode it goes by the batch all the same
            return self.compute()
        finally:
            for layer in tracking:
                layer.track_running_stats = True


@attrs.define(eq=False)
class TrainingStep:
    """Makes one step from the micro-batches of one `StepPlan`.

    The gradient is that of the loss of all its samples together, over accumulated batches and over processes, for
    every loss whose reduction is known. Nothing here waits for the device.

    Attributes:
        objective: From a batch to its loss; in several processes, a DistributedDataParallel.
        parameters: What is trained.
        optimizer: The optimizer.
        reduction: What the loss divides by.
        processes: Those that train together.
        is_whole: Whether each step is one batch of this process alone.
        closure: Whether the optimizer's step takes a closure.
        gradients_first: Whether there are gradients before a step with a closure.
        batch_norms: The model's layers of batch normalisation, for such steps.
        clip: The greatest norm of the gradients, or None.
        scaler: Scales float16 gradients, or None.
        guard: Checks loss and gradients before the update, or None.
        gradient_norm: Of the last step, before it was clipped, 0-d; None if nothing is clipped.
    """

    objective: Callable[[Tensor, Tensor], Tensor]
    parameters: list[torch.nn.Parameter]
    optimizer: Optimizer
    reduction: Reduction
    processes: Processes
    is_whole: bool
    closure: bool
    clip: float | None
    scaler: torch.amp.GradScaler | None
    gradients_first: bool = False
    batch_norms: Sequence[_BatchNorm] = ()
    guard: Guard | None = None
    gradient_norm: Tensor | None = None
    _fresh: bool = True
    _sums: bool = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._sums = self.reduction.rule == "sum"

    def __call__(self, batches: Iterator[Batch], step: StepPlan) -> tuple[Tensor, int | Tensor]:
        """Takes the step.

        Args:
            batches: Gives this process's batches.
            step: Says how many, and what they are of the whole.

        Returns:
            The loss of the step before the weights changed, 0-d: the sum of what the processes return; of a loss that
            is a sum, its share of one sample. And its weight in a mean over steps, the same in all processes.
        """
        loss, weight = self._step(batches, step)
        return (loss / step.samples if self._sums else loss), weight

    def _step(self, batches: Iterator[Batch], step: StepPlan) -> tuple[Tensor, int | Tensor]:
        if self.guard is not None:
            self.guard.begin(keeps_weights=self.closure)
        if self.closure:
            return self._with_closure([next(batches) for _ in step.micro_batches], step)
        result = self._gradients(batches, step)
        if self.guard is not None:
            self.guard.check(result[0])
        if self._fresh:
            self._first()
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        return result

    def _first(self) -> None:
        """Before the first step: torch's fused SGD takes neither sparse gradients nor one that comes later."""
        self._fresh = False
        gradients = [parameter.grad for parameter in self.parameters]
        fused = [group for group in self.optimizer.param_groups if group.get("fused")]
        if fused and any(gradient is None or gradient.is_sparse for gradient in gradients):
            logger.warning("the optimizer is not fused: some parameters have no gradient yet, or a sparse one")
            for group in fused:
                group["fused"] = False

    def _with_closure(self, batches: list[Batch], step: StepPlan) -> tuple[Tensor, int | Tensor]:
        results: list[tuple[Tensor, int | Tensor]] = []

        def compute() -> Tensor:
            with torch.enable_grad():  # AliG calls it without
                share, weight = self._gradients(iter(batches), step)
            results.append((share, weight))
            if self.guard is not None and len(results) == 1:  # a loss elsewhere than at the weights may be infinite
                self.guard.check(share)
            # The optimizer decides by it, and must decide the same in every process.
            return self.processes.all_reduce(share.clone())

        closure = Closure(compute, self.batch_norms)
        if self.gradients_first:
            closure()
        # torch annotates closures to return a float; its own optimizers take the tensor.
        self.optimizer.step(closure.again if self.gradients_first else closure)  # type: ignore[arg-type]  # see above
        if self.guard is not None:
            self.guard.check_update()
        return results[0]

    def _gradients(self, batches: Iterator[Batch], step: StepPlan) -> tuple[Tensor, int | Tensor]:
        self.optimizer.zero_grad(set_to_none=True)
        result: tuple[Tensor, int | Tensor]
        if self.reduction.rule == "weights":
            result = (
                self._weighted_batch(*next(batches)) if self.is_whole else self._weighted_micro_batches(batches, step)
            )
        elif self.is_whole:
            loss = self.objective(*next(batches))
            self._backward(loss)
            result = loss.detach(), step.samples
        else:
            result = self._micro_batches(batches, step)
        if self.clip is not None:
            if self.scaler is not None:
                self.scaler.unscale_(self.optimizer)
            self.gradient_norm = self._clip(self.clip)
        return result

    def _scale_gradients(self, factor: Tensor) -> None:
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        torch._foreach_mul_(gradients, factor)

    def _clip(self, clip: float) -> Tensor:
        return torch.nn.utils.clip_grad_norm_(self.parameters, clip)

    def _micro_batches(self, batches: Iterator[Batch], step: StepPlan) -> tuple[Tensor, int]:
        """Gradients where it is known beforehand what share of the whole each micro-batch is."""
        total: Tensor | None = None
        for left, samples in _counted_down(step.micro_batches):
            inputs, targets = next(batches)
            share = float(samples > 0) if self.reduction.rule == "sum" else samples / step.samples
            with self._synchronised(left == 0):
                loss = self.objective(inputs, targets)
                # The processes' gradients are averaged, so each counts as often as there are processes.
                self._backward(loss * (share * self.processes.world_size))
            value = loss.detach() * share
            total = value if total is None else total + value
        assert total is not None  # noqa: S101  # a step has at least one micro-batch
        return total, step.samples

    def _weighted_batch(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        weight = self.reduction.weight(targets)
        # Times 1 is exact; a batch in which nothing counts has gradient 0.
        loss = self.objective(inputs, self.reduction.guarded(targets, weight)) * (weight > 0)
        self._backward(loss)
        return loss.detach(), weight

    def _weighted_micro_batches(self, batches: Iterator[Batch], step: StepPlan) -> tuple[Tensor, Tensor]:
        """Gradients where only the targets say what a micro-batch weighs: sums, divided by all weights at the end.

        The objective gives the sum itself where the loss has that form. A step in which nothing counts has gradient 0.
        """
        total: Any = 0
        weights: Any = 0
        for left, samples in _counted_down(step.micro_batches):
            inputs, targets = next(batches)
            weight = self.reduction.weight(targets) * (samples > 0)
            with self._synchronised(left == 0):
                if self.reduction.summed is not None:
                    loss = self.objective(inputs, targets) * (samples > 0)
                else:
                    loss = self.objective(inputs, self.reduction.guarded(targets, weight)) * weight
                self._backward(loss)
            total, weights = total + loss.detach(), weights + weight
        weights = self.processes.all_reduce(weights)
        share = (weights > 0) / torch.where(weights > 0, weights, 1)
        self._scale_gradients(share * self.processes.world_size)
        return total * share, weights

    def _synchronised(self, last: bool) -> contextlib.AbstractContextManager[Any]:
        """Processes exchange gradients once a step: with the last micro-batch."""
        if last or self.processes.world_size == 1:
            return contextlib.nullcontext()
        return self.objective.no_sync()  # type: ignore[attr-defined, no-any-return]  # a DistributedDataParallel

    def _backward(self, loss: Tensor) -> None:
        if self.scaler is not None:
            loss = self.scaler.scale(loss)
        loss.backward()


class SecondOrderStep(TrainingStep):
    """A step for an optimizer that differentiates gradients (AdaHessian).

    The gradients are part of a graph that refers to the weights, which refer to them: it ends with the step.
    """

    def _step(self, batches: Iterator[Batch], step: StepPlan) -> tuple[Tensor, int | Tensor]:
        try:
            return super()._step(batches, step)
        finally:
            for parameter in self.parameters:
                parameter.grad = None

    def _backward(self, loss: Tensor) -> None:
        set_gradients(loss, self.parameters, add=True)

    def _clip(self, clip: float) -> Tensor:
        """Scales the gradients as `clip_grad_norm_` does, and what is differentiated of them with it."""
        norm = torch.nn.utils.get_total_norm([one.grad for one in self.parameters if one.grad is not None]).detach()
        self._scale_gradients(torch.clamp(clip / (norm + 1e-6), max=1.0))
        return norm

    def _scale_gradients(self, factor: Tensor) -> None:
        """Not in place, where they are part of a graph."""
        for parameter in self.parameters:
            if parameter.grad is not None:
                parameter.grad = parameter.grad * factor


def _counted_down(micro_batches: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """The samples of each micro-batch, with the number of those after it."""
    return zip(range(len(micro_batches) - 1, -1, -1), micro_batches, strict=True)
