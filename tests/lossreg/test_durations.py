"""Durations as people write them."""

from __future__ import annotations

import pytest

import lossreg
from lossreg.durations import duration_text, seconds_of
from tests.table import for_each


@for_each(
    ("written", "text", "seconds"),
    [
        ("90s", "1m30s", 90),
        ("30m", "30m", 1800),
        ("2h", "2h", 7200),
        ("1h30m", "1h30m", 5400),
        ("1H 30M 5s", "1h30m5s", 5405),
        ("1.5h", "1h30m", 5400),
        ("48h", "48h", 172800),
        ("0.25s", "0.25s", 0.25),
        ("1800", "30m", 1800),
        (1800, "30m", 1800),
        (0.5, "0.5s", 0.5),
        ("none", None, None),
        (None, None, None),
    ],
)
def test_a_duration_has_one_form(written: object, text: str | None, seconds: float | None) -> None:
    """Hours, minutes, seconds and plain numbers of seconds come to one text, which a number of seconds stands for."""
    spec = lossreg.RunSpec(max_time=written)
    assert spec.max_time == text
    assert text is None or seconds_of(text) == seconds
    assert lossreg.RunSpec(max_time=spec.max_time) == spec


@for_each(
    "written", ["", "s", "h", "30 minutes", "1m1h", "-5s", "-5", 0, "0s", "1e3", "٣s", "nan", float("nan"),
                float("inf"), 1e300, True, [1], "1,5h", "1d"],
)  # fmt: skip
def test_what_is_no_duration_is_refused(written: object) -> None:
    """Anything else is an error that says what a time is."""
    with pytest.raises(lossreg.ConfigError, match=r"max_time \(--max-time\) is a time such as '90s', '30m' or '1h30m'"):
        lossreg.RunSpec(max_time=written)


@for_each("seconds", [0.001, 0.01, 0.1, 1, 59.999, 60, 3599, 3600, 86400.5, 1e6])
def test_the_text_of_a_duration_says_all_of_it(seconds: float) -> None:
    """To the millisecond."""
    assert seconds_of(duration_text(seconds)) == pytest.approx(seconds, abs=1e-9)
