"""The texts of the settings `validate`, `patience`, `monitor` and `target`."""

from __future__ import annotations

import math
from typing import Any

import pytest

from lossreg import ConfigError, RunSpec
from lossreg.validation import Cut, Target
from tests.table import for_each


@for_each(
    ("written", "value"),
    [
        (0.1, 0.1), ("0.1", 0.1), (" 1e-1 ", 0.1), ("fold(2/5)", "fold(2/5)"), (" Fold( 2 / 5 ) ", "fold(2/5)"),
        ("fold(002/05)", "fold(2/5)"), ("none", None), (None, None),
    ],
)  # fmt: skip
def test_validate_has_one_form(written: Any, value: Any) -> None:
    """A share becomes a number, a fold its shortest text; the form is read as itself."""
    assert RunSpec(validate=written).validate == value
    assert RunSpec(validate=value).validate == value


@for_each(
    "written",
    [
        0,
        1,
        0.0,
        1.0,
        -0.1,
        2.5,
        math.nan,
        math.inf,
        True,
        [0.1],
        "",
        "a tenth",
        "10%",
        "fold",
        "fold(2,5)",
        "1/5",
        "nan",
    ],
    ids=repr,
)
def test_what_is_no_share_and_no_fold_is_refused(written: Any) -> None:
    """The error shows both forms, and what was written."""
    with pytest.raises(
        ConfigError, match=r"validate \(--validate\) is a share .* 0\.1, or a fold, such as fold\(2/5\), not "
    ):
        RunSpec(validate=written)


@for_each("written", ["fold(0/5)", "fold(6/5)", "fold(1/1)", "fold(1/0)", "fold(1/101)"])
def test_a_fold_out_of_range_is_refused(written: str) -> None:
    """There are 2 to 100 folds, counted from 1."""
    with pytest.raises(ConfigError, match=r"N is 2 to 100 and K is 1 to N"):
        RunSpec(validate=written)


def test_the_parts_of_a_cut() -> None:
    """A share makes two parts and holds out the first; N folds make N parts, and the K-th is held out."""
    share, fold = Cut.of(0.25), Cut.of("fold(3/4)")
    assert (share.shares, share.held) == ((0.25, 0.75), 0)
    assert (fold.shares, fold.held) == ((0.25,) * 4, 2)


@for_each("written", ["validation_accuracy>=0.99", " validation_accuracy >= 0.99 "])
def test_a_target_has_one_form(written: str) -> None:
    """Blanks do not count."""
    spec = RunSpec(target=written)
    assert spec.target == "validation_accuracy>=0.99"
    assert Target.of(spec.target) == Target("validation_accuracy", at_least=True, value=0.99)


@for_each(
    "written",
    ["", "0.99", "test_loss", "test_loss=0.1", "test_loss<0.1", "test_loss>=", "test_loss<=nan", "test_loss<=inf",
     "test_loss<=x", "0.1>=test_loss", 0.99, True],
)  # fmt: skip
def test_what_is_no_target_is_refused(written: Any) -> None:
    """The error shows the form, and what was written."""
    with pytest.raises(ConfigError, match=r"target \(--target\) is METRIC>=VALUE or METRIC<=VALUE, .*, not "):
        RunSpec(target=written)


@for_each(("value", "reached"), [(0.1, True), (0.05, True), (0.2, False), (None, False)])
def test_a_target_is_reached_with_equality(value: float | None, reached: bool) -> None:
    """The bound itself is enough; a value that is not finite is not."""
    assert Target.of("test_loss<=0.1").is_reached(value) is reached


@for_each("value", [0, -1, 1.5, True, "3"], ids=repr)
def test_patience_is_a_whole_number_of_epochs(value: Any) -> None:
    """It is at least 1."""
    with pytest.raises(ConfigError, match=r"patience \(--patience\) is a whole number of at least 1"):
        RunSpec(patience=value)


@for_each("value", ["", " ", 3, ["test_loss"]], ids=repr)
def test_a_monitor_is_a_name(value: Any) -> None:
    """What is no text, or an empty one, is refused."""
    with pytest.raises(ConfigError, match=r"monitor \(--monitor\) is the name of a metric"):
        RunSpec(monitor=value)


@for_each(
    "settings",
    [
        {"validate": 0.1, "patience": 3, "monitor": "validation_accuracy", "target": "validation_loss<=0.1"},
        {"validate": "fold(2/5)"},
    ],
)
def test_the_settings_come_back_from_their_plain_values(settings: dict[str, Any]) -> None:
    """What run.json holds makes an equal spec."""
    spec = RunSpec(**settings)
    assert RunSpec(**dict(spec.items())) == spec
    assert {key: dict(spec.items())[key] for key in settings} == settings
