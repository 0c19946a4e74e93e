"""States of modules as safetensors files."""

from __future__ import annotations

import io
import itertools
import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, load_model, save_model
from torch import Tensor, nn

from lossreg.checkpoints.tensors import DTYPES, SAFETENSORS
from lossreg.checkpoints.weights_file import read_weights, write_weights
from lossreg.errors import CheckpointError, StateError
from tests.table import for_each

#: Those with which torch makes tensors; the others are of quantized tensors or have no values of their own.
WITH_VALUES = [name for name in sorted(DTYPES) if not name.startswith(("q", "bit")) and DTYPES[name].itemsize]


def written(path: Path, state: Any, **facts: str) -> Path:
    """A file of weights."""
    with path.open("wb") as file:
        write_weights(file, state, facts)
    return path


def header_of(data: bytes) -> Any:
    """The header of a file of safetensors."""
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length])


def with_header(header: bytes, data: bytes = b"") -> bytes:
    """A file of safetensors with any header."""
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + data


class Tied(nn.Module):
    """A model whose output layer is its embedding, and that keeps a view of it."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.output = nn.Linear(3, 5)
        self.output.weight = self.embedding.weight
        self.register_buffer("first", self.embedding.weight.detach()[:2])
        self.register_buffer("turned", self.embedding.weight.detach().t())


def test_a_state_comes_back_in_its_order(tmp_path: Path) -> None:
    """Names, values, dtypes and shapes; and the facts."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 2).double())
    state, facts = read_weights(written(tmp_path / "w", model.state_dict(), weights="ema(0.999)", epoch="3"))
    assert list(state) == list(model.state_dict())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert facts == {"weights": "ema(0.999)", "epoch": "3"}


def test_versions_of_modules_come_back(tmp_path: Path) -> None:
    """As `state_dict()` has them, for modules that read older states in another way."""
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))
    state, _ = read_weights(written(tmp_path / "w", model.state_dict()))
    assert state._metadata == {"0": {"version": 2}}  # type: ignore[attr-defined]  # torch's own


def test_the_library_reads_the_file(tmp_path: Path) -> None:
    """`safetensors.torch` gives the same tensors and the facts."""
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2).half())
    path = written(tmp_path / "w", model.state_dict(), epoch="3")
    read = load_file(path)
    assert read.keys() == model.state_dict().keys()
    assert all(torch.equal(value, read[name]) for name, value in model.state_dict().items())
    with safe_open(path, framework="pt") as file:
        assert file.metadata()["epoch"] == "3"
        assert file.metadata()["format"] == "pt"


def test_the_library_reads_tied_tensors(tmp_path: Path) -> None:
    """They are written once, and `load_model` fills a model in which they are tied."""
    model, other = Tied(), Tied()
    del model.turned, other.turned  # the library has no way with a transposed one
    path = written(tmp_path / "w", model.state_dict())
    assert len(load_file(path)) == 2
    missing, unexpected = load_model(other, path)
    assert (list(missing), unexpected) == ([], [])
    assert torch.equal(other.output.weight, model.output.weight)


def test_what_the_library_wrote_is_read(tmp_path: Path) -> None:
    """All names of tied tensors come back from a file of `save_model` too."""
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    model = nn.ModuleDict({"a": first, "b": second})
    save_model(model, str(tmp_path / "w"), {"epoch": "3"})
    state, facts = read_weights(tmp_path / "w")
    assert state.keys() == model.state_dict().keys()
    assert torch.equal(state["b.weight"], first.weight)
    assert facts == {"epoch": "3"}


def test_tied_tensors_share_their_memory_again(tmp_path: Path) -> None:
    """Also those that are a part of another one, or the same in another shape."""
    model = Tied()
    state, _ = read_weights(written(tmp_path / "w", model.state_dict()))
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    state["embedding.weight"][0, 1] = 7
    assert [state[name][0, 1] for name in ("output.weight", "first")] == [7, 7]
    assert state["turned"][1, 0] == 7


def test_views_of_a_buffer_that_is_not_in_the_state_are_written_each(tmp_path: Path) -> None:
    """None of them is the whole of it."""
    flat = torch.arange(6.0)
    state, _ = read_weights(written(tmp_path / "w", {"a": flat[:4], "b": flat[2:]}))
    assert (state["a"].tolist(), state["b"].tolist()) == ([0.0, 1.0, 2.0, 3.0], [2.0, 3.0, 4.0, 5.0])


def test_equal_states_give_equal_bytes(tmp_path: Path) -> None:
    """Whatever the order of the facts; so that hashes of files can be compared."""
    model = Tied()
    first = written(tmp_path / "a", model.state_dict(), b="1", a="2").read_bytes()
    assert written(tmp_path / "b", model.state_dict(), a="2", b="1").read_bytes() == first


@pytest.mark.filterwarnings("ignore:.*Complex.* support is experimental")
@for_each("name, shape", itertools.product(WITH_VALUES, [(), (0, 3), (3,), (2, 3)]))
def test_every_dtype_comes_back(tmp_path: Path, name: str, shape: tuple[int, ...]) -> None:
    """Bit by bit; where safetensors has the dtype, its library agrees."""
    dtype = DTYPES[name]
    size = dtype.itemsize * torch.Size(shape).numel()
    data = torch.arange(1, 1 + size, dtype=torch.uint8)
    data = data % 2 if dtype == torch.bool else data
    tensor = torch.empty(0, dtype=dtype).set_(data.untyped_storage(), 0, shape)  # type: ignore[call-overload]  # torch's own
    path = written(tmp_path / "w", {"odd": torch.ones(1, dtype=torch.uint8), "t": tensor})
    read = read_weights(path)[0]["t"]
    assert (read.dtype, read.shape) == (dtype, shape)
    assert bytes(read.untyped_storage())[read.storage_offset() * dtype.itemsize :][:size] == bytes(data.tolist())
    if dtype in SAFETENSORS:
        assert load_file(path)["t"].dtype == dtype


def test_tensors_that_are_not_contiguous_are_written(tmp_path: Path) -> None:
    """Their values are what counts."""
    tensors = {"t": torch.randn(3, 4).t(), "c": torch.randn(1, 2, 3, 3).to(memory_format=torch.channels_last)}
    state, _ = read_weights(written(tmp_path / "w", tensors))
    assert all(torch.equal(tensor, state[name]) for name, tensor in tensors.items())


def test_reading_copies_nothing_and_changes_no_file(tmp_path: Path) -> None:
    """A tensor's memory is that of the file until it is written to, and then its own."""
    path = written(tmp_path / "w", {"t": torch.zeros(4)})
    before = path.read_bytes()
    read_weights(path)[0]["t"].fill_(1)
    assert path.read_bytes() == before


def test_extra_state_comes_back(tmp_path: Path) -> None:
    """What `get_extra_state` gave: plain data, and tensors in it."""
    extra = {"calls": 3, "range": (0.5, float("inf")), "scales": [torch.ones(2)]}
    tensors = {"weight": torch.zeros(2), "layer._extra_state": extra}
    state, _ = read_weights(written(tmp_path / "w", tensors))
    assert list(state) == list(tensors)
    read = state["layer._extra_state"]
    assert (read["calls"], read["range"], read["scales"][0].tolist()) == (3, (0.5, float("inf")), [1.0, 1.0])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (torch.zeros(2, device="meta"), "^a.weight is a tensor on the device meta"),
        (torch.zeros(2).to_sparse(), r"^a.weight is a sparse tensor \(sparse_coo\)"),
        (object(), r"^a.weight is a object \(builtins\), which is not plain data"),
    ],
)
def test_what_cannot_be_written_is_named(tmp_path: Path, value: Any, words: str) -> None:
    """Its name, and why."""
    with pytest.raises(StateError, match=words):
        write_weights(io.BytesIO(), {"a.weight": value}, {})


def test_the_most_bytes_of_a_large_state_are_copied_nowhere() -> None:
    """A file gets the memory of the tensors themselves."""
    tensor = torch.zeros(1000)
    given = []

    class File:
        def write(self, data: bytes | memoryview, /) -> None:
            given.append(data)

    write_weights(File(), {"t": tensor}, {})
    given[-1][0:1] = b"\x01"  # type: ignore[index]  # it is a view that can be written to
    assert tensor[0] != 0


GOOD = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'


@for_each(
    "data",
    [
        *(b"", b"\x00" * 7, b"PK\x03\x04" + b"\x00" * 100, b"\x80\x02cos\nsystem\n", b"not safetensors at all" * 3),
        struct.pack("<Q", 1 << 62) + b"{}",
        struct.pack("<Q", 99_999_999) + b"{}",
        with_header(GOOD, b"\x00" * 7),
        with_header(GOOD, b"\x00" * 9),
        with_header(b'{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,8]}}', b"\x00" * 8),
        with_header(b'{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}', b"\x00" * 8),
        with_header(b'{"a":{"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]}}', b"\x00" * 4),
        with_header(b'{"a":{"dtype":"F32","shape":[1e3],"data_offsets":[0,8]}}', b"\x00" * 8),
        with_header(b'{"a":{"dtype":"os.system","shape":[2],"data_offsets":[0,8]}}', b"\x00" * 8),
        with_header(GOOD[:-1] + b',"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}', b"\x00" * 12),
        with_header(GOOD[:-1] + b',"b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}}', b"\x00" * 16),
        with_header(GOOD[:-1] + b"," + GOOD[1:], b"\x00" * 8),
        with_header(
            b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}',
            b"12",
        ),
        with_header(b"[" * 10_000),
        with_header(b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
        with_header(b'{"__metadata__":{"lossreg":"' + b"[" * 10_000 + b'"},' + GOOD[1:], b"\x00" * 8),
        with_header(b'{"__metadata__":{"lossreg":"{}"},' + GOOD[1:], b"\x00" * 8),
        with_header(b'{"__metadata__":{"lossreg":"{\\"who\\":1}"},' + GOOD[1:], b"\x00" * 8),
        with_header(b'{"__metadata__":{"lossreg":"{\\"order\\":[\\"a\\",\\"b\\"]}"},' + GOOD[1:], b"\x00" * 8),
        with_header(
            b'{"__metadata__":{"lossreg":"{\\"order\\":[\\"a\\"],\\"facts\\":[\\"x\\"]}"},' + GOOD[1:], b"\x00" * 8
        ),
        with_header(b'{"__metadata__":{"lossreg":1},' + GOOD[1:], b"\x00" * 8),
        with_header(b'{"a":' + b"9" * 1_000_000 + b"}"),
    ],
    ids=lambda data: ascii(data[:60])[2:-1],
)
def test_a_file_of_anything_is_one_clear_error(tmp_path: Path, data: bytes) -> None:
    """The file and why, on one line; nothing is run, and memory is not taken on its word."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError) as caught:
        read_weights(path)
    assert str(caught.value).startswith(f"{path} cannot be read as weights: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 400


@pytest.mark.parametrize("length", [0, 4, 8, 40, 100, -1])
def test_a_truncated_file_is_an_error(tmp_path: Path, length: int) -> None:
    """Wherever it ends."""
    path = written(tmp_path / "w", {"weight": torch.ones(3)})
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(CheckpointError, match="cannot be read as weights"):
        read_weights(path)


def test_what_is_not_a_file_is_an_error(tmp_path: Path) -> None:
    """What is missing, a directory, a link to a file, and a pipe, which is not waited for."""
    (tmp_path / "link").symlink_to(written(tmp_path / "w", {}))
    os.mkfifo(tmp_path / "pipe")
    words = {"none": "No such file", "": "a directory", "link": "it is a link", "pipe": "it is a pipe"}
    for name, why in words.items():
        with pytest.raises(CheckpointError, match=why):
            read_weights(tmp_path / name)


def tied_with(view: Any) -> bytes:
    """A file whose notes say of a name that it is some view of another."""
    notes = {"order": ["a", "b"], "tied": {"b": ["a", view]}}
    return with_header(
        json.dumps({"__metadata__": {"lossreg": json.dumps(notes)}, **json.loads(GOOD)}).encode(), bytes(8)
    )


@pytest.mark.parametrize(
    "view",
    [[[3], [1], 0], [[2], [1], 1], [[1 << 60], [0], 0], [[1], [1], -1], [[2], [-1], 1], [1, 2, 3], [["a"], [1], 0], []],
)
def test_a_view_cannot_lead_out_of_its_tensor(tmp_path: Path, view: Any) -> None:
    """Nor make a small file a large tensor."""
    path = tmp_path / "w"
    path.write_bytes(tied_with(view))
    with pytest.raises(CheckpointError):
        read_weights(path)
    path.write_bytes(tied_with([[1], [1], 1]))
    assert isinstance(read_weights(path)[0]["b"], Tensor)
