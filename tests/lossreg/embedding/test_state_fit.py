"""States of any origin whose groups, tensors or kinds of entries are not those of the optimizer."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import pytest
import torch
from torch import nn

import lossreg
from lossreg.embedding.state_fit import IN_SHAPE
from tests.table import for_each


def network(hidden: int = 3) -> nn.Sequential:
    """Four tensors."""
    return nn.Sequential(nn.Linear(3, hidden), nn.ReLU(), nn.Linear(hidden, 2))


def stepped(optimizer: Any) -> Any:
    """An optimizer after a step, with a gradient for each parameter."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return optimizer


def weights_apart(model: nn.Module) -> list[dict[str, Any]]:
    """Two groups, of 2 tensors each."""
    return [{"params": [one for one in model.parameters() if (one.ndim == 2) == wide]} for wide in (True, False)]


@for_each(
    ("groups", "texts", "said"),
    [
        (
            lambda model: model.parameters(),
            {"param_groups": {"*.bias": "lr=0.5"}},
            "has 1 parameter group of 4 tensors, and this optimizer has 2 parameter groups of 2, 2 tensors "
            "(param_groups: *.bias): leave param_groups out, or begin a new training with the weights alone",
        ),
        (weights_apart, {}, "2, 2 tensors, and this optimizer has 1 parameter group of 4 tensors: sort the parameters"),
        (lambda model: model[2].parameters(), {}, "1 parameter group of 2 tensors, and this optimizer has 1 parameter"),
        (weights_apart, {"freeze": "0.*"}, "(freeze, requires_grad_), and call add_param_group before the state"),
        (
            lambda model: model.parameters(),
            {"param_groups": {"*.bias": "adam"}},
            "has 1 parameter group of 4 tensors, and this optimizer has 2 parameter groups",
        ),
        (
            lambda model: [{"params": [one]} for _ in range(2) for one in copy.deepcopy(model).parameters()],
            {},
            "8 parameter groups of 1, 1, 1, 1, 1, 1, ... tensors",
        ),
    ],
)
def test_a_plain_state_of_other_groups_is_refused_by_their_numbers(groups: Any, texts: Any, said: str) -> None:
    """Torch says that they are different, and neither how nor what to do."""
    state = torch.optim.SGD(groups(network()), lr=0.1).state_dict()
    with pytest.raises(lossreg.StateError) as caught:
        lossreg.parts(optimizer="sgd", **texts).optimizer(network()).load_state_dict(state)
    assert said in caught.value.message


def test_a_group_that_was_added_is_added_before_its_state_is_loaded() -> None:
    """The text is that of the checkpoint; the numbers say what is missing."""
    parts = lossreg.parts(optimizer="sgd(momentum=0.9)", freeze="0.*")
    built: list[Any] = []
    for _ in range(2):
        model = network()
        built.append((parts.optimizer(model), model[0].requires_grad_(True)))
    optimizer, layer = built[0]
    optimizer.add_param_group({"params": [*layer.parameters()]})
    state, (other, its) = stepped(optimizer).state_dict(), built[1]
    with pytest.raises(lossreg.StateError, match="of 2, 2 tensors, and this optimizer has 1 parameter group of 2 tens"):
        other.load_state_dict(state)
    other.add_param_group({"params": [*its.parameters()]})
    other.load_state_dict(state)
    assert torch.equal(other.state[its.weight]["momentum_buffer"], torch.ones(3, 3))


@for_each("added", [True, False])
def test_a_hook_of_a_person_may_change_the_groups(added: bool) -> None:
    """It is run behind ours, and torch looks at what it gives."""
    state = torch.optim.SGD(weights_apart(network())).state_dict()
    built = lossreg.parts(optimizer="sgd").optimizer(network())
    one = {**state["param_groups"][0], "params": [0, 1, 2, 3]}
    if added:
        built.register_load_state_dict_pre_hook(lambda _, state: {**state, "param_groups": [one]})
        built.load_state_dict(state)
    else:
        with pytest.raises(lossreg.StateError, match="2 parameter groups"):
            built.load_state_dict(state)


def torch_optimizer(name: str, model: nn.Module) -> Any:
    """One of torch, with momentum where that is an option; the parameters are matrices, which Muon asks for."""
    momentum = {"momentum": 0.9} if name in ("SGD", "Muon", "RMSprop") else {}
    return getattr(torch.optim, name)([one for one in model.parameters() if one.ndim == 2], **momentum)


@for_each("name", [*IN_SHAPE])
def test_what_is_kept_of_each_parameter_is_what_torch_keeps(name: str) -> None:
    """In its shape; and without any of it that is asked for, torch fails then, or in the next step."""
    optimizer = stepped(torch_optimizer(name, network()))
    for parameter, entry in optimizer.state.items():
        assert all(entry[key].shape == parameter.shape for key in IN_SHAPE[name])
    for key in ("step", *IN_SHAPE[name]):
        other, state = torch_optimizer(name, network()), copy.deepcopy(optimizer.state_dict())
        for entry in state["state"].values():
            entry.pop(key, None)
        may_lack = name in ("SGD", "Muon")
        with contextlib.nullcontext() if may_lack else pytest.raises(KeyError, match=key):
            other.load_state_dict(state)
            stepped(other)


@for_each("freeze", [None, "*.bias"])
@for_each("name", [name for name in IN_SHAPE if name != "Muon"])
def test_tensors_of_other_parameters_are_refused_by_their_place(name: str, freeze: str | None) -> None:
    """Torch loads them, and the next step fails with numbers that say nothing of whose they are."""
    named = f"{name.lower()}(momentum=0.9)" if name == "SGD" else name.lower()
    parts = lossreg.parts(optimizer=named, freeze=freeze)
    same, other = (stepped(parts.optimizer(network(hidden))).state_dict() for hidden in (3, 4))
    built = parts.optimizer(network())
    built.load_state_dict(same)
    with pytest.raises(
        lossreg.StateError,
        match=rf"of parameter 0 of {2 if freeze else 4} \(from 0\) it has {IN_SHAPE[name][0]} of the shape \(4, 3\), "
        r"and the parameter has \(3, 3\): build the model of the checkpoint",
    ):
        built.load_state_dict(other)


@for_each("now", ["adamw", "rmsprop", "adagrad"])
def test_what_another_class_keeps_is_refused(now: str) -> None:
    """Of a state that does not say whose it is; torch's next step would fail with a bare KeyError."""

    class Averaged(torch.optim.SGD):
        """Keeps what no other optimizer keeps."""

        def step(self, closure: Any = None) -> None:  # type: ignore[override]  # its closure is not called
            """Notes each parameter."""
            del closure
            for group in self.param_groups:
                for one in group["params"]:
                    self.state[one].update(z=one.detach().clone(), exp_avg_sq=torch.zeros_like(one))

    for before in (lossreg.parts(optimizer=Averaged).optimizer(network()), Averaged(network().parameters())):
        state = stepped(before).state_dict()
        state.pop("lossreg_classes", None)  # as in earlier versions
        with pytest.raises(
            lossreg.StateError, match=r"of parameter 0 of 4 \(from 0\) it has z, exp_avg_sq, and .*step"
        ):
            lossreg.parts(optimizer=now).optimizer(network()).load_state_dict(state)


def test_an_empty_state_is_loaded() -> None:
    """That of an optimizer that has not stepped, and of one for which some parameters had no gradient."""
    first, other = (lossreg.parts(optimizer="adamw").optimizer(network()) for _ in range(2))
    other.load_state_dict(first.state_dict())
    parameter = first.param_groups[0]["params"][0]
    parameter.grad = torch.ones_like(parameter)
    first.step()
    other.load_state_dict(first.state_dict())
    assert len(other.state) == 1


@for_each("optimizer", ["adafactor", "muon(rest=adafactor)", "lookahead(adam)", "muon(rest=adamw)"])
def test_what_is_not_in_the_shape_of_its_parameter_is_loaded(optimizer: str) -> None:
    """Factors of a matrix, and the states of optimizers that wrap others or are several."""
    built, other = (lossreg.parts(optimizer=optimizer).optimizer(network()) for _ in range(2))
    other.load_state_dict(stepped(built).state_dict())
    stepped(other)


@for_each(("state", "missing"), [({"a": 1}, "state and no param_groups"), ({"state": {}}, "param_groups")])
def test_what_is_not_the_state_of_an_optimizer_is_refused(state: dict[str, Any], missing: str) -> None:
    """Such as a whole checkpoint, or the state of a model."""
    with pytest.raises(lossreg.StateError, match=f"not that of an optimizer, .*: it has no {missing}$"):
        lossreg.parts(optimizer="sgd").optimizer(network()).load_state_dict(state)
