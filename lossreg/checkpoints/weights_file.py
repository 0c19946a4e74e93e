"""A `state_dict()` as a safetensors file, with what the format itself has no place for in its metadata.

It is written here, in one pass through any file object, which can hash what it is given and says what the system says
of a full disk; it is read by the library.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import attrs
from safetensors import safe_open
from torch import Tensor

from lossreg.checkpoints.reading import open_regular_file, read_json, retried, why_unreadable
from lossreg.checkpoints.tensors import (
    DTYPES,
    SAFETENSORS,
    dtype_name,
    flat_bytes,
    from_bytes,
    has_overlap,
    is_same_view,
    memory_of,
    span_of,
    strided,
    why_not_written,
)
from lossreg.checkpoints.tree import decode, encode
from lossreg.errors import CheckpointError, StateError

_NOTES = "lossreg"  # the entry of the metadata that holds what the others do not say
_RESERVED = {_NOTES, "format"}
MAX_HEADER = 100_000_000  # bytes; the library reads no longer one


class Writable(Protocol):
    """A file whose `write` takes all that it is given, as that of `open(path, "wb")` does."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Takes the data."""


@attrs.define
class _Notes:
    """What a file says of itself in addition to its tensors.

    Attributes:
        order: The names of the state in their order.
        facts: The names of the facts, which are entries of the metadata.
        tied: Name -> the name of the tensor it shares its memory with, and its view of it: None for the same one, else
            shape, strides and offset in elements.
        dtypes: Name -> the dtype of a tensor that is written as bytes, and its shape.
        plain: Name -> an entry that is not a tensor, by the encoding of `tree`.
        versions: Prefix of a module -> the version of its state, where it is not 1.
    """

    order: list[str] = attrs.Factory(list)
    facts: list[str] = attrs.Factory(list)
    tied: dict[str, Any] = attrs.Factory(dict)
    dtypes: dict[str, Any] = attrs.Factory(dict)
    plain: dict[str, Any] = attrs.Factory(dict)
    versions: dict[str, int] = attrs.Factory(dict)


def write_weights(file: Writable, state: Mapping[str, Any], facts: Mapping[str, str]) -> None:
    """Writes the state of a module; equal states and facts give equal bytes.

    Tensors that share memory are written once, with `{removed name: kept name}` in the metadata, as
    `safetensors.torch.save_model` does. Entries that are not tensors, such as those of `get_extra_state`, are in the
    metadata too, and the tensors in them among the others.

    Args:
        file: What to write to.
        state: A `state_dict()`.
        facts: Texts for the metadata, which `read_weights` gives back.

    Raises:
        StateError: If an entry is neither a tensor that can be written nor plain data.
        OSError: What `file.write` raises.
    """
    notes = _Notes(order=[str(name) for name in state], facts=sorted(facts))
    for prefix, told in getattr(state, "_metadata", {}).items():
        version = told.get("version")
        if type(version) is int and version != 1:
            notes.versions[prefix] = version
    tensors = _tensors(state, notes)
    # The widest first, so that each begins at a multiple of its width.
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header: dict[str, Any] = {"__metadata__": _metadata(notes, facts)}
    position = 0
    for name in names:
        tensor = tensors[name]
        end = position + tensor.numel() * tensor.element_size()
        code = SAFETENSORS[tensor.dtype]
        header[name] = {"dtype": code, "shape": list(tensor.shape), "data_offsets": [position, end]}
        position = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER:
        raise StateError(f"the names and facts of the state are {len(text)} bytes long, more than a file may have")
    file.write(struct.pack("<Q", len(text)) + text)
    for name in names:
        if tensors[name].numel():
            file.write(flat_bytes(tensors[name]).numpy().data)


def read_weights(path: str | Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Reads what `write_weights` or another program has written as safetensors. Nothing in the file is run.

    The tensors are on the CPU. Their memory is that of the file, read where it is first used; writing to them does not
    change it. Those that shared memory do again.

    Args:
        path: The file.

    Returns:
        The state, and the facts.

    Raises:
        CheckpointError: If the file is missing, truncated or damaged, or is not safetensors.
    """
    path = Path(path)
    with _readable(path):
        _check_header(path)
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it cannot be iterated over
        notes = _read_notes(metadata, tensors)
        return _state(tensors, notes), {name: metadata[name] for name in notes.facts}


def _check_header(path: Path) -> None:
    """What the library takes: a name that is there twice; and what it takes the file's word for."""
    descriptor = open_regular_file(path)
    try:
        start = retried(os.read, descriptor, 8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if length > min(MAX_HEADER, os.fstat(descriptor).st_size - 8):
            raise ValueError(f"it is truncated, or no safetensors: its header would be {length} bytes long")
        header = b""
        while len(header) < length and (part := retried(os.read, descriptor, length - len(header))):
            header += part
    finally:
        os.close(descriptor)
    if not isinstance(read_json(header), dict):
        raise ValueError("it is not safetensors")


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """What goes wrong with a file of any content becomes one line."""
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:  # of the library, which has errors of its own, or of a value that makes no sense
        raise CheckpointError(f"{path} cannot be read as weights: {why_unreadable(error)}", path=str(path)) from error


def _tensors(state: Mapping[str, Any], notes: _Notes) -> dict[str, Tensor]:
    """What to write, by name; what is left out or changed goes into the notes."""
    written: dict[str, Tensor] = {}
    for name, value in state.items():
        if not isinstance(name, str):
            raise StateError(f"the state has the key {name!r}, which is not a name", where=str(name))
        if isinstance(value, Tensor):
            why = why_not_written(value)
            if why is not None:
                raise StateError(f"{name} is {why}", where=name)
            written[name] = value
    _leave_out_tied(written, notes)
    for name, value in state.items():
        if not isinstance(value, Tensor):
            notes.plain[name], inner = encode(value, name)
            renamed = {f"{name}#{key}": tensor for key, tensor in inner.items()}
            written |= renamed
    for name, tensor in written.items():
        if tensor.dtype not in SAFETENSORS:
            notes.dtypes[name] = [dtype_name(tensor.dtype), list(tensor.shape)]
            written[name] = flat_bytes(tensor)
    return written


def _leave_out_tied(tensors: dict[str, Tensor], notes: _Notes) -> None:
    """Takes out each tensor that lies in the memory of another one, if that other one is the whole of it."""
    sharing: dict[Any, list[str]] = {}
    for name, tensor in tensors.items():
        if tensor.numel():
            sharing.setdefault(memory_of(tensor), []).append(name)
    for names in sharing.values():
        whole = sorted(name for name in names if _is_whole(tensors[name]))
        if len(names) == 1 or not whole:
            continue
        kept = tensors[whole[0]]
        for name in names:
            is_same = is_same_view(tensors[name], kept)
            is_view = kept.is_contiguous() and tensors[name].dtype == kept.dtype and not has_overlap(tensors[name])
            if name != whole[0] and (is_same or is_view):
                tied = tensors.pop(name)
                notes.tied[name] = [whole[0], None if is_same else _view(tied)]


def _is_whole(tensor: Tensor) -> bool:
    nbytes = tensor.untyped_storage().nbytes()
    return span_of(tensor) == (0, nbytes) and tensor.numel() * tensor.element_size() == nbytes


def _view(tensor: Tensor) -> list[Any]:
    return [list(tensor.shape), list(tensor.stride()), tensor.storage_offset()]


def _metadata(notes: _Notes, facts: Mapping[str, str]) -> dict[str, str]:
    reserved = _RESERVED & set(facts)
    if reserved:
        raise ValueError(f"a fact cannot be called {sorted(reserved)[0]!r}")
    tied = {name: kept for name, (kept, _) in notes.tied.items() if name not in _RESERVED}
    text = json.dumps(attrs.asdict(notes, recurse=False), separators=(",", ":"), sort_keys=True)
    metadata = {**tied, **facts, "format": "pt", _NOTES: text}
    return dict(sorted(metadata.items()))


def _read_notes(metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> _Notes:
    text = metadata.get(_NOTES)
    if text is None:  # another program's
        tied = {name: [kept, None] for name, kept in metadata.items() if name not in tensors and kept in tensors}
        facts = [name for name in metadata if name not in tied and name != "format"]
        return _Notes([*tensors, *tied], facts, tied)
    return _Notes(**read_json(text.encode()))


def _state(tensors: dict[str, Tensor], notes: _Notes) -> dict[str, Any]:
    state: dict[str, Any] = dict(tensors)
    for name, (dtype, shape) in notes.dtypes.items():
        state[name] = from_bytes(tensors[name], DTYPES[dtype], tuple(shape))
    for name, (kept, view) in notes.tied.items():
        state[name] = state[kept] if view is None else strided(state[kept].reshape(-1), *view)
    for name, encoded in notes.plain.items():
        inner = {key.removeprefix(f"{name}#"): state.pop(key) for key in list(state) if key.startswith(f"{name}#")}
        state[name] = decode(encoded, inner)
    if sorted(state) != sorted(notes.order):
        raise ValueError("its notes and its tensors do not have the same names")
    ordered = OrderedDict((name, state[name]) for name in notes.order)
    # As `state_dict()` has it: some modules read older states in another way.
    ordered._metadata = OrderedDict((prefix, {"version": version}) for prefix, version in notes.versions.items())  # type: ignore[attr-defined]  # torch's own
    return ordered
