"""States of any nesting as plain data."""

from __future__ import annotations

import collections
import enum
import json
import math
import random
import struct
from collections import Counter, OrderedDict, deque
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
import torch
from torch import nn

from lossreg.checkpoints.reading import read_json
from lossreg.checkpoints.tensors import DTYPES
from lossreg.checkpoints.tree import Codec, decode, encode, why_not_plain
from lossreg.errors import StateError
from tests.table import for_each


class Colour(enum.Enum):
    """Something that is not plain data."""

    RED = 1
    GREEN = "green"


class Level(enum.IntEnum):
    """A number that is more than a number."""

    LOW = 1


def back(tree: Any, like: Any = None) -> Any:
    """A state after it was written as JSON and read again."""
    value, tensors = encode(tree)
    return decode(read_json(json.dumps(value, allow_nan=False).encode()), tensors, like)


@for_each(
    "value",
    [
        *(None, True, False, 0, -5, 1 << 63, -(1 << 200), 0.1, 5e-324, "", "naïve \ud800", b"", b"\x00\xff"),
        *(bytearray(b"ab"), [], [1, [2, []]], (), (1, (2,)), torch.Size([2, 3]), {}, {"a": {"b": [None]}}),
        *({True: "a", 3: 2}, {None: 1, -3: 2, 2.5: 3}, {("a", (1, None)): 1}, {"$tensor": "a text"}, {"$": {}}),
        *(
            OrderedDict(b=1, a=2),
            Counter({3: 2, 1: 1}),
            set(),
            {1, 2},
            frozenset({"a"}),
            deque([1, 2]),
            deque([1], maxlen=3),
            1 - 2j,
        ),
        *(torch.float32, torch.device("cpu"), torch.device("cuda:1"), [[[[[[[[[[[]]]]]]]]]]]),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_plain_data_come_back(value: Any) -> None:
    """Each value equals what was written, and has its class, down to its items and keys."""
    read = back({"x": value})["x"]
    assert read == value
    assert repr(read) == repr(value)


@for_each("value", [math.nan, math.inf, -math.inf, -0.0, 0.0, 1 / 3, 1.7976931348623157e308])
def test_floats_come_back_bit_by_bit(value: float) -> None:
    """Also those that JSON does not have."""
    assert struct.pack("d", back([value])[0]) == struct.pack("d", value)


def test_the_order_of_keys_is_kept() -> None:
    """Of dictionaries whose keys are texts, and of others."""
    assert list(back({"b": 1, "a": 2})) == ["b", "a"]
    assert list(back({2: 1, "a": 2, 1: 0})) == [2, "a", 1]


def test_a_queue_keeps_its_length() -> None:
    """A `deque` that is full drops its first item, as before."""
    read = back(deque([1, 2], maxlen=2))
    read.append(3)
    assert read == deque([2, 3])


@for_each("name", ["float32", "float64", "bfloat16", "int64", "bool", "complex64", "complex128"])
@for_each("shape", [(), (0, 3), (5,), (2, 3, 4)])
def test_tensors_come_back(name: str, shape: tuple[int, ...]) -> None:
    """Values, dtype and shape."""
    tensor = torch.randn(shape, dtype=torch.float64).mul(3).to(DTYPES[name])
    read = back({"t": tensor})["t"]
    assert read.dtype == tensor.dtype
    assert torch.equal(read, tensor)


@for_each(
    "tensor",
    [
        torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        torch.randn(2, 3, 4, 5, 6).to(memory_format=torch.channels_last_3d),
        torch.randn(1, 1, 4, 5).to(memory_format=torch.channels_last),
        torch.empty_strided((1, 1, 4, 4), (16, 1, 4, 1)).normal_(),
        torch.randn(3, 4).t(),
        torch.randn(2, 3, 4).permute(2, 0, 1),
    ],
    ids=lambda tensor: str(tuple(tensor.stride())),
)
def test_strides_of_dense_tensors_come_back(tensor: torch.Tensor) -> None:
    """Fused kernels, and the sums they form, depend on them."""
    read = back([tensor])[0]
    assert read.stride() == tensor.stride()
    assert torch.equal(read, tensor)


@for_each(
    "tensor",
    [torch.arange(12.0)[::3], torch.arange(12.0).view(3, 4)[:, 1:3], torch.tensor([1.0, 2.0]).expand(3, 2)],
    ids=["step", "columns", "expanded"],
)
def test_tensors_with_gaps_come_back_without(tensor: torch.Tensor) -> None:
    """What lies between their elements is not theirs."""
    read = back([tensor])[0]
    assert torch.equal(read, tensor)
    assert read.is_contiguous()


def test_a_tensor_that_occurs_twice_is_shared_again() -> None:
    """One that is changed in place changes in both places."""
    tensor = torch.zeros(3)
    read = back({"a": tensor, "b": [tensor, tensor.detach()]})
    assert read["a"] is read["b"][0]
    read["a"][1] = 5
    assert read["b"][1].tolist() == [0.0, 5.0, 0.0]


def test_tensors_that_overlap_overlap_again() -> None:
    """Views of one buffer, of another dtype too; those that lie beside each other are separate."""
    flat = torch.arange(16.0)
    tree = {
        "byte": flat.view(torch.uint8)[5:7],
        "all": flat[1:9],
        "part": flat[4:6],
        "matrix": flat[1:9].view(2, 4).t(),
    }
    read = back({**tree, "far": flat[12:]})
    assert all(torch.equal(read[name], tensor) for name, tensor in tree.items())
    read["part"][0] = -1.0
    assert read["all"][3] == -1.0
    assert read["matrix"][3, 0] == -1.0
    read["byte"].fill_(1)  # of the second number: 1.0 is 00 00 80 3F
    assert read["all"][0] == struct.unpack("<f", b"\x00\x01\x01\x3f")[0]
    assert encode({**tree, "far": flat[12:]})[1].keys() == {"byte", "far"}


def test_only_what_a_view_covers_is_written() -> None:
    """A small view does not take its large buffer with it."""
    tensors = encode(torch.zeros(1000)[10:13])[1]
    assert [tensor.numel() for tensor in tensors.values()] == [3]


def test_parameters_come_back_as_parameters() -> None:
    """And whether gradients are wanted."""
    tree = [
        nn.Parameter(torch.ones(2)),
        nn.Parameter(torch.ones(2), requires_grad=False),
        torch.ones(1).requires_grad_(),
    ]
    read = back(tree)
    assert [(type(each), each.requires_grad) for each in read] == [(type(each), each.requires_grad) for each in tree]


def test_a_conjugate_view_comes_back() -> None:
    """Torch keeps it as a mark on the same memory."""
    tensor = torch.tensor([1 + 2j, 3 - 4j])
    read = back([tensor.conj(), tensor])
    assert torch.equal(read[0], tensor.conj())
    assert torch.equal(read[1], tensor)


def test_what_is_read_has_memory_of_its_own() -> None:
    """Aligned as torch's own is, so that kernels compute as they did; changing it changes nothing else."""
    tensor = torch.zeros(3)
    value, tensors = encode([torch.zeros(1, dtype=torch.uint8), tensor])
    read = decode(value, tensors)
    read[1][0] = 1
    assert tensor[0] == 0
    assert all(each.data_ptr() % 64 == 0 for each in read)


@for_each(
    "array",
    [
        *(numpy.arange(6).reshape(2, 3), numpy.asfortranarray(numpy.arange(6.0).reshape(2, 3)), numpy.empty((0, 2))),
        *(numpy.array(3.5), numpy.array(["a", "bcd"]), numpy.array(["2020-01-01"], "datetime64[D]")),
        *(numpy.arange(8)[::2], numpy.array([1, 2], ">i4"), numpy.array([True, False]), numpy.array([1 + 2j])),
    ],
    ids=lambda array: f"{array.dtype.str}{array.shape}",
)
def test_numpy_arrays_come_back(array: Any) -> None:
    """Values, dtype with its order of bytes, shape and the order of axes; they can be written to."""
    read = back({"a": array})["a"]
    assert read.dtype.str == array.dtype.str
    assert numpy.array_equal(read, array)
    assert read.flags.f_contiguous == array.flags.f_contiguous or not array.flags.contiguous
    assert read.flags.writeable


@for_each("value", [numpy.float64(0.1), numpy.float32(0.1), numpy.int8(-3), numpy.bool_(True), numpy.str_("a")])
def test_numpy_scalars_come_back(value: Any) -> None:
    """They stay what they are, since they compute in another way than Python's numbers."""
    read = back([value])[0]
    assert type(read) is type(value)
    assert read == value


def test_random_states_come_back() -> None:
    """Those of Python, NumPy and torch give the numbers that they gave."""
    python = random.Random(1)  # noqa: S311  # its state is what is tested
    legacy, modern = numpy.random.RandomState(2), numpy.random.default_rng(3)
    torch_one = torch.Generator().manual_seed(4)
    tree = [python.getstate(), legacy.get_state(), modern.bit_generator.state, torch_one.get_state()]
    read = back(tree)
    expected = [python.random(), legacy.random(), modern.random(), torch.rand(2, generator=torch_one).tolist()]
    python.setstate(read[0])
    legacy.set_state(read[1])
    modern.bit_generator.state = read[2]
    torch_one.set_state(read[3])
    assert [python.random(), legacy.random(), modern.random(), torch.rand(2, generator=torch_one).tolist()] == expected


def test_a_member_of_an_enum_has_the_class_of_the_live_state() -> None:
    """It is looked up by name in the class at its place, and nowhere else."""
    tree = {"groups": [{"kind": Colour.GREEN}, {"kind": Level.LOW}]}
    assert back(tree, {"groups": [{"kind": Colour.RED}, {"kind": Level.LOW}]}) == tree
    with pytest.raises(StateError, match=r"^groups\.0\.kind is 'GREEN' of the Enum 'Colour', whose class is not known"):
        back(tree)
    with pytest.raises(StateError, match="here it is one of Level"):
        back(tree, {"groups": [{"kind": Level.LOW}, {"kind": Level.LOW}]})


def test_a_member_that_the_enum_has_no_longer_is_an_error() -> None:
    """Attributes of the class that are no members are none either."""
    for name in ("BLUE", "mro", "__class__"):
        with pytest.raises(StateError, match="here it is one of Colour"):
            decode({"$enum": ["Colour", name]}, {}, Colour.RED)


def test_a_codec_makes_objects_plain() -> None:
    """Its name is written; the class is the caller's."""
    codec = Codec.of_attributes("space", SimpleNamespace)
    tree = {"state": [SimpleNamespace(rank=4, basis=torch.ones(2))]}
    value, tensors = encode(tree, codecs=[codec])
    assert list(tensors) == ["state.0.space.basis"]
    read = decode(value, tensors, codecs=[codec])["state"][0]
    assert (read.rank, read.basis.tolist()) == (4, [1.0, 1.0])
    with pytest.raises(StateError, match=r"state\.0 is written by the codec 'space', which is not declared here"):
        decode(value, tensors)


@for_each(
    ("value", "words"),
    [
        (object(), r"^optimizer\.state\.weight is a object \(builtins\), which is not plain data$"),
        (print, r"weight is a builtin_function_or_method"),
        (SimpleNamespace(), r"weight is a SimpleNamespace \(types\)"),
        (collections.UserDict(a=1), r"weight is a UserDict \(collections\)"),
        (numpy.array([None]), r"weight is a numpy array of object"),
        (numpy.zeros(1, [("a", "i4")]), r"weight is a numpy array of"),
        ({object(): 1}, r"weight has the key <object object at .*, a object \(builtins\)"),
        (torch.zeros(2, device="meta"), r"weight is a tensor on the device meta"),
        (torch.zeros(2, 2).to_sparse().requires_grad_(), r"weight is a sparse tensor \(sparse_coo\)"),
        (nn.parameter.UninitializedParameter(), r"weight is a UninitializedParameter"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)
def test_what_is_not_plain_is_named(value: Any, words: str) -> None:
    """Its place in words, and its class; `why_not_plain` says the same without raising."""
    tree = {"optimizer": {"state": {"weight": value}}}
    with pytest.raises(StateError, match=words) as caught:
        encode(tree)
    assert why_not_plain(tree) == str(caught.value)
    assert caught.value.where.startswith("optimizer.state.weight")


@for_each("coalesced", [True, False])
def test_sparse_tensors_keep_their_entries(coalesced: bool) -> None:
    """A sparse tensor has the same indices and values in the same order, and is coalesced as it was."""
    values = torch.tensor([[1.0, 2], [3, 4], [5, 6]])
    made = torch.sparse_coo_tensor(torch.tensor([[2, 0, 2]]), values, (4, 2), check_invariants=True)
    made = made.coalesce() if coalesced else made
    value, tensors = encode({"momentum": made})
    read = decode(json.loads(json.dumps(value)), tensors)["momentum"]
    assert read.is_coalesced() is coalesced
    assert read.shape == made.shape
    assert read._indices().equal(made._indices())
    assert read._values().equal(made._values())


def test_a_sparse_tensor_that_points_outside_is_refused() -> None:
    """Indices of a file are checked against its shape."""
    value, tensors = encode(torch.eye(3).to_sparse(), "state")
    with pytest.raises(StateError, match="that makes no sense"):
        decode({**value, "shape": [2, 3]}, tensors)


def test_what_is_plain_has_nothing_to_say() -> None:
    """The answer is None."""
    assert why_not_plain({"a": [1, torch.ones(2)]}) is None


def test_a_state_without_end_is_an_error() -> None:
    """A list that holds itself, a dictionary of depth 100,000, and a key of tuples without end."""
    loop: list[Any] = []
    loop.append(loop)
    deep: Any = {}
    for _ in range(100_000):
        deep = {"a": deep}
    key: Any = ()
    for _ in range(900):
        key = (key,)
    for tree in (loop, deep, {key: 1}):
        assert "is nested too deep" in str(why_not_plain(tree))
    while deep:  # Python itself cannot free it otherwise
        deep = deep.pop("a")


def test_the_deepest_state_that_is_written_can_be_read() -> None:
    """The limits of writing and of reading fit together."""
    tree: Any = 1
    while why_not_plain({0: tree, "t": (tree,)}) is None:
        tree = {0: tree, "t": (tree,)} if isinstance(tree, int) else {0: (tree,)}
    assert back(tree) == tree


@for_each(
    "value",
    [
        *({"$what": 1}, {"$tensor": "none"}, {"$tensor": []}, {"$tensor": "t", "shape": [1 << 62], "stride": [0]}),
        *({"$tensor": "t", "shape": [9], "stride": [1]}, {"$tensor": "t", "shape": [2], "stride": [-1]}),
        *({"$tensor": "t", "shape": [2], "stride": [1], "offset": -1}, {"$tensor": "t", "shape": ["a"], "stride": [1]}),
        *({"$tensor": "t", "shape": [2], "stride": [1], "dtype": "load"}, {"$tensor": "t", "shape": 3, "stride": 1}),
        *({"$dtype": "nn"}, {"$device": "rm -rf"}, {"$float": "1"}, {"$int": "z"}, {"$bytes": "?"}, {"$bytes": 3}),
        *(
            {"$scalar": ["O", "00"]},
            {"$scalar": ["<f8", "00"]},
            {"$array": {"$tensor": "t"}, "dtype": "O", "shape": [1]},
        ),
        *({"$array": {"$tensor": "t"}, "dtype": "f4,f4", "shape": [1]}, {"$array": [], "dtype": "<f4", "shape": [1]}),
        *({"$dict": [[[], 1]]}, {"$dict": [1]}, {"$dict": {"a": 1}}, {"$set": [[]]}, {"$tuple": 5}, {"$size": ["a"]}),
        *({"$deque": [], "maxlen": -1}, {"$deque": []}, {"$enum": "os"}, {"$codec": "os.system", "of": "true"}),
        *({"$codec": []}, {"$complex": [1, 2, 3]}, {"$tensor": "t", "grad": True, "shape": [1], "stride": [1, 2]}),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_one_clear_error(value: Any) -> None:
    """Of a file that holds anything at all; the message says where."""
    with pytest.raises(StateError, match=r"^optimizer\.0 ") as caught:
        decode({"optimizer": [value]}, {"t": torch.zeros(4)})
    assert "\n" not in str(caught.value)


def test_no_name_in_a_file_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a file calls things, no module is looked for."""

    def no_import(*arguments: object, **keywords: object) -> None:
        raise AssertionError("an import")

    monkeypatch.setattr("builtins.__import__", no_import)
    for value in ({"$enum": ["os", "system"]}, {"$codec": "os:system", "of": "true"}, {"$os.system": "true"}):
        with pytest.raises(StateError):
            decode(value, {}, Colour.RED)


def test_equal_states_are_equal_texts() -> None:
    """The order of sets does not depend on the process."""
    first = encode({"s": set("abcdefgh"), "f": frozenset(range(9))})[0]
    second = encode({"s": set("hgfedcba"), "f": frozenset(reversed(range(9)))})[0]
    assert json.dumps(first) == json.dumps(second)
