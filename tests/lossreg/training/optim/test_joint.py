"""Several optimizers as one."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lossreg.training.optim.joint import JointOptimizer
from tests.table import for_each


def parts() -> tuple[nn.Module, JointOptimizer]:
    """A model of two layers, one for Muon, the rest for AdamW."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    matrix = next(model.parameters())
    rest = [one for one in model.parameters() if one is not matrix]
    return model, JointOptimizer(
        [torch.optim.Muon([matrix], lr=0.02), torch.optim.AdamW([{"params": rest[:1]}, {"params": rest[1:]}], lr=0.01)]
    )


def steps(model: nn.Module, optimizer: Any, first: int, last: int, scheduler: Any = None) -> None:
    """Some steps, each on its own batch."""
    for step in range(first, last):
        generator = torch.Generator().manual_seed(step)
        inputs, targets = torch.randn(8, 6, generator=generator), torch.randn(8, 3, generator=generator)
        optimizer.zero_grad()
        nn.functional.mse_loss(model(inputs), targets).backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()


def values(model: nn.Module) -> Tensor:
    """All weights."""
    return nn.utils.parameters_to_vector(model.parameters())


def test_the_members_step_as_they_do_alone() -> None:
    """Weights are those of two optimizers that are stepped one after the other."""
    model, joint = parts()
    twin, other = parts()
    steps(model, joint, 0, 4)
    for step in range(4):
        for member in other.members:
            member.zero_grad()
        generator = torch.Generator().manual_seed(step)
        inputs, targets = torch.randn(8, 6, generator=generator), torch.randn(8, 3, generator=generator)
        nn.functional.mse_loss(twin(inputs), targets).backward()
        for member in other.members:
            member.step()
    assert values(model).equal(values(twin))


def test_training_goes_on_from_a_state_as_if_it_had_not_stopped() -> None:
    """3 steps, the states saved and loaded into new ones, and 3 more are 6 steps, bit for bit."""
    model, optimizer = parts()
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    steps(model, optimizer, 0, 6, scheduler)
    first, begun = parts()
    schedule = torch.optim.lr_scheduler.ExponentialLR(begun, 0.9)
    steps(first, begun, 0, 3, schedule)
    saved = pickle.loads(pickle.dumps([first.state_dict(), begun.state_dict(), schedule.state_dict()]))  # noqa: S301  # ours
    second, resumed = parts()
    goes_on = torch.optim.lr_scheduler.ExponentialLR(resumed, 0.9)
    second.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    goes_on.load_state_dict(saved[2])
    steps(second, resumed, 3, 6, goes_on)
    assert values(second).equal(values(model))
    assert [group["lr"] for group in resumed.param_groups] == [group["lr"] for group in optimizer.param_groups]


def test_a_scheduler_moves_the_rate_of_every_member() -> None:
    """The groups are the members' own, also after a state was loaded."""
    _, optimizer = parts()
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch)
    optimizer.step()
    scheduler.step()
    assert [[group["lr"] for group in member.param_groups] for member in optimizer.members] == [[0.01], [0.005, 0.005]]


def test_a_copy_is_independent() -> None:
    """A deep copy steps its own parameters, and its groups are its members' own."""
    model, optimizer = parts()
    steps(model, optimizer, 0, 1)
    before = values(model)
    twin = copy.deepcopy(optimizer)
    for group in twin.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.ones_like(parameter)
        group["lr"] = 0.5
    twin.step()
    assert [group["lr"] for member in twin.members for group in member.param_groups] == [0.5] * 3
    assert values(model).equal(before)
    assert {id(one) for one in twin.state} == {id(one) for group in twin.param_groups for one in group["params"]}


@for_each(
    ("state", "said"),
    [({"members": []}, "that of 0 optimizers, not of 2"), ({"state": {}, "param_groups": []}, "that of one optimizer")],
)
def test_the_state_of_something_else_is_refused(state: dict[str, Any], said: str) -> None:
    """Nothing is loaded of a state with another number of optimizers."""
    with pytest.raises(ValueError, match=said):
        parts()[1].load_state_dict(state)


def test_no_parameter_is_in_two_members() -> None:
    """It would be moved twice in a step."""
    weight = nn.Parameter(torch.ones(2))
    with pytest.raises(ValueError, match="more than one parameter group"):
        JointOptimizer([torch.optim.SGD([weight], lr=1), torch.optim.Adam([weight])])


def test_it_has_modes_if_a_member_has() -> None:
    """`train` and `eval` reach the members that have them, and do not exist otherwise."""

    class Modal(torch.optim.SGD):
        mode = "train"

        def train(self) -> None:
            self.mode = "train"

        def eval(self) -> None:
            self.mode = "eval"

    first, second = (nn.Parameter(torch.ones(2)) for _ in range(2))
    member = Modal([first], lr=1)
    joint: Any = JointOptimizer([member, torch.optim.Adam([second])])
    joint.eval()
    assert member.mode == "eval"
    assert not hasattr(parts()[1], "eval")


def test_a_scaler_steps_all_or_none() -> None:
    """Gradients are unscaled for each member; one that is not finite leaves all weights as they are."""
    model, optimizer = parts()
    twin, plain = parts()
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    inputs, targets = torch.ones(4, 6), torch.ones(4, 3)
    scaler.scale(nn.functional.mse_loss(model(inputs), targets)).backward()
    scaler.step(optimizer)
    scaler.update()
    nn.functional.mse_loss(twin(inputs), targets).backward()
    plain.step()
    assert values(model).equal(values(twin))
    optimizer.zero_grad()
    scaler.scale(model(inputs).sum() * float("inf")).backward()
    scaler.step(optimizer)
    assert values(model).equal(values(twin))
