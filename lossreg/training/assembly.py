"""The parts of a run together, and the facts that follow from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import torch

from lossreg.data import Data
from lossreg.spec import RunSpec
from lossreg.training.batches import Samples
from lossreg.training.contract import AdaptedLoss
from lossreg.training.schedule import EpochRates

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


@attrs.frozen(eq=False)
class Assembly:
    """All that a loop needs.

    Attributes:
        spec: What decides the run, with full ids and with nothing left to default.
        labels: Field -> the component as a person would name it.
        components: Field -> all parameters and provenance of what was built by name, for reading.
        objects: Field -> the class of what was given as a Python object.
        device: Where it all is.
        data: The facts of the data set.
        splits: `train` and `test`.
        model: The model.
        memory_format: The layout of images and of convolutions' weights.
        loss: The loss, with what is done before it.
        optimizer: The optimizer.
        closure: Whether its step takes a closure.
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
    data: Data
    splits: dict[str, Samples]
    model: torch.nn.Module
    memory_format: torch.memory_format
    loss: AdaptedLoss
    optimizer: Optimizer
    closure: bool
    scheduler: LRScheduler | None
    interval: str
    monitor: str | None
    output_shape: tuple[int, ...]
    rates: list[EpochRates] | None
    warnings: list[str]

    @property
    def steps_per_epoch(self) -> int:
        """Steps of the optimizer in an epoch; the last batch may be smaller."""
        return steps_in(len(self.splits["train"]), self.spec.batch_size)

    @property
    def repeatable(self) -> bool:
        """Whether the spec says all: nothing was an object, or registered by something that leaves no file."""
        return not self.objects and all(part["distribution"] or part.get("file") for part in self.components.values())


def steps_in(samples: int, batch_size: int) -> int:
    """How many batches so many samples make."""
    return -(-samples // batch_size)


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
