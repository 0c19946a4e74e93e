"""The parts of a run together, and the facts that follow from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import torch

from lossreg.data import Data
from lossreg.run_spec import RunSpec
from lossreg.training.averaging import Averaging
from lossreg.training.contract import AdaptedLoss
from lossreg.training.cuts import Cuts
from lossreg.training.objective import Objective
from lossreg.training.processes import Processes
from lossreg.training.schedule import EpochRates
from lossreg.training.splits import Loaded, Resident

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


@attrs.frozen
class Layout:
    """How images and the weights of convolutions lie in memory.

    Attributes:
        memory_format: `torch.channels_last` or `torch.contiguous_format`.
        reason: Why.
    """

    memory_format: torch.memory_format
    reason: str

    @property
    def name(self) -> str:
        """`channels_last` or `contiguous_format`."""
        return str(self.memory_format).removeprefix("torch.")


@attrs.frozen(eq=False)
class Assembly:
    """All that a loop needs.

    Attributes:
        spec: What decides the run, with full ids and with nothing left to default.
        labels: Field -> the component as a person would name it.
        components: Field -> all parameters and provenance of what was built by name, for reading.
        objects: Field -> the class of what was given as a Python object.
        device: Where it all is.
        processes: Those that train together.
        data: The facts of the data set.
        splits: `train` and `test`.
        cuts: How an epoch is cut into steps, and what this process takes of them.
        objective: Model and loss, with what is done before the loss, and the precision.
        unused: Whether the loss does not depend on some trainable parameter, which several processes must know.
        layout: Of images and of convolutions' weights.
        averaging: What the loss divides by.
        optimizer: The optimizer.
        closure: Whether its step takes a closure.
        scaler: Scales float16 gradients, or None.
        scheduler: The scheduler, or None.
        interval: What a step of the scheduler counts.
        monitor: The metric that its step takes, or None.
        output_shape: Of the model, for the first batch.
        rates: The learning rates to come, or None if they are not known.
        warnings: Sentences to show before the run starts.
    """

    spec: RunSpec
    labels: dict[str, str]
    components: dict[str, Any]
    objects: dict[str, str]
    device: torch.device
    processes: Processes
    data: Data
    splits: dict[str, Resident | Loaded]
    cuts: Cuts
    objective: Objective
    unused: bool
    layout: Layout
    averaging: Averaging
    optimizer: Optimizer
    closure: bool
    scaler: torch.amp.GradScaler | None
    scheduler: LRScheduler | None
    interval: str
    monitor: str | None
    output_shape: tuple[int, ...]
    rates: list[EpochRates] | None
    warnings: list[str]

    @property
    def model(self) -> torch.nn.Module:
        """The model."""
        return self.objective.model

    @property
    def loss(self) -> AdaptedLoss:
        """The loss, with what is done before it."""
        return self.objective.adapted

    @property
    def repeatable(self) -> bool:
        """Whether the spec says all: nothing was an object, or registered by something that leaves no file."""
        return not self.objects and all(part["distribution"] or part.get("file") for part in self.components.values())


def metric_names(data: Data, eval_train: bool) -> list[str]:
    """The metrics of an epoch's row."""
    quality = quality_name(data)
    both = ["train_loss", "test_loss", f"test_{quality}"]
    return [*both, f"train_{quality}"] if eval_train else both


def quality_name(data: Data) -> str:
    """The metric besides the loss."""
    return "mean_absolute_error" if data.task == "regression" else "accuracy"


def plain(value: Any) -> Any:
    """A parameter's value for JSON: itself where JSON has it, else its text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if abs(value) < float("inf") else str(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value)[:200]
