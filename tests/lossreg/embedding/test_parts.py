"""`lossreg.parts`: loss, optimizer and schedule for a loop that is not lossreg's."""

from __future__ import annotations

import math
import pickle
import threading
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import lossreg
from lossreg.registry.registries import load_registries
from tests.table import for_each

OUTPUT = torch.tensor([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]])
CLASSES = torch.tensor([1, 0])


def network() -> nn.Sequential:
    """Two linear layers, always with the same weights."""
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3))


def refusal(**arguments: Any) -> str:
    """The message with which arguments are refused, at once or when scheduler and loss are built."""
    try:
        parts = lossreg.parts(**arguments)
        parts.scheduler(parts.optimizer(network()))
        _ = parts.loss
    except lossreg.LossregError as error:
        return str(error)
    raise AssertionError("nothing was refused")


def test_a_loss_of_numbers_gets_one_hot_targets_of_classes() -> None:
    """l1 of class indices is the mean absolute difference to one-hot vectors."""
    loss = lossreg.parts(loss="l1", task="classification").loss
    one_hot = [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    expected = sum(abs(a - b) for x, y in zip(OUTPUT.tolist(), one_hot, strict=True) for a, b in zip(x, y, strict=True))
    assert loss(OUTPUT, CLASSES).item() == pytest.approx(expected / 6)


def test_a_loss_of_log_probabilities_gets_them() -> None:
    """Nll of raw outputs is the cross entropy, in float64."""
    loss = lossreg.parts(loss="nll").loss
    rows = zip(OUTPUT.tolist(), CLASSES.tolist(), strict=True)
    expected = sum(math.log(sum(map(math.exp, row))) - row[target] for row, target in rows) / 2
    assert loss(OUTPUT, CLASSES).item() == pytest.approx(expected)


def test_the_loss_is_always_the_same_module() -> None:
    """Weights of a loss are there once, also for the same parts in a loop of which more is known."""
    parts = lossreg.parts(loss="mse", task="regression")
    assert parts.loss is parts.loss
    assert parts.for_loop(epochs=2).loss is parts.loss


def test_where_the_task_decides_it_is_asked_for() -> None:
    """l1 can be given numbers or class indices: the error says what to write for which."""
    message = refusal(loss="l1")
    assert "the loss l1 is adapted to what the targets are" in message
    assert "task='regression' for targets that are numbers" in message


def test_a_loss_that_does_not_fit_the_task_is_refused() -> None:
    """cross_entropy takes classes."""
    assert "does not fit a regression: the loss takes class indices" in refusal(loss="cross_entropy", task="regression")


def test_the_loss_of_a_task_is_that_of_a_run() -> None:
    """Without a loss, a task has its own."""
    assert lossreg.parts(task="regression").texts["loss"] == "builtin.mse"


def test_without_loss_and_task_there_is_an_optimizer_alone() -> None:
    """The loss is asked for when it is used."""
    parts = lossreg.parts(optimizer="adam")
    assert isinstance(parts.optimizer(network()), torch.optim.Adam)
    with pytest.raises(lossreg.ConfigError, match="no loss is named"):
        _ = parts.loss


def test_groups_go_by_the_names_of_the_model() -> None:
    """Biases have no decay, and all parameters are in a group."""
    optimizer = lossreg.parts(optimizer="adamw", param_groups={"*.bias": "weight_decay=0"}).optimizer(network())
    assert [(len(g["params"]), g["weight_decay"]) for g in optimizer.param_groups] == [(2, 0.01), (2, 0)]


def test_the_rest_has_an_optimizer_of_its_own() -> None:
    """Muon trains hidden matrices, and the optimizer that is named all else; both are one object."""
    optimizer = lossreg.parts(optimizer="muon(rest=sgd(lr=0.5))").optimizer(network())
    assert [[p.ndim for p in group["params"]] for group in optimizer.param_groups] == [[2], [1, 2, 1]]
    assert optimizer.param_groups[1]["lr"] == 0.5


def test_schedules_of_single_optimizers_step_together() -> None:
    """Each optimizer follows its own: the rest is halved each epoch, muon's rate stays."""
    parts = lossreg.parts(optimizer="muon(lr=0.25, rest=sgd(lr=1.0, scheduler=exponential(gamma=0.5)))", epochs=3)
    optimizer = parts.optimizer(network())
    scheduler = parts.scheduler(optimizer)
    assert scheduler is not None
    rates = []
    for _ in range(3):
        rates.append(scheduler.get_last_lr())
        optimizer.step()
        scheduler.step()
    assert rates == [[0.25, 1.0], [0.25, 0.5], [0.25, 0.25]]


def test_weights_of_the_loss_are_trained() -> None:
    """The optimizer has the parameters of a loss that has some."""

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, output: Tensor, target: Tensor) -> Tensor:
            return self.scale * (output - target).square().mean()

    parts = lossreg.parts(loss=Scaled())
    optimizer = parts.optimizer(network())
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert any(parameter is next(parts.loss.parameters()) for parameter in held)


def test_frozen_parameters_stay_and_their_modules_in_evaluation() -> None:
    """A frozen batch normalisation keeps its statistics, although the loop sets the model to training."""
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    optimizer = lossreg.parts(freeze="0.*, 1.*").optimizer(model)
    model.train()
    model(torch.randn(8, 4))
    assert model[1].running_mean.tolist() == [0.0, 0.0, 0.0]  # type: ignore[operator]  # it has some
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 2


@for_each(("setting", "said"), [
    ("loss", "loss=3 cannot be called; write a name, such as 'dice', or"),
    ("optimizer", "optimizer=3 is neither a torch.optim.Optimizer nor makes one; write a name, such as 'adam("),
    ("scheduler", "scheduler=3 has no step(), and makes nothing that has; write a name, such as 'cosine', or"),
])  # fmt: skip
def test_what_can_be_no_part_is_refused_at_once(setting: str, said: str) -> None:
    """With the setting, and what to write; not only where the part is built."""
    given: Any = {setting: 3}
    with pytest.raises(lossreg.ConfigError) as caught:
        lossreg.parts(**given)
    assert caught.value.message.startswith(said)


def test_unfreezing_is_refused() -> None:
    """It goes by the epochs of a run."""
    parts = lossreg.parts({"freeze": "0.*", "unfreeze": "0.*@1"})
    with pytest.raises(lossreg.ConfigError, match=r"unfreeze .* goes by the epochs of a run"):
        parts.optimizer(network())


@for_each(
    "arguments, wanted",
    [
        ({"scheduler": "cosine"}, "cosine_annealing_lr needs T_max, which only your loop knows: write lossreg.parts("),
        ({"scheduler": "constant"}, "constant_lr needs total_iters, which only your loop knows"),
        ({"scheduler": "sequential(linear, cosine, milestones=[2])"}, "which only your loop knows"),
        ({"scheduler": "lambda_lr(lr_lambda='1 / epochs')"}, "write lossreg.parts(..., epochs=N)"),
        ({"scheduler": "one_cycle(max_lr=1)"}, "write lossreg.parts(..., epochs=N, steps_per_epoch=N)"),
        ({"scheduler": "cosine", "scheduler_interval": "step", "epochs": 3}, "epochs=N, steps_per_epoch=N"),
        ({"lr": 3}, "lr is a parameter of the optimizer sgd"),
        ({"batch_size": 3}, "parts has no argument 'batch_size': what it sets is the business of your own loop"),
        ({"loss": "dise"}, "no loss named 'dise'. Did you mean 'dice'?"),
        ({"task": "ranking"}, "task is one of classification"),
        ({"epochs": 0}, "epochs is a whole number of at least 1"),
        ({"scheduler": "cosine", "total_steps": 6}, "or scheduler_interval='step' to have it count the total_steps"),
        ({"epochs": 2, "steps_per_epoch": 3, "total_steps": 7}, "which are 6 steps; leave one of them out"),
        ({"epochs": 2, "steps_per_epoch": 3, "total_steps": 3}, "which are 6 steps; leave one of them out"),
        ({"param_groups": {"nothing.*": "lr=1"}}, "nothing.*"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(arguments: dict[str, Any], wanted: str) -> None:
    """An error says what to write."""
    assert wanted in refusal(**arguments)


def test_an_optimizer_needs_the_model() -> None:
    """Parameters alone have no names."""
    with pytest.raises(lossreg.ConfigError, match="built for a model"):
        lossreg.parts().optimizer(network().parameters())  # type: ignore[arg-type]  # that is what is refused


def test_what_an_optimizer_needs_is_data() -> None:
    """Lbfgs takes a closure; adam takes none."""
    assert lossreg.parts(optimizer="lbfgs").needs.closure
    assert not lossreg.parts(optimizer="adam").needs.closure


def test_a_check_names_what_does_not_fit() -> None:
    """A target that is none of the classes is found in a batch, and nothing of the model changes."""
    model, parts = network(), lossreg.parts(loss="dice")
    before = [parameter.clone() for parameter in model.parameters()]
    parts.check(model, (torch.randn(5, 4), torch.tensor([0, 1, 2, 0, 1])))
    with pytest.raises(lossreg.ContractError, match=r"loss dice and the batch do not fit.*class index 3"):
        parts.check(model, (torch.randn(5, 4), torch.tensor([0, 1, 3, 0, 1])))
    assert all(map(torch.equal, before, model.parameters()))
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.training


def test_a_description_has_every_default_and_where_it_comes_from() -> None:
    """It is plain data, also before the loop has said how long it is."""
    facts = lossreg.parts(loss="nll", optimizer="adam(lr=1)", scheduler="cosine").describe()
    assert facts["spec"]["optimizer"] == "builtin.adam(lr=1)"
    assert facts["components"]["optimizer"]["params"]["betas"] == [0.9, 0.999]
    assert facts["components"]["optimizer"]["distribution"] == "lossreg"
    assert facts["components"]["scheduler"]["params"]["T_max"] == "<span>"
    assert facts["contract"] == {"input": "log_softmax", "target": "unchanged", "interval": "epoch", "monitor": None}


def test_parts_can_be_pickled() -> None:
    """A process that is spawned builds the same; weights of the loss come along."""
    parts = lossreg.parts(
        loss="dice(smooth=2)",
        optimizer="muon(rest=adamw)",
        scheduler="cosine",
        epochs=4,
        registries=load_registries(allow=[]),
    )
    _ = parts.loss
    copy = pickle.loads(pickle.dumps(parts))  # noqa: S301  # it is our own
    assert copy.describe() == parts.describe()
    assert copy.loss(OUTPUT, CLASSES) == parts.loss(OUTPUT, CLASSES)
    assert len(copy.optimizer(network()).param_groups) == 2


def test_threads_get_one_loss() -> None:
    """Threads that ask at the same time get the same module."""
    parts = lossreg.parts(loss="cross_entropy")
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(parts.loss)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(map(id, found))) == 1


def test_registries_of_ones_own_are_used_alone() -> None:
    """A component of an isolated set is found in it, and in no other."""
    own = load_registries(allow=[])

    @own.losses.register("half_mse", target="dense")
    def half_mse(input: Tensor, target: Tensor) -> Tensor:  # noqa: A002  # as torch's losses name it
        return (input - target).square().mean() / 2

    loss = lossreg.parts(loss="half_mse", task="regression", registries=own).loss
    assert loss(torch.tensor([2.0]), torch.tensor([0.0])).item() == 2.0
    assert "no loss named 'half_mse'" in refusal(loss="half_mse", task="regression")
