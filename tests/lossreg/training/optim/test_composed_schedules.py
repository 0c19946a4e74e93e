"""Composed schedules in a run: what they count, what they follow, and what is written down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

import lossreg
from tests.table import for_each

if TYPE_CHECKING:
    from tests.conftest import Command
    from tests.lossreg.training.conftest import Run

SMALL: dict[str, Any] = {
    "data": "diabetes", "limit_train": 16, "limit_test": 4, "batch_size": 4, "epochs": 10, "device": "cpu",
    "optimizer": "sgd(lr=1e-4)",
}  # fmt: skip


def by_hand(total: int, length: int) -> list[float]:
    """The rates of torch's own warm-up from a third, and a cosine over the rest."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-4)
    rise = torch.optim.lr_scheduler.LinearLR(optimizer, total_iters=length)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total - length)
    scheduler = torch.optim.lr_scheduler.SequentialLR(optimizer, [rise, cosine], [length])
    rates = []
    for _ in range(total):
        rates.append(float(scheduler.get_last_lr()[0]))
        optimizer.step()
        scheduler.step()
    return rates


def test_a_run_has_the_rates_that_its_plan_shows(run: Run) -> None:
    """Ten epochs of a warm-up and a cosine are torch's, in the plan and in every row of the run."""
    spec = "warmup(cosine(), length=5)"
    plan = lossreg.plan(**SMALL, scheduler=spec)
    assert plan.learning_rates is not None
    assert [first for first, _ in plan.learning_rates] == pytest.approx(by_hand(10, 5), rel=1e-12)
    assert [row["lr"] for row in run(**SMALL, scheduler=spec).metrics] == pytest.approx(by_hand(10, 5), rel=1e-12)


def test_a_length_in_percent_is_of_what_is_counted(run: Run) -> None:
    """A tenth of 40 steps is 4 steps, and a tenth of 10 epochs is 1 epoch."""
    for interval, total, length in (("step", 40, 4), ("epoch", 10, 1)):
        result = run(
            **SMALL, scheduler="warmup(cosine(), length='10%')", scheduler_interval=interval, log_every=1,
        )  # fmt: skip
        rows = [json.loads(line) for line in (result.directory / "metrics.jsonl").read_text().splitlines()]
        kind = "step" if interval == "step" else "epoch"
        assert [row["lr"] for row in rows if row["kind"] == kind] == pytest.approx(by_hand(total, length), rel=1e-12)


def test_a_composition_counts_steps_if_a_part_does() -> None:
    """One cycle counts steps, and so does a warm-up before it; a cosine counts epochs; a user may say otherwise."""
    spec = "warmup(one_cycle(max_lr=0.1), length=1)"
    outer = f"warmup({spec}, length=1)"
    intervals = [lossreg.plan(**SMALL, scheduler=each).contract["interval"] for each in (spec, outer, "warmup(cosine)")]
    intervals.append(lossreg.plan(**SMALL, scheduler=spec, scheduler_interval="epoch").contract["interval"])
    assert intervals == ["step", "step", "epoch", "epoch"]


def test_a_record_names_each_parameter_and_repeats(run: Run, tmp_path: Path) -> None:
    """run.json has the keyword form with full ids, from which the run is repeated."""
    result = run(**SMALL, scheduler="warmup(cosine, length=5)")
    record = json.loads((result.directory / "run.json").read_text())
    text = "builtin.warmup(length=5, schedule=builtin.cosine_annealing_lr)"
    assert record["spec"]["scheduler"] == text
    again = run(**{**SMALL, "scheduler": text})
    assert [row["lr"] for row in again.metrics] == [row["lr"] for row in result.metrics]


@pytest.mark.parametrize(
    "spec",
    [
        "plateau(factor=0.5, patience=0, monitor='{}')",
        "warmup(plateau(factor=0.5, patience=0, monitor='{}'), length=1)",
    ],
)
def test_a_plateau_follows_the_metric_that_is_named(run: Run, spec: str) -> None:
    """With a rate of almost 0 nothing improves but by chance of rounding; the contract names the metric."""
    small = {**SMALL, "optimizer": "sgd(lr=1e-30)", "epochs": 4}
    plan = lossreg.plan(**small, scheduler=spec.format("train_loss"))
    assert (plan.contract["monitor"], plan.learning_rates) == ("train_loss", None)
    assert "follows train_loss" in str(plan)
    result = run(
        **small, scheduler=spec.format("test_mean_absolute_error").replace("patience=0", "patience=0, eps=0.0")
    )
    warm = "warmup" in spec
    # The metric stays as it is: its first value is the best, and every later one halves the rate.
    expected = [1 / 3, 1, 1, 0.5] if warm else [1, 1, 0.5, 0.25]
    assert [row["lr"] for row in result.metrics] == pytest.approx([1e-30 * factor for factor in expected])


@for_each(
    ("spec", "more", "message"),
    [
        ("plateau(monitor='test_acuracy')", {}, "follows the metric 'test_acuracy', which this run does not"),
        ("warmup(plateau, length=1)", {"scheduler_interval": "step"}, "follows test_loss, which there is once an"),
        (
            "sequential(plateau, plateau(monitor='train_loss'), milestones=[2])", {},
            "sequential_lr holds schedules that follow test_loss and train_loss",
        ),
        ("warmup(cosine(), length=10)", {}, "warmup: length=10: of 10 epochs none is left for .*cosine"),
        ("warmup(lambda_lr(lr_lambda='1', interval='step'))", {}, "interval of lambda_lr follows the loop"),
    ],
)  # fmt: skip
def test_a_schedule_that_does_not_fit_the_run_is_an_error(spec: str, more: dict[str, Any], message: str) -> None:
    """A metric that there is not, or a length that leaves nothing, is told before the run."""
    with pytest.raises(lossreg.ConfigError, match=message):
        lossreg.plan(**SMALL, scheduler=spec, **more)


def test_a_dotted_option_edits_a_composition(lossreg_command: Command) -> None:
    """`--sched.length 20%` sets a part of the run, and the plan shows its rates."""
    common = ("--data", "diabetes", "--limit-train", "16", "--limit-test", "4", "--epochs", "10", "--device", "cpu")
    shown = lossreg_command("plan", *common, "--sched", "warmup(cosine)", "--sched.length", "20%", "--json")
    assert shown.code == 0
    plan = json.loads(shown.out)
    assert plan["spec"]["scheduler"] == "builtin.warmup(length='20%', schedule=builtin.cosine_annealing_lr)"
    assert [first for first, _ in plan["learning_rates"]] == pytest.approx([100 * rate for rate in by_hand(10, 2)])
    wrong = lossreg_command("plan", *common, "--sched", "warmup(cosine, length=10)")
    assert (wrong.code, wrong.err.count("\n")) == (2, 1)
