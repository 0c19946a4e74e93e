"""The setting `weights` as text: its forms, its canonical form, and what is refused at once."""

from __future__ import annotations

import pytest

import lossreg
from lossreg import ConfigError, RunSpec
from lossreg.weights import WeightsChoice
from tests.table import for_each


@for_each(
    ("written", "text"),
    [
        ("auto", "auto"),
        ("raw", "raw"),
        ("optimizer", "optimizer"),
        ("ema", "ema(0.999)"),
        ("ema()", "ema(0.999)"),
        ("ema(0.99)", "ema(0.99)"),
        ("ema( decay = .9 )", "ema(0.9)"),
        (" ema(1e-1) ", "ema(0.1)"),
        ("swa", "swa(start=0.75)"),
        ("swa(0.5)", "swa(start=0.5)"),
        ("swa(start=15)", "swa(start=15)"),
        ("swa(start=0)", "swa(start=0)"),
    ],
)
def test_each_form_has_one_canonical_text(written: str, text: str) -> None:
    """What a run records is the canonical text, which reads as itself."""
    assert RunSpec(weights=written).weights == text
    assert RunSpec(weights=text).weights == text


@for_each("written", ["none", "EMA", "ema(0.9", "ema(0.9, 0.8)", "raw(1)", "auto(2)", "swa((1))", ""])
def test_any_other_text_is_refused_with_the_forms(written: str) -> None:
    """The message has all forms and what was written."""
    with pytest.raises(ConfigError) as caught:
        RunSpec(weights=written)
    assert str(caught.value) == (
        "weights is auto, raw, optimizer, ema(DECAY) such as ema(0.999), or swa(start=START) such as swa(start=0.75); "
        f"it is not {written!r}"
    )


@for_each("written", [0.999, True, None, ["raw"]])
def test_a_value_that_is_not_text_is_refused(written: object) -> None:
    """A number alone does not say which average it is of."""
    with pytest.raises(ConfigError, match=r"^weights is auto, raw, .*; it is not "):
        RunSpec(weights=written)


@for_each("decay", ["0", "1", "-0.5", "1.5", "nan", "inf", "x"])
def test_a_decay_is_between_0_and_1(decay: str) -> None:
    """A decay of 0 would average nothing, and one of 1 would never leave the first weights."""
    with pytest.raises(ConfigError, match=rf"^weights: the decay of ema is a number above 0 .* not '{decay}'$"):
        RunSpec(weights=f"ema({decay})")


@for_each("start", ["1.0", "-1", "-0.1", "1e3", "nan", "x", "9999999999"])
def test_a_start_is_a_share_or_a_number_of_epochs(start: str) -> None:
    """A share is below 1: at least the last epoch is averaged."""
    with pytest.raises(
        ConfigError, match=rf"^weights: the start of swa is a share of the run, .* it is not '{start}'$"
    ):
        RunSpec(weights=f"swa(start={start})")


@for_each(("written", "parameter"), [("ema(start=0.5)", "decay"), ("swa(decay=0.5)", "start")])
def test_a_parameter_of_the_other_average_is_refused(written: str, parameter: str) -> None:
    """The message has the parameter that there is."""
    with pytest.raises(ConfigError, match=rf"has no parameter .*; write {written[:3]}\({parameter}=\.\.\.\)$"):
        RunSpec(weights=written)


@for_each(
    ("start", "epochs", "first"),
    [
        ("0.75", 20, 15),
        ("0.75", 4, 3),
        ("0.75", 1, 0),
        ("0", 7, 0),
        ("0.0", 7, 0),
        ("0.07", 100, 7),
        ("0.29", 100, 29),
        ("0.99", 20, 19),
        ("0.9999999999999999", 20, 19),
        ("3", 4, 3),
    ],
)
def test_a_start_says_the_first_epoch(start: str, epochs: int, first: int) -> None:
    """A share is that of the epochs, rounded down as in decimals: 0.29 * 100 is 28.999999999999996 in floats."""
    assert WeightsChoice.parse(f"swa(start={start})").first_epoch(epochs) == first


def test_a_start_behind_the_run_is_refused() -> None:
    """Nothing would be averaged; the message has the epochs that there are."""
    with pytest.raises(ConfigError) as caught:
        lossreg.plan(weights="swa(start=3)", epochs=3, model="mlp")
    assert str(caught.value) == ("weights: swa(start=3) starts in epoch 3, but the last epoch of the run is 2")


@for_each(
    ("one", "other", "text"),
    [
        ("ema(0.9)", "ema(decay=0.9)", "ema(0.9)"),
        ("swa(0.5)", "swa(start=0.5)", "swa(start=0.5)"),
        ("swa(3)", " swa( start = 3 ) ", "swa(start=3)"),
    ],
)
def test_a_number_has_its_name_or_not(one: str, other: str, text: str) -> None:
    """With and without the parameter's name it is the same setting, with one text."""
    assert lossreg.RunSpec(weights=one).weights == lossreg.RunSpec(weights=other).weights == text
