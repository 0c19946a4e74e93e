"""What a factory takes: signatures of real factories, and which values fit which annotation."""

from __future__ import annotations

import collections.abc
import math
import re
import typing
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, Optional, Protocol, Union, runtime_checkable

import numpy as np
import pytest
import torch

from lossreg.errors import ParameterError, SpecError, UnknownParameterError
from lossreg.registry.annotations import MISSING, accepts
from lossreg.registry.parameters import Parameter
from lossreg.registry.signature import Signature
from lossreg.spec import ComponentSpec
from tests.table import for_each

SPEC = ComponentSpec("dice", {"smooth": 1})


# Signatures


def names(signature: Signature) -> list[str]:
    """The names of a signature's parameters, in order."""
    return list(signature.parameters)


def defaults(signature: Signature) -> dict[str, object]:
    """The defaults of a signature's parameters that have one."""
    return {name: p.default for name, p in signature.parameters.items() if not p.required}


def test_an_optimizer_has_its_parameters_without_the_weights() -> None:
    """SGD takes lr, momentum and so on; the weights, its first argument, are not among them."""
    signature = Signature.of(torch.optim.SGD, positional_args=1)
    assert names(signature)[:5] == ["lr", "momentum", "dampening", "weight_decay", "nesterov"]
    assert "params" not in signature.parameters
    assert not signature.open


def test_the_defaults_are_those_of_the_factory() -> None:
    """Adam's defaults are those of the paper, which torch documents."""
    found = defaults(Signature.of(torch.optim.Adam, positional_args=1))
    assert (found["lr"], found["betas"], found["eps"]) == (1e-3, (0.9, 0.999), 1e-8)


def test_a_loss_has_all_of_its_parameters() -> None:
    """CrossEntropyLoss takes weight, ignore_index, reduction and label_smoothing, all with defaults."""
    signature = Signature.of(torch.nn.CrossEntropyLoss, positional_args=0)
    assert {"weight", "ignore_index", "reduction", "label_smoothing"} <= set(signature.parameters)
    found = defaults(signature)
    assert (found["weight"], found["ignore_index"], found["reduction"]) == (None, -100, "mean")
    assert len(found) == len(signature.parameters)


def test_a_scheduler_has_required_parameters() -> None:
    """StepLR needs step_size and has a default for gamma; the optimizer is not among its parameters."""
    signature = Signature.of(torch.optim.lr_scheduler.StepLR, positional_args=1)
    assert signature.parameters["step_size"].required
    assert not signature.parameters["gamma"].required
    assert "optimizer" not in signature.parameters


def test_a_module_has_required_parameters_in_its_own_order() -> None:
    """Conv2d needs in_channels, out_channels and kernel_size, in this order."""
    signature = Signature.of(torch.nn.Conv2d, positional_args=0)
    assert [name for name, p in signature.parameters.items() if p.required] == [
        "in_channels",
        "out_channels",
        "kernel_size",
    ]


def test_self_is_no_parameter() -> None:
    """The parameters of a class are those of its constructor without self."""
    assert "self" not in Signature.of(torch.nn.Conv2d, positional_args=0).parameters


def takes_more(weights: object, lr: float = 0.1, **options: object) -> None:
    """A factory with further keywords."""


def test_a_factory_with_further_keywords_is_open() -> None:
    """`**kwargs` makes a signature open and is no parameter itself."""
    signature = Signature.of(takes_more, positional_args=1)
    assert (names(signature), signature.open) == (["lr"], True)


def takes_all_sorts(first: int, /, second: int, *rest: int, third: int = 3) -> None:
    """A factory with parameters of every kind."""


def test_only_what_can_be_given_by_name_is_a_parameter() -> None:
    """Positional-only parameters and `*args` cannot be set by name, so they are no parameters."""
    assert names(Signature.of(takes_all_sorts, positional_args=0)) == ["second", "third"]


def with_text_annotations(rate: float, path: Path | None = None) -> None:
    """A factory in a module whose annotations are all text."""


def test_annotations_that_are_text_are_evaluated() -> None:
    """Annotations that are text (`from __future__ import annotations`) are read as what they name."""
    parameters = Signature.of(with_text_annotations, positional_args=0).parameters
    assert parameters["rate"].annotation is float
    assert parameters["path"].annotation == Path | None


@for_each(
    "annotation",
    ["NotImported", "NotImported | None", "torch.no_such_thing", "int[3]", "batch channels", "{}['x']"],
)
def test_annotations_that_cannot_be_evaluated_are_ignored(annotation: str) -> None:
    """An annotation that cannot be evaluated leaves its parameter there, unchecked."""

    def factory(rate: object, size: object = 3) -> None: ...

    factory.__annotations__ = {"rate": annotation, "return": None}
    signature = Signature.of(factory, positional_args=0)
    assert (names(signature), signature.open) == (["rate", "size"], False)
    assert signature.parameters["rate"].check(object, "c") is object


def test_a_factory_without_a_signature_takes_anything() -> None:
    """A factory of which Python knows no signature is open, with no parameter of its own."""
    assert Signature.of(torch.zeros, positional_args=0) == Signature({}, open=True)


def test_a_description_is_the_signature_as_one_would_write_it() -> None:
    """The description shows name, type and default of each parameter, and dots where there may be more."""

    def factory(  # type: ignore[no-untyped-def]  # a parameter without an annotation is a case of its own
        a: int, b: float = 0.5, c: str | None = None, d="x", e: Literal["m", "n"] = "m", **more: Any
    ) -> None: ...

    described = Signature.of(factory, positional_args=0).describe("thing", {"b": 0.25})
    assert described == ("thing(a: int, b: float = 0.25, c: str | None = None, d='x', e: Literal['m', 'n'] = 'm', ...)")


def test_a_description_of_torch_names_types_without_their_modules() -> None:
    """Types of torch and of typing are described without their modules."""
    described = Signature.of(torch.nn.CrossEntropyLoss, positional_args=0).describe("cross_entropy", {})
    assert "weight: Tensor | None = None" in described
    assert "torch." not in described


# Finding parameters


def test_a_known_parameter_is_found() -> None:
    """Find gives the parameter of a name."""
    signature = Signature.of(torch.optim.SGD, positional_args=1)
    assert signature.find("momentum", "sgd", {}) is signature.parameters["momentum"]


@for_each(("written", "meant"), [("momentun", "momentum"), ("nestorov", "nesterov"), ("weightdecay", "weight_decay")])
def test_an_unknown_parameter_gets_a_suggestion_and_the_signature(written: str, meant: str) -> None:
    """The error about an unknown parameter says what was probably meant, and shows the signature."""
    with pytest.raises(UnknownParameterError) as caught:
        Signature.of(torch.optim.SGD, positional_args=1).find(written, "sgd", {"lr": 0.25})
    message = str(caught.value)
    assert f"sgd has no parameter '{written}'. Did you mean '{meant}'?" in message
    assert "sgd(lr: float | Tensor = 0.25, momentum: float = 0" in message
    assert (caught.value.component, caught.value.parameter) == ("sgd", written)


def test_an_unknown_parameter_that_resembles_nothing_gets_the_signature() -> None:
    """The error about a parameter that resembles none suggests nothing and shows the signature."""
    with pytest.raises(UnknownParameterError, match="step_size: int") as caught:
        Signature.of(torch.optim.lr_scheduler.StepLR, positional_args=1).find("zzz", "step_lr", {})
    assert "Did you mean" not in str(caught.value)


def test_a_factory_without_parameters_says_so() -> None:
    """The error about a parameter of a factory that takes none says that it takes none."""

    def factory() -> None: ...

    with pytest.raises(UnknownParameterError, match="takes none"):
        Signature.of(factory, positional_args=0).find("x", "thing", {})


def test_an_open_factory_has_a_parameter_of_any_name() -> None:
    """An open factory takes a parameter of any name and any value."""
    parameter = Signature.of(takes_more, positional_args=1).find("anything", "thing", {})
    assert parameter.check("any value", "thing") == "any value"


def test_a_missing_required_parameter_is_an_error() -> None:
    """A parameter without a default that is not given is an error that shows the signature."""
    signature = Signature.of(torch.optim.lr_scheduler.StepLR, positional_args=1)
    with pytest.raises(UnknownParameterError, match=r"step_lr needs step_size\. step_lr\(step_size: int") as caught:
        signature.check_complete(["gamma"], "step_lr", {})
    assert (caught.value.component, caught.value.parameter) == ("step_lr", "step_size")


def test_all_missing_parameters_are_named() -> None:
    """The error names every parameter that is missing, and none that is given."""
    signature = Signature.of(torch.nn.Conv2d, positional_args=0)
    with pytest.raises(UnknownParameterError, match="needs in_channels and kernel_size") as caught:
        signature.check_complete(["out_channels"], "conv", {})
    assert caught.value.parameter == "in_channels"


def test_nothing_is_missing_where_all_are_given() -> None:
    """With every required parameter given, the check passes."""
    signature = Signature.of(torch.nn.Conv2d, positional_args=0)
    signature.check_complete(["in_channels", "out_channels", "kernel_size"], "conv", {})


# Which values fit


@runtime_checkable
class HasStep(Protocol):
    """A protocol that can be checked at run time."""

    def step(self) -> None:
        """Goes on by one."""


class Unchecked(Protocol):
    """A protocol that cannot be checked at run time."""

    def step(self) -> None:
        """Goes on by one."""


FITS: list[tuple[Any, object]] = [
    (bool, True),
    (bool, False),
    (int, 1),
    (int, -(10**30)),
    (int, np.int64(3)),
    (float, 1.5),
    (float, 1),
    (float, math.inf),
    (float, np.float64(0.5)),
    (float, np.float32(0.5)),
    (float, Fraction(1, 2)),
    (str, ""),
    (str, "mean"),
    (None, None),
    (type(None), None),
    (object, "x"),
    (Any, object()),
    (MISSING, object()),
    (float | None, 1),
    (float | None, None),
    (Optional[int], None),  # noqa: UP045  # the old spelling is a case of its own
    (Union[int, str], "x"),  # noqa: UP007  # the old spelling is a case of its own
    (int | tuple[int, int], 3),
    (int | tuple[int, int], (3, 4)),
    (tuple[float, float], (0.9, 0.999)),
    (tuple[float, float], [0.9, 0.999]),
    (tuple[float, float], (0, 1)),
    (tuple[int, ...], ()),
    (tuple[int, ...], (1, 2, 3)),
    (tuple[int, str], (1, "x")),
    (tuple, (1, "x")),
    (list, [1, "x"]),
    (list[int], [1, 2]),
    (list[int], (1, 2)),
    (list[list[int]], [[1], [2, 3]]),
    (Sequence[float], (1, 2.5)),
    (typing.List[int], [1]),  # noqa: UP006  # the old spelling is a case of its own
    (Iterable[str], ["a"]),
    (collections.abc.Sequence, (1, "x")),
    (Literal["mean", "sum"], "sum"),
    (Literal[1, 2], 2),
    (Literal[True], True),
    (Literal["mean", None], None),  # noqa: PYI061  # the unusual spelling is a case of its own
    (Annotated[float, "unit"], 1),
    (Path, "data/x.csv"),
    (Path, Path("data")),
    (PurePath, "x"),
    (Path | None, None),
    (str | Path, "x"),
    (Callable[[int], float], math.sqrt),
    (Callable, math.sqrt),
    (typing.Callable, math.sqrt),
    (str | Callable[[int], float], "epoch // 2"),
    (str | Callable[[int], float], math.sqrt),
    (torch.Tensor, torch.zeros(2)),
    (torch.Tensor, [1.0, 2.0]),
    (torch.Tensor, (1, 2)),
    (torch.Tensor, [[1.0, 2.0], [3.0, 4.0]]),
    (torch.Tensor | None, None),
    (float | torch.Tensor, 0.1),
    (float | torch.Tensor, [0.1]),
    (torch.nn.Module, torch.nn.Identity()),
    (torch.dtype, torch.float64),
    (dict, {"a": 1}),
    (complex, 1j),
    (HasStep, torch.optim.SGD([torch.zeros(1)])),
    # A nested spec becomes an object of its own.
    (torch.nn.Module, SPEC),
    (torch.nn.Module | None, SPEC),
    (object, SPEC),
    (Any, SPEC),
    # What is not understood accepts everything.
    (Unchecked, 5),
    (typing.TypeVar("T"), 5),
    ("text", 5),
]

FITS_NOT: list[tuple[Any, object]] = [
    (bool, 1),
    (bool, 0),
    (bool, "true"),
    (bool, None),
    (int, True),
    (int, False),
    (int, 1.0),
    (int, "1"),
    (int, None),
    (int, (1,)),
    (float, True),
    (float, "0.1"),
    (float, None),
    (float, 1j),
    (float, [0.1]),
    (float, np.bool_(True)),
    (str, 1),
    (str, True),
    (str, None),
    (str, b"x"),
    (str, Path("x")),
    (None, 0),
    (type(None), False),
    (float | None, True),
    (float | None, "none"),
    (Optional[int], 1.0),  # noqa: UP045  # the old spelling is a case of its own
    (Union[int, str], 1.5),  # noqa: UP007  # the old spelling is a case of its own
    (int | tuple[int, int], (3, 4, 5)),
    (int | tuple[int, int], "3"),
    (tuple[float, float], (0.9,)),
    (tuple[float, float], (0.9, 0.99, 0.999)),
    (tuple[float, float], ()),
    (tuple[float, float], (0.9, True)),
    (tuple[float, float], (0.9, "0.999")),
    (tuple[float, float], 0.9),
    (tuple[float, float], "ab"),
    (tuple[int, ...], (1, 2.5)),
    (tuple[int, str], ("x", 1)),
    (list[int], [1, "x"]),
    (list[int], 1),
    (list[list[int]], [[1], 2]),
    (list, "abc"),
    (Sequence[str], "abc"),
    (Sequence[float], [True]),
    (Literal["mean", "sum"], "max"),
    (Literal["mean", "sum"], None),
    (Literal[1, 2], True),
    (Literal[1, 2], 1.0),
    (Literal[True], 1),
    (Annotated[float, "unit"], "x"),
    (Path, 5),
    (Path, None),
    (Path, b"x"),
    (Callable[[int], float], 5),
    (Callable[[int], float], "epoch"),
    (str | Callable[[int], float], 5),
    (torch.Tensor, 1.0),
    (torch.Tensor, "x"),
    (torch.Tensor, None),
    (torch.Tensor, ["x"]),
    (torch.Tensor, [True, False]),
    (torch.Tensor, [[1.0], "x"]),
    (torch.nn.Module, "relu"),
    (torch.nn.Module, torch.nn.ReLU),
    (torch.dtype, "float64"),
    (dict, [1]),
    (HasStep, 5),
    (bool, SPEC),
    (int, SPEC),
    (float | None, SPEC),
    (str, SPEC),
    (Literal["dice"], SPEC),
    (tuple[int, int], SPEC),
]


def case(annotation_and_value: object) -> str:
    """The name under which pytest shows an annotation or a value."""
    text = getattr(annotation_and_value, "__name__", None) or repr(annotation_and_value)
    text = re.sub(" at 0x[0-9a-f]+", "", str(text))  # which would be another one in each process
    return " ".join(text.split())[:40]


@for_each(("annotation", "value"), FITS, ids=case)
def test_a_value_that_fits_is_accepted(annotation: Any, value: object) -> None:
    """A value of the annotated type is accepted; an annotation that is not understood accepts everything."""
    assert accepts(annotation, value)


@for_each(("annotation", "value"), FITS_NOT, ids=case)
def test_a_value_that_does_not_fit_is_not_accepted(annotation: Any, value: object) -> None:
    """A value of another type is not accepted; a boolean is not a number, and text is no sequence."""
    assert not accepts(annotation, value)


@for_each(
    ("default", "good", "bad"),
    [
        (0.5, [1, 2.5], [True, "0.5", None]),
        (3, [4, 2.5], [True, "3", None]),
        (True, [False], [1, 0.0, "true", None]),
        ("mean", ["sum"], [1, True, None]),
        (None, [1, "x", None, True], []),
        ((1, 2), [(3,), "x", 5], []),
        (MISSING, [1, "x", None], []),
    ],
    ids=repr,
)
def test_without_an_annotation_the_default_says_what_fits(
    default: object, good: list[object], bad: list[object]
) -> None:
    """A parameter without an annotation takes what its default lets one infer: numbers, booleans or text."""
    parameter = Parameter("x", MISSING, default)
    assert [parameter.check(value, "c") for value in good] == good
    for value in bad:
        with pytest.raises(ParameterError):
            parameter.check(value, "c")


@for_each("annotation", [float, int, str, (int, float), [int], 5], ids=case)
def test_none_fits_where_none_is_the_default(annotation: Any) -> None:
    """A parameter whose default is None takes None, whatever its annotation says."""
    assert Parameter("x", annotation, None).check(None, "c") is None


# Checking


@for_each(
    ("annotation", "value"),
    [(float, "fast"), (float, True), (int, 1.5), (bool, 1), (str, 5), (Literal["mean", "sum"], "max")],
    ids=case,
)
def test_a_value_that_does_not_fit_is_an_error_that_says_all(annotation: Any, value: object) -> None:
    """The error names component, parameter, value and what is expected."""
    parameter = Parameter("momentum", annotation, MISSING)
    with pytest.raises(ParameterError) as caught:
        parameter.check(value, "sgd")
    message = str(caught.value)
    assert message.startswith(f"sgd: momentum={value!r} ")
    assert parameter.describe() in message
    assert (caught.value.component, caught.value.parameter) == ("sgd", "momentum")


def test_a_bare_word_where_text_belongs_is_told_to_be_quoted() -> None:
    """The error about a nested spec where text belongs says how the text is written."""
    with pytest.raises(ParameterError, match="reduction='sum'"):
        Parameter("reduction", str, "mean").check(ComponentSpec("sum"), "dice")


@for_each("value", [1, 2.5, "x", None, (1, 2), SPEC], ids=case)
def test_a_value_that_fits_comes_back_as_it_is(value: object) -> None:
    """Check gives back the very value, unless a tensor is to be made of it."""
    assert Parameter("x", Any, MISSING).check(value, "c") is value


@for_each(
    "annotation",
    [torch.Tensor, torch.Tensor | None, float | torch.Tensor],
    ids=str,
)
@for_each("value", [[0.5, 2.0], (0.5, 2.0), [[0.5], [2.0]]], ids=repr)
def test_a_list_for_a_tensor_becomes_a_tensor(annotation: Any, value: Any) -> None:
    """A list of numbers for a tensor parameter becomes the tensor of these numbers."""
    made = Parameter("weight", annotation, MISSING).check(value, "c")
    assert isinstance(made, torch.Tensor)
    torch.testing.assert_close(made, torch.tensor(value), rtol=0, atol=0)


def test_a_list_of_numbers_serves_as_class_weights() -> None:
    """Cross-entropy with the weights [1, 2, 5] from a list is that with the same numbers in a float tensor."""
    made: Any = Signature.of(torch.nn.CrossEntropyLoss, positional_args=0).parameters["weight"].check([1, 2, 5], "c")
    scores, target = torch.tensor([[0.5, -1.0, 2.0], [1.0, 0.0, 0.0]]), torch.tensor([2, 1])
    expected = torch.nn.CrossEntropyLoss(torch.tensor([1.0, 2.0, 5.0]))(scores, target)
    torch.testing.assert_close(torch.nn.CrossEntropyLoss(made)(scores, target), expected)


def test_a_tensor_for_a_tensor_comes_back_as_it_is() -> None:
    """A tensor is not copied."""
    weight = torch.ones(3)
    assert Parameter("weight", torch.Tensor | None, None).check(weight, "c") is weight


@for_each("value", [[[1.0], [2.0, 3.0]], [1.0, [2.0]], [10**400]], ids=repr)
def test_a_list_that_makes_no_tensor_is_a_parameter_error(value: object) -> None:
    """A ragged list, or one with a number that no tensor holds, is a ParameterError."""
    with pytest.raises(ParameterError):
        Parameter("weight", torch.Tensor, MISSING).check(value, "c")


@for_each(
    "annotation",
    [tuple[float | torch.Tensor, float | torch.Tensor], list[float] | torch.Tensor, tuple[float, ...]],
    ids=str,
)
def test_a_list_for_a_sequence_stays_a_sequence(annotation: Any) -> None:
    """Where a sequence of numbers fits as it is, no tensor is made of it."""
    assert Parameter("betas", annotation, MISSING).check((0.9, 0.999), "c") == (0.9, 0.999)


@for_each("annotation", [list[torch.Tensor], tuple[torch.Tensor, torch.Tensor], Sequence[torch.Tensor]], ids=str)
def test_a_list_of_lists_for_several_tensors_is_not_one_tensor(annotation: Any) -> None:
    """A parameter that takes several tensors does not get a single one."""
    try:
        made = Parameter("weights", annotation, MISSING).check([[1.0, 2.0], [3.0, 4.0]], "c")
    except ParameterError:
        return
    assert not isinstance(made, torch.Tensor)


# Reading from a command line


@for_each(
    ("annotation", "text", "value"),
    [
        (float, "0.1", 0.1),
        (float, "1e-3", 0.001),
        (float, "3", 3),
        (float, "inf", math.inf),
        (float | None, "none", None),
        (int, "3", 3),
        (bool, "true", True),
        (bool, "False", False),
        (tuple[float, float], "(0.9, 0.99)", (0.9, 0.99)),
        (tuple[float, float], "[0.9, 0.99]", (0.9, 0.99)),
        (tuple[float, float], "0.9, 0.99", (0.9, 0.99)),
        (torch.Tensor | None, "[1, 2, 3]", (1, 2, 3)),
        (torch.nn.Module, "relu(inplace=True)", ComponentSpec("relu", {"inplace": True})),
        (MISSING, "0.1", 0.1),
        (MISSING, "word", "word"),
    ],
    ids=case,
)
def test_a_literal_is_read_where_one_fits(annotation: Any, text: str, value: object) -> None:
    """A text from the command line is read as the literal that fits the parameter."""
    assert repr(Parameter("x", annotation, MISSING).read(text, "c")) == repr(value)


@for_each(
    "text",
    [
        "mean",
        "1",
        "0.1",
        "true",
        "none",
        "nan",
        "inf",
        "[1, 2]",
        "dice(smooth=1)",
        "epoch // 2",
        "'quoted'",
        "",
        "a" * 20_000,
    ],
)
@for_each("annotation", [str, Path, str | Path, str | Callable[[int], float]], ids=case)
def test_a_parameter_for_text_keeps_the_text(annotation: Any, text: str) -> None:
    """A parameter annotated str or Path keeps the text as it was written, whatever it looks like."""
    assert Parameter("x", annotation, MISSING).read(text, "c") == text


@for_each(
    ("annotation", "text", "value"),
    [
        (str | None, "none", None),
        (str | None, "nothing", "nothing"),
        (int | str, "3", 3),
        (int | str, "same", "same"),
        (int | str, "0.5", "0.5"),
    ],
    ids=case,
)
def test_a_parameter_for_text_or_another_type_takes_the_literal_that_fits(
    annotation: Any, text: str, value: object
) -> None:
    """Where text is one of several types, a literal of another of them is read, and all else is text."""
    assert repr(Parameter("x", annotation, MISSING).read(text, "c")) == repr(value)


@for_each("annotation", [float, int, float | None, tuple[float, float]], ids=case)
@for_each("text", ["fast", "true", "'1'", "epoch // 2", "[True, True]", "", "dice(smooth=1)", "['a', 'b']"])
def test_text_or_a_boolean_where_a_number_belongs_is_an_error(annotation: Any, text: str) -> None:
    """A text or a boolean where numbers belong is a ParameterError."""
    with pytest.raises(ParameterError):
        Parameter("x", annotation, MISSING).read(text, "c")


@for_each("text", ["1", "0", "yes", "on", "'true'"])
def test_a_boolean_is_true_or_false(text: str) -> None:
    """A number or another word where a boolean belongs is a ParameterError."""
    with pytest.raises(ParameterError):
        Parameter("nesterov", bool, False).read(text, "sgd")


def test_nan_where_a_number_belongs_is_a_spec_error() -> None:
    """NaN is refused for a number."""
    with pytest.raises(SpecError):
        Parameter("lr", float, 0.1).read("nan", "sgd")


def test_a_huge_integer_where_text_belongs_stays_text() -> None:
    """A hexadecimal number that Python will not write in decimals is text where text belongs."""
    text = "0x" + "f" * 5_000
    assert Parameter("x", str, "").read(text, "c") == text


def test_a_huge_integer_that_does_not_fit_is_a_parameter_error() -> None:
    """A hexadecimal number that Python will not write in decimals is a ParameterError where a boolean belongs."""
    with pytest.raises((ParameterError, SpecError)):
        Parameter("x", bool, False).read("0x" + "f" * 5_000, "c")
