"""The tensors of one state, each memory written once however many of them lie in it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lossreg.checkpoints.tensors import dtype_name, has_overlap, is_same_view, memory_of, span_of

_ALIGNED = 16  # bytes; the widest dtype


class SharedTensors:
    """The tensors of one state; those that share memory are written together."""

    def __init__(self) -> None:
        self._found: list[tuple[dict[str, Any], Tensor, str]] = []

    def add(self, node: dict[str, Any], tensor: Tensor, where: str) -> None:
        """Takes a tensor, and the object of JSON that stands for it, which `written` completes."""
        plain = tensor.detach().resolve_conj().resolve_neg()
        if has_overlap(plain):
            plain = plain.contiguous()  # such as one that was expanded
        self._found.append((node, plain, where))

    def written(self) -> dict[str, Tensor]:
        """What to write, by name."""
        written: dict[str, Tensor] = {}
        for cluster in self._clusters():
            name = where = cluster[0][2] or "state"
            number = 1
            while name in written:
                number += 1
                name = f"{where}#{number}"
            first = cluster[0][1]
            if all(is_same_view(tensor, first) for _, tensor, _ in cluster):
                written[name], layout = _packed(first)
                for node, _, _ in cluster:
                    node |= {"$tensor": name, **layout}
            else:
                start = min(span_of(tensor)[0] for _, tensor, _ in cluster) // _ALIGNED * _ALIGNED
                end = max(span_of(tensor)[1] for _, tensor, _ in cluster)
                memory = torch.empty(0, dtype=torch.uint8, device=first.device)
                written[name] = memory.set_(first.untyped_storage(), start, (end - start,))  # type: ignore[call-overload]  # torch's stub lacks this one
                for node, tensor, _ in cluster:
                    layout = {"shape": list(tensor.shape), "stride": list(tensor.stride())}
                    offset = span_of(tensor)[0] - start
                    node |= {"$tensor": name, "dtype": dtype_name(tensor.dtype), "offset": offset, **layout}
        return written

    def _clusters(self) -> list[list[tuple[dict[str, Any], Tensor, str]]]:
        """The tensors whose memory overlaps, together; in the order of the first of each."""
        memories: dict[Any, list[int]] = {}
        alone = []
        for number, (_, tensor, _) in enumerate(self._found):
            if tensor.numel():
                memories.setdefault(memory_of(tensor), []).append(number)
            else:
                alone.append([number])
        clusters = alone
        for numbers in memories.values():
            end = -1
            for number in sorted(numbers, key=lambda number: span_of(self._found[number][1])):
                start, stop = span_of(self._found[number][1])
                if start >= end:
                    clusters.append([])
                clusters[-1].append(number)
                end = max(end, stop)
        return [[self._found[number] for number in sorted(cluster)] for cluster in sorted(clusters, key=min)]


def _packed(tensor: Tensor) -> tuple[Tensor, dict[str, Any]]:
    """A tensor as it is written, and how its elements lie in memory if that is not the usual order."""
    strides = tensor.stride()
    if strides == torch.empty(tensor.shape, device="meta").stride():
        return tensor, {}
    order = sorted(range(tensor.dim()), key=lambda axis: (-strides[axis], -tensor.shape[axis], axis))
    permuted = tensor.permute(order)
    if not permuted.is_contiguous():  # it has gaps
        return tensor.contiguous(), {}
    # Also where the strides of axes of length 1 alone differ: kernels are chosen by them.
    return permuted, {"shape": list(tensor.shape), "stride": list(strides)}
