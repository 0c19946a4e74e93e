"""`lossreg plan --plot` and `lossreg show loss NAME --plot`: the numbers are those of formulas."""

from __future__ import annotations

import json
import math
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import lossreg
from lossreg.errors import ConfigError
from lossreg.pictures.rates import RateCurve, rates_figure
from lossreg.registry.build import resolve
from lossreg.registry.registries import default
from lossreg.spec import ComponentSpec
from lossreg.training.loss.profile import LossProfile, profile_loss
from tests.table import for_each, for_each_apart

if TYPE_CHECKING:
    from tests.conftest import Command

TINY = "--limit-train 128 --limit-test 32 --batch-size 64"


def profile(text: str) -> LossProfile:
    """The profile of the loss of a spec text."""
    return profile_loss(resolve(default.losses, ComponentSpec.parse(text)))


@for_each(
    ("text", "value", "slope"),
    [
        ("l1", np.abs, np.sign),
        ("mse", np.square, lambda x: 2 * x),
        ("cross_entropy", lambda x: np.log1p(np.exp(-x)), lambda x: -1 / (1 + np.exp(x))),
        ("cross_entropy(weight=[1.0, 1.0, 1.0])", lambda x: np.log1p(2 * np.exp(-x)), None),
    ],
)
def test_a_loss_and_its_gradient_are_those_of_the_formula(text: str, value: Any, slope: Any) -> None:
    """Value and derivative along the line are the textbook's; classes that have weights are all there."""
    found = profile(text)
    x = np.array(found.inputs)
    np.testing.assert_allclose(found.values, value(x), rtol=1e-5, atol=1e-6)
    if slope is not None:
        np.testing.assert_allclose(found.slopes, slope(x), rtol=1e-4, atol=1e-6)


def test_dice_is_drawn_of_one_sample_of_two_classes() -> None:
    """1 - the mean over two classes of 2 sum(pt) / (sum(p) + sum(t)), with the smoothing term in both."""
    found = profile("dice(smooth=1)")
    p = 1 / (1 + np.exp(-np.array(found.inputs)))
    first, second = (2 * p + 1) / (p + 1 + 1), 1 / (1 - p + 1)
    np.testing.assert_allclose(
        found.values, 1 - (first + second) / 2, rtol=1e-5, atol=2.4e-7
    )  # two roundings of float32 at 1


def test_a_loss_of_any_targets_is_not_drawn() -> None:
    """A loss that does not declare its targets has no input to be drawn over."""
    registries = lossreg.load_registries(allow=[])
    registries.losses.register("free", target="any")(torch.nn.MSELoss)
    with pytest.raises(ConfigError, match=r"loss local\.free takes the targets of its data set as they are"):
        profile_loss(resolve(registries.losses, ComponentSpec.parse("free")))


def test_a_loss_that_fails_is_one_line() -> None:
    """An error of the loss's own code becomes a message that names the loss."""

    def broken(input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:  # noqa: A002  # torch's word
        raise IndexError("no such class")

    registries = lossreg.load_registries(allow=[])
    registries.losses.register("broken", target="index")(broken)
    with pytest.raises(ConfigError, match=r"loss local\.broken cannot be drawn: IndexError: no such class"):
        profile_loss(resolve(registries.losses, ComponentSpec.parse("broken")))


def test_show_draws_a_loss(lossreg_command: Command) -> None:
    """The picture is written, and the text names it; with --json stdout stays one JSON object."""
    outcome = lossreg_command("show", "loss", "dice(smooth=1)", "--plot", "dice.svg")
    assert (outcome.code, outcome.err) == (0, "")
    assert f"picture   {Path.cwd() / 'dice.svg'}" in outcome.out
    assert Path("dice.svg").read_bytes().startswith(b"<?xml")
    assert json.loads(lossreg_command("show", "loss", "l1", "--json", "--plot", "l1.png").out)["name"] == "l1"
    assert Path("l1.png").read_bytes().startswith(b"\x89PNG")


@for_each_apart(
    ("line", "message"),
    [
        ("show optimizer sgd --plot a.png", "--plot draws losses, not optimizers; leave it out"),
        ("show loss dice --plot a.gif", "it ends in one of .png, .svg, .pdf"),
        ("show loss dice --plot no/a.png", "there is no directory no"),
        ("plan --plot a.txt", "it ends in one of .png, .svg, .pdf"),
        (f"plan {TINY} --sched plateau --plot a.png", "no learning rate to draw beforehand: follows test_loss"),
        ("plan --plots", "Did you mean '--plot'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(lossreg_command: Command, line: str, message: str) -> None:
    """One message, exit code 2, no file."""
    outcome = lossreg_command(*line.split())
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert list(Path.cwd().iterdir()) == []


def test_plan_draws_the_rates(lossreg_command: Command) -> None:
    """The picture is written beside the text; with --json stdout stays one JSON object."""
    line = f"plan {TINY} --epochs 4 --sched one_cycle --sched.max_lr 0.1 --plot"
    outcome = lossreg_command(*shlex.split(line), "rates.png")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.endswith(f"{'picture':<20}{Path.cwd() / 'rates.png'}\n")
    assert Path("rates.png").read_bytes().startswith(b"\x89PNG")
    assert "planned" not in json.loads(lossreg_command(*shlex.split(line), "a.pdf", "--json").out)
    assert Path("a.pdf").read_bytes().startswith(b"%PDF")


def test_a_plan_knows_the_rate_of_each_step() -> None:
    """For a scheduler that counts steps these are torch's own, step by step."""
    plan = lossreg.plan(scheduler="one_cycle_lr(max_lr=0.1)", epochs=3, limit_train=128, limit_test=32, batch_size=32)
    ((label, epochs),) = plan.planned
    assert label == "sgd"
    assert epochs is not None
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.01, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=12)
    expected = []
    for _ in range(12):
        expected.append(scheduler.get_last_lr()[0])
        optimizer.step()
        if len(expected) < 12:
            scheduler.step()
    assert [rate for epoch in epochs for rate in epoch.steps] == pytest.approx(expected)


def test_a_rate_holds_until_the_next() -> None:
    """The rate of epoch n is drawn from n to n + 1; that of a step for its share of the epoch."""
    figure = rates_figure([RateCurve("a", [0.1, 0.2, 0.4], 1), RateCurve("b", [1, 2, 3, 4, 5, 6], 2)], 3, "heading")
    first, second = figure.axes[0].lines[:2]
    assert (np.asarray(first.get_xdata()).tolist(), np.asarray(first.get_ydata()).tolist()) == (
        [0, 1, 2, 3],
        [0.1, 0.2, 0.4, 0.4],
    )
    assert first.get_drawstyle() == "steps-post"
    assert np.asarray(second.get_xdata()).tolist() == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5, 3])
    assert sorted(text.get_text() for text in figure.axes[0].texts) == ["a", "b"]
    assert math.isclose(figure.axes[0].get_xlim()[1], 3)
