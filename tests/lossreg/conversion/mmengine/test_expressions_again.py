"""Schedules of MMEngine that are read as an expression, written as schedules of MMEngine again."""

from __future__ import annotations

import random
from typing import Any

import pytest

import lossreg
from lossreg.conversion.mmengine import read, write
from lossreg.conversion.mmengine.config import read_config
from lossreg.run_spec import RunSpec
from tests.table import for_each

EPOCHS, ITERATIONS = "dict(max_epochs=20)", "dict(max_iters=1000, by_epoch=False)"


@pytest.fixture(scope="module")
def registries() -> lossreg.Registries:
    """Those of lossreg alone."""
    return lossreg.load_registries(allow=[], bridges=False)


def config_of(schedulers: list[dict[str, Any]], length: str = EPOCHS, accumulate: int = 1) -> str:
    """A config with these schedulers."""
    wrapper = f"dict(optimizer=dict(type='SGD', lr=0.01), accumulative_counts={accumulate})"
    return f"optim_wrapper = {wrapper}\ntrain_cfg = {length}\nparam_scheduler = {schedulers!r}\n"


def settings_of(config: str, registries: lossreg.Registries) -> dict[str, Any]:
    """The settings that a config is read as."""
    return dict(read(config, "config.py", registries).settings)


BY_STEPS = {"by_epoch": True, "convert_to_iter_based": True}


@for_each("schedulers", [
    [{"type": "LinearLR", "start_factor": 0.001, "end": 500, "by_epoch": False},
     {"type": "MultiStepLR", "milestones": [8, 11], "gamma": 0.1, "by_epoch": True}],  # of MMDetection
    [{"type": "LinearLR", "start_factor": 0.1, "end": 5, **BY_STEPS},
     {"type": "CosineAnnealingLR", "eta_min_ratio": 0.01, "begin": 5, **BY_STEPS}],  # of MMPretrain
    [{"type": "PolyLR", "power": 0.9, "eta_min": 1e-4, "by_epoch": True}],
    [{"type": "ConstantLR", "factor": 0.5, "begin": 3, "end": 8, **BY_STEPS}],
    [{"type": "StepLR", "step_size": 3, "gamma": 0.5, "begin": 2, "end": 12, "by_epoch": True}],
    [{"type": "ExponentialLR", "gamma": 0.9, "end": 4, "by_epoch": True}],
])  # fmt: skip
def test_schedulers_are_the_same_again(schedulers: list[dict[str, Any]], registries: lossreg.Registries) -> None:
    """Each with its kind, its numbers, its begin and its end."""
    read_as = settings_of(config_of(schedulers), registries)
    assert read_as["scheduler"].startswith("lambda_lr("), read_as
    text, notes = write(RunSpec.from_mapping(read_as, "config.py"), registries)
    assert read_config(text, "config.py")[0]["param_scheduler"] == schedulers, notes


def generated() -> list[tuple[list[dict[str, Any]], str, int]]:
    """Schedulers, lengths and accumulation, always the same."""
    draw = random.Random(5)  # noqa: S311  # recipes, not secrets
    own: dict[str, dict[str, list[Any]]] = {
        "LinearLR": {"start_factor": [0.1, 1 / 3], "end_factor": [0.5, 1.0]},
        "ConstantLR": {"factor": [0.5]},
        "CosineAnnealingLR": {"T_max": [8, 20, None], "eta_min": [None, 1e-5]},
        "StepLR": {"step_size": [3, 7], "gamma": [0.5]},
        "MultiStepLR": {"milestones": [[3, 5], [8, 11]], "gamma": [0.1]},
        "ExponentialLR": {"gamma": [0.9]},
        "PolyLR": {"power": [1.0, 2.0], "eta_min": [None, 1e-4]},
    }
    made = []
    for _ in range(40):
        schedulers = []
        for _ in range(draw.choice([1, 1, 2])):
            kind = draw.choice([*own])
            begin = draw.choice([0, 2, 5])
            one = {"type": kind, **{key: draw.choice(values) for key, values in own[kind].items()}, "begin": begin}
            one |= {"end": begin + draw.choice([3, 6, 15])} if draw.random() < 0.5 else {}
            schedulers.append(one | draw.choice([{"by_epoch": True}, {"by_epoch": False}, BY_STEPS]))
        made.append((schedulers, draw.choice([EPOCHS, EPOCHS, ITERATIONS]), draw.choice([1, 1, 2])))
    return made


def test_an_expression_is_the_same_again(registries: lossreg.Registries) -> None:
    """Whatever schedulers it was made of, by epochs, iterations and steps of several iterations."""
    count = 0
    for schedulers, length, accumulate in generated():
        settings = settings_of(config_of(schedulers, length, accumulate), registries)
        if settings.get("scheduler", "").startswith("lambda_lr("):
            text, notes = write(RunSpec.from_mapping(settings, "config.py"), registries)
            again = settings_of(text, registries)
            for key in ("scheduler", "scheduler_interval"):
                assert again.get(key) == settings.get(key), (schedulers, notes)
            count += 1
    assert count >= 12


@for_each("text", [
    "epoch // 2",
    "0.5 ** ((epoch >= 3) + (step >= 5))",
    "0.1 + 0.9 * min(1, epoch / 4) if epoch < 9 else 1",
    "0.1 + 0.7 * min(1, epoch / 4) + 0.2",
    "0.5 + 0.4*cos(pi*epoch/20)",  # whose greatest value is not 1
    "0.5 + 0.5*cos(pi*epoch/epochs)",
    "0.9 ** step * 0.5 ** epoch * 2",
])  # fmt: skip
def test_an_expression_that_mmengine_does_not_have_is_named(text: str, registries: lossreg.Registries) -> None:
    """It is not taken for one that is like it."""
    written, notes = write(RunSpec(scheduler=f"lambda_lr(lr_lambda={text!r})"), registries)
    assert "param_scheduler" not in written
    assert any("MMEngine has no schedulers with the rates of this expression; it is left out" in one for one in notes)


def test_a_floor_of_groups_with_rates_of_their_own_is_said(registries: lossreg.Registries) -> None:
    """MMEngine's PolyLR ends at one rate for all of them, and lossreg's expression at a part of each."""
    expression = "0.1 + 0.9*(1 - min(1, epoch/19))**2"
    spec = RunSpec(
        optimizer="sgd(lr=0.1)", scheduler=f"lambda_lr(lr_lambda={expression!r})", param_groups={"*head*": "lr=x10"}
    )
    text, notes = write(spec, registries)
    assert read_config(text, "config.py")[0]["param_scheduler"][0]["eta_min"] == 0.01
    assert "param_scheduler: eta_min is one rate for all parameters there, and a part of each here" in notes
