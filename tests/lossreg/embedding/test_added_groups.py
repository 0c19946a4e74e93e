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
