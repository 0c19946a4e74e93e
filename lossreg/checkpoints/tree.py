"""States of any nesting as plain data: a value of JSON, and the tensors in it by name.

What JSON has is written as it is: None, booleans, texts, finite numbers, lists, and dictionaries whose keys are texts.
Anything else is an object with one key that begins with `$`, which says what it is. No name in a file is ever
imported: the class of a member of an `Enum` is taken from the live state, and other objects are built by the codecs
that the caller gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from lossreg.checkpoints.decoding import Decoder
from lossreg.checkpoints.encoding import Encoder
from lossreg.checkpoints.plain import Codec
from lossreg.errors import StateError

__all__ = ["Codec", "decode", "encode", "why_not_plain"]


def encode(tree: Any, name: str = "", codecs: Iterable[Codec] = ()) -> tuple[Any, dict[str, Tensor]]:
    """A state as a value of JSON and its tensors.

    The tensors lie in the memory of those of the state, so they are to be written before it changes.

    Args:
        tree: The state.
        name: What messages call it.
        codecs: For objects that are not plain data.

    Raises:
        StateError: If it holds what cannot be written; the message says where.
    """
    encoder = Encoder({codec.kind: codec for codec in codecs})
    try:
        value = encoder.encode(tree, (name,) if name else ())
    except RecursionError as error:  # a key that is a tuple of tuples without end
        raise StateError(f"{name or 'the state'} is nested too deep", where=name) from error
    return value, encoder.tensors.written()


def why_not_plain(tree: Any, name: str = "", codecs: Iterable[Codec] = ()) -> str | None:
    """Why a state cannot be written, or None.

    Args:
        tree: The state.
        name: What the answer calls it.
        codecs: For objects that are not plain data.

    Example:
        >>> why_not_plain({"optimizer": {"projector": range}})
        'optimizer.projector is a type (builtins), which is not plain data'
    """
    try:
        encode(tree, name, codecs)
    except StateError as error:
        return error.message
    return None


def decode(value: Any, tensors: Mapping[str, Tensor], like: Any = None, codecs: Iterable[Codec] = ()) -> Any:
    """The state that `encode` was given, in memory of its own.

    Args:
        value: The value of JSON.
        tensors: By name.
        like: The live state, or a part of it. A tensor goes to the device of the one at its place, else to the CPU;
            a member of an `Enum` is one of the class that is at its place.
        codecs: As `encode` had them.

    Raises:
        StateError: If they are not what `encode` gave, or a class is not known.
    """
    return Decoder(tensors, {codec.name: codec for codec in codecs}).decode(value, like, ())
