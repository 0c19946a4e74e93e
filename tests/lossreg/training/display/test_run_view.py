"""What a terminal shows of a run."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from lossreg.training.display.run_view import RunView


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        """The time."""
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    """It begins at 100 seconds."""
    return Clock()


@pytest.fixture
def view(clock: Clock) -> RunView:
    """A run of 2 epochs, each of 10 steps with 1000 samples in all."""
    return RunView(2, 10, 1000, clock)


def shown(view: RunView, *, blocks: bool = True, width: int = 100) -> str:
    """The view as text."""
    console = Console(file=io.StringIO(), record=True, width=width, force_terminal=True, _environ={})
    console.print(view.draw(blocks))
    return console.export_text()


def step(number: int, loss: float = 0.5) -> dict[str, Any]:
    """A row of a step."""
    return {"kind": "step", "epoch": 0, "step": number, "lr": 0.01, "train_loss": loss}


def test_a_run_that_has_not_begun_has_no_numbers(view: RunView) -> None:
    """Before the first row nothing is left to be guessed at."""
    text = shown(view)
    assert "epochs 0/2" in text
    assert "steps 0/10" in text
    assert "left" not in text


def test_speed_and_time_left_are_those_of_the_clock(view: RunView, clock: Clock) -> None:
    """5 of 20 steps in 10 seconds leave 30; they had 500 samples, which are 50 a second."""
    clock.seconds = 110.0
    view.log(step(5), "lr 0.01")
    text = shown(view)
    assert "steps 5/10" in text
    assert "0:10, 0:30 left" in text
    assert "50 samples/s" in text
    assert "train_loss 0.5000" in text
    assert "lr 0.01" in text


def test_the_speed_is_that_of_the_last_steps(view: RunView, clock: Clock) -> None:
    """2 steps of 100 samples in a quarter of a second are 800 samples a second."""
    clock.seconds = 110.0
    view.log(step(5), "lr 0.01")
    clock.seconds = 110.25
    view.log(step(7), "lr 0.01")
    assert "800 samples/s" in shown(view)


def test_evaluation_does_not_slow_the_speed(view: RunView, clock: Clock) -> None:
    """The speed of an epoch is the row's own; the next counts from the end of the epoch."""
    row = {**step(10), "kind": "epoch", "samples_per_second": 1234.4, "test_loss": 0.25, "test_accuracy": 0.875}
    clock.seconds = 150.0
    view.end_epoch(row)
    text = shown(view)
    assert "1,234 samples/s" in text
    assert "epochs 1/2" in text
    assert "test_accuracy 0.875" in text
    clock.seconds = 151.0
    view.log(step(12), "lr 0.01")
    assert "200 samples/s" in shown(view)
    assert "steps 2/10" in shown(view)


@pytest.mark.parametrize(
    ("row", "metric"),
    [
        ({"test_loss": 0.5, "test_mean_absolute_error": 2.0}, "test_mean_absolute_error 2"),
        ({"validation_loss": 0.5, "validation_accuracy": 0.25}, "validation_accuracy 0.25"),
        ({"test_loss": 0.5}, "test_loss 0.5"),
        ({"test_loss": None, "test_accuracy": 0.5}, "test_accuracy 0.5"),
    ],
)
def test_the_metric_is_the_one_that_tells_most(view: RunView, row: dict[str, Any], metric: str) -> None:
    """Accuracy or mean absolute error before loss."""
    view.end_epoch({**step(10), "samples_per_second": 1.0, **row})
    assert metric in shown(view)


def test_the_curve_of_the_loss_falls(view: RunView) -> None:
    """A block for each loss; none where the terminal has only ASCII."""
    for number, loss in enumerate((8, 6, 4, 2), 1):
        view.log(step(number, loss), "lr 0.01")
    assert "█▆▃▁" in shown(view)
    assert not any(block in shown(view, blocks=False) for block in "▁▂▃▄▅▆▇█")


def test_a_narrow_terminal_has_three_lines(view: RunView, clock: Clock) -> None:
    """Nothing wraps."""
    clock.seconds = 110.0
    view.log(step(5), "lr 0.01")
    lines = shown(view, width=40).splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) <= 40
