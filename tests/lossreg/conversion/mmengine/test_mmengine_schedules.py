"""`param_scheduler` of MMEngine as a schedule of lossreg: rates by MMEngine's own formulas, in float64."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi
from typing import Any

import pytest

import lossreg
from lossreg.conversion.mmengine import read
from lossreg.conversion.result import Converted
from tests.lossreg.conversion.rates import rates
from tests.table import for_each

EPOCHS, STEPS = 12, 3


@pytest.fixture(scope="module")
def registries() -> lossreg.Registries:
    """Those of lossreg alone."""
    return lossreg.load_registries(allow=[], bridges=False)


def converted(schedulers: str, registries: lossreg.Registries, **others: str) -> Converted:
    """A config with these schedulers, for SGD at 0.1."""
    length = others.pop("train_cfg", f"dict(max_epochs={EPOCHS})")
    wrapper = others.pop("optim_wrapper", "dict(optimizer=dict(type='SGD', lr=0.1))")
    text = f"optim_wrapper = {wrapper}\ntrain_cfg = {length}\nparam_scheduler = {schedulers}\n"
    return read(text, "config.py", registries)


def line(start: float, at: float, last: float) -> float:
    """MMEngine's LinearLR up to 1: at its last epoch it is there."""
    return start + (1 - start) * min(1, at / last)


#: Schedulers -> lossreg's text, and the factor of the rate in an epoch.
BY_EPOCH: list[tuple[str, str, Callable[[int], float]]] = [
    (
        "[dict(type='LinearLR', start_factor=0.1, end=5), dict(type='CosineAnnealingLR', T_max=7, begin=5, end=12)]",
        "sequential_lr(linear_lr(end_factor=1.0, start_factor=0.1, total_iters=4), cosine_annealing_lr(eta_min=0.0), "
        "milestones=[5])",
        lambda epoch: line(0.1, epoch, 4) if epoch < 5 else 0.5 * (1 + cos(pi * (epoch - 5) / 7)),
    ),
    (
        "[dict(type='LinearLR', start_factor=0.2, end=3), dict(type='MultiStepLR', milestones=[6, 9], gamma=0.5)]",
        "chained(linear_lr(end_factor=1.0, start_factor=0.2, total_iters=2), "
        "multi_step_lr(gamma=0.5, milestones=[6, 9]))",
        lambda epoch: line(0.2, epoch, 2) * 0.5 ** ((epoch >= 6) + (epoch >= 9)),
    ),
    (
        "dict(type='CosineAnnealingLR', T_max=12, eta_min=0.01)",
        "cosine_annealing_lr(eta_min=0.01)",
        lambda epoch: 0.1 + 0.9 * 0.5 * (1 + cos(pi * epoch / 12)),
    ),
    ("dict(type='CosineAnnealingLR', T_max=8, end=8)", "lambda_lr(lr_lambda='0.5 + 0.5*cos(pi*min(epoch, 7)/8)')",
     lambda epoch: 0.5 * (1 + cos(pi * min(epoch, 7) / 8))),
    ("dict(type='StepLR', step_size=5)", "step_lr(gamma=0.1, step_size=5)", lambda epoch: 0.1 ** (epoch // 5)),
    ("dict(type='ExponentialLR', gamma=0.9)", "exponential_lr(gamma=0.9)", lambda epoch: 0.9**epoch),
    ("dict(type='ExponentialLR', gamma=0.9, end=4)", "lambda_lr(lr_lambda='0.9**min(epoch, 3)')",
     lambda epoch: 0.9 ** min(epoch, 3)),
    ("dict(type='PolyLR', power=2.0)", "polynomial_lr(power=2.0, total_iters=11)", lambda epoch: (1 - epoch / 11) ** 2),
    (
        "dict(type='PolyLR', eta_min=0.02, begin=2, end=10)",
        "lambda_lr(lr_lambda='0.2 + 0.8*(1 - min(1, max(0, min(epoch - 2, 7))/7))')",
        lambda epoch: 0.2 + 0.8 * (1 - min(max(epoch - 2, 0), 7) / 7),
    ),
    ("dict(type='ConstantLR', factor=0.5, end=4)", "constant_lr(factor=0.5, total_iters=3)",
     lambda epoch: 0.5 if epoch < 3 else 1),
    (
        "dict(type='MultiStepLR', begin=4, milestones=[2, 5])",
        "sequential_lr(constant_lr(factor=1.0), multi_step_lr(gamma=0.1, milestones=[2, 5]), milestones=[4])",
        lambda epoch: 0.1 ** ((epoch >= 6) + (epoch >= 9)),
    ),
    (
        "[dict(type='CosineAnnealingLR', T_max=6, end=6), dict(type='ConstantLR', factor=1, begin=6, end=12)]",
        "lambda_lr(lr_lambda='0.5 + 0.5*cos(pi*min(epoch, 5)/6)')",
        lambda epoch: 0.5 * (1 + cos(pi * min(epoch, 5) / 6)),
    ),
]  # fmt: skip

#: Schedulers that count iterations, and the factor of the rate in iteration `at` of epoch `epoch`.
BY_STEP: list[tuple[str, Callable[[int, int], float]]] = [
    (
        "[dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=7),"
        " dict(type='MultiStepLR', begin=0, end=12, by_epoch=True, milestones=[8, 11], gamma=0.1)]",
        lambda at, epoch: line(0.001, at, 6) * 0.1 ** ((epoch >= 8) + (epoch >= 11)),
    ),
    (
        "[dict(type='LinearLR', start_factor=0.01, end=2, convert_to_iter_based=True),"
        " dict(type='CosineAnnealingLR', eta_min=0.001, T_max=10, begin=2, end=12)]",
        lambda at, epoch: line(0.01, at, 2 * STEPS - 1) * (0.01 + 0.99 * 0.5 * (1 + cos(pi * max(0, epoch - 2) / 10))),
    ),
    (
        "[dict(type='LinearLR', end=2.5, convert_to_iter_based=True),"
        " dict(type='CosineAnnealingLR', begin=2.5, eta_min_ratio=0.1, convert_to_iter_based=True)]",
        lambda at, _: (
            line(1 / 3, at, int(2.5 * STEPS) - 1)
            * (0.1 + 0.9 * 0.5 * (1 + cos(pi * max(0, at - int(2.5 * STEPS)) / (12 * STEPS - int(2.5 * STEPS)))))
        ),
    ),
    ("dict(type='PolyLR', by_epoch=False, power=0.9)", lambda at, _: (1 - at / (12 * STEPS - 1)) ** 0.9),
    ("dict(type='StepLR', by_epoch=False, step_size=10, gamma=0.5)", lambda at, _: 0.5 ** (at // 10)),
]


@for_each("schedulers, text, factor", BY_EPOCH, ids=lambda value: str(value)[:60])
def test_schedulers_that_count_epochs(
    registries: lossreg.Registries, schedulers: str, text: str, factor: Callable[[int], float]
) -> None:
    """They are named where lossreg has the same, and are an expression otherwise; nothing is left out."""
    found = converted(schedulers, registries)
    assert found.settings["scheduler"] == text
    assert not found.left_out
    assert [one[0] for one in rates(found.settings, EPOCHS)] == pytest.approx(
        [0.1 * factor(epoch) for epoch in range(EPOCHS)], abs=1e-15
    )


@for_each("schedulers, factor", BY_STEP, ids=lambda value: str(value)[:60])
def test_schedulers_that_count_iterations(
    registries: lossreg.Registries, schedulers: str, factor: Callable[[int, int], float]
) -> None:
    """Warm-ups by iteration before what counts epochs, which is what most configs have."""
    found = converted(schedulers, registries)
    assert found.settings["scheduler_interval"] == "step"
    assert not found.left_out
    expected = [0.1 * factor(at, at // STEPS) for at in range(EPOCHS * STEPS)]
    assert [one[0] for one in rates(found.settings, EPOCHS, STEPS)] == pytest.approx(expected, abs=1e-12)


def test_with_accumulation_a_step_has_the_rate_of_its_last_iteration(registries: lossreg.Registries) -> None:
    """MMEngine counts batches, of which 2 make a step."""
    found = converted(
        "dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=8)", registries,
        optim_wrapper="dict(accumulative_counts=2, optimizer=dict(type='SGD', lr=0.1))",
    )  # fmt: skip
    assert found.settings["accumulate"] == 2
    assert [one[0] for one in rates(found.settings, 2, 3)] == pytest.approx(
        [0.1 * line(0.1, at, 7) for at in (1, 3, 5, 7, 9, 11)]
    )


def test_a_training_by_iterations(registries: lossreg.Registries) -> None:
    """Iterations are steps, and the numbers of the schedule stay."""
    found = converted(
        "[dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500),"
        " dict(type='PolyLR', power=1.0, begin=1500, end=160000, eta_min=0.0, by_epoch=False)]",
        registries, train_cfg="dict(type='IterBasedTrainLoop', max_iters=160000, val_interval=16000)",
    )  # fmt: skip
    assert found.settings["max_steps"] == 160000
    assert "epochs" not in found.settings
    assert found.settings["scheduler_interval"] == "step"
    assert found.settings["scheduler"] == (
        "sequential_lr(linear_lr(end_factor=1.0, start_factor=1e-06, total_iters=1499), "
        "polynomial_lr(power=1.0, total_iters=158499), milestones=[1500])"
    )
    assert any("set epochs to at least" in note for note in found.notes)


def test_one_cycle_and_plateau(registries: lossreg.Registries) -> None:
    """The first leaves the momentum alone, and counts what MMEngine's does; the second follows a metric of lossreg."""
    cycle = converted("dict(type='OneCycleLR', eta_max=0.4, total_steps=12)", registries)
    assert cycle.settings["scheduler"] == "one_cycle_lr(cycle_momentum=False, max_lr=0.4, total_steps=12)"
    assert cycle.settings["scheduler_interval"] == "epoch"
    plateau = converted(
        "[dict(type='ReduceOnPlateauLR', monitor='accuracy/top1', rule='greater', patience=3, min_value=1e-4)]",
        registries,
    )
    assert plateau.settings["scheduler"] == (
        "reduce_lr_on_plateau(min_lr=0.0001, mode='max', monitor='test_accuracy', patience=3)"
    )
    assert any("'accuracy/top1' is test_accuracy" in note for note in plateau.notes)


@for_each(
    "schedulers, said",
    [
        ("[dict(type='CosineRestartLR', periods=[4, 8])]", "[0]: lossreg has nothing that equals CosineRestartLR"),
        ("dict(generator=dict(type='StepLR', step_size=3))", "param_scheduler[0]: it has no type"),
        ("[dict(type='StepLR')]", "param_scheduler[0]: StepLR has no step_size"),
        ("[dict(type='StepLR', step_size=n)]", "config.py, line 3: n is not a literal"),
        ("[dict(type='StepLR', step_size=3, odd=1)]", "param_scheduler[0]: StepLR with odd is not known"),
        ("[dict(type='LinearLR', begin=3, end=3)]", "its end is not after its begin"),
        ("[dict(type='LinearLR', begin=3, end=4)]", "[0]: lossreg has neither a schedule nor an expression"),
        ("make()", "config.py, line 3: make() is not a literal"),
        ("[dict(type='OneCycleLR', eta_max=1, total_steps=12), dict(type='LinearLR', end=3)]", "OneCycleLR sets"),
        (
            "[dict(type='LinearLR', by_epoch=False, end=500), dict(type='CosineAnnealingLR', T_max=12, eta_min=0.01)]",
            "which param_scheduler[0] is not",
        ),
    ],
    ids=lambda value: value[:50],
)  # fmt: skip
def test_what_has_no_equal_is_left_out_whole(registries: lossreg.Registries, schedulers: str, said: str) -> None:
    """Half of a schedule would be another one."""
    found = converted(schedulers, registries)
    assert "scheduler" not in found.settings
    assert any(said in one for one in found.left_out), found.left_out


def test_a_config_without_a_length(registries: lossreg.Registries) -> None:
    """A schedule that does not ask for it is carried over; one that does is named."""
    found = read("param_scheduler = [dict(type='StepLR', step_size=4)]", "config.py", registries)
    assert found.settings == {"scheduler": "step_lr(gamma=0.1, step_size=4)"}
    found = read("param_scheduler = [dict(type='PolyLR')]", "config.py", registries)
    assert "of which the config has no length" in found.left_out[0]


def test_a_schedule_of_the_momentum_is_named_beside_that_of_the_rate(registries: lossreg.Registries) -> None:
    """The rate is carried over."""
    found = converted("[dict(type='StepLR', step_size=4), dict(type='CosineAnnealingMomentum', T_max=12)]", registries)
    assert found.settings["scheduler"] == "step_lr(gamma=0.1, step_size=4)"
    assert any("CosineAnnealingMomentum moves the momentum" in one for one in found.left_out)


def test_a_lowest_rate_in_proportion_to_that_of_each_group_is_said(registries: lossreg.Registries) -> None:
    """MMEngine's eta_min is one rate for all groups, and an expression multiplies that of each."""
    groups = "paramwise_cfg=dict(custom_keys={'head': dict(lr_mult=10)})"
    found = converted(
        "[dict(type='LinearLR', end=2, convert_to_iter_based=True),"
        " dict(type='CosineAnnealingLR', begin=2, eta_min=0.001)]",
        registries, optim_wrapper=f"dict({groups}, optimizer=dict(type='SGD', lr=0.1))",
    )  # fmt: skip
    assert any("groups with a rate of their own end in proportion" in one for one in found.notes)


def test_any(registries: lossreg.Registries) -> None:
    """A schedule that changes nothing is none."""
    found: Any = converted("[dict(type='ConstantLR', factor=1.0)]", registries)
    assert "scheduler" not in found.settings
    assert not found.left_out
