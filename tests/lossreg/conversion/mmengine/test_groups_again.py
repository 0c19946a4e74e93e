"""Parameter groups of a `paramwise_cfg`, written as a `paramwise_cfg` again."""

from __future__ import annotations

import random
from typing import Any

import pytest

import lossreg
from lossreg.conversion.mmengine import read, write
from lossreg.conversion.mmengine.config import read_config
from lossreg.run_spec import RunSpec
from tests.table import for_each


@pytest.fixture(scope="module")
def registries() -> lossreg.Registries:
    """Those of lossreg alone."""
    return lossreg.load_registries(allow=[], bridges=False)


def groups_of(config: str, registries: lossreg.Registries) -> Any:
    """The parameter groups that a config is read as."""
    return read(config, "config.py", registries).settings.get("param_groups", {})


def config_of(paramwise: dict[str, Any]) -> str:
    """A config with it."""
    optimizer = "dict(type='AdamW', lr=0.01, weight_decay=0.1)"
    return f"optim_wrapper = dict(optimizer={optimizer}, paramwise_cfg={paramwise!r})\ntrain_cfg = dict(max_epochs=3)"


@for_each("paramwise", [
    {"norm_decay_mult": 0.0, "bias_decay_mult": 0.0, "flat_decay_mult": 0.0},
    {"norm_decay_mult": 0.0},
    {"bias_lr_mult": 2.0, "bias_decay_mult": 0.0},
    {"norm_decay_mult": 0.0, "custom_keys": {"backbone": {"lr_mult": 0.1}}},
    {"custom_keys": {"backbone.norm": {"lr_mult": 2.0}, "backbone": {"lr_mult": 0.1}}},
])  # fmt: skip
def test_rules_and_keys_are_the_same_again(paramwise: dict[str, Any], registries: lossreg.Registries) -> None:
    """Though their patterns exclude one another in lossreg."""
    spec = RunSpec.from_mapping(read(config_of(paramwise), "config.py", registries).settings, "config.py")
    text, notes = write(spec, registries)
    assert read_config(text, "config.py")[0]["optim_wrapper"]["paramwise_cfg"] == paramwise
    assert not notes


def generated() -> list[dict[str, Any]]:
    """Rules and keys, always the same."""
    draw = random.Random(3)  # noqa: S311  # recipes, not secrets
    rules = ("norm_decay_mult", "bias_decay_mult", "flat_decay_mult")
    keys = ["backbone", "backbone.norm", "head", "pos_embed", ".scale"]
    options = [{"lr_mult": 0.1}, {"decay_mult": 0.0}, {"lr_mult": 0.1, "decay_mult": 0.0}, {"lr_mult": 1.0}]
    made = []
    for _ in range(12):
        one: dict[str, Any] = {rule: draw.choice([0.0, 0.5, 1.0]) for rule in rules if draw.random() < 0.5}
        one |= {"bias_lr_mult": 2.0} if draw.random() < 0.2 else {}
        one["custom_keys"] = {key: draw.choice(options) for key in draw.sample(keys, draw.choice([0, 1, 3]))}
        made.append(one)
    return made


@for_each("paramwise", generated())
def test_groups_are_the_same_again(paramwise: dict[str, Any], registries: lossreg.Registries) -> None:
    """Whatever they say together; rules that change nothing may be written in other words."""
    config = config_of(paramwise)
    spec = RunSpec.from_mapping(read(config, "config.py", registries).settings, "config.py")
    text, _ = write(spec, registries)
    assert groups_of(text, registries) == groups_of(config, registries)
