"""The state of an optimizer goes into one of the same name; that of another one is refused by both names."""

from __future__ import annotations

import copy
import io
import logging
import pickle
from typing import Any

import pytest
import torch

import lossreg
from tests.table import for_each

SAME = ["sgd(momentum=0.9)", "adamw", "sam(adam)", "lookahead(adam)", "muon(rest=adamw)", "adamw(scheduler=cosine)"]


def network() -> torch.nn.Sequential:
    """Three layers, so that there are hidden matrices."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 3), torch.nn.Linear(3, 1))


def stepped(optimizer: Any, **texts: Any) -> tuple[torch.nn.Sequential, Any]:
    """A model after a step of an optimizer by name."""
    model = network()
    built: Any = lossreg.parts(optimizer=optimizer, **texts).optimizer(model)

    def closure() -> torch.Tensor:
        built.zero_grad()
        loss: torch.Tensor = model(torch.ones(4, 2)).square().mean()
        loss.backward()
        return loss

    if "sam" in str(optimizer):
        built.step(closure)
    else:
        closure()
        built.step()
    return model, built


def saved(built: Any) -> Any:
    """Its state, through a file of nothing but plain data."""
    file = io.BytesIO()
    torch.save(built.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@for_each(
    ("before", "after", "said"),
    [
        ("adam", "adamw", "builtin.adam, and this one is builtin.adamw"),  # torch would go on with Adam's decay
        ("sgd", "adam", "builtin.sgd, and this one is builtin.adam"),
        ("adamw(lr=0.1)", "sgd", r"builtin.adamw\(lr=0.1\), and this one is builtin.sgd"),
        ("sam(sgd)", "sam(adam)", r"builtin.sgd\), and this one is .*builtin.adam\)"),
        ("lookahead(sgd)", "sgd", r"lookahead.*, and this one is builtin.sgd"),
        ("muon(rest=adamw)", "muon(rest=sgd)", r"rest=builtin.adamw.*, and this one is .*rest=builtin.sgd"),
    ],
)
def test_the_state_of_another_optimizer_is_refused(before: Any, after: Any, said: str) -> None:
    """Both are named, and the optimizer stays what it was."""
    state = saved(stepped(before)[1])
    _, built = stepped(after)
    old = copy.deepcopy(built.state_dict())
    with pytest.raises(lossreg.StateError, match=f"the state to load is that of the optimizer .*{said}"):
        built.load_state_dict(state)
    assert str(built.state_dict()) == str(old)


@for_each("optimizer", SAME)
def test_the_state_of_the_same_optimizer_is_loaded(optimizer: str) -> None:
    """The next step is that of the one that was saved."""
    model, built = stepped(optimizer)
    again = network()
    again.load_state_dict(model.state_dict())
    other: Any = lossreg.parts(optimizer=optimizer).optimizer(again)
    other.load_state_dict(saved(built))
    for one, its in ((model, built), (again, other)):

        def closure(one: Any = one, its: Any = its) -> torch.Tensor:
            its.zero_grad()
            loss: torch.Tensor = one(torch.ones(4, 2)).square().mean()
            loss.backward()
            return loss

        its.step(closure)
    assert all(map(torch.equal, model.parameters(), again.parameters()))


def test_another_rate_is_said_and_is_that_of_the_state(caplog: pytest.LogCaptureFixture) -> None:
    """Torch takes the options of the groups from the state; a person who has changed one would not see it."""
    state = saved(stepped("adamw(lr=0.1)")[1])
    _, built = stepped("adamw(lr=0.5)")
    with caplog.at_level(logging.WARNING, "lossreg"):
        built.load_state_dict(state)
    assert built.param_groups[0]["lr"] == 0.1
    assert "builtin.adamw(lr=0.5) goes on from the state of builtin.adamw(lr=0.1)" in caplog.text


def test_states_without_a_text_are_loaded() -> None:
    """Those of torch, and of earlier versions, do not say whose they are; nor do those that tools have rebuilt."""
    for optimizer in ("adamw", "muon(rest=adamw)"):
        state = saved(stepped(optimizer)[1])
        del state["lossreg"]
        _, built = stepped(optimizer)
        built.load_state_dict(state)
        built.load_state_dict({**state, "lossreg": 3})
    plain = torch.optim.AdamW(network().parameters())
    plain.load_state_dict(saved(stepped("adamw")[1]))  # torch takes ours, too


def test_several_optimizers_run_the_hooks_of_torch() -> None:
    """What others hook into the states of optimizers is called for several that are one, too."""
    _, built = stepped("muon(rest=adamw)")
    seen: list[str] = []
    built.register_state_dict_pre_hook(lambda _: seen.append("before saving"))
    built.register_state_dict_post_hook(lambda _, state: {**state, "more": 1})
    built.register_load_state_dict_pre_hook(lambda _, state: {key: state[key] for key in state if key != "more"})
    built.register_load_state_dict_post_hook(lambda _: seen.append("after loading"))
    state = built.state_dict()
    assert state["more"] == 1
    built.load_state_dict(state)
    assert seen == ["before saving", "after loading"]


def test_copies_go_on_saying_whose_they_are_or_are_plain() -> None:
    """An optimizer that is copied or pickled saves what can be loaded."""
    for optimizer in ("adamw", "lookahead(adam)"):
        _, built = stepped(optimizer)
        for twin in (copy.deepcopy(built), pickle.loads(pickle.dumps(built))):  # noqa: S301  # it is our own
            assert twin.state_dict()["state"].keys() == built.state_dict()["state"].keys()
            built.load_state_dict(twin.state_dict())


def test_classes_and_functions_may_move() -> None:
    """The state of an object passes where the optimizer has got a name by now, and the other way round."""
    for before, after in ((torch.optim.SGD, "sgd"), ("sgd", torch.optim.SGD), (torch.optim.SGD, lambda p: _sgd(p))):
        state = saved(stepped(before)[1])
        assert state["lossreg"] == [None if before is torch.optim.SGD else "builtin.sgd"]
        _, built = stepped(after)
        built.load_state_dict(state)


def _sgd(parameters: Any) -> torch.optim.SGD:
    return torch.optim.SGD(parameters, lr=0.5)


class Signs(torch.optim.Optimizer):
    """An optimizer of a person, whose state has a name that another one has, too."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # as many are written
        """A step along the sign of the momentum."""
        del closure
        for group in self.param_groups:
            for one in group["params"]:
                momentum = self.state[one].setdefault("momentum_buffer", torch.zeros_like(one))
                one -= group["lr"] * momentum.mul_(0.9).add_(one.grad).sign()


class Halves(Signs):
    """Another one."""


@for_each(
    ("before", "after", "said"),
    [
        (Signs, Halves, "Signs, and this one is Halves"),
        (Signs, lambda params: Halves(params), "Signs, and this one is Halves"),
        (Signs, "sgd(momentum=0.9)", r"Signs, and this one is builtin\.sgd"),
        ("sgd(momentum=0.9)", Signs, r"builtin\.sgd.*, and this one is Signs"),
        (torch.optim.Adam, "adamw", r"Adam, and this one is builtin\.adamw"),
    ],
)
@for_each("groups", [{}, {"0.*": "rmsprop"}])
def test_the_state_of_another_class_is_refused(before: Any, after: Any, said: str, groups: dict[str, Any]) -> None:
    """A class that was given in place of a name is named as one is; torch would train on as the other one."""
    first, other = (stepped(one, param_groups=groups)[1] for one in (before, after))
    state = saved(first)
    if groups:
        said = said.replace(", and", r" and builtin\.rmsprop and param_groups: 0\.\*, and")
    with pytest.raises(lossreg.StateError, match=f"the state to load is that of the optimizer {said}.*: name the"):
        other.load_state_dict(state)
    first.load_state_dict(state)


@for_each("key, value", [("lossreg_classes", None), ("lossreg_classes", 3), ("lossreg", None)])
def test_a_state_that_does_not_tell_the_class_is_loaded(key: str, value: Any) -> None:
    """As one of an earlier version, and as one of a class that was renamed since, of which that is taken away."""
    state = saved(stepped(Signs)[1])
    state[key] = value
    stepped(Halves)[1].load_state_dict(state)


@for_each(
    ("before", "after", "refused"),
    [
        ({"0.*": "lr=x0.1"}, {"2.*": "lr=x0.1"}, True),
        ({"0.*": "lr=x0.1"}, {}, True),
        ({"0.*": "lr=x0.1"}, {"0.*": "lr=x0.1"}, False),
    ],
)
def test_the_state_of_other_groups_is_refused(before: Any, after: Any, refused: bool) -> None:
    """Torch would give the momenta of one parameter to another one in its place."""
    state = saved(stepped("adamw", param_groups=before)[1])
    _, built = stepped("adamw", param_groups=after)
    if refused:
        with pytest.raises(lossreg.StateError, match=r"adamw and param_groups: 0\.\*, and this one is"):
            built.load_state_dict(state)
    else:
        built.load_state_dict(state)
