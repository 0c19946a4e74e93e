"""Presets of parameter groups: what has no weight decay, and rates that fall from layer to layer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import lossreg

SMALL: dict[str, Any] = {"epochs": 1, "limit_train": 64, "limit_test": 8}


class Block(nn.Module):
    """A block of a transformer, in miniature."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(4), nn.Linear(4, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        """Of the same shape."""
        return inputs + self.linear(self.norm(inputs))  # type: ignore[no-any-return]  # nn.Module's call


class Transformer(nn.Module):
    """A position, a stem, three blocks, a norm and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.zeros(1, 4))
        self.stem = nn.Linear(784, 4)
        self.blocks = nn.ModuleList(Block() for _ in range(3))
        self.norm, self.head = nn.LayerNorm(4), nn.Linear(4, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        hidden = self.stem(images.flatten(1)) + self.position
        for block in self.blocks:
            hidden = block(hidden)
        return self.head(self.norm(hidden))  # type: ignore[no-any-return]  # nn.Module's call


class Wrapped(nn.Module):
    """A backbone with a head of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Transformer()
        self.classifier = nn.Linear(10, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        return self.classifier(self.backbone(images))  # type: ignore[no-any-return]  # nn.Module's call


def options(model: nn.Module, optimizer: str, groups: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Name -> the options that its group has."""
    plan = lossreg.plan(model=model, optimizer=optimizer, param_groups=groups, **SMALL)
    return {name: group["options"] for group in plan.facts["groups"] for name in group["names"]}


def test_biases_and_normalisations_have_no_decay() -> None:
    """Whatever has one dimension or fewer, is called bias, or belongs to a normalisation; all else has it."""
    found = options(Transformer(), "sgd(weight_decay=0.1)", {"no_decay": True})
    without = {name for name, of_group in found.items() if of_group == {"weight_decay": 0}}
    named = dict(Transformer().named_parameters())
    assert without == {name for name, one in named.items() if one.ndim == 1}
    assert len(without) == len(named) - 6  # the position, the stem, three blocks and the head have a matrix


def test_a_rate_falls_from_each_layer_to_the_one_below() -> None:
    """By timm's rule the head has the whole rate, the last norm is in the last block's layer, the stem is lowest."""
    found = options(Transformer(), "sgd(lr=0.1)", {"layer_decay(0.5)": True})
    depth = {"head": 0, "norm": 1, "blocks.2": 1, "blocks.1": 2, "blocks.0": 3, "stem": 4, "position": 4}
    for name, of_group in found.items():
        (below,) = [number for prefix, number in depth.items() if f"{name}.".startswith(f"{prefix}.")]
        assert of_group.get("lr", 0.1) == pytest.approx(0.1 * 0.5**below), name


def test_the_layers_of_a_backbone_count() -> None:
    """A module that holds a list of layers is as many layers as it has."""
    found = options(Wrapped(), "sgd(lr=0.1)", {"layer_decay(0.5)": True})
    assert found["classifier.weight"] == {}
    assert found["backbone.head.weight"]["lr"] == pytest.approx(0.05)
    assert found["backbone.stem.weight"]["lr"] == found["backbone.position"]["lr"] == pytest.approx(0.1 * 0.5**5)


def test_presets_and_patterns_go_together() -> None:
    """Options of both hold, and the layer's factor multiplies a rate of the pattern."""
    groups = {"blocks.0.*": "lr=0.8", "no_decay": True, "layer_decay(0.5)": True}
    found = options(Transformer(), "sgd(lr=0.1, weight_decay=0.1)", groups)
    assert found["blocks.0.linear.weight"] == {"lr": pytest.approx(0.1)}
    assert found["blocks.0.linear.bias"] == {"lr": pytest.approx(0.1), "weight_decay": 0}
    assert found["head.bias"] == {"weight_decay": 0}


def test_an_option_that_a_preset_sets_too_is_refused() -> None:
    """Nothing says which of two values of weight_decay is meant."""
    with pytest.raises(lossreg.ConfigError, match=r"weight_decay of stem\.bias is set here and by the preset no_decay"):
        options(Transformer(), "sgd", {"stem.*": "weight_decay=0.1", "no_decay": True})


def test_no_decay_is_for_the_optimizers_that_decay() -> None:
    """One of several that has no weight decay is left as it is; if none has, the preset is refused."""
    registries = lossreg.load_registries()
    registries.optimizers.register("rprop_here", "torch.optim:Rprop")
    plan = lossreg.plan(
        model=Transformer(), optimizer="rprop_here", param_groups={"*.bias": "sgd", "no_decay": True},
        registries=registries, **SMALL,
    )  # fmt: skip
    assert [group["options"] for group in plan.facts["groups"]] == [{}, {"weight_decay": 0}]
    with pytest.raises(lossreg.ConfigError, match="'no_decay' has no effect: rprop_here has no parameter"):
        lossreg.plan(optimizer="rprop_here", param_groups={"no_decay": True}, registries=registries, **SMALL)
