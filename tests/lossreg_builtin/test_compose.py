"""Composed schedules against torch's own, composed by hand, and against formulas."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import SGD, Optimizer
from torch.optim import lr_scheduler as torch_s

import lossreg
from tests.table import for_each

SPAN = 20
RUNTIME = {"span": SPAN, "epochs": SPAN, "steps_per_epoch": 1, "total_steps": SPAN, "interval": "epoch"}
REGISTRIES = lossreg.load_registries(allow=[])
Make = Callable[[Optimizer], Any]


def optimizer(**options: Any) -> SGD:
    """SGD with two groups of different rates."""
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (0.1, 0.03)]
    return SGD(groups, **{"momentum": 0.9, **options})


def named(text: str, made: Optimizer, **runtime: Any) -> Any:
    """A scheduler as a run of 20 epochs builds it."""
    from lossreg.registry.build import resolve

    resolved = resolve(REGISTRIES.schedulers, lossreg.ComponentSpec.parse(text))
    return resolved.build(made, runtime={**RUNTIME, **runtime})


def walked(scheduler: Any, steps: int = SPAN) -> list[tuple[float, ...]]:
    """Rates and momenta of the groups before each step."""
    seen = []
    groups = scheduler.optimizer.param_groups
    for index in range(steps):
        seen.append((*(float(group["lr"]) for group in groups), *(group["momentum"] for group in groups)))
        if index < steps - 1:
            scheduler.optimizer.step()
            scheduler.step()
    return seen


def sequential(parts: list[Make], milestones: list[int]) -> Make:
    """SequentialLR of torch."""
    return lambda made: torch_s.SequentialLR(made, [part(made) for part in parts], milestones)


def warmed(schedule: Make, length: int, start: float = 1 / 3) -> Make:
    """SequentialLR of torch, of a line and a schedule."""
    return sequential([lambda made: torch_s.LinearLR(made, start, total_iters=length), schedule], [length])


BY_HAND: dict[str, Make] = {
    "cosine": lambda o: torch_s.CosineAnnealingLR(o, T_max=SPAN),
    "linear(start_factor=1.0, end_factor=0.1)": lambda o: torch_s.LinearLR(o, 1.0, 0.1, total_iters=SPAN),
    "polynomial(power=2.0)": lambda o: torch_s.PolynomialLR(o, total_iters=SPAN, power=2.0),
    "constant(factor=0.5)": lambda o: torch_s.ConstantLR(o, 0.5, total_iters=SPAN),
    "step_lr(step_size=4)": lambda o: torch_s.StepLR(o, 4),
    "multi_step(milestones=[3, 7])": lambda o: torch_s.MultiStepLR(o, [3, 7]),
    "exponential(gamma=0.9)": lambda o: torch_s.ExponentialLR(o, 0.9),
    "multiplicative(lr_lambda='1 - 1 / (epoch + 9)')": lambda o: torch_s.MultiplicativeLR(o, lambda e: 1 - 1 / (e + 9)),
    "cosine_warm_restarts(T_0=3, T_mult=2)": lambda o: torch_s.CosineAnnealingWarmRestarts(o, 3, 2),
    # The second group's rate is 0.3 of the first's, and stays it.
    "cyclic(base_lr=0.01, max_lr=0.1, step_size_up=3)": lambda o: torch_s.CyclicLR(
        o, [0.01, 0.003], [0.1, 0.03], step_size_up=3
    ),
    "one_cycle(max_lr=0.1)": lambda o: torch_s.OneCycleLR(o, [0.1, 0.03], total_steps=SPAN),
    "warmup(cosine(), length=5)": warmed(lambda o: torch_s.CosineAnnealingLR(o, SPAN - 5), 5),
    "warmup(length=5, start_factor=0.1)": warmed(lambda o: torch_s.ConstantLR(o, 1.0), 5, 0.1),
    "warmup(exponential(gamma=0.8), length='10%')": warmed(lambda o: torch_s.ExponentialLR(o, 0.8), 2),
    "warmup(lambda_lr(lr_lambda='1 - epoch / epochs'), length=4)": warmed(
        lambda o: torch_s.LambdaLR(o, lambda epoch: 1 - epoch / 16), 4
    ),
    "warmup(one_cycle(max_lr=0.2), length=4)": warmed(lambda o: torch_s.OneCycleLR(o, [0.2, 0.06], total_steps=16), 4),
    "sequential(linear(start_factor=0.1, total_iters=5), cosine(), milestones=[5])": sequential(
        [lambda o: torch_s.LinearLR(o, 0.1, total_iters=5), lambda o: torch_s.CosineAnnealingLR(o, SPAN - 5)], [5]
    ),
    "sequential(cosine, cosine(eta_min=0.01), linear, milestones=[6, '75%'])": sequential(
        [
            lambda o: torch_s.CosineAnnealingLR(o, 6),
            lambda o: torch_s.CosineAnnealingLR(o, 9, eta_min=0.01),
            lambda o: torch_s.LinearLR(o, total_iters=5),
        ],
        [6, 15],
    ),
    "chained(linear, exponential(gamma=0.9))": lambda o: torch_s.ChainedScheduler(
        [torch_s.LinearLR(o, total_iters=SPAN), torch_s.ExponentialLR(o, 0.9)]
    ),
    "chained(constant(factor=0.1, total_iters=4), cosine)": lambda o: torch_s.ChainedScheduler(
        [torch_s.ConstantLR(o, 0.1, 4), torch_s.CosineAnnealingLR(o, SPAN)]
    ),
}


@for_each("text", BY_HAND)
def test_the_rates_are_those_of_torch(text: str) -> None:
    """Rates and momenta of every epoch are those of torch's schedulers, composed by hand with the spans written out."""
    ours, theirs = walked(named(text, optimizer())), walked(BY_HAND[text](optimizer()))
    if text.startswith("warmup(one_cycle"):  # torch's one cycle holds its momentum during the warm-up, too
        ours, theirs = ([rates[:2] for rates in both] for both in (ours[4:], theirs[4:]))
    assert ours == [pytest.approx(rates, rel=1e-12, abs=1e-15) for rates in theirs]


def test_a_cosine_behind_a_warm_up_is_its_formula() -> None:
    """Epoch k has base * (1/3 + 2/3 * k / 5) up to 5, and then base * (1 + cos(pi * (k - 5) / 15)) / 2."""
    expected = [
        (1 / 3 + 2 / 3 * k / 5) if k < 5 else (1 + math.cos(math.pi * (k - 5) / (SPAN - 5))) / 2 for k in range(SPAN)
    ]
    rates = walked(named("warmup(cosine(), length=5)", optimizer()))
    assert [row[0] for row in rates] == pytest.approx([0.1 * factor for factor in expected], rel=1e-12)
    assert [row[1] for row in rates] == pytest.approx([0.03 * factor for factor in expected], rel=1e-12)


def cosine(k: int, n: int) -> float:
    """The factor of a cosine over n at k."""
    return (1 + math.cos(math.pi * k / n)) / 2


def line(k: int, n: int) -> float:
    """The factor of a line from a third to 1 over n at k."""
    return 1 / 3 + 2 / 3 * k / n


def test_compositions_nest() -> None:
    """Within a sequence stand a warm-up, a chain and a sequence, each in its own span, which torch's do not allow."""
    text = (
        "sequential(warmup(cosine, length=2), chained(linear, exponential(gamma=0.5)), "
        "sequential(cosine, linear, milestones=[2]), milestones=[6, 12])"
    )
    expected = [
        *(line(k, 2) for k in range(2)),
        *(cosine(k, 4) for k in range(4)),
        *(line(k, 6) * 0.5**k for k in range(6)),
        *(cosine(k, 2) for k in range(2)),
        *(line(k, 6) for k in range(6)),
    ]
    rates = [row[0] for row in walked(named(text, optimizer()))]
    assert rates == pytest.approx([0.1 * factor for factor in expected], rel=1e-12)


def test_a_schedule_s_momentum_ends_with_it() -> None:
    """One cycle moves the momentum of its own part alone; before and after it is the optimizer's, and twice differ."""
    text = (
        "sequential(constant(factor=1.0), one_cycle(max_lr=0.2), one_cycle(max_lr=0.4), cosine, milestones=[2, 8, 14])"
    )
    rows = walked(named(text, optimizer()))
    first, second = (
        walked(torch_s.OneCycleLR(optimizer(), [peak, 0.3 * peak], total_steps=6), 6) for peak in (0.2, 0.4)
    )
    assert rows[2:8] == [pytest.approx(row) for row in first]
    assert rows[8:14] == [pytest.approx(row) for row in second]
    assert {row[2:] for row in (*rows[:2], *rows[14:])} == {(0.9, 0.9)}


def test_steps_are_counted_in_steps() -> None:
    """Where steps are counted, a length is of steps, and a nested expression's `epoch` is one of its own span."""
    made = named(
        "warmup(lambda_lr(lr_lambda='1 / (1 + epoch)'), length=5)", optimizer(),
        interval="step", steps_per_epoch=4, epochs=5, span=20, total_steps=20,
    )  # fmt: skip
    expected = [1 / 3 + 2 / 3 * k / 5 for k in range(5)] + [1 / (1 + k // 4) for k in range(15)]
    assert [row[0] for row in walked(made)] == pytest.approx([0.1 * factor for factor in expected])


def test_a_plateau_behind_a_warm_up_follows_its_metric() -> None:
    """After the warm-up the metric is counted: without an improvement for more than one epoch the rate is halved."""
    scheduler = named("warmup(plateau(factor=0.5, patience=1), length=2)", optimizer())
    rates = []
    for loss in [9.0, 9.0, 1.0, 1.0, 1.0, 1.0, 1.0]:  # the metric at the end of each epoch
        rates.append(scheduler.get_last_lr()[0])
        scheduler.optimizer.step()
        scheduler.step(loss)
    # Epochs 0 and 1 warm up; 2 is the plateau's first, whose loss is the best; 3 and 4 are no better.
    assert rates == pytest.approx([0.1 / 3, 0.2 / 3, 0.1, 0.1, 0.1, 0.05, 0.05])


STATEFUL = [text for text in BY_HAND if "one_cycle(max_lr=0.1)" not in text] + [
    "one_cycle(max_lr=0.1)",
    "sequential(warmup(cosine, length=2), chained(linear, exponential(gamma=0.5)), one_cycle(max_lr=1), "
    "milestones=[4, 8])",
    "warmup(sequential(cyclic(base_lr=0.01, max_lr=0.1, step_size_up=3), multiplicative(lr_lambda='0.9'), "
    "milestones=[5]))",
]


@for_each("text", STATEFUL)
def test_a_state_goes_on_from_every_step(text: str) -> None:
    """The states of optimizer and scheduler after any number of steps, loaded into new ones, give the rates to come."""
    expected = walked(named(text, optimizer()))
    scheduler = named(text, optimizer())
    for done in range(SPAN):
        states = copy.deepcopy((scheduler.optimizer.state_dict(), scheduler.state_dict()))
        made = optimizer()
        other = named(text, made)
        made.load_state_dict(states[0])
        other.load_state_dict(states[1])
        assert walked(other, SPAN - done) == expected[done:]
        if done < SPAN - 1:
            scheduler.optimizer.step()
            scheduler.step()


def test_a_state_of_other_milestones_is_refused() -> None:
    """A state belongs to one schedule; the error names both."""
    state = named("warmup(cosine, length=5)", optimizer()).state_dict()
    with pytest.raises(lossreg.ConfigError, match=r"has the milestones \[4\], .* saved by one with \[5\]"):
        named("warmup(cosine, length=4)", optimizer()).load_state_dict(state)


def test_a_multiplicative_state_of_another_expression_is_refused() -> None:
    """As for lambda_lr, a state that another expression saved is an error that names both."""
    state = named("multiplicative(lr_lambda='0.9')", optimizer()).state_dict()
    with pytest.raises(lossreg.ExpressionError, match=r'"0.8", but the state to load was saved by "0.9"'):
        named("multiplicative(lr_lambda='0.8')", optimizer()).load_state_dict(state)


def test_rates_that_are_tensors_stay_the_same_tensors() -> None:
    """A compiled step holds the tensor of a rate: a new schedule fills it."""
    made = SGD([torch.nn.Parameter(torch.zeros(1))], lr=torch.tensor(0.1, dtype=torch.float64), momentum=0.9)
    rate = made.param_groups[0]["lr"]
    rates = [row[0] for row in walked(named("warmup(cosine(), length=5)", made))]
    assert made.param_groups[0]["lr"] is rate
    assert rates == pytest.approx([row[0] for row in walked(named("warmup(cosine(), length=5)", optimizer()))])


WRONG = {
    "warmup(cosine, length=20)": "length=20: of 20 epochs none is left for .*cosine.*, which would begin at epoch 20",
    "warmup(cosine, length=0)": "length=0 is neither a whole number from 1 on nor a part of the span such as '10%'",
    "warmup(cosine, length='0%')": "warmup: length='0%' is neither",
    "warmup(cosine, length='five')": "warmup: length='five' is neither",
    "warmup(schedule=5)": "5 is not a schedule that can be composed; write one by name",
    "sequential(cosine, linear, milestones=[5, 6])": "2 schedules have 1 milestone between them, not 2",
    "sequential(cosine, linear, step_lr(step_size=1), milestones=[6, 6])": "milestones=.6, 6. do not increase",
    "sequential(cosine, linear, milestones=[30])": "of 20 epochs none is left for .*linear.*, which would begin at",
    "sequential(milestones=[], schedulers=[])": "sequential needs at least one schedule",
    "chained(schedulers=[])": "chained needs at least one schedule",
    "chained(lambda_lr(lr_lambda='1'), linear)": "chained: LambdaLR sets the rate, whatever .* stand in sequential",
    "chained(linear, warmup(cosine))": "chained: Warmup sets the rate",
    "chained(linear, plateau)": "chained: a schedule that follows a metric cannot be chained",
}


@for_each("text", WRONG)
def test_what_cannot_be_composed_is_one_clear_line(text: str) -> None:
    """The error names the schedule, what was written, and what is wrong."""
    with pytest.raises(lossreg.LossregError, match=WRONG[text]):
        named(text, optimizer())


def test_a_schedule_is_composed_outside_of_a_run() -> None:
    """`lossreg.schedulers.build` makes the same, with the spans that no run supplies written out."""
    made = optimizer()
    rates = walked(lossreg.schedulers.build("warmup(cosine(T_max=15), length=5)", made))
    assert rates == walked(named("warmup(cosine(), length=5)", optimizer()))
    with pytest.raises(lossreg.UnknownParameterError, match="cosine_annealing_lr needs T_max"):
        lossreg.schedulers.build("warmup(cosine(), length=5)", optimizer())
    with pytest.raises(lossreg.ConfigError, match="is a part of a span that is not known; write a number"):
        lossreg.schedulers.build("warmup(cosine(T_max=5), length='10%')", optimizer())


@for_each(
    ("text", "torch_s_own"),
    [
        (
            "one_cycle(max_lr=0.2, total_steps=8)",
            lambda o: torch_s.OneCycleLR(o, [0.2, 0.02], total_steps=8),
        ),
        (
            "cyclic(base_lr=0.01, max_lr=0.1, step_size_up=3)",
            lambda o: torch_s.CyclicLR(o, [0.01, 0.001], [0.1, 0.01], step_size_up=3),
        ),
    ],
)
def test_a_cycle_keeps_the_ratio_of_the_groups_rates(
    text: str, torch_s_own: Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler]
) -> None:
    """The rates that are set are the first group's; one that began at a tenth of it has a tenth at every step."""

    def rates(build: Callable[[torch.optim.Optimizer], Any]) -> list[list[float]]:
        weights = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in (0.5, 0.05)]
        optimizer = torch.optim.SGD(weights, momentum=0.9)
        scheduler = build(optimizer)
        walked = []
        for _ in range(7):
            walked.append([group["lr"] for group in optimizer.param_groups])
            optimizer.step()
            scheduler.step()
        return walked

    own = rates(lambda optimizer: lossreg.schedulers.build(text, optimizer))
    assert own == [pytest.approx(pair, rel=1e-12) for pair in rates(torch_s_own)]
    assert all(second == pytest.approx(first / 10) for first, second in own)
