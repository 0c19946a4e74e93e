"""What is not finite: weights, which no file may keep."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from lossreg.training.loss.objective import Objective

_NORMED = (torch.float32, torch.float64, torch.float16, torch.bfloat16)  # what `_foreach_norm` takes


def not_finite_weights(objective: Objective, exempt: Collection[str] = ()) -> str | None:
    """The first tensor of model and loss, as they would be saved, that holds NaN or infinity.

    It waits for the device once. What only the process knows (buffers that are not saved) does not count.

    Args:
        objective: Model and loss.
        exempt: Names that do not count: `not_finite_at_start`.

    Returns:
        Its name, as in `Objective.named`: that of a tensor of the loss has `loss.` before it. None if all are finite.
    """
    tensors = {name: value for name, value in _saved(objective) if name not in exempt}
    finite = are_finite(list(tensors.values()))
    return next((name for name, is_finite in zip(tensors, finite, strict=True) if not is_finite), None)


def not_finite_at_start(objective: Objective) -> frozenset[str]:
    """The tensors that are not trained and hold NaN or infinity before the first step, such as a mask of -inf."""
    tensors = {name: value for name, value in _saved(objective) if not value.requires_grad}
    finite = are_finite(list(tensors.values()))
    return frozenset(name for name, is_finite in zip(tensors, finite, strict=True) if not is_finite)


def are_finite(tensors: Sequence[Tensor]) -> list[bool]:
    """Whether each tensor holds finite numbers alone; it waits once for each device that they are on."""
    finite = [True] * len(tensors)
    flags: dict[torch.device, list[tuple[list[int], Tensor]]] = defaultdict(list)
    for places, norms in _greatest(tensors):
        flags[norms.device].append((places, torch.isfinite(norms)))
    for of_device in flags.values():
        places = [place for group, _ in of_device for place in group]
        for place, is_finite in zip(places, torch.cat([flag for _, flag in of_device]).tolist(), strict=True):
            finite[place] = is_finite
    return finite


@torch.no_grad()
def _greatest(tensors: Sequence[Tensor]) -> Iterator[tuple[list[int], Tensor]]:
    """The greatest magnitude in each tensor, for tensors of one device and type at a time: NaN if there is one."""
    groups: dict[tuple[torch.device, torch.dtype], list[tuple[int, Tensor]]] = defaultdict(list)
    for place, tensor in enumerate(tensors):
        value = _values(tensor.detach())
        if value.numel():
            groups[value.device, value.dtype].append((place, value))
    for group in groups.values():
        # The maximum, not a sum: a sum of large finite numbers overflows.
        yield (
            [place for place, _ in group],
            torch.stack(torch._foreach_norm([value for _, value in group], ord=float("inf"))),
        )


def _values(tensor: Tensor) -> Tensor:
    """The numbers of a tensor in a type of which there is a norm: not of one that can hold no NaN."""
    if tensor.layout is not torch.strided:
        tensor = (tensor.coalesce() if tensor.is_sparse else tensor).values()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor)
    if not tensor.is_floating_point():
        return tensor.new_empty(0)
    return tensor if tensor.dtype in _NORMED else tensor.float()


def _saved(objective: Objective) -> Iterator[tuple[str, Tensor]]:
    """Each tensor that is saved, once, with whether it is trained: the model's by its own name."""
    seen: set[int] = set()
    states = (("", objective.model.state_dict(keep_vars=True)), ("loss.", objective.loss.state_dict(keep_vars=True)))
    for prefix, state in states:
        for name, value in state.items():
            if isinstance(value, Tensor) and id(value) not in seen:
                seen.add(id(value))
                yield f"{prefix}{name}", value
