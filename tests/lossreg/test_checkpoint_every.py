"""How often a run writes a checkpoint: `s` is for steps, not for seconds."""

from __future__ import annotations

from typing import Any

import pytest

import lossreg
from lossreg import RunSpec
from lossreg.checkpointing import Every
from tests.table import for_each


@for_each(
    ("written", "form", "every"),
    [
        *((text, "500 steps", Every(500, "steps")) for text in ("500s", "500 steps", "500steps", " 500 Steps ")),
        *((text, "10 minutes", Every(10, "minutes")) for text in ("10m", "10min", "10 minutes")),
        *((text, "2", Every(2, "epochs")) for text in (2, "2", "2e", "2 epochs")),
        *((text, "1 step", Every(1, "steps")) for text in ("1s", "1 step", "1 steps")),
        ("1m", "1 minute", Every(1, "minutes")),
    ],
    ids=str,
)
def test_every_form_has_one_form_in_the_record(written: Any, form: str, every: Every) -> None:
    """The unit is written out, and what is written is read as the same."""
    assert RunSpec(checkpoint_every=written).checkpoint_every == form
    assert Every.of(form) == every
    assert RunSpec(checkpoint_every=form).checkpoint_every == form


@for_each("written", ["90 seconds", "90sec", "1h", "1h30m", "0s", "0", 0, -1, "s", "1.5m", True])
def test_what_is_neither_says_that_s_is_for_steps(written: Any) -> None:
    """A time as for `max_time` is an error, and the message says what is not."""
    with pytest.raises(lossreg.ConfigError, match=r"of steps \('500 steps', or 500s: s is for steps, not seconds\)"):
        RunSpec(checkpoint_every=written)


def test_none_stays_none() -> None:
    """Without checkpoints there is nothing to count."""
    assert RunSpec(checkpoint_every="none").checkpoint_every is None
