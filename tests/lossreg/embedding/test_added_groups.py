"""Parameters that are added to an optimizer of parts, and models without any."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

import lossreg
from tests.table import for_each


@for_each("optimizer, label", [("muon(rest=adamw)", "muon"), ("lookahead(muon, rest=adamw)", r"lookahead\(.*muon\)")])
@for_each("copied", [False, True])
def test_an_optimizer_for_some_parameters_takes_no_others(optimizer: str, label: str, copied: bool) -> None:
    """Muon would be given biases, and embeddings for which it is not; nothing is added."""
    built = lossreg.parts(optimizer=optimizer).optimizer(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2)))
    built = copy.deepcopy(built) if copied else built
    with pytest.raises(lossreg.ConfigError, match=f"^{label} is not for all parameters, and a group that is added"):
        built.add_param_group({"params": [*nn.Linear(2, 2).parameters()]})
    assert sum(len(group["params"]) for group in built.param_groups) == 4


def test_of_several_the_one_for_all_parameters_takes_others() -> None:
    """What no pattern names is that optimizer's, and is trained as by torch's own."""
    torch.manual_seed(0)
    model, added = nn.Linear(3, 2), nn.Linear(2, 1)
    hand = copy.deepcopy(added)
    built = lossreg.parts(optimizer="adamw(lr=0.1)", param_groups={"bias": "sgd(lr=1.0)"}).optimizer(model)
    built.add_param_group({"params": [*added.parameters()], "lr": 0.5})
    by_hand = torch.optim.AdamW(hand.parameters(), lr=0.5)
    for module, optimizer in ((added, built), (hand, by_hand)):
        module(torch.ones(1, 2)).sum().backward()
        optimizer.step()
    assert all(torch.equal(one, two) for one, two in zip(added.parameters(), hand.parameters(), strict=True))


@for_each("model, why", [(nn.ReLU(), "no parameters"), (nn.Linear(1, 1).requires_grad_(False), "requires_grad=False")])
@for_each(
    "arguments",
    [
        {"optimizer": "adamw"},
        {"optimizer": "adamw", "param_groups": {"*.bias": "lr=0.1"}},
        {"optimizer": "adamw", "param_groups": {"no_decay": True}},
        {"optimizer": "muon(rest=adamw)"},
        {"freeze": "bias"},
    ],
)
def test_a_model_without_weights_to_train_is_refused(model: nn.Module, why: str, arguments: dict[str, Any]) -> None:
    """The message says whether there are none, or all are frozen; no list in it is empty."""
    with pytest.raises(lossreg.ConfigError, match=f"^the model .* has no weight that can be trained: .*{why}"):
        lossreg.parts(**arguments).optimizer(model)


def test_a_loss_with_weights_is_enough() -> None:
    """A model without any is trained by nobody, and its loss is."""

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            """A scaled distance."""
            return self.scale * (output - target).square().mean()

    optimizer = lossreg.parts(loss=Scaled(), optimizer="adamw").optimizer(nn.ReLU())
    assert [len(group["params"]) for group in optimizer.param_groups] == [1]


def schedule_of(scheduler: str, **texts: Any) -> tuple[nn.Sequential, Any, Any]:
    """A model of two layers, its optimizer and its schedule, after 2 of 4 epochs."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    parts = lossreg.parts(optimizer="sgd(lr=1.0)", scheduler=scheduler, epochs=4, **texts)
    optimizer = parts.optimizer(model)
    schedule: Any = parts.scheduler(optimizer)
    for _ in range(2):
        step(model, optimizer)
        schedule.step(*[1.0] * (schedule.monitor is not None))
    return model, optimizer, schedule


def step(model: nn.Module, optimizer: Any) -> None:
    """A step of the optimizer."""
    optimizer.zero_grad()
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()


@for_each(
    "scheduler",
    [
        "lambda_lr(lr_lambda='0.9 ** epoch')",
        "multiplicative_lr(lr_lambda='0.5')",
        "cyclic(base_lr=0.1, max_lr=1.0)",
        "one_cycle(max_lr=1.0, total_steps=4)",
        "cosine_warm_restarts(T_0=3)",
    ],
)
def test_a_schedule_that_has_a_rate_for_each_group_takes_no_others(scheduler: str) -> None:
    """Torch's own errors are of lists and keys; this says what to do."""
    model, optimizer, schedule = schedule_of(scheduler, freeze="0.*", scheduler_interval="epoch")
    optimizer.add_param_group({"params": [*model[0].requires_grad_(True).parameters()]})
    step(model, optimizer)
    wanted = (
        rf"^the schedule {scheduler[:5]}.* was built for 1 parameter group, and there are 2 now: have all parameters"
    )
    with pytest.raises(lossreg.ConfigError, match=wanted):
        schedule.step()


@for_each("scheduler", ["cosine", "linear(start_factor=0.5, total_iters=4)", "step_lr(step_size=1)"])
def test_other_schedules_say_how_they_go_on(scheduler: str, caplog: pytest.LogCaptureFixture) -> None:
    """As in torch: what was added is multiplied by what the others are multiplied by. It is said once."""
    model, optimizer, schedule = schedule_of(scheduler, freeze="0.*")
    optimizer.add_param_group({"params": [*model[0].requires_grad_(True).parameters()]})
    first = optimizer.param_groups[0]["lr"]
    caplog.clear()
    for _ in range(2):
        step(model, optimizer)
        schedule.step()
        assert optimizer.param_groups[1]["lr"] == pytest.approx(optimizer.param_groups[0]["lr"] / first)
    [record] = caplog.records
    assert (
        "of those that were added change in proportion from 1 on; to have them follow it, have" in record.getMessage()
    )


@for_each(
    "scheduler", ["cosine", "one_cycle(max_lr=1.0, total_steps=4)", "lambda_lr(lr_lambda='0.9 ** epoch')", "linear"]
)
def test_a_schedule_that_is_built_again_moves_what_was_added(scheduler: str) -> None:
    """From the first rate of all groups, and after as many epochs: all have the rate of a schedule for all of them."""
    texts: dict[str, Any] = {"scheduler_interval": "epoch"}
    _, _, straight = schedule_of(scheduler, **texts)
    model, optimizer, _ = schedule_of(scheduler, freeze="0.*", **texts)
    optimizer.add_param_group({"params": [*model[0].requires_grad_(True).parameters()]})
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] = 1.0
    again: Any = lossreg.parts(optimizer="sgd(lr=1.0)", scheduler=scheduler, epochs=4, **texts).scheduler(optimizer)
    again.begin_after(2)
    for _ in range(2):
        assert again.get_last_lr() == pytest.approx(straight.get_last_lr() * 2)
        step(model, optimizer)
        again.step()
        straight.step()


@for_each("own, said", [("adamw(lr=1.0, scheduler=cosine)", True), ("adamw(lr=1.0)", False)])
def test_what_follows_no_schedule_is_none_that_is_added_to_one(
    own: str, said: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Of several optimizers the first takes what is added, which its own schedule moves, or none."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    parts = lossreg.parts(
        optimizer=own, param_groups={"1.bias": "sgd(lr=1.0, scheduler=linear)"}, freeze="0.*", epochs=4
    )
    optimizer = parts.optimizer(model)
    schedule: Any = parts.scheduler(optimizer)
    optimizer.add_param_group({"params": [*model[0].requires_grad_(True).parameters()]})
    caplog.clear()
    step(model, optimizer)
    schedule.step()
    assert [record.getMessage().count("change in proportion from 1 on") for record in caplog.records] == [1] * said
    assert (optimizer.param_groups[1]["lr"] < 1.0) is said


def test_a_metric_lowers_the_rates_of_all_groups(caplog: pytest.LogCaptureFixture) -> None:
    """Such a schedule has no place that a group could miss: nothing is said."""
    model, optimizer, schedule = schedule_of(
        "reduce_lr_on_plateau(monitor='loss', factor=0.5, patience=1)", freeze="0.*"
    )
    optimizer.add_param_group({"params": [*model[0].requires_grad_(True).parameters()], "lr": 0.2})
    caplog.clear()
    schedule.step(1.0)
    assert schedule.get_last_lr() == [0.5, 0.1]
    assert not caplog.records
