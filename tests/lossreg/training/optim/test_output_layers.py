"""Which matrices an optimizer for hidden ones is given: embeddings and the layer of the output are not hidden."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import lossreg
from tests.table import for_each

MUON = "muon(rest=adamw)"


class Of(nn.Module):
    """Modules by name, in their order; the weights of some are those of others."""

    def __init__(self, tied: dict[str, str] | None = None, said: str | None = None, **modules: nn.Module) -> None:
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)
        for name, other in (tied or {}).items():
            getattr(self, name).weight = getattr(self, other).weight
        self.said = said

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """All modules, one after another."""
        for module in self.children():
            inputs = module(inputs)
        return inputs


class Transformer(Of):
    """As those of transformers are asked for the layer of the output: its weight may be that of the embedding."""

    def get_output_embeddings(self) -> nn.Module | None:
        """The layer, or None."""
        return None if self.said is None else self.get_submodule(self.said)


class Timm(Of):
    """As those of timm are asked for it: some have two."""

    def get_classifier(self) -> Any:
        """The layer, or several."""
        assert self.said is not None
        found = tuple(map(self.get_submodule, self.said.split()))
        return found[0] if len(found) == 1 else found


class Broken(Of):
    """One whose method fails."""

    def get_classifier(self) -> nn.Module:
        """Raises."""
        raise NotImplementedError


def linear(size: int = 4) -> nn.Linear:
    """A layer with a bias."""
    return nn.Linear(4, size)


def hidden(model: nn.Module, **arguments: Any) -> list[str]:
    """The parameters that Muon is given; all others are those of the other optimizer."""
    parts = lossreg.parts(**{"optimizer": MUON, **arguments})
    named = {id(one): name for name, one in model.named_parameters()}
    optimizer: Any = parts.optimizer(model)
    muon = [one for one in getattr(optimizer, "members", [optimizer]) if type(one) is torch.optim.Muon]
    first = [named[id(one)] for member in muon for group in member.param_groups for one in group["params"]]
    every = [id(one) for group in optimizer.param_groups for one in group["params"]]
    assert sorted(every) == sorted(named)
    described = parts.describe(model)["groups"]
    assert [name for group in described if "muon" in group["optimizer"] for name in group["names"]] == first
    return first


def table() -> nn.Embedding:
    """As long as a layer is wide."""
    return nn.Embedding(4, 4)


@for_each(
    "model, wanted",
    [
        (Of(emb=table(), mid=linear(), head=linear()), ["mid.weight"]),
        (Of({"head": "emb"}, emb=table(), mid=linear(), head=linear()), ["mid.weight"]),
        (Of({"emb": "head"}, head=linear(), mid=linear(), emb=table(), last=linear()), ["mid.weight"]),
        (Of({"two": "one"}, one=linear(), two=linear(), head=linear()), ["one.weight"]),
        (Of(mid=linear(), head=linear(), norm=nn.LayerNorm(4), act=nn.ReLU()), ["mid.weight"]),
        (Transformer(None, "head", head=linear(), mid=linear(), end=linear()), ["mid.weight", "end.weight"]),
        (Transformer({"head": "emb"}, "head", head=linear(), emb=table(), mid=linear()), ["mid.weight"]),
        (Transformer(None, None, one=linear(), mid=linear(), end=linear()), ["one.weight", "mid.weight"]),
        (Timm(None, "fc", fc=linear(), one=linear(), two=linear()), ["one.weight", "two.weight"]),
        (Timm(None, "fc", fc=nn.Sequential(linear(), linear()), one=linear()), ["fc.0.weight", "one.weight"]),
        (Timm(None, "head dist", mid=linear(), head=linear(), dist=linear()), ["mid.weight"]),
        (Timm(None, "fc", one=linear(), two=linear(), fc=nn.Identity()), ["one.weight", "two.weight"]),
        (Broken(one=linear(), two=linear()), ["one.weight"]),
    ],
)
def test_embeddings_and_the_output_are_not_hidden(model: nn.Module, wanted: list[str]) -> None:
    """Also where they share a weight, and where a model says what its output is; else that is the last one defined."""
    assert hidden(model) == wanted


def head_first() -> Of:
    """The layer of the output is defined first."""
    return Of(out=linear(2), first=linear(), last=linear())


@for_each(
    "arguments, wanted",
    [
        ({}, ["out.weight", "first.weight"]),
        ({"param_groups": {"out.*": "rest"}}, ["first.weight", "last.weight"]),
        ({"param_groups": {"out.* | first.weight": "rest"}}, ["last.weight"]),
        ({"param_groups": {"out.*": "rest", "ndim<2 & !out.*": "weight_decay=0"}}, ["first.weight", "last.weight"]),
        ({"param_groups": {"out.*": "rest"}, "optimizer": "muon"}, ["first.weight", "last.weight"]),
    ],
)
def test_a_pattern_says_what_is_not_hidden(arguments: dict[str, Any], wanted: list[str]) -> None:
    """Then nothing is guessed: the layer that is defined last is one of those that are hidden."""
    assert hidden(head_first(), **arguments) == wanted


def test_what_a_pattern_sends_to_the_rest_is_trained_by_it() -> None:
    """Weights are those of torch's two optimizers by hand, bit for bit."""
    torch.manual_seed(0)
    models: Any = [head_first(), head_first()]
    models[1].load_state_dict(models[0].state_dict())
    parts = lossreg.parts(optimizer="muon(lr=0.1, rest=adamw(lr=0.01))", param_groups={"out.*": "rest"})
    matrices = [models[1].first.weight, models[1].last.weight]
    others = [one for one in models[1].parameters() if all(one is not other for other in matrices)]
    optimizers = [parts.optimizer(models[0]), torch.optim.Muon(matrices, lr=0.1), torch.optim.AdamW(others, lr=0.01)]
    inputs = torch.randn(8, 4)
    for _ in range(3):
        for model in models:
            model.zero_grad()
            model.last(model.first(inputs)).add(model.out(inputs).sum()).square().mean().backward()
        for optimizer in optimizers:
            optimizer.step()
    assert all(torch.equal(one, two) for one, two in zip(*(model.parameters() for model in models), strict=True))


def test_a_run_says_so_too() -> None:
    """The plan of a run shows the pattern with the other optimizer; the record holds the text."""
    plan = lossreg.plan(model="mlp", optimizer=MUON, param_groups={"1.*": "rest"}, limit_train=64)
    groups = [(group["optimizer"], group["pattern"], group["names"]) for group in plan.facts["groups"]]
    assert groups == [
        ("muon", None, ["3.weight", "5.weight"]),
        ("adamw", None, ["3.bias", "5.bias"]),
        ("adamw", "1.*", ["1.weight", "1.bias"]),
    ]
    assert dict(plan.spec.items())["param_groups"] == {"1.*": "rest"}


@for_each("optimizer, rest", [("adamw", "rest"), (MUON, "rest(lr=0.1)")])
def test_rest_is_a_word_where_there_is_one(optimizer: str, rest: str) -> None:
    """An optimizer for all parameters has none, and its parameters are those of the optimizer's text."""
    with pytest.raises(
        lossreg.UnknownNameError, match=r"'1\.\*'.*no optimizer named 'rest'.*the word rest stands alone"
    ):
        lossreg.parts(optimizer=optimizer, param_groups={"1.*": rest})


def test_a_warning_names_the_matrices_of_the_rest() -> None:
    """Where the other optimizer is not named, it is told what that is given."""
    plan = lossreg.plan(model="mlp", optimizer="muon", limit_train=64)
    [warning] = [one for one in plan.warnings if "trains the rest" in one]
    assert warning.endswith(
        "; of the matrices, adamw trains 5.weight: 'PATTERN: rest' in param_groups says which it should"
    )


def test_a_description_of_groups_changes_nothing() -> None:
    """What is frozen by the parts is not among the groups, and can still be trained."""
    model = Of(one=linear(), two=linear())
    groups = lossreg.parts(optimizer="sgd", freeze="one.*").describe(model)["groups"]
    assert [group["names"] for group in groups] == [["two.weight", "two.bias"]]
    assert all(one.requires_grad for one in model.parameters())
