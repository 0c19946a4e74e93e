"""Objects in a state either come back as they were, with their class, or are refused by name; there is no third way."""

from __future__ import annotations

import enum
import functools
import json
from collections import Counter, OrderedDict, UserDict, defaultdict, deque, namedtuple
from typing import Any, NamedTuple

import numpy
import pytest
import torch

from lossreg.checkpoints.reading import read_json
from lossreg.checkpoints.tree import decode, encode, why_not_plain
from lossreg.errors import StateError
from tests.table import for_each


class Colour(enum.Enum):
    """Words."""

    RED = "red"


class Word(str, enum.Enum):  # noqa: UP042  # the older way, of which there are many
    """Words that are texts."""

    UP = "up"


class Flags(enum.Flag):
    """Members that can be iterated."""

    A = 1
    B = 2


class Point(NamedTuple):
    """A tuple with names."""

    x: int


Old = namedtuple("Old", "x")  # noqa: PYI024  # the other way to make one


class Numbers(list[int]):
    """A list of a class of its own."""


def back(tree: Any, like: Any = None) -> Any:
    """A state after it was written as JSON and read again."""
    value, tensors = encode(tree)
    return decode(read_json(json.dumps(value, allow_nan=False).encode()), tensors, like)


@for_each(
    "value",
    [
        *(OrderedDict(b=1, a=(2,)), Counter(a=2), deque([1, 2]), deque([1], maxlen=3), {1, 2}, {"a"}, frozenset({"b"})),
        *((1, [2]), torch.Size([2]), b"a", bytearray(b"b"), 1j, torch.float16, torch.device("cpu")),
        *(defaultdict(list, a=[1]), defaultdict(int, {3: 1}), defaultdict(None, a=1), defaultdict(dict, a={"b": 2})),
        *(Colour.RED, Word.UP, Flags.B),
        *(numpy.float32(0.1), numpy.int64(3), numpy.bool_(True), numpy.str_("a"), numpy.datetime64("2020-01-01")),
    ],
    ids=repr,
)
def test_what_comes_back_is_what_was_written(value: Any) -> None:
    """Equal, of the same class, and with the same words for itself; also as an item and as a value."""
    read = back({"x": [value], "y": {"z": value}}, {"x": [value], "y": {"z": value}})
    for one in (read["x"][0], read["y"]["z"]):
        assert type(one) is type(value)
        assert one == value
        assert repr(one) == repr(value)


def test_a_default_dictionary_goes_on_making_values() -> None:
    """By the function that it had; a tensor in it is a tensor."""
    read = back(defaultdict(list, {0: [torch.ones(2)]}))
    read[1].append(5)
    assert read[1] == [5]
    assert torch.equal(read[0][0], torch.ones(2))


@for_each(
    ("value", "words"),
    [
        (Point(1), r"x is a Point \(.*\), which is not plain data"),
        (Old(1), r"x is a Old \(.*\), which is not plain data"),
        (Numbers([1]), r"x is a Numbers \(.*\), which is not plain data"),
        (UserDict(a=1), r"x is a UserDict \(collections\), which is not plain data"),
        (range(3), r"x is a range \(builtins\), which is not plain data"),
        (iter([1]), r"x is a list_iterator \(builtins\), which is not plain data"),
        (functools.partial(int), r"x is a partial \(functools\), which is not plain data"),
        (torch.Generator(), r"x is a Generator \(torch.*\), which is not plain data"),
        (numpy.void(b"a"), r"x is a void \(numpy\), which is not plain data"),
        (defaultdict(lambda: 1), r"x is a defaultdict whose values <function .*> makes, which is not plain data"),
        (defaultdict(torch.Generator), r"x is a defaultdict whose values .*Generator.* makes, which is not plain data"),
        ({(1, Point(1)): 1}, r"x has the key .*, which is not plain data"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)
def test_what_would_not_come_back_is_named(value: Any, words: str) -> None:
    """Its place and its class, or the function, are in the message, before anything is written."""
    with pytest.raises(StateError, match=words):
        encode({"x": value})
    assert why_not_plain({"x": value}) is not None


@for_each("node", [{"of": "eval"}, {"of": ["list"]}, {}, {"of": "__import__"}])
def test_a_file_names_no_other_function(node: dict[str, Any]) -> None:
    """What makes the missing values is looked up in a table, and nowhere else."""
    with pytest.raises(StateError, match=r"state holds a '\$defaultdict' that makes no sense"):
        decode({"$defaultdict": [], **node}, {})
