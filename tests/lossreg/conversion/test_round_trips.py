"""Settings that are written for another program, read, and written again, in each format."""

from __future__ import annotations

import random
from typing import Any

import pytest

import lossreg
from lossreg.conversion.formats import FORMATS, format_module, read_settings
from lossreg.run_spec import RunSpec
from tests.table import for_each

#: What notes say of what a file does not have, so that it is not read from it either.
LOSSES = (
    "is left out", "it is left out", "does not have", "has no ", "have no ", "is not known here", "is lossreg's own",
    "LightningCLI steps it after each epoch", "so that all parameters", "step it after each",
)  # fmt: skip


@pytest.fixture(scope="module")
def registries() -> lossreg.Registries:
    """The built-in components alone."""
    return lossreg.load_registries(allow=[], bridges=False)


def generated(seed: int) -> dict[str, Any]:
    """Settings, always the same for a seed."""
    draw = random.Random(seed)  # noqa: S311  # recipes, not secrets
    optimizers = ["sgd(lr=0.1)", "adamw(lr=0.001, weight_decay=0.05)", "adam(betas=[0.8, 0.99])", "nadam", "sam(sgd)"]
    losses = ["cross_entropy(label_smoothing=0.1)", "huber(delta=2.0)", "dice", "l1"]
    schedules = [
        "none", "cosine(eta_min=1e-05)", "cosine(T_max=3)", "step_lr(step_size=3)", "multi_step(milestones=[3, 5])",
        "warmup(cosine, length=2)", "linear(total_iters=4)", "polynomial(power=2.0)", "one_cycle(max_lr=0.1)",
        "plateau(factor=0.5)", "chained(linear(total_iters=4), step_lr(step_size=3))", "lambda_lr(lr_lambda='epoch')",
        "sequential(linear(total_iters=3), cosine, milestones=[3])",
    ]  # fmt: skip
    groups: list[dict[str, Any]] = [{}, {"*.bias": "weight_decay=0"}, {"*head*": "lr=x0.1"}, {"no_decay": True}]
    schedule = draw.choice(schedules)
    return {
        "loss": draw.choice(losses),
        "optimizer": draw.choice(optimizers),
        "scheduler": schedule,
        **({"scheduler_interval": "step"} if schedule != "none" and draw.random() < 0.2 else {}),
        "param_groups": draw.choice(groups),
        "epochs": draw.choice([7, 20]),
        **({"max_steps": 90} if draw.random() < 0.2 else {}),
        "batch_size": draw.choice([32, 128]),
        "accumulate": draw.choice([1, 1, 4]),
        **({"clip_grad_norm": 2.0} if draw.random() < 0.5 else {}),
        "seed": draw.choice([0, 3]),
        "precision": draw.choice(["32", "bf16", "16"]),
        "deterministic": draw.random() < 0.3,
        "weights": draw.choice(["raw", "ema(0.99)"]),
    }


@for_each("form", FORMATS)
def test_what_is_written_again_is_the_same_text_or_the_loss_is_named(form: str, registries: lossreg.Registries) -> None:
    """A second way there and back changes nothing in any case; the first one only what a note is about."""
    same = 0
    for seed in range(20):
        settings = generated(seed)
        text, notes = format_module(form).write(RunSpec.from_mapping(settings, "run.toml"), registries)
        again, second = _written_again(form, text, registries)
        third, _ = _written_again(form, again, registries)
        assert third == again, settings
        assert text == again or any(word in one for one in notes for word in LOSSES), (settings, notes, text, again)
        same += text == again
        assert not [one for one in second if "ComponentSpec" in one], second
    assert same >= 8, same


def _written_again(form: str, text: str, registries: lossreg.Registries) -> tuple[str, tuple[str, ...]]:
    """What a text is read as, written."""
    found = read_settings(text, "file", form, registries)
    return format_module(form).write(RunSpec.from_mapping(found.settings, "file"), registries)


@for_each(("form", "settings", "said"), [
    ("hydra", {"scheduler": "chained(linear, step_lr(step_size=3))"}, "holds others, which hydra cannot give"),
    ("mmengine", {"scheduler": "step_lr(step_size=3)", "max_steps": 9}, "counts epochs, of which a training by max_it"),
    ("mmengine", {"optimizer": "sam(sgd)", "param_groups": {"no_decay": True}}, "param_groups: no_decay is left out"),
    ("hydra", {"scheduler": "one_cycle(max_lr=1.0)"}, "scheduler: step it after each step of the optimizer"),
    ("hydra", {"scheduler": "one_cycle(max_lr=1.0)", "scheduler_interval": "epoch"}, "step it after each epoch"),
])  # fmt: skip
def test_what_would_be_lost_is_named(
    form: str, settings: dict[str, Any], said: str, registries: lossreg.Registries
) -> None:
    """In a note; a file that the other program cannot use is not written."""
    _, notes = format_module(form).write(RunSpec.from_mapping(settings, "run.toml"), registries)
    assert any(said in one for one in notes), notes


@for_each(("form", "settings"), [
    ("hydra", {"optimizer": "sam(sgd(lr=0.1))"}),  # by lossreg's own function
    ("mmengine", {"loss": "dice(smooth=1.0)"}),  # by the path of the class
    ("timm", {"precision": "32"}),
])  # fmt: skip
def test_what_lossreg_alone_has_is_read_again(
    form: str, settings: dict[str, Any], registries: lossreg.Registries
) -> None:
    """From what it writes."""
    text, _ = format_module(form).write(RunSpec.from_mapping(settings, "run.toml"), registries)
    found = read_settings(text, "file", form, registries)
    assert {key: found.settings.get(key) for key in settings} == settings
