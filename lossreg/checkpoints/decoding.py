"""The second half of `tree`: a value of JSON, of which nothing is believed, becomes a state."""

from __future__ import annotations

import base64
import enum
import math
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy
import torch
from torch import Tensor, nn

from lossreg.checkpoints.plain import FACTORIES, MARK, MAX_NESTED, NUMPY, Codec, Place, is_key, words_for
from lossreg.checkpoints.reading import why_unreadable
from lossreg.checkpoints.tensors import DTYPES, flat_bytes, strided
from lossreg.errors import StateError
from lossreg.values import shown


class Decoder:
    """Decodes one state.

    Args:
        tensors: By name.
        codecs: By name.
    """

    def __init__(self, tensors: Mapping[str, Tensor], codecs: Mapping[str, Codec]) -> None:
        self._tensors = tensors
        self._codecs = codecs
        self._memory: dict[tuple[str, torch.device], Tensor] = {}
        self._made: dict[tuple[Any, ...], Tensor] = {}

    def decode(self, value: Any, like: Any, place: Place) -> Any:
        """What a value of JSON stands for.

        Args:
            value: The value.
            like: What the live state has at its place.
            place: Where it is.

        Raises:
            StateError: If it stands for nothing.
        """
        if len(place) > MAX_NESTED:
            raise StateError(f"{words_for(place[:5])}... is nested too deep", where=words_for(place))
        if isinstance(value, list):
            return self._items(value, like, place)
        if not isinstance(value, dict):
            return value
        mark = next((key for key in value if key.startswith(MARK)), None)
        if mark is None:
            return {key: self.decode(item, _child(like, key), (*place, key)) for key, item in value.items()}
        try:
            return self._marked(mark, value, like, place)
        except StateError:
            raise
        except Exception as error:  # a file may hold anything there
            words = f"{words_for(place)} holds a {shown(mark)} that makes no sense: {why_unreadable(error)}"
            raise StateError(words, where=words_for(place)) from error

    def _marked(self, mark: str, value: dict[str, Any], like: Any, place: Place) -> Any:
        content = value[mark]
        if mark == "$tensor":
            return self._tensor(value, like)
        if mark == "$sparse":
            return self._sparse(value, content, like, place)
        if mark == "$array":
            return self._array(value, content)
        if mark == "$codec":
            return self._coded(value, place)
        if mark == "$enum":
            return _member(content, like, place)
        if mark in _MAPPINGS or mark == "$defaultdict":
            made = _MAPPINGS[mark]() if mark in _MAPPINGS else defaultdict(FACTORIES[value["of"]])
            for coded, item in content:
                key = self.decode(coded, None, place)
                if not is_key(key):
                    raise TypeError("a key is not plain data")
                made[key] = self.decode(item, _child(like, key), (*place, key))
            return made
        if mark == "$deque":
            return deque(self._items(content, like, place), value["maxlen"])
        if mark in _SEQUENCES:
            return _SEQUENCES[mark](self._items(content, like, place))
        if mark == "$complex":
            return complex(*self._items(content, None, place))
        if mark in _PLAIN:
            return _PLAIN[mark](content)
        raise StateError(f"{words_for(place)} is a {shown(mark)}, which is not known here", where=words_for(place))

    def _items(self, content: list[Any], like: Any, place: Place) -> list[Any]:
        return [self.decode(item, _child(like, number), (*place, number)) for number, item in enumerate(content)]

    def _coded(self, value: dict[str, Any], place: Place) -> Any:
        codec = self._codecs.get(value["$codec"])
        if codec is None:
            words = f"{words_for(place)} is written by the codec {shown(value['$codec'])}, which is not declared here"
            raise StateError(words, where=words_for(place))
        return codec.from_plain(self.decode(value["of"], None, (*place, codec.name)))

    def _tensor(self, node: dict[str, Any], like: Any) -> Tensor:
        device = like.device if isinstance(like, Tensor) else torch.device("cpu")
        layout = (node.get("dtype"), tuple(node.get("shape", ())), tuple(node.get("stride", ())), node.get("offset"))
        role = (bool(node.get("parameter")), bool(node.get("grad")))
        key = (node["$tensor"], device, layout, role)
        if key not in self._made:
            tensor = self._laid_out(node, device)
            if role[0]:
                tensor = nn.Parameter(tensor, requires_grad=role[1])
            elif role[1]:
                tensor = tensor.detach().requires_grad_()
            self._made[key] = tensor
        return self._made[key]

    def _laid_out(self, node: dict[str, Any], device: torch.device) -> Tensor:
        name = node["$tensor"]
        if (name, device) not in self._memory:
            if name not in self._tensors:
                raise ValueError(f"there is no tensor {shown(name)}")
            written = self._tensors[name]
            # Memory of its own, and aligned as torch's own is: some kernels compute differently where it is not.
            self._memory[name, device] = torch.empty(written.shape, dtype=written.dtype, device=device).copy_(written)
        memory = self._memory[name, device]
        if "shape" not in node:
            return memory
        offset = node.get("offset", 0)
        flat = memory.reshape(-1)
        if "dtype" in node:
            dtype = DTYPES[node["dtype"]]
            flat = flat[: flat.numel() // dtype.itemsize * dtype.itemsize].view(dtype)
            offset //= dtype.itemsize
        return strided(flat, node["shape"], node["stride"], offset)

    def _sparse(self, value: dict[str, Any], content: list[Any], like: Any, place: Place) -> Tensor:
        on = torch.empty(0, device=like.device) if isinstance(like, Tensor) else None
        indices, values = (self.decode(part, on, place) for part in content)
        return torch.sparse_coo_tensor(
            indices, values, value["shape"], is_coalesced=bool(value["coalesced"]), check_invariants=True
        )

    def _array(self, value: dict[str, Any], content: dict[str, Any]) -> Any:
        written = flat_bytes(self._tensors[content["$tensor"]])
        array = written.clone().numpy().view(_numpy_dtype(value["dtype"]))
        if value.get("order") == "F":
            return array.reshape(value["shape"][::-1]).T
        return array.reshape(value["shape"])


def _member(content: Any, like: Any, place: Place) -> enum.Enum:
    name, member = content
    if not isinstance(like, enum.Enum):
        words = f"{words_for(place)} is {shown(member)} of the Enum {shown(name)}, whose class is not known here"
        raise StateError(words, where=words_for(place))
    if type(like).__name__ != name or member not in type(like).__members__:
        here = f"here it is one of {type(like).__name__}"
        words = f"{words_for(place)} is {shown(member)} of the Enum {shown(name)}; {here}"
        raise StateError(words, where=words_for(place))
    return type(like)[member]


def _scalar(content: Any) -> Any:
    dtype, data = content
    return numpy.frombuffer(bytes.fromhex(data), _numpy_dtype(dtype))[0]


def _numpy_dtype(text: Any) -> numpy.dtype[Any]:
    if not NUMPY.fullmatch(text):
        raise ValueError("a dtype that is not one of plain numbers")
    dtype: numpy.dtype[Any] = numpy.dtype(text)
    return dtype


_MAPPINGS: dict[str, Callable[[], dict[Any, Any]]] = {"$dict": dict, "$ordereddict": OrderedDict, "$counter": Counter}
_SEQUENCES: dict[str, Callable[[list[Any]], Any]] = {
    "$tuple": tuple,
    "$size": torch.Size,
    "$set": set,
    "$frozenset": frozenset,
}
_PLAIN: dict[str, Callable[[Any], Any]] = {
    "$int": lambda text: int(text, 16),
    "$float": lambda text: {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[text],
    "$bytes": lambda text: base64.b64decode(text, validate=True),
    "$bytearray": lambda text: bytearray(base64.b64decode(text, validate=True)),
    "$dtype": lambda name: DTYPES[name],
    "$device": torch.device,
    "$scalar": _scalar,
}


def _child(like: Any, key: Any) -> Any:
    """What a live state has at a place, or None."""
    if isinstance(like, Mapping):
        return like.get(key)
    if isinstance(like, list | tuple | deque) and type(key) is int and key < len(like):
        return like[key]
    return None
