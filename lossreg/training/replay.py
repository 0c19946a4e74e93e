"""A batch once more, to find where it stops being finite: in the samples, in a module, or in the loss."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor
from torch.utils import _pytree

from lossreg.errors import describe_error

if TYPE_CHECKING:
    from torch import nn

    from lossreg.training.data.reader import Batch
    from lossreg.training.loss.objective import Objective

MAX_NAMED = 8  # samples that a message names


@attrs.frozen
class Cause:
    """What a batch shows.

    Attributes:
        text: What is not finite first, or why that is not known, as a part of a sentence.
        is_known: Whether something was found.
    """

    text: str
    is_known: bool = True


def find_cause(objective: Objective, batches: Iterable[tuple[Sequence[int], Batch]]) -> Cause:
    """Computes batches once more, with the weights and in the mode that are there, and finds what is not finite first.

    Nothing is changed: buffers, such as the statistics of batch normalisation, are put back. All batches are computed
    to the end, so that processes whose modules wait for each other do the same.

    Args:
        objective: Model and loss.
        batches: The indices of the samples of each batch, and the batch.
    """
    found: list[str] = []
    with torch.no_grad(), kept_buffers(objective):
        try:
            for indices, batch in batches:
                found.extend(_causes(objective, indices, batch))
        except Exception as error:  # of a model's code, of a data set, or of a device that failed
            if not found:
                return Cause(f"its batch could not be computed again: {describe_error(error)}", is_known=False)
    if found:
        return Cause(found[0])
    return Cause(
        "computed again, its batch is finite: one before it, or what is drawn at random (dropout), may be the cause",
        is_known=False,
    )


@contextlib.contextmanager
def kept_buffers(objective: nn.Module) -> Iterator[None]:
    """Gives all buffers back the values that they had before the block."""
    kept = [(buffer, buffer.clone()) for buffer in objective.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in kept:
                buffer.copy_(value)


def _causes(objective: Objective, indices: Sequence[int], batch: Batch) -> Iterator[str]:
    """What is not finite in one batch: the first thing first."""
    for what, values in zip(("input", "target"), batch, strict=True):
        broken = _broken_rows(values, indices)
        if broken:
            yield f"the {what} of {name_samples(broken)} is not finite"
    with _watched(objective) as outputs:
        value = objective(*batch)
    criterion = objective.adapter.criterion
    if outputs and not outputs[0][0].startswith("the loss "):
        name, output = outputs[0]
        broken = _broken_rows(output, indices)
        alone = f", for {name_samples(broken)} alone" if 0 < len(broken) < len(indices) else ""
        yield f"the first output that is not finite is that of {name}, which holds {_held(output)}{alone}"
    elif not torch.isfinite(value).all():
        name = getattr(criterion, "__name__", type(criterion).__name__)
        yield f"the model's output is finite, but the loss ({name}) of it is {value.item()}"


@contextlib.contextmanager
def _watched(objective: nn.Module) -> Iterator[list[tuple[str, Tensor]]]:
    """Collects the outputs of modules that are not finite, in the order in which they are made."""
    found: list[tuple[str, Tensor]] = []

    def look_at(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def look(module: nn.Module, inputs: Any, output: Any) -> None:
            del inputs
            for one in _pytree.tree_leaves(output):
                if isinstance(one, Tensor) and one.is_floating_point() and not torch.isfinite(one).all():
                    found.append((f"{name} ({type(module).__name__})", one.detach().clone()))  # it may be changed
                    return

        return look

    handles = [
        module.register_forward_hook(look_at(_shown(name))) for name, module in objective.named_modules() if name
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _shown(name: str) -> str:
    """A module of the objective as a person knows it: those of the model by the model's own names."""
    if name == "model":
        return "the model"
    return "the loss" if name in ("loss", "_total") else name.removeprefix("model.")


def _broken_rows(values: Tensor, indices: Sequence[int]) -> list[int]:
    """The samples whose rows are not finite; none where a tensor does not have a row for each sample."""
    if not values.is_floating_point() or not values.ndim or len(values) != len(indices):
        return []
    broken = ~torch.isfinite(values.reshape(len(values), -1)).all(dim=1)
    return [index for index, is_broken in zip(indices, broken.tolist(), strict=True) if is_broken]


def _held(values: Tensor) -> str:
    """What a tensor holds that is not finite."""
    kinds = (("NaN", torch.isnan(values)), ("inf", torch.isposinf(values)), ("-inf", torch.isneginf(values)))
    return " and ".join(name for name, there in kinds if there.any())


def name_samples(indices: Sequence[int]) -> str:
    """The first indices of some samples, and how many there are.

    Example:
        >>> name_samples([3]), name_samples([3, 1]), name_samples(range(20))
        ('sample 3', 'samples 3, 1', 'samples 0, 1, 2, 3, 4, 5, 6, 7, ... (20)')
    """
    more = f", ... ({len(indices)})" if len(indices) > MAX_NAMED else ""
    return f"sample{'' if len(indices) == 1 else 's'} {', '.join(map(str, indices[:MAX_NAMED]))}{more}"
