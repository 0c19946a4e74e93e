"""The first half of `tree`: a state becomes a value of JSON."""

from __future__ import annotations

import base64
import enum
import math
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy
import torch
from torch import Tensor, nn

from lossreg.checkpoints.plain import FACTORIES, MARK, MAX_NESTED, NUMPY, Codec, Place, is_key, type_words, words_for
from lossreg.checkpoints.shared_tensors import SharedTensors
from lossreg.checkpoints.tensors import dtype_name, why_not_written
from lossreg.errors import StateError
from lossreg.values import shown

_SMALL = 1 << 63  # whole numbers that JSON has in every reader


class Encoder:
    """Encodes one state.

    Args:
        codecs: For objects of these classes.

    Attributes:
        tensors: Those of what was encoded.
    """

    def __init__(self, codecs: Mapping[type, Codec]) -> None:
        self._codecs = codecs
        self.tensors = SharedTensors()

    def encode(self, value: Any, place: Place) -> Any:
        """The value of JSON that stands for a value at a place.

        Raises:
            StateError: If there is none.
        """
        if len(place) > MAX_NESTED:
            raise StateError(f"{words_for(place[:5])}... is nested too deep, or holds itself", where=words_for(place))
        kind = type(value)
        if value is None or kind in (bool, str):
            return value
        if kind in self._codecs:
            codec = self._codecs[kind]
            return {"$codec": codec.name, "of": self.encode(codec.to_plain(value), (*place, codec.name))}
        if kind in _ALONE:
            return _ALONE[kind](value)
        if kind in _NESTED:
            return _NESTED[kind](self, value, place)
        if isinstance(value, Tensor):
            return self._tensor(value, place)
        if isinstance(value, enum.Enum):
            return {"$enum": [kind.__name__, value.name]}
        if isinstance(value, numpy.generic):
            return self._numpy_scalar(value, place)
        raise _not_plain(value, place)

    def _sequence(self, value: Iterable[Any], place: Place) -> list[Any]:
        if set(map(type, value)) == {int}:  # as hundreds of them in the states of random generators
            return [_int(number) for number in value]
        return [self.encode(item, (*place, number)) for number, item in enumerate(value)]

    def _marked(self, value: Iterable[Any], place: Place) -> Any:
        return {f"${type(value).__name__.lower()}": self._sequence(value, place)}

    def _set(self, value: Iterable[Any], place: Place) -> Any:
        # In an order that does not depend on how texts are hashed in this process.
        return {f"${type(value).__name__}": sorted(self._sequence(value, place), key=repr)}

    def _deque(self, value: deque[Any], place: Place) -> Any:
        return {"$deque": self._sequence(value, place), "maxlen": value.maxlen}

    def _dict(self, value: Mapping[Any, Any], place: Place) -> Any:
        if all(type(key) is str and not key.startswith(MARK) for key in value):
            return {key: self.encode(item, (*place, key)) for key, item in value.items()}
        return {"$dict": self._pairs(value, place)}

    def _ordered(self, value: Mapping[Any, Any], place: Place) -> Any:
        return {"$ordereddict": self._pairs(value, place)}

    def _counter(self, value: Mapping[Any, Any], place: Place) -> Any:
        return {"$counter": self._pairs(value, place)}

    def _default(self, value: defaultdict[Any, Any], place: Place) -> Any:
        name = next((name for name, factory in FACTORIES.items() if factory is value.default_factory), None)
        if name is None:
            made_by = shown(value.default_factory)
            words = f"{words_for(place)} is a defaultdict whose values {made_by} makes, which is not plain data"
            raise StateError(words, where=words_for(place))
        return {"$defaultdict": self._pairs(value, place), "of": name}

    def _pairs(self, value: Mapping[Any, Any], place: Place) -> list[Any]:
        return [[self._key(key, place), self.encode(item, (*place, key))] for key, item in value.items()]

    def _key(self, key: Any, place: Place) -> Any:
        if not is_key(key):
            words = f"{words_for(place)} has the key {shown(key)}, a {type_words(key)}, which is not plain data"
            raise StateError(words, where=words_for(place))
        return self.encode(key, place)

    def _tensor(self, value: Tensor, place: Place) -> Any:
        if type(value) is Tensor and value.layout == torch.sparse_coo and not value.requires_grad:
            return self._sparse(value, place)
        why = why_not_written(value)
        if why is not None:
            raise StateError(f"{words_for(place)} is {why}", where=words_for(place))
        node: dict[str, Any] = {}
        if isinstance(value, nn.Parameter):
            node["parameter"] = True
        if value.requires_grad:
            node["grad"] = True
        self.tensors.add(node, value, words_for(place))
        return node

    def _sparse(self, value: Tensor, place: Place) -> Any:
        """As SGD's momentum is where gradients are sparse."""
        parts = [self.encode(part, place) for part in (value._indices(), value._values())]
        return {"$sparse": parts, "shape": list(value.shape), "coalesced": value.is_coalesced()}

    def _array(self, value: numpy.ndarray[Any, Any], place: Place) -> Any:
        if not NUMPY.fullmatch(value.dtype.str):
            words = f"{words_for(place)} is a numpy array of {value.dtype}, which is not plain data"
            raise StateError(words, where=words_for(place))
        node = {"dtype": value.dtype.str, "shape": list(value.shape)}
        if not value.flags.c_contiguous and value.flags.f_contiguous:
            node["order"] = "F"
            value = value.T
        data = numpy.ascontiguousarray(value).reshape(-1).view(numpy.uint8) if value.nbytes else numpy.empty(0, "u1")
        inner: dict[str, Any] = {}
        self.tensors.add(inner, torch.from_numpy(data.copy()), words_for(place))  # it may be read-only
        return {"$array": inner, **node}

    def _numpy_scalar(self, value: numpy.generic, place: Place) -> Any:
        if not NUMPY.fullmatch(value.dtype.str):
            raise _not_plain(value, place)
        return {"$scalar": [value.dtype.str, value.tobytes().hex()]}


def _int(value: int) -> Any:
    return value if -_SMALL <= value < _SMALL else {"$int": hex(value)}


def _float(value: float) -> Any:
    return value if math.isfinite(value) else {"$float": str(value)}


def _bytes(value: bytes | bytearray) -> Any:
    return {f"${type(value).__name__}": base64.b64encode(value).decode()}


_ALONE: dict[type, Callable[[Any], Any]] = {
    int: _int,
    float: _float,
    complex: lambda value: {"$complex": [_float(value.real), _float(value.imag)]},
    bytes: _bytes,
    bytearray: _bytes,
    torch.dtype: lambda value: {"$dtype": dtype_name(value)},
    torch.device: lambda value: {"$device": str(value)},
}
_NESTED: dict[type, Callable[[Encoder, Any, Place], Any]] = {
    list: Encoder._sequence,
    tuple: Encoder._marked,
    torch.Size: Encoder._marked,
    set: Encoder._set,
    frozenset: Encoder._set,
    deque: Encoder._deque,
    dict: Encoder._dict,
    defaultdict: Encoder._default,
    OrderedDict: Encoder._ordered,
    Counter: Encoder._counter,  # MultiStepLR's milestones
    numpy.ndarray: Encoder._array,
}


def _not_plain(value: Any, place: Place) -> StateError:
    return StateError(f"{words_for(place)} is a {type_words(value)}, which is not plain data", where=words_for(place))
