"""States of optimizers with other groups of parameters, or with others frozen, go into none of another kind."""

from __future__ import annotations

import copy
import logging
import pickle
from typing import Any

import pytest
import torch

import lossreg
from tests.table import for_each

BIASES = {"*.bias": "weight_decay=0.1"}
SWAPPED: dict[str, Any] = {"2.*": "lr=1", "0.*": "lr=x0.5"}


def built(**texts: Any) -> Any:
    """An optimizer by name of a new model, whose layers have the same shapes."""
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.ReLU(), torch.nn.Linear(3, 3))
    return lossreg.parts(**{"optimizer": "sgd(lr=0.1, momentum=0.9)", **texts}).optimizer(model)


@for_each(
    ("before", "after", "said"),
    [
        ({"param_groups": BIASES}, {"param_groups": {"*.weight": "lr=1"}}, r"groups differ: write param_groups as in"),
        ({"param_groups": BIASES}, {}, r"param_groups: \*\.bias, and this one is .*groups differ: write param_groups"),
        ({}, {"param_groups": BIASES}, r"this one is .*param_groups: \*\.bias: leave param_groups out"),
        (
            {"param_groups": {"0.*": "lr=x0.5", "2.*": "lr=1"}},
            {"param_groups": SWAPPED},
            r"param_groups: 0\.\*, 2\.\*, and this one is .*in another order, and torch takes a state by their places",
        ),
        (
            {"param_groups": BIASES, "optimizer": "adam"},
            {},
            "name the optimizer of the checkpoint; the parameter groups differ",
        ),
        (
            {"freeze": "0.*"},
            {"freeze": "2.*"},
            r"and freeze: 0\.\*, and .*and freeze: 2\.\*: what is .*: freeze '0\.\*'",
        ),
        ({"freeze": "0.*"}, {}, r"freeze '0\.\*', as in the checkpoint, and change what is trained once the state"),
        ({}, {"freeze": "0.*"}, "leave freeze out, as in the checkpoint"),
        ({"optimizer": torch.optim.SGD, "freeze": "0.*"}, {"freeze": "2.*"}, "of the optimizer SGD and freeze"),
        (
            {"optimizer": "muon(rest=adamw)", "param_groups": {"2.*": "rest"}},
            {"optimizer": "muon(rest=adamw)", "param_groups": {"2.*": "lr=0.5"}},
            "the parameter groups differ",
        ),
    ],
)
def test_the_state_of_other_parameters_is_refused(before: Any, after: Any, said: str) -> None:
    """Torch would give the momenta of one parameter to another one; what to do works in every trainer."""
    state, other = built(**before).state_dict(), built(**after)
    with pytest.raises(lossreg.StateError, match=said) as caught:
        other.load_state_dict(state)
    assert caught.value.message.endswith(", or begin a new training with the weights alone")


@for_each(
    ("before", "after"),
    [
        ({"freeze": "0.weight, 0.bias"}, {"freeze": ["0.bias", "0.weight"]}),
        (
            {"param_groups": {"no_decay": True, "*.weight": "lr=x0.5"}, "optimizer": "adamw"},
            {"param_groups": {"*.weight": "lr=x0.5", "no_decay": True}, "optimizer": "adamw"},
        ),
        ({"param_groups": BIASES}, {"param_groups": BIASES}),
        ({"param_groups": {"*.bias": "adam"}}, {"param_groups": {"*.bias": "builtin.adam()"}}),
    ],
)
def test_what_says_the_same_is_loaded_without_a_word(before: Any, after: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The order of what is frozen and of presets is none that torch goes by."""
    caplog.clear()
    built(**after).load_state_dict(built(**before).state_dict())
    assert not caplog.records


@for_each(
    ("before", "after", "said"),
    [
        (
            BIASES,
            {"*.bias": "weight_decay=0.9, lr=x0.5"},
            "param_groups {'*.bias': 'lr=x0.5, weight_decay=0.9'} goes on from the state of "
            "builtin.sgd(lr=0.1, momentum=0.9) with param_groups {'*.bias': 'weight_decay=0.1'}",
        ),
        (
            {"layer_decay(0.5)": True},
            {"layer_decay(0.75)": True},
            "{'layer_decay(0.75)': True} goes on from the state of",
        ),
        (
            {"*.bias": "adam(lr=0.1)"},
            {"*.bias": "adam(lr=0.2)"},
            "builtin.adam(lr=0.2) and param_groups: *.bias goes on",
        ),
    ],
)
def test_other_options_of_the_same_groups_are_said(
    before: Any, after: Any, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The options are those of the state, as torch has it; a person who has changed them would not see it."""
    state, other = built(param_groups=before).state_dict(), built(param_groups=after)
    caplog.clear()
    with caplog.at_level(logging.WARNING, "lossreg"):
        other.load_state_dict(state)
    assert [said in record.getMessage() for record in caplog.records] == [True]
    for group, wanted in zip(other.param_groups, state["param_groups"], strict=True):
        assert group["lr"] == wanted["lr"]
        assert group.get("weight_decay") == wanted.get("weight_decay")


@for_each("texts", [{"param_groups": BIASES}, {"freeze": "0.*"}, {"param_groups": SWAPPED, "optimizer": "adamw"}])
def test_states_of_earlier_versions_are_loaded(texts: Any) -> None:
    """They have the patterns of groups alone, and do not say what was frozen."""
    state = built(**texts).state_dict()
    assert state.pop("lossreg_freeze") == texts.get("freeze", "")
    del state["lossreg_param_groups"]
    built(**texts).load_state_dict(state)
    if "param_groups" in texts:
        with pytest.raises(lossreg.StateError, match="the parameter groups differ"):
            built(param_groups={"*.weight": "lr=1"}, optimizer=texts.get("optimizer", "sgd")).load_state_dict(state)


@for_each("said", [{"lossreg_param_groups": {3: None}}, {"lossreg_param_groups": [1]}, {"lossreg_freeze": 1}])
def test_what_is_not_of_lossreg_says_nothing(said: Any) -> None:
    """A file may hold anything under such a key."""
    first, other = (built(param_groups=BIASES) for _ in range(2))
    other.load_state_dict({**first.state_dict(), **said})


def test_copies_say_the_same() -> None:
    """An optimizer that wraps another one is copied with what it says."""
    first = built(optimizer="lookahead(adam)", param_groups=BIASES, freeze="0.*")
    for twin in (copy.deepcopy(first), pickle.loads(pickle.dumps(first))):  # noqa: S301  # it is our own
        first.load_state_dict(twin.state_dict())
