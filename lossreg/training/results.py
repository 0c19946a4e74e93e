"""What `run` and `plan` return."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import torch

from lossreg.run_spec import RunSpec


@attrs.frozen(eq=False)
class RunResult:
    """A run that is over.

    Attributes:
        metrics: One row for each epoch, as in `metrics.jsonl`: epoch, step, lr, train_loss, test_loss, test_accuracy
            or test_mean_absolute_error, samples_per_second, seconds; with `eval_train` also train_loss_after and
            train_accuracy or train_mean_absolute_error, of the weights at the epoch's end.
        directory: The run directory.
        model: The trained model, on the run's device.
        loss: The loss; its own weights, if it has any, were trained with the model's.
        spec: What decided the run, with full ids.
        repeatable: Whether the run directory is enough to repeat it.
        seconds: How long the run took, from the first step to the last evaluation.
        reason: Why it ended early, or None.
    """

    metrics: list[dict[str, Any]]
    directory: Path
    model: torch.nn.Module = attrs.field(repr=False)
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = attrs.field(repr=False)
    spec: RunSpec = attrs.field(repr=False)
    repeatable: bool
    seconds: float
    reason: str | None = None

    @property
    def final(self) -> dict[str, Any]:
        """The row of the last epoch."""
        return self.metrics[-1]

    def to_json(self) -> dict[str, Any]:
        """The result as plain values."""
        return {
            "directory": str(self.directory),
            "repeatable": self.repeatable,
            "seconds": self.seconds,
            "reason": self.reason,
            "spec": dict(self.spec.items()),
            "final": self.final,
            "metrics": self.metrics,
        }


@attrs.frozen(eq=False)
class Plan:
    """A run that was checked and not started.

    Attributes:
        spec: What would decide the run, with full ids.
        components: Each component with all its parameters and its provenance.
        facts: Device, sizes and shapes.
        contract: How output and target reach the loss.
        learning_rates: The rate at the first and the last step of each epoch; None if it cannot be known beforehand.
        warnings: What `run` would warn of.
    """

    spec: RunSpec
    components: dict[str, Any]
    facts: dict[str, Any]
    contract: dict[str, Any]
    learning_rates: list[tuple[float, float]] | None
    warnings: list[str]

    def to_json(self) -> dict[str, Any]:
        """The plan as plain values."""
        values = attrs.asdict(self, recurse=False)
        return {**values, "spec": dict(self.spec.items())}
