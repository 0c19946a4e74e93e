"""Tensors as bytes: which can be written, the names of their dtypes, and those that safetensors has no name for."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

#: Every dtype of torch by its name; a name in a file is looked up here and nowhere else.
DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in vars(torch).values() if isinstance(dtype, torch.dtype)}

#: The dtypes that safetensors has, by its own names. Its F4 counts shapes in another way than torch does.
SAFETENSORS = {
    torch.bool: "BOOL",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.uint16: "U16",
    torch.int16: "I16",
    torch.uint32: "U32",
    torch.int32: "I32",
    torch.uint64: "U64",
    torch.int64: "I64",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float32: "F32",
    torch.float64: "F64",
    torch.complex64: "C64",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.float8_e4m3fnuz: "F8_E4M3FNUZ",
    torch.float8_e5m2fnuz: "F8_E5M2FNUZ",
    torch.float8_e8m0fnu: "F8_E8M0",
}

_CLASSES = (Tensor, nn.Parameter, nn.Buffer)


def dtype_name(dtype: torch.dtype) -> str:
    """The name of a dtype.

    Example:
        >>> dtype_name(torch.float32)
        'float32'
    """
    return str(dtype).removeprefix("torch.")


def why_not_written(tensor: Tensor) -> str | None:
    """Why a tensor cannot be written, as the end of `NAME is `, or None."""
    if type(tensor) not in _CLASSES:
        return f"a {type(tensor).__qualname__} ({type(tensor).__module__}), a tensor of a kind that is not written"
    if tensor.is_meta:
        return "a tensor on the device meta, which has no values"
    if tensor.is_quantized:
        return f"a quantized tensor ({dtype_name(tensor.dtype)}), which is not written"
    if tensor.layout != torch.strided:
        return f"a sparse tensor ({str(tensor.layout).removeprefix('torch.')}), which is not written"
    return None


def flat_bytes(tensor: Tensor) -> Tensor:
    """The elements of a tensor in their order, as bytes on the CPU; nothing is copied that is there and in order."""
    flat = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
    return flat if flat.dtype == torch.uint8 else flat.view(torch.uint8)


def from_bytes(data: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    """The tensor whose `flat_bytes` these are, in memory of its own, since theirs may not be aligned for its dtype.

    Raises:
        RuntimeError: If there are too few or too many.
    """
    flat = data.reshape(-1).clone()
    return (flat if dtype == torch.uint8 else flat.view(dtype)).reshape(shape)


def memory_of(tensor: Tensor) -> tuple[torch.device, int]:
    """What is equal for tensors that share memory."""
    return tensor.device, tensor.untyped_storage().data_ptr()


def span_of(tensor: Tensor) -> tuple[int, int]:
    """The bytes of its storage that a tensor covers: the first, and the one behind the last."""
    start = int(tensor.storage_offset()) * tensor.element_size()
    if tensor.numel() == 0:
        return start, start
    last: int = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return start, start + (last + 1) * tensor.element_size()


def has_overlap(tensor: Tensor) -> bool:
    """Whether elements of a tensor lie in the same place, as those of one that was expanded do.

    It is also true of rare ones that are interleaved.
    """
    reach = 0
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size > 1 and stride <= reach:
            return True
        reach += (size - 1) * stride
    return False


def strided(flat: Tensor, shape: list[int], stride: list[int], offset: int) -> Tensor:
    """The elements of a flat tensor in a shape, with checks for numbers that come from a file.

    Raises:
        ValueError: If there are not as many.
        TypeError: If they are not whole numbers.
    """
    if not {int}.issuperset(map(type, [offset, *shape, *stride])):
        raise TypeError("sizes and strides are whole numbers")
    last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    if min(offset, *shape, *stride) < 0 or last >= flat.numel() or math.prod(shape) > flat.numel():
        raise ValueError("its sizes and strides lead out of what was written")
    return torch.as_strided(flat, shape, stride, flat.storage_offset() + offset)


def is_same_view(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors that share memory are the same elements in the same shape."""
    return bool(
        one.storage_offset() == other.storage_offset()
        and one.dtype == other.dtype
        and one.shape == other.shape
        and one.stride() == other.stride()
    )
