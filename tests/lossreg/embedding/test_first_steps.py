"""A loop that does not give an optimizer what it needs is told so at its first step, by the optimizer's name."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch

import lossreg
from tests.lossreg.embedding.needing import Averaged, Curved, One, Switched
from tests.table import for_each

X, Y = torch.ones(2, 1), torch.zeros(2, 1)


def made(optimizer: Any) -> tuple[lossreg.HostParts, One, Any]:
    """Parts, a model, and its optimizer."""
    parts, model = lossreg.parts(loss="mse", task="regression", optimizer=optimizer), One()
    return parts, model, parts.optimizer(model)


@for_each(
    ("optimizer", "wanted"),
    [
        ("lbfgs", r"the optimizer lbfgs computes the loss again in its steps \(closure\): call optimizer.step"),
        ("sam(sgd)", r"the optimizer sam\(.*sgd\) computes the loss again .* call optimizer.step\(closure\)"),
        (Switched, r"Switched switches between the weights .* call optimizer.train\(\) before training, and "),
        (Curved, r"Curved differentiates gradients: call loss.backward\(create_graph=True\)"),
    ],
)
def test_a_loop_that_knows_nothing_of_it_is_told(optimizer: Any, wanted: str) -> None:
    """The first step changes nothing, and says what to call; a closure that is None is none."""
    parts, model, built = made(optimizer)
    for given in ({}, {"closure": None}):
        parts.loss(model(X), Y).backward()
        with pytest.raises(lossreg.ConfigError, match=wanted) as caught:
            built.step(**given)
        assert caught.value.setting == "optimizer"
    assert model.w.item() == 1.0


def test_a_loop_that_gives_a_closure_trains() -> None:
    """L-BFGS finds the least of a parabola, whichever way the closure is given."""
    for named in (False, True):
        parts, model, built = made("lbfgs(line_search_fn='strong_wolfe')")

        def closure(built: Any = built, parts: Any = parts, model: Any = model) -> torch.Tensor:
            built.zero_grad()
            loss: torch.Tensor = parts.loss(model(X), Y)
            loss.backward()
            return loss

        built.step(closure=closure) if named else built.step(closure)
        assert model.w.item() == pytest.approx(0.0, abs=1e-6)


def test_a_loop_that_keeps_the_graph_trains() -> None:
    """Newton's method takes one step to the least of w ** 2; without gradients there is nothing to differentiate."""
    parts, model, built = made(Curved)
    built.step()
    (model.w.grad,) = torch.autograd.grad(parts.loss(model(X), Y), model.w, create_graph=True)
    built.step()
    assert model.w.item() == pytest.approx(0.0)
    model.w.grad = None  # ends the cycle between the two


def test_a_loop_that_switches_modes_trains() -> None:
    """Each step of w - 0.25 * 2w halves w: after two steps it is 1/4, and the mean of 1/2 and 1/4 is evaluated."""
    parts, model, built = made(Averaged)
    built.train()
    assert "train" not in vars(built)
    for _ in range(2):
        built.zero_grad()
        parts.loss(model(X), Y).backward()
        built.step()
    assert model.w.item() == 0.25
    built.eval()
    assert model.w.item() == 0.375
    built.train()
    assert model.w.item() == 0.25


def test_a_call_that_is_not_seen_is_found_by_its_switch() -> None:
    """Wrappers of hosts that stand for an optimizer call the method of its class."""
    parts, model, built = made(Switched)
    type(built).train(built)
    parts.loss(model(X), Y).backward()
    built.step()
    assert model.w.item() == 0.5


def test_an_optimizer_that_begins_in_training_is_recalled_once(caplog: pytest.LogCaptureFixture) -> None:
    """Its steps are right without `train()`; whether the loop will call `eval()` cannot be known."""
    parts, model, built = made(Averaged)
    for _ in range(2):
        built.zero_grad()
        parts.loss(model(X), Y).backward()
        built.step()
    assert model.w.item() == 0.25
    assert [one.getMessage().partition(" switches")[2] for one in caplog.records] == [
        " between the weights that it trains and those that are evaluated: call optimizer.eval() before the model is "
        "evaluated or saved"
    ]


def test_several_optimizers_switch_together() -> None:
    """Those that step as one are watched as one."""
    first, second = One(), One()
    model = torch.nn.Sequential(first, second)
    registries = lossreg.load_registries()
    registries.optimizers.register("switched", summary="Switched")(Switched)
    parts = lossreg.parts(
        loss="mse", task="regression", optimizer="switched", param_groups={"1.w": "sgd"}, registries=registries
    )
    built: Any = parts.optimizer(model)
    parts.loss(model(X), Y).backward()
    with pytest.raises(lossreg.ConfigError, match="the optimizer switched switches"):
        built.step()
    built.train()
    built.step()
    assert first.w.item() != 1.0 != second.w.item()


def test_copies_and_pickles_step_as_they_did() -> None:
    """What is watched can be copied and pickled, and so can what wraps another one."""
    for optimizer in ("lbfgs", "sam(sgd)", Averaged):
        _, _, built = made(optimizer)
        for twin in (copy.deepcopy(built), pickle.loads(pickle.dumps(built))):  # noqa: S301  # it is our own
            assert type(twin) is type(built)


def test_most_optimizers_are_not_watched() -> None:
    """No step of theirs costs more than torch's own."""
    for optimizer in ("sgd", "adamw", "lookahead(sgd)", "muon(rest=adamw)"):
        model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2), torch.nn.Linear(2, 1))
        built = lossreg.parts(optimizer=optimizer).optimizer(model)
        assert not built._optimizer_step_pre_hooks


class Looped(Curved):
    """An optimizer that refers to itself, and has no members."""

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        self.members = None
        self.base = self


class LoopedSwitch(Switched):
    """The same with modes."""

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        self.members = None
        self.base = self


@for_each(("optimizer", "wanted"), [(Looped, "create_graph=True"), (LoopedSwitch, r"call optimizer.train\(\)")])
def test_optimizers_may_refer_to_themselves(optimizer: Any, wanted: str) -> None:
    """They are built, and looked at, as all others are."""
    parts, model, built = made(optimizer)
    parts.loss(model(X), Y).backward()
    with pytest.raises(lossreg.ConfigError, match=wanted):
        built.step()
