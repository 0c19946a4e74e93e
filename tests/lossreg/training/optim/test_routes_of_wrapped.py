"""What an optimizer is for, where another one wraps it: the wrapper is given the same parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import lossreg
from lossreg.groups import has_own_scheduler
from lossreg.spec import ComponentSpec
from tests.table import for_each

if TYPE_CHECKING:
    from tests.conftest import Command
    from tests.lossreg.training.conftest import HandLoop, Run, Samples, Weights

SMALL: dict[str, Any] = {"epochs": 1, "limit_train": 128, "limit_test": 8}
HIDDEN, REST = ["1.weight", "3.weight"], ["1.bias", "3.bias", "5.weight", "5.bias"]


def mlp() -> nn.Module:
    """Hidden matrices are 1.weight and 3.weight, the last layer is 5."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 10))


def groups(optimizer: str, **settings: Any) -> list[list[str]]:
    """The names in each group of a plan."""
    plan = lossreg.plan(model="mlp", optimizer=optimizer, limit_train=64, **settings)
    return [group["names"] for group in plan.facts["groups"]]


@for_each("optimizer", ["lookahead(muon)", "cautious(optimizer=muon)", "lookahead(cautious(muon))"])
def test_a_wrapper_is_given_what_the_wrapped_optimizer_is_for(optimizer: str) -> None:
    """The parameters are split as for `muon` alone, and a warning says who trains the rest, and how to name it."""
    plan = lossreg.plan(model="mlp", optimizer=optimizer, limit_train=64)
    assert [group["names"] for group in plan.facts["groups"]] == groups("muon") == [HIDDEN, REST]
    (warning,) = plan.warnings
    assert warning.startswith("muon trains hidden matrices only: adamw trains the rest, 4 of the 6 parameter tensors; ")
    named = f"{optimizer.partition('(')[0]}(..., rest=adamw) says so, or names another optimizer"
    assert f"{named}; of the matrices, adamw " in warning


@for_each(
    "optimizer",
    [
        "lookahead(muon(lr=0.02), rest=adam(lr=0.01))",
        "lookahead(muon(lr=0.02, rest=adam(lr=0.01)))",
        "lookahead(optimizer=muon(lr=0.02, rest=adam(lr=0.01)))",
    ],
)
def test_rest_stands_inside_or_outside(optimizer: str) -> None:
    """It is written down outside, by one text, which is read again; nothing is warned of."""
    plan = lossreg.plan(model="mlp", optimizer=optimizer, limit_train=64)
    assert plan.warnings == []
    assert [group["optimizer"] for group in plan.facts["groups"]][1] == "adam(lr=0.01)"
    text = plan.spec.optimizer.text
    assert text == "builtin.lookahead(optimizer=builtin.muon(lr=0.02), rest=builtin.adam(lr=0.01))"
    assert lossreg.plan(model="mlp", optimizer=text, limit_train=64).spec == plan.spec


def test_a_wrapped_muon_trains_as_by_hand(run: Run, weights: Weights, hand_loop: HandLoop, digits: Samples) -> None:
    """Muon with slow weights for the hidden matrices, and AdamW for the rest, are what the two do by hand."""
    mine = run(model=mlp(), optimizer="lookahead(muon(lr=0.02), k=2, alpha=0.5, rest=adamw(lr=0.01))", **SMALL).model
    theirs = mlp()
    named = dict(theirs.named_parameters())
    hidden = [named[name] for name in HIDDEN]
    muon = torch.optim.Muon(hidden, lr=0.02)
    adamw = torch.optim.AdamW([named[name] for name in REST], lr=0.01, fused=True)
    slow = [one.detach().clone() for one in hidden]

    class Both:
        param_groups = muon.param_groups + adamw.param_groups
        steps = 0

        def zero_grad(self) -> None:
            muon.zero_grad()
            adamw.zero_grad()

        def step(self, closure: Callable[[], Tensor]) -> None:
            closure()
            muon.step()
            adamw.step()
            self.steps += 1
            if self.steps % 2 == 0:
                with torch.no_grad():
                    for one, old in zip(hidden, slow, strict=True):
                        old.lerp_(one, 0.5)
                        one.copy_(old)

    both: Any = Both()
    hand_loop(theirs, functional.cross_entropy, both, (digits[0][:128], digits[1][:128]))
    assert weights(mine).equal(weights(theirs))


def test_patterns_and_presets_go_with_it() -> None:
    """Options of a group reach the wrapped muon and the optimizer of the rest, and a group may have its own."""
    plan = lossreg.plan(
        model="mlp", optimizer="lookahead(muon(lr=0.02))", limit_train=64,
        param_groups={"1.*": "lr=x0.5", "5.*": "adam", "no_decay": True},
    )  # fmt: skip
    assert [(group["optimizer"].partition("(")[0], group["options"]) for group in plan.facts["groups"]] == [
        ("lookahead", {}),
        ("lookahead", {"muon.lr": 0.01}),
        ("adamw", {"weight_decay": 0.0}),
        ("adamw", {"lr": 0.0005, "weight_decay": 0.0}),
        ("adam", {}),
        ("adam", {"weight_decay": 0.0}),
    ]


@for_each(
    ("optimizer", "said"),
    [
        (
            "sam(muon)",
            "cannot be one of several; muon trains hidden matrices only, and adamw would train the rest",
        ),
        ("lookahead(sam(muon))", "use an optimizer that is for all parameters, such as sgd, in its place"),
        ("lookahead(muon(rest=sgd), rest=sgd)", "lookahead: rest is given twice, to it and to what it wraps"),
        ("lookahead(muon, rest=5)", "muon: rest=5 is not an optimizer, such as adamw(lr=0.001)"),
        ("lookahead(sgd, rest=adamw)", "lookahead has no parameter 'rest'"),
        ("lookahead(moun)", "no optimizer named 'moun'. Did you mean 'muon'"),
    ],
)
def test_what_cannot_be_split_is_refused(optimizer: str, said: str) -> None:
    """Each is one line that says why, before the run, and is about the optimizer."""
    with pytest.raises(lossreg.LossregError) as caught:
        lossreg.plan(model="mlp", optimizer=optimizer, limit_train=64)
    assert said in caught.value.message
    assert caught.value.setting == "optimizer"


def test_rest_is_a_dotted_option_of_a_wrapper(lossreg_command: Command) -> None:
    """`--opt.rest` goes by what is wrapped, also where that is a dotted option behind it."""
    done = lossreg_command(
        "plan", "--model", "mlp", "--limit-train", "64", "--opt.rest", "sgd(lr=0.5)", "--opt", "lookahead",
        "--opt.optimizer", "muon(lr=0.02)",
    )  # fmt: skip
    assert "sgd(lr=0.5): 4 tensors, 778 parameters (1.4%): 1.bias, 3.bias, 5.weight, 5.bias" in done.out
    refused = lossreg_command("plan", "--opt", "lookahead(sgd)", "--opt.rest", "sgd")
    assert refused.code == 2
    assert "lookahead has no parameter 'rest'" in refused.err


def test_a_scheduler_of_a_wrapped_rest_is_one_of_the_run() -> None:
    """`--sched-interval` has something to count where the rest of a wrapped optimizer has a scheduler."""
    assert has_own_scheduler(ComponentSpec.parse("lookahead(muon(rest=adamw(scheduler=cosine)))"))
    assert not has_own_scheduler(ComponentSpec.parse("lookahead(muon(rest=adamw))"))
