"""A scheduler of its own for an optimizer: `scheduler=` within its spec."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Adam, Optimizer, lr_scheduler

import lossreg
from tests.table import for_each

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Command
    from tests.lossreg.training.conftest import HandLoop, Run, Samples, Weights

SMALL: dict[str, Any] = {"limit_train": 128, "limit_test": 8}  # two steps an epoch
MATRICES = "ndim>=2 & !5.*"


def mlp() -> nn.Module:
    """A small network: hidden matrices are 1.weight and 3.weight, the last layer is 5."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 10))


def by_hand(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The hidden matrices, and the rest."""
    named = dict(model.named_parameters())
    hidden = [named["1.weight"], named["3.weight"]]
    return hidden, [one for one in named.values() if all(one is not other for other in hidden)]


class Together:
    """Optimizers by hand, and schedulers: those that step after each step, and those that step after each epoch of two.

    None steps after the last step of all.
    """

    def __init__(self, optimizers: list[Optimizer], each_step: list[Any], each_epoch: list[Any], steps: int) -> None:
        self.optimizers, self.each_step, self.each_epoch = optimizers, each_step, each_epoch
        self.left = steps

    def zero_grad(self) -> None:
        """Of all."""
        for one in self.optimizers:
            one.zero_grad()

    def step(self, closure: Callable[[], Tensor]) -> None:
        """Of all."""
        closure()
        for one in self.optimizers:
            one.step()
        self.left -= 1
        for scheduler in [*self.each_step, *(self.each_epoch if self.left % 2 == 0 else [])] if self.left else []:
            scheduler.step()


class Rates:
    """Keeps the rates of all groups at the end of each epoch."""

    def __init__(self) -> None:
        self.seen: list[list[float]] = []

    def lossreg_epoch_finished(self, run: lossreg.Run, record: dict[str, Any]) -> None:
        """After each epoch."""
        self.seen.append([group["lr"] for group in run.optimizer.param_groups])


def rates(run: Run, **arguments: Any) -> list[list[float]]:
    """The rates of all groups in each epoch of a run of a small network."""
    watch = Rates()
    run(model=mlp(), observers=[watch], **{"epochs": 3, **SMALL, **arguments})
    return watch.seen


def test_each_optimizer_is_moved_by_its_own_scheduler(
    run: Run, weights: Weights, hand_loop: HandLoop, digits: Samples
) -> None:
    """Weights are, bit for bit, those of two optimizers and two schedulers by hand, which count epochs and steps."""
    result = run(
        model=mlp(), optimizer="adam(lr=0.003)", scheduler="exponential(gamma=0.5)", epochs=3,
        param_groups={MATRICES: "sgd(lr=0.02, scheduler=one_cycle(max_lr=0.1))"}, **SMALL,
    )  # fmt: skip
    model = mlp()
    hidden, rest = by_hand(model)
    adam, sgd = Adam(rest, lr=0.003, fused=True), SGD(hidden, 0.02, 0.9, fused=True)
    cycle = lr_scheduler.OneCycleLR(sgd, max_lr=0.1, total_steps=6)
    pair: Any = Together([adam, sgd], [cycle], [lr_scheduler.ExponentialLR(adam, 0.5)], steps=6)
    hand_loop(model, functional.cross_entropy, pair, (digits[0][:128], digits[1][:128]), epochs=3)
    assert weights(result.model).equal(weights(model))


def test_a_warm_up_may_be_that_of_one_optimizer(
    run: Run, weights: Weights, hand_loop: HandLoop, digits: Samples
) -> None:
    """`warmup(cosine(), length=2)` is torch's SequentialLR of a line and a cosine; the other rate is constant."""
    result = run(
        model=mlp(), optimizer="adam(lr=0.003)", epochs=4,
        param_groups={MATRICES: "sgd(lr=0.02, scheduler=warmup(cosine(), length=2))"}, **SMALL,
    )  # fmt: skip
    model = mlp()
    hidden, rest = by_hand(model)
    adam, sgd = Adam(rest, lr=0.003, fused=True), SGD(hidden, 0.02, 0.9, fused=True)
    parts = [lr_scheduler.LinearLR(sgd, 1 / 3, total_iters=2), lr_scheduler.CosineAnnealingLR(sgd, T_max=2)]
    warm_up = lr_scheduler.SequentialLR(sgd, parts, milestones=[2])
    pair: Any = Together([adam, sgd], [], [warm_up], steps=8)
    hand_loop(model, functional.cross_entropy, pair, (digits[0][:128], digits[1][:128]), epochs=4)
    assert torch.allclose(weights(result.model), weights(model), rtol=0, atol=1e-7)  # a rate may differ by a rounding


def test_the_optimizer_of_the_run_may_have_its_own_while_the_group_follows_the_run(run: Run) -> None:
    """The rates of a run: the first is constant, the second is halved by the scheduler of the run."""
    assert rates(
        run, optimizer="adam(lr=0.01, scheduler=constant(factor=1.0))", scheduler="exponential(gamma=0.5)",
        param_groups={MATRICES: "sgd(lr=0.5)"},
    ) == [[0.01, 0.5], [0.01, 0.25], [0.01, 0.125]]  # fmt: skip


def test_an_only_optimizer_may_have_its_own(run: Run) -> None:
    """It stands in for the scheduler of the run."""
    assert rates(run, optimizer="adam(lr=0.5, scheduler=exponential(gamma=0.5))") == [[0.5], [0.25], [0.125]]


def test_several_follow_the_scheduler_of_the_run_beside_one_that_has_its_own(run: Run) -> None:
    """Both followers, and all groups of each, are moved; counted by steps, without a warning of torch."""
    groups = {
        "1.weight": "sgd(lr=0.5)",
        "1.bias": "sgd(lr=8, scheduler=lambda_lr(lr_lambda='1 / 2**epoch'))",
        "5.bias": "lr=x0.5",
    }
    scheduler = "lambda_lr(lr_lambda='1 / 2**step')"
    assert rates(
        run, optimizer="adam(lr=0.25)", scheduler=scheduler, scheduler_interval="step", param_groups=groups
    ) == [
        [0.25 / 2**step, 0.125 / 2**step, 0.5 / 2**step, 8 / 2**epoch] for step, epoch in ((1, 0), (3, 1), (5, 2))
    ]  # fmt: skip


def test_the_optimizer_of_the_rest_may_have_its_own(run: Run) -> None:
    """`rest=adam(..., scheduler=...)` beside an optimizer that has another."""
    found = lossreg.load_registries()
    found.optimizers.register("muon_here", "torch.optim:SGD", routes="hidden_matrices")
    optimizer = (
        "muon_here(lr=0.5, scheduler=exponential(gamma=0.5), rest=adam(lr=0.01, scheduler=constant(factor=1.0)))"
    )
    assert rates(run, optimizer=optimizer, registries=found) == [[0.5, 0.01], [0.25, 0.01], [0.125, 0.01]]
    plan = lossreg.plan(model=mlp(), optimizer=optimizer, registries=found, **SMALL)
    assert dict(plan.spec.items())["optimizer"] == (
        "local.muon_here(lr=0.5, rest=builtin.adam(lr=0.01, scheduler=builtin.constant_lr(factor=1.0)), "
        "scheduler=builtin.exponential_lr(gamma=0.5))"
    )


def test_an_interval_that_is_set_is_that_of_all(run: Run) -> None:
    """`scheduler_interval` wins over what each counts by itself; it needs no scheduler of the run."""
    assert rates(
        run, optimizer="adam(lr=0.5, scheduler=exponential(gamma=0.5))", scheduler_interval="step"
    ) == [[0.25], [0.0625], [0.015625]]  # fmt: skip
    with pytest.raises(lossreg.ConfigError, match="no effect without a scheduler"):
        lossreg.plan(optimizer="adam(lr=0.5)", scheduler_interval="step")


def test_one_that_follows_a_metric_has_its_own_metric(run: Run) -> None:
    """A plateau of one optimizer halves its rate alone, and is named among what chooses by the test split."""
    group = {MATRICES: "sgd(lr=1e-30, scheduler=plateau(monitor='train_loss', factor=0.5, patience=0, threshold=1))"}
    seen = rates(run, optimizer="adam(lr=1e-30)", param_groups=group)
    assert seen == [[1e-30, 1e-30], [1e-30, 1e-30], [1e-30, pytest.approx(5e-31)]]
    plan = lossreg.plan(model=mlp(), param_groups={MATRICES: "adam(scheduler=plateau(monitor='test_loss'))"}, **SMALL)
    (schedule,) = plan.facts["schedules"]
    assert (schedule["monitor"], schedule["rates"]) == ("test_loss", None)
    assert [*plan.facts["choosing"].values()] == ["test_loss"]
    assert any("plateau(monitor='test_loss') of adam by test_loss" in one for one in plan.warnings)
    assert "learning rate       of adam, by reduce_lr_on_plateau(monitor='test_loss'): follows test_loss" in str(plan)
    with pytest.raises(lossreg.ConfigError, match="follows the metric 'test_los', which this run does not have"):
        lossreg.plan(model=mlp(), param_groups={MATRICES: "adam(scheduler=plateau(monitor='test_los'))"}, **SMALL)


def test_a_plan_shows_the_rates_of_each(lossreg_command: Command) -> None:
    """The table is of the first group; each other schedule has a line with the first and the last rate of the run."""
    shown = lossreg_command(
        "plan", "--model", "mlp", "--opt", "adam(lr=0.5)", "--sched", "exponential(gamma=0.5)", "--epochs", "3",
        "--param-groups", "ndim>=2: sgd(lr=4, scheduler=lambda_lr(lr_lambda='1 / 2**(epoch + 1)'))",
        "--limit-train", "64",
    ).out  # fmt: skip
    assert "    0  0.5\n    1  0.25\n    2  0.125\n" in shown
    assert "learning rate       of sgd(lr=4), by lambda_lr(lr_lambda='1 / 2**(epoch + 1)'): 2 to 0.5\n" in shown


def test_a_plan_shows_the_scheduler_of_the_run_where_the_first_group_has_another() -> None:
    """The table is that of the first optimizer's own; rows keep the rate of the first group."""
    plan = lossreg.plan(
        model=mlp(), optimizer="adam(lr=0.5, scheduler=exponential(gamma=0.5))", scheduler="cosine",
        param_groups={MATRICES: "sgd(lr=1)"}, epochs=2, **SMALL,
    )  # fmt: skip
    assert plan.learning_rates == [(0.5, 0.5), (0.25, 0.25)]
    half = (1 + math.cos(math.pi / 2)) / 2  # of a cosine of two epochs, at the second
    assert plan.facts["schedules"][0] == {
        "scheduler": "cosine_annealing_lr", "optimizers": ["sgd(lr=1)"], "groups": [1], "interval": "epoch",
        "monitor": None, "rates": [1, pytest.approx(half)],
    }  # fmt: skip


def test_a_rate_of_zero_is_said_of_the_optimizer_that_has_it() -> None:
    """The weights of the other optimizer do change."""
    plan = lossreg.plan(
        model=mlp(), param_groups={MATRICES: "sgd(lr=1, scheduler=lambda_lr(lr_lambda='epoch'))"}, epochs=2, **SMALL
    )
    assert "the rate of sgd(lr=1) is 0 in epoch 0: its weights stay as they are there" in plan.warnings


def test_a_run_is_repeated_from_its_record(lossreg_command: Command, tmp_path: Path) -> None:
    """run.json has the schedulers with full ids and all parameters; a repeat gives the same weights."""
    group = "ndim>=2: sgd(lr=0.02, scheduler=warmup(cosine(), length=1))"
    options = ("--model", "mlp", "--opt", "adam", "--opt.scheduler", "exponential(gamma=0.5)", "--param-groups", group)
    small = ("--epochs", "3", "--limit-train", "128", "--quiet")
    ended = lossreg_command("run", *options, *small, "--out", "first")
    assert ended.code == 0, ended.err
    content = json.loads((tmp_path / "first" / "run.json").read_text())
    assert content["spec"]["optimizer"] == "builtin.adam(scheduler=builtin.exponential_lr(gamma=0.5))"
    assert content["spec"]["scheduler"] is None
    assert content["spec"]["param_groups"] == {
        "ndim>=2": "builtin.sgd(lr=0.02, scheduler=builtin.warmup(length=1, schedule=builtin.cosine_annealing_lr))"
    }
    assert content["components"]["scheduler.1"]["params"]["gamma"] == 0.5
    assert content["components"]["scheduler.2"]["id"] == "builtin.warmup"
    assert lossreg_command("run", "-c", "first", "--quiet", "--out", "again").code == 0
    first, again = (load_file(tmp_path / name / "model.safetensors") for name in ("first", "again"))
    assert all(first[name].equal(again[name]) for name in first)
    content["components"]["scheduler.2"]["id"] = "gone.warmup"
    (tmp_path / "first" / "run.json").write_text(json.dumps(content))
    assert "its scheduler gone.warmup is missing" in lossreg_command("plan", "-c", "first").err


def test_undoing_the_scheduler_of_a_file_leaves_the_interval_of_others(
    lossreg_command: Command, tmp_path: Path
) -> None:
    """`--sched none` takes the file's interval with it, unless an optimizer has a scheduler that counts it."""
    (tmp_path / "run.toml").write_text(
        'model = "mlp"\nscheduler = "cosine"\nscheduler_interval = "step"\nlimit_train = 64\n'
        '[param_groups]\n"ndim>=2" = "adam(scheduler=cosine)"\n'
    )
    options = ("plan", "-c", "run.toml", "--sched", "none", "--json")
    assert json.loads(lossreg_command(*options).out)["spec"]["scheduler_interval"] == "step"
    without = lossreg_command(*options, "--param-groups", "ndim>=2: adam")
    assert json.loads(without.out)["spec"]["scheduler_interval"] is None


def test_the_state_of_each_round_trips(run: Run) -> None:
    """Optimizers and schedulers that take the states of others go on with the rates of those."""
    states: list[bytes] = []
    after: list[list[list[float]]] = []

    class Keep:
        """Saves the states after the second epoch of one run, and loads them at the start of another."""

        def lossreg_run_started(self, run: lossreg.Run) -> None:
            after.append([])
            if states:
                optimizer, schedules = pickle.loads(states[0])  # noqa: S301  # ours
                run.optimizer.load_state_dict(optimizer)
                for schedule, state in zip(schedules_of(run), schedules, strict=True):
                    schedule.load_state_dict(state)

        def lossreg_epoch_finished(self, run: lossreg.Run, record: dict[str, Any]) -> None:
            after[-1].append([group["lr"] for group in run.optimizer.param_groups])
            if not states and record["epoch"] == 1:
                schedules = [one.state_dict() for one in schedules_of(run)]
                states.append(pickle.dumps([run.optimizer.state_dict(), schedules]))

    def schedules_of(run: lossreg.Run) -> list[Any]:
        return [one.scheduler for one in run.parts.optimization.schedule.schedules]  # type: ignore[union-attr]  # several

    groups = {"1.weight": "sgd(lr=0.5)", "1.bias": "sgd(lr=8, scheduler=exponential(gamma=0.25))"}
    for _ in range(2):
        run(
            model=mlp(), optimizer="adam(lr=0.5)", scheduler="lambda_lr(lr_lambda='1 / 2**epoch')", epochs=3,
            param_groups=groups, observers=[Keep()], **SMALL,
        )  # fmt: skip
    first, second = after
    assert first == [[0.5, 0.5, 8], [0.25, 0.25, 2], [0.125, 0.125, 0.5]]
    assert second == [*first[1:], [0.0625, 0.0625, 0.125]]


@for_each(
    ("arguments", "said"),
    [
        (
            {"optimizer": "sgd(scheduler=cosin())"},
            "scheduler of sgd: no scheduler named 'cosin'. Did you mean 'cosine_annealing_lr'",
        ),
        (
            {"param_groups": {"*.bias": "adam(scheduler=cosin)"}},
            "param_groups: '*.bias': scheduler of adam: no scheduler named 'cosin'. Did you mean 'cosine_annealing_lr'",
        ),
        (
            {"param_groups": {"*.bias": "adam(scheduler=step_lr(step=3))"}},
            "'*.bias': scheduler of adam: step_lr has no parameter 'step'",
        ),
        ({"optimizer": "sgd(scheduler=3)"}, "scheduler of sgd: 3 is not a scheduler, such as cosine()"),
        ({"optimizer": "sgd(scheduler=None)"}, "None is not a scheduler, such as cosine(); constant(factor=1.0) keeps"),
        ({"optimizer": "sgd(scheduler='a b')"}, "scheduler of sgd: 'a b'"),
        (
            {"optimizer": "sgd(scheduler=cosine)", "scheduler": "cosine"},
            "the scheduler cosine_annealing_lr moves nothing: each optimizer that trains has a scheduler of",
        ),
        (
            {"param_groups": {"*.bias": "lr=0.1, scheduler=cosine()"}},
            "scheduler is that of a whole optimizer; for these parameters alone write an optimizer of their own in "
            "place of the options: sgd(scheduler=...)",
        ),
        (
            {"optimizer": "sgd(scheduler=plateau)", "scheduler_interval": "step"},
            "scheduler reduce_lr_on_plateau follows test_loss, which there is once an epoch",
        ),
        (
            {"param_groups": {"*.bias": "adam(scheduler=lambda_lr(lr_lambda='1 / (1 - epoch)'))"}, "epochs": 3},
            'expression "1 / (1 - epoch)" at epoch = 1',
        ),
    ],
)
def test_what_cannot_be_is_refused(run: Run, tmp_path: Path, arguments: dict[str, Any], said: str) -> None:
    """Each mistake is one message before the run, and leaves no directory."""
    with pytest.raises(lossreg.LossregError) as caught:
        run(out=tmp_path / "out", **SMALL, **arguments)
    assert said in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_an_optimizer_that_has_a_parameter_of_this_name_keeps_it(run: Run) -> None:
    """Such an optimizer gets what is written there itself."""
    seen: list[str] = []
    found = lossreg.load_registries()

    def make(params: Any, lr: float = 0.1, scheduler: str = "none") -> Optimizer:
        seen.append(scheduler)
        return SGD(params, lr=lr)

    found.optimizers.register("makes")(make)
    run(model=mlp(), optimizer="makes(scheduler='inner')", registries=found, epochs=1, **SMALL)
    assert set(seen) == {"inner"}
