"""What a value of a spec stands for where the parameter takes neither number nor text."""

from __future__ import annotations

import enum
import math
import subprocess
import sys
from typing import Any, Literal

import numpy as np
import pytest
import torch

import lossreg
from lossreg.registry.annotations import words_of
from lossreg.registry.build import ResolvedComponent, resolve
from lossreg.spec import ComponentSpec
from lossreg.spec_text import parse_params, parse_value
from tests.table import for_each


class Mode(enum.Enum):
    """Members with values of several types."""

    FAST = "quick"
    Slow_One = 2
    HALF = 0.5


class Probe(torch.nn.Module):
    """A loss that keeps what it is given."""

    def __init__(  # type: ignore[no-untyped-def]  # a parameter without an annotation is what is tested
        self,
        mode: Mode = Mode.FAST,
        maybe: Mode | None = None,
        text_or_mode: str | Mode = "x",
        dtype: torch.dtype | None = None,
        device: torch.device | None = None,
        table: dict[str, float] | None = None,
        names: list[str] | None = None,
        reduction: Literal["mean", "none"] = "mean",
        text: str = "",
        free: Any = 0,
        plain="mean",
    ) -> None:
        super().__init__()
        self.given = {key: value for key, value in locals().items() if key != "self"}


@pytest.fixture
def registries() -> lossreg.Registries:
    """The built-ins, and the probe."""
    found = lossreg.load_registries(allow=[])
    found.losses.register("probe", target="index")(Probe)
    return found


def resolved(registries: lossreg.Registries, text: str) -> ResolvedComponent[Any]:
    """A spec text, looked up and checked."""
    return resolve(registries.losses, ComponentSpec.parse(text))


@for_each(
    ("written", "parameter", "value"),
    [
        ("mode='quick'", "mode", Mode.FAST),
        ("mode=quick", "mode", Mode.FAST),
        ("mode='FAST'", "mode", Mode.FAST),
        ("mode=fast", "mode", Mode.FAST),
        ("mode=Mode.FAST", "mode", Mode.FAST),
        ("mode=2", "mode", Mode.Slow_One),
        ("mode=slow_one", "mode", Mode.Slow_One),
        ("mode='slow-one'", "mode", Mode.Slow_One),
        ("mode=0.5", "mode", Mode.HALF),
        ("maybe=half", "maybe", Mode.HALF),
        ("maybe=None", "maybe", None),
        ("maybe=none", "maybe", None),
        ("text_or_mode='fast'", "text_or_mode", "fast"),
        ("dtype='float16'", "dtype", torch.float16),
        ("dtype=float16", "dtype", torch.float16),
        ("dtype=torch.bfloat16", "dtype", torch.bfloat16),
        ("device='cuda:1'", "device", torch.device("cuda", 1)),
        ("device=cpu", "device", torch.device("cpu")),
        ("table={'a': 1, 'b': 0.5}", "table", {"a": 1, "b": 0.5}),
        ("table={}", "table", {}),
        ("free={'a': [1, {'b': True}]}", "free", {"a": (1, {"b": True})}),
        ("free={1: none}", "free", {1: None}),
        ("free=true", "free", True),
    ],
)
def test_a_value_becomes_the_object_that_it_stands_for(
    registries: lossreg.Registries, written: str, parameter: str, value: object
) -> None:
    """Members of an Enum by value or name, dtypes, devices and dictionaries are built from text, and written again."""
    found = resolved(registries, f"probe({written})")
    given = found.build(runtime={}).given[parameter]
    assert (type(given), given) == (type(value), value)
    again = resolved(registries, found.spec.text)
    assert again.build(runtime={}).given[parameter] == value


@for_each(
    ("written", "parts"),
    [
        ("mode=3", ("mode=3", "one of fast, slow_one, half")),
        ("mode=dice", ("mode=dice", "one of fast, slow_one, half")),
        ("mode='swift'", ("mode='swift'", "one of fast, slow_one, half")),
        ("dtype='float17'", ("dtype='float17'", "dtype | None")),
        ("dtype='nn'", ("dtype='nn'",)),
        ("device='gpu'", ("device='gpu'",)),
        ("table={'a': 'b'}", ("table={'a': 'b'}", "dict[str, float]")),
        ("table=[1]", ("table=[1]",)),
        ("names=[a, b]", ("names=[a, b]", "quoted: names=['a', 'b']")),
        ("names=['a', b]", ("quoted: names=['a', 'b']",)),
        ("free=[a, b]", ("no loss named 'a'", "free=[a, b]", "text is quoted")),
        ("free=a", ("no loss named 'a'", "text is quoted")),
        ("reduction=none", ("quoted: reduction='none'",)),
        ("reduction=mean", ("quoted: reduction='mean'",)),
        ("text=none", ("quoted: text='none'",)),
        ("text=true", ("quoted: text='true'",)),
        ("plain=none", ("quoted: plain='none'",)),
    ],
)
def test_a_value_that_stands_for_nothing_is_refused(
    registries: lossreg.Registries, written: str, parts: tuple[str, ...]
) -> None:
    """The message has what was written, what would fit, and where a quotation mark is missing."""
    with pytest.raises(lossreg.LossregError) as refused:
        resolved(registries, f"probe({written})")
    assert [part for part in parts if part not in str(refused.value)] == []


def test_a_dotted_value_is_read_as_its_parameter_takes_it(registries: lossreg.Registries) -> None:
    """Behind a dotted option stand the same words, without quotation marks."""
    signature = registries.losses["probe"].signature.parameters
    written = {"mode": "fast", "dtype": "float16", "table": "{'a': 1}", "reduction": "none", "names": "['a']"}
    spec = ComponentSpec("probe", {key: signature[key].read(text, "probe") for key, text in written.items()})
    given = resolve(registries.losses, spec).build(runtime={}).given
    assert [given[key] for key in written] == [Mode.FAST, torch.float16, {"a": 1}, "none", ("a",)]


@for_each(
    ("value", "text"),
    [
        (Mode.FAST, "a(x='quick')"),
        (Mode.Slow_One, "a(x=2)"),
        (torch.float16, "a(x='torch.float16')"),
        (torch.device("cuda:1"), "a(x='cuda:1')"),
        ({"b": 1, "a": [1, None]}, "a(x={'b': 1, 'a': [1, None]})"),
        (np.int64(3), "a(x=3)"),
        (np.float32(0.5), "a(x=0.5)"),
        (np.bool_(True), "a(x=True)"),
        ([np.uint8(3), np.float64(2)], "a(x=[3, 2.0])"),
    ],
)
def test_an_object_with_a_text_is_written_as_it(value: object, text: str) -> None:
    """Members of an Enum, dtypes, devices, dictionaries and numpy's numbers have a place in a spec."""
    assert ComponentSpec("a", {"x": value}).text == text
    assert ComponentSpec.parse(text).text == text


def test_a_dictionary_in_a_spec_is_hashable_and_equal_by_its_text() -> None:
    """Two specs with the same dictionary are one key; with a bool for a number they are not."""
    one, same, other = (ComponentSpec("a", {"x": {"k": value}}) for value in (1, 1, True))
    assert {one: 0}[same] == 0
    assert one != other


def test_a_list_that_holds_itself_is_refused() -> None:
    """It is an error of the spec, or of the parameter; not an endless recursion."""
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(lossreg.SpecError, match="levels deep"):
        ComponentSpec("a", {"x": endless})
    with pytest.raises(lossreg.ParameterError, match="weight"):
        lossreg.losses.build("cross_entropy", weight=endless)


@for_each("word", ["true", "True", "TRUE"])
def test_true_is_one_word_in_every_place(word: str) -> None:
    """In a spec text, in a group and behind a dotted option it is the same value."""
    in_spec = dict(ComponentSpec.parse(f"sgd(nesterov={word})").params)["nesterov"]
    assert (in_spec, dict(parse_params(f"nesterov={word}"))["nesterov"], parse_value(word)) == (True, True, True)


def test_bare_words_in_a_group_are_text() -> None:
    """As behind a dotted option, a bare word in a group's options is text, and inf a number."""
    assert parse_params("mode=Fast, eps=inf, lr=.1") == (("eps", math.inf), ("lr", 0.1), ("mode", "Fast"))


def test_the_words_of_an_annotation_are_few() -> None:
    """Literal, bool and Enum have words; numbers and texts have none."""
    assert words_of(Literal["mean", "sum"]) == ["mean", "sum"]
    assert words_of(bool | None) == ["true", "false", "none"]
    assert words_of(Mode) == ["fast", "slow_one", "half"]
    assert words_of(float) == words_of(str) == []


def test_reading_values_needs_no_torch() -> None:
    """A process without torch reads specs and checks parameters of a factory that needs none."""
    code = (
        "import enum, sys, lossreg\n"
        "class Mode(enum.Enum):\n    A = 1\n"
        "def make(mode: Mode = Mode.A): return mode\n"
        "found = lossreg.load_registries(allow=[])\n"
        "found.models.register('m')(make)\n"
        "assert found.models.build('m(mode=a)') is Mode.A\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
