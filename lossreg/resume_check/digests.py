"""Values of any kind as short texts that are equal where the values are, bit for bit, also in another process."""

from __future__ import annotations

import hashlib
import types
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

MAX_DEPTH = 12  # of objects in objects
_PLAIN = (type(None), bool, int, float, complex, str, bytes)
_NO_STATE = (type, types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType)


def digest(value: Any) -> str:
    """A value as a text; what cannot be told from another of its class is its class.

    Example:
        >>> digest({"a": [1, 2.0]}) == digest({"a": [1, 2.0]}), digest(0.0) == digest(-0.0)
        (True, False)
    """
    return hashlib.blake2b(_text(value, ()).encode(errors="replace"), digest_size=12).hexdigest()


def leaves(tree: Any, place: str = "") -> dict[str, str]:
    """Where something is in a state -> its digest.

    Example:
        >>> list(leaves({"group": [{"lr": 0.1}]}))
        ['group.0.lr']
    """
    if isinstance(tree, Mapping) and tree:
        pairs = [(str(key), value) for key, value in tree.items()]
    elif isinstance(tree, list | tuple) and tree:
        pairs = [(str(number), value) for number, value in enumerate(tree)]
    else:
        return {place: digest(tree)}
    found: dict[str, str] = {}
    for key, value in pairs:
        found |= leaves(value, f"{place}.{key}" if place else key)
    return found


def _text(value: Any, within: tuple[int, ...]) -> str:
    if isinstance(value, _PLAIN):
        return f"{type(value).__name__} {value!r}"
    if isinstance(value, Tensor):
        return _tensor(value)
    if isinstance(value, np.ndarray):
        return f"array {value.dtype} {value.shape} {_bytes(value.tobytes())}"
    if isinstance(value, torch.Generator):
        return f"generator {_tensor(value.get_state())}"
    if id(value) in within or len(within) >= MAX_DEPTH:
        return type(value).__qualname__
    inside = (*within, id(value))
    if isinstance(value, Mapping):
        return f"{type(value).__name__} {[(_text(key, inside), _text(one, inside)) for key, one in value.items()]}"
    if isinstance(value, set | frozenset):
        return f"set {sorted(_text(one, inside) for one in value)}"
    if isinstance(value, _NO_STATE):
        return f"{type(value).__name__} {getattr(value, '__qualname__', '')}"
    if hasattr(value, "__iter__") and hasattr(value, "__len__"):  # a deque, and what a person makes like one
        return f"{type(value).__name__} {[_text(one, inside) for one in value]}"
    if hasattr(value, "getstate"):  # random.Random
        return _text(value.getstate(), inside)
    if isinstance(value, np.random.Generator):
        return _text(value.bit_generator.state, inside)
    return f"{type(value).__qualname__} {_text(dict(getattr(value, '__dict__', {})), inside)}"


def _tensor(value: Tensor) -> str:
    value = value.detach()
    if value.layout != torch.strided or value.is_quantized:
        value = value.to_dense() if not value.is_quantized else value.dequantize()
    content = value.cpu().contiguous().reshape(-1).view(torch.uint8) if value.numel() else torch.empty(0)
    return f"tensor {value.dtype} {tuple(value.shape)} {_bytes(content.numpy().tobytes())}"


def _bytes(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=12).hexdigest()
