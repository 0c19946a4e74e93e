"""What is said of a step whose loss, gradients or weights are not finite: since when, which samples, what may help."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import torch
from torch import Tensor

from lossreg.training.data.order import sample_order
from lossreg.training.not_finite import not_finite_weights
from lossreg.training.optim.rates import learning_rate
from lossreg.training.replay import Cause, find_cause, name_samples

if TYPE_CHECKING:
    from lossreg.training.data.reader import Batch
    from lossreg.training.state import Run


@attrs.frozen
class Report:
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
