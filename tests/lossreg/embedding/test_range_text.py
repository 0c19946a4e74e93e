"""Ranges in texts: where they are, what they are called, and what is wrong with them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

import lossreg
from lossreg.embedding.range_text import read_template
from lossreg.embedding.ranges import Choices, Numbers, Template
from lossreg.spec import ComponentSpec
from lossreg.spec_hints import RANGES
from tests.conftest import Command
from tests.table import for_each


def names(template: Template) -> list[str]:
    """The names of all ranges, in their order, with those inside of a choice behind it."""
    found = []
    for one in template.ranges:
        found.append(one.name)
        for option in one.options if isinstance(one, Choices) else ():
            found += names(option)
    return found


@for_each(
    ("text", "wanted"),
    [
        ("adamw(lr=loguniform(1e-5, 1e-1), weight_decay=choice(0, 0.01))", ["opt.lr", "opt.weight_decay"]),
        ("Adam-W( lr = uniform( 0 , 1 ) )", ["opt.lr"]),
        ("adamw(betas=[uniform(0.8, 0.95), 0.999])", ["opt.betas.0"]),
        ("warmup(cosine(eta_min=uniform(0, 1)), length=randint(1, 10))", ["opt.cosine.eta_min", "opt.length"]),
        ("lookahead(optimizer=sgd(lr=uniform(0, 1)))", ["opt.optimizer.lr"]),
        ("muon(rest=adamw(lr=uniform(0, 1)), lr=uniform(0, 2))", ["opt.rest.lr", "opt.lr"]),
        (
            "chained(cosine(eta_min=uniform(0, 1)), cosine(eta_min=uniform(0, 2)))",
            ["opt.cosine.eta_min", "opt.cosine_2.eta_min"],
        ),
        (
            "sequential([linear(start_factor=uniform(0, 1)), cosine], milestones=[randint(1, 4)])",
            ["opt.0.start_factor", "opt.milestones.0"],
        ),
        ("choice(sgd(lr=uniform(0, 1)), acme.adam(lr=uniform(0, 2)), adamw)", ["opt", "opt.sgd.lr", "opt.adam.lr"]),
        ("choice(sgd(lr=uniform(0, 1)), sgd(lr=uniform(1, 2)))", ["opt", "opt.sgd.lr", "opt.sgd_2.lr"]),
        ("warmup(choice(cosine(eta_min=uniform(0, 1)), linear), length=2)", ["opt", "opt.cosine.eta_min"]),
        ("lr=uniform(0, 1), sam.rho=uniform(0, 2)", ["opt.lr", "opt.sam.rho"]),
        ("ema(uniform(0.9, 0.99))", ["opt"]),
        ("lambda_lr(lr_lambda='uniform(0, 1)')", []),
        ("sgd(lr=0.1)", []),
        ("sgd(lr=uniform(0, 1)", ["opt.lr"]),
        ("))sgd(lr=uniform(0, 1", []),
    ],
)  # fmt: skip
def test_names(text: str, wanted: list[str]) -> None:
    """A range has the path of its parameter; components that stand without a name are part of it, the first is not."""
    assert names(read_template(text, "opt")) == wanted
    assert read_template(text, "opt").written == text


@for_each(
    ("text", "wanted"),
    [
        ("uniform(-1, 2.5)", {"low": -1.0, "high": 2.5}),
        ("loguniform(1e-5, 1e-1)", {"low": 1e-5, "high": 0.1, "log": True}),
        ("quniform(0.1, 0.7, 0.2)", {"low": 0.1, "high": 0.7, "step": 0.2}),
        ("randint(1, 10)", {"low": 1, "high": 9, "whole": True}),
    ],
)
def test_numbers(text: str, wanted: dict[str, Any]) -> None:
    """The words and their meaning are those of Ray Tune: `randint` leaves its upper end out."""
    assert read_template(text, "x").ranges == (Numbers("x", text, **wanted),)


@for_each(
    ("text", "wanted"),
    [
        ("choice(0, 0.5, none, true, 'sum')", (0, 0.5, None, True, "sum")),
        ("choice([0, 0.5])", (0, 0.5)),
        ("choice([0.9, 0.99], [0.8, 0.99])", ("[0.9, 0.99]", "[0.8, 0.99]")),
        ("choice(dice, l1, dice(smooth=2))", ("dice", "l1", "dice(smooth=2)")),
        ("choice(adam(lr=uniform(0, 1)), sgd(lr=1), sgd(lr=2))", ("adam", "sgd(lr=1)", "sgd(lr=2)")),
        ("choice(uniform(0, 1), inf)", ("uniform(0, 1)", "inf")),
    ],
)
def test_labels(text: str, wanted: tuple[object, ...]) -> None:
    """A study calls plain values by themselves, and all others by their name or text: it keeps nothing else."""
    (found,) = read_template(text, "x").ranges
    assert isinstance(found, Choices)
    assert [(type(one), one) for one in found.labels] == [(type(one), one) for one in wanted]


@for_each(
    ("text", "wanted"),
    [
        ("uniform(1)", "x=uniform(1): it has 1 value in place of 2; it is written uniform(low, high)"),
        ("quniform(1, 2)", "it has 2 values in place of 3; it is written quniform(low, high, q)"),
        ("uniform(0, b)", "'b' is not a number"),
        ("uniform(low=0, high=1)", "'low=0' is not a number"),
        ("uniform(True, 2)", "'True' is not a number"),
        ("uniform(nan, 1)", "'nan' is not a value"),
        ("uniform(0, inf)", "inf is not finite"),
        ("uniform(1, 0)", "1 is not less than 0"),
        ("uniform(1, 1)", "1 is not less than 1"),
        ("loguniform(0, 1)", "0 has no logarithm; the lower end is greater than 0"),
        ("quniform(0, 1, 0.3)", "the ends are not a whole number of steps of 0.3 apart"),
        ("quniform(0, 1, 0)", "the ends are not a whole number of steps of 0 apart"),
        ("randint(1, 2.5)", "2.5 is not a whole number"),
        ("randint(3, 3)", "no whole number is at least 3 and less than 3"),
        ("choice()", "it names nothing; it is written choice(a, b, ...)"),
        ("choice(1, True)", "True is named twice"),
        ("choice(a, 'a')", "'a' is named twice"),
        (
            "sgd(lr=logunif(1e-5, 1e-1))",
            "x.lr=logunif(1e-5, 1e-1): there is no range 'logunif'. Did you mean 'loguniform'? Ranges:",
        ),
        ("sgd(lr=uniform(0, randint(1, 2)))", "randint(1, 2) is a range of a search; it is written uniform(low, high)"),
    ],
)  # fmt: skip
def test_wrong_ranges(text: str, wanted: str) -> None:
    """A range that is written wrong is told with its parameter and how it is written."""
    with pytest.raises(lossreg.SpecError) as told:
        read_template(text, "x")
    assert wanted in str(told.value)


def test_steps_are_decimal() -> None:
    """0.1 to 0.7 in steps of 0.2 are three steps, though the numbers of floating point are not: 0.6 / 0.2 < 3."""
    assert math.fmod(0.7 - 0.1, 0.2) > 0.1
    assert read_template("quniform(0.1, 0.7, 0.2)", "x").ranges


A_RANGE = "is a range of a search, and one value belongs there."


@for_each(
    ("arguments", "wanted"),
    [
        (
            ["--opt", "adamw(lr=loguniform(1e-5, 1e-1))"],
            "'adamw(lr=loguniform(1e-5, 1e-1))': lr=loguniform(1e-05, 0.1) ",
        ),
        (["--opt.lr", "loguniform(1e-5, 1e-1)"], "sgd: lr=loguniform(1e-5, 1e-1) "),
        (["--sched", "warmup(cosine(), length=randint(1, 10))"], "length=randint(1, 10) "),
        (["--loss", "choice('dice', 'l1')"], "choice('dice', 'l1') "),
        (["--param-groups", "*.bias: lr=uniform(0, 1)"], "'*.bias': lr=uniform(0, 1) "),
    ],
)  # fmt: skip
def test_a_range_where_none_is_meant(lossreg_command: Command, arguments: list[str], wanted: str) -> None:
    """A run takes values: its error says which text is a range, and what takes ranges."""
    told = lossreg_command("run", *arguments)
    assert told.code == 2
    assert f"{wanted}{A_RANGE}" in told.err
    assert "lossreg.adapters.optuna.suggest(trial, ...)" in told.err
    assert "Traceback" not in told.err


def test_a_choice_of_components_where_none_is_meant(lossreg_command: Command) -> None:
    """A choice of components is well formed, as a plugin could have one of this name; none has."""
    told = lossreg_command("run", "--loss", "choice(dice, l1)")
    assert told.code == 2
    assert "no loss named 'choice'" in told.err
    assert "choice(a, b, ...) is a range of a search: lossreg.adapters.optuna" in told.err


@for_each("written", ["uniform(low=0)", "choice(a, b)", "'uniform(0, 1)'"])
def test_what_may_be_meant_as_a_range(written: str) -> None:
    """A component of such a name, or a quoted range, is told how a range is written, and what takes it."""
    with pytest.raises(
        lossreg.ParameterError, match=r"is for lossreg\.adapters\.optuna, and is written (uniform|choice)\("
    ):
        lossreg.parts(optimizer=f"sgd(lr={written})")


def test_texts_of_parameters_stay_texts() -> None:
    """What looks like a range is text where a parameter takes text, and a component where one is nested."""
    spec = ComponentSpec.parse("net(init='uniform(0, 1)', inner=uniform(low=0), other=choice(a, b))")
    assert spec.text == "net(init='uniform(0, 1)', inner=uniform(low=0), other=choice(a, b))"


def test_every_range_is_documented() -> None:
    """The page on searches has a row for each."""
    page = (Path(__file__).parents[3] / "docs" / "searching.md").read_text(encoding="utf-8")
    assert [form for form in RANGES.values() if f"| `{form}` |" not in page] == []
