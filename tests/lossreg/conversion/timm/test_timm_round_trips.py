"""Arguments of timm's train.py that are read, written and read again."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

import lossreg
from lossreg.conversion.formats import read_settings
from lossreg.conversion.timm import write
from lossreg.conversion.yaml_text import read_yaml
from lossreg.registry.registries import Registries
from lossreg.run_spec import RunSpec
from tests.table import for_each

PLAIN: dict[str, Any] = {"opt": "adamw", "lr": 0.01, "weight_decay": 0, "smoothing": 0, "warmup_epochs": 0}


@pytest.fixture(scope="module")
def registries() -> Registries:
    """The built-in components alone."""
    return lossreg.load_registries(allow=[])


def settings_of(text: str, registries: Registries) -> dict[str, Any]:
    """The settings that a text gives."""
    return dict(read_settings(text, "args.yaml", "timm", registries).settings)


def yaml_of(args: dict[str, Any]) -> str:
    """Arguments as a text."""
    return "\n".join(f"{key}: {json.dumps(value)}" for key, value in args.items())


@for_each("args", [
    {"sched": "cosine", "epochs": 90, "warmup_epochs": 5, "warmup_lr": 1e-6, "min_lr": 1e-5},
    {"sched": "cosine", "epochs": 90, "warmup_epochs": 5, "warmup_lr": 1e-6, "cooldown_epochs": 10},
    {"sched": "cosine", "epochs": 90, "warmup_epochs": 5, "warmup_lr": 0.02, "lr_k_decay": 0.7},
    {"sched": "cosine", "epochs": 20, "lr_cycle_limit": 3, "lr_cycle_decay": 0.5, "min_lr": 1e-4, "cooldown_epochs": 2},
    {"sched": "cosine", "epochs": 90, "warmup_epochs": 5, "warmup_lr": 1e-6, "sched_on_updates": True},
    {"sched": "poly", "epochs": 40, "decay_rate": 2.0, "min_lr": 1e-5},
    {"sched": "poly", "epochs": 40, "decay_rate": 0.5, "lr_cycle_limit": 2, "lr_cycle_decay": 1.0},
    {"sched": "step", "epochs": 40, "decay_epochs": 2.4, "decay_rate": 0.97, "warmup_epochs": 3, "warmup_lr": 1e-6},
    {"sched": "multistep", "epochs": 9, "decay_milestones": [4, 7], "warmup_epochs": 2, "warmup_lr": 0.0,
     "decay_rate": 0.3},
    {"sched": "constant", "epochs": 9, "warmup_epochs": 2, "warmup_lr": 0.0},
])  # fmt: skip
def test_an_expression_is_written_as_the_arguments_that_it_was_made_of(
    args: dict[str, Any], registries: Registries
) -> None:
    """Each of them has its value again: rates are not those of a product, 9.99999e-06."""
    read = settings_of(yaml_of(PLAIN | args), registries)
    assert read["scheduler"].startswith("lambda_lr("), read
    text, notes = write(RunSpec.from_mapping(read, "args.yaml"), registries)
    again = read_yaml(text, "args.yaml")
    assert {key: again.get(key) for key in args} == args, notes
    assert settings_of(text, registries)["scheduler"] == read["scheduler"]


@for_each("text", [
    "epoch // 2",
    "0.1 + 0.9 * epoch / 5 if epoch < 5 else 0.3",  # of which the end is no schedule of timm
    "0.1 + 0.8 * epoch / 5 if epoch < 5 else 1",  # a jump
    "0.1 + 0.9 * epoch / 4 if epoch < 5 else 1",
    "0.1 + 0.9 * min(1, epoch / 5)",
    "0.5 * (1 + cos(pi * epoch / 7))",  # a cosine that rises again: the run has 20 epochs
    "0.4 * (1 + cos(pi * epoch / epochs))",
    "0.5 * (1 + cos(pi * step / epochs))",
    "2 ** (epoch // 0)",
    "0.5 ** ((epoch >= 3) + (epoch > 5))",
    "0.5 ** ((epoch >= 3) + (step >= 5))",
])  # fmt: skip
def test_an_expression_that_timm_does_not_have_is_named(text: str, registries: Registries) -> None:
    """It is not taken for one that is like it."""
    spec = RunSpec(optimizer="sgd(lr=0.1)", scheduler=f"lambda_lr(lr_lambda={text!r})", epochs=20)
    written, notes = write(spec, registries)
    assert "sched: none\n" in written
    assert f"scheduler: train.py has no schedule with the rates of {text!r}, so that the rate is constant" in notes


def generated(count: int) -> Iterator[dict[str, Any]]:
    """Recipes, always the same."""
    draw = random.Random(14)  # noqa: S311  # recipes, not secrets
    for _ in range(count):
        yield {
            "opt": draw.choice(["adamw", "sgd", "momentum", "adam", "rmsprop"]),
            "lr": draw.choice([0.1, 3e-3, 0.017]),
            "weight_decay": draw.choice([0, 0.05]),
            "smoothing": draw.choice([0, 0.1]),
            "epochs": draw.choice([7, 30, 300]),
            "sched": draw.choice(["cosine", "step", "multistep", "poly", "constant", "none"]),
            "sched_on_updates": draw.random() < 0.3,
            "warmup_epochs": draw.choice([0, 1, 5]),
            "warmup_lr": draw.choice([0, 1e-5, 0.02]),
            "warmup_prefix": draw.random() < 0.5,
            "cooldown_epochs": draw.choice([0, 10]),
            "min_lr": draw.choice([0, 1e-5]),
            "lr_cycle_limit": draw.choice([1, 2]),
            "lr_cycle_decay": draw.choice([0.5, 1.0]),
            "lr_k_decay": draw.choice([1.0, 0.5]),
            "decay_rate": draw.choice([0.1, 0.5]),
            "decay_epochs": draw.choice([3, 2.4]),
            "decay_milestones": draw.choice([[30, 60], [1, 5]]),
            **({"layer_decay": 0.75} if draw.random() < 0.3 else {}),
            "clip_grad": draw.choice([None, 1.0]),
            "batch_size": draw.choice([32, 128]),
            "model_ema": draw.random() < 0.3,
        }


@for_each("args", generated(25))
def test_what_is_written_again_is_the_same_text(args: dict[str, Any], registries: Registries) -> None:
    """Nothing is lost on the way there and back, and the schedule is the one that was read."""
    read = settings_of(yaml_of(args), registries)
    text, notes = write(RunSpec.from_mapping(read, "args.yaml"), registries)
    again = settings_of(text, registries)
    assert again.get("scheduler") == read.get("scheduler"), notes
    assert again.get("param_groups") == read.get("param_groups")
    assert again["epochs"] == read["epochs"]
    assert write(RunSpec.from_mapping(again, "args.yaml"), registries)[0] == text
