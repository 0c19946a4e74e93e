"""The table behind a run, where the name of a metric is long."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import Command


def test_names_and_values_are_apart_and_values_in_one_column(lossreg_command: Command) -> None:
    """`validation_mean_absolute_error` has a blank behind it, and all values begin where its value does."""
    outcome = lossreg_command(
        *("run", "--data", "diabetes", "--loss", "l1", "--validate", "0.2", "--epochs", "1"),
        *("--limit-train", "64", "--limit-test", "16", "--out", "here", "--quiet"),
    )
    assert outcome.code == 0
    rows = [line.split() for line in outcome.out.splitlines()]
    assert "validation_mean_absolute_error" in [name for name, *_ in rows]
    places = {line.index(value) for line, (_, value) in zip(outcome.out.splitlines(), rows, strict=True)}
    assert places == {len("validation_mean_absolute_error ")}
