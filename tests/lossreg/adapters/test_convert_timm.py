"""What is converted from timm has, for each parameter and epoch, what timm's own factories make of the same."""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch

import lossreg
from lossreg.conversion.formats import read_settings
from lossreg.conversion.timm import write
from lossreg.conversion.timm.args import DEFAULTS
from lossreg.conversion.yaml_text import read_yaml, write_yaml
from lossreg.registry.registries import Registries
from tests.table import for_each

timm_optim: Any = pytest.importorskip("timm.optim", reason="timm is not installed (pip install 'lossreg[timm]')")

import timm.loss as timm_loss  # noqa: E402  # behind the check that it is there
from timm.scheduler.scheduler_factory import create_scheduler_v2, scheduler_kwargs  # noqa: E402  # behind the check

EPOCHS, STEPS = 12, 3
#: What an optimizer's groups hold beside hyperparameters.
BOOKKEEPING = {"params", "initial_lr", "lr_scale", "param_names", "foreach", "fused", "capturable", "differentiable"}
#: Those whose groups are sorted otherwise, which is said, or that compute with more than gradients.
OTHER_ROUTES = {"muon", "nmuon", "adamuon", "nadamuon"}

RECIPES: dict[str, dict[str, Any]] = {
    "cosine": {"warmup_epochs": 0},
    "cosine to a least rate": {"warmup_epochs": 0, "min_lr": 0.01},
    "cosine with a warm-up in it": {"warmup_epochs": 4, "warmup_lr": 1e-3, "min_lr": 1e-4},
    "cosine behind a warm-up": {"warmup_epochs": 4, "warmup_lr": 1e-3, "warmup_prefix": True},
    "cosine behind a warm-up from 0": {"warmup_epochs": 4, "warmup_lr": 0.0, "warmup_prefix": True, "min_lr": 1e-4},
    "cosine with a cooldown": {"warmup_epochs": 2, "cooldown_epochs": 3, "min_lr": 1e-3, "epochs": 9},
    "cosine with a cooldown behind a warm-up": {
        "warmup_epochs": 2, "cooldown_epochs": 3, "min_lr": 1e-3, "epochs": 7, "warmup_prefix": True,
    },
    "cosine in cycles": {"warmup_epochs": 0, "lr_cycle_limit": 3, "lr_cycle_decay": 0.5, "epochs": 4, "min_lr": 1e-3},
    "cosine with k-decay": {"warmup_epochs": 2, "lr_k_decay": 1.5},
    "cosine by updates": {"warmup_epochs": 0, "sched_on_updates": True, "min_lr": 1e-3},
    "cosine by updates with a warm-up": {"warmup_epochs": 4, "sched_on_updates": True},
    "cosine by updates behind a warm-up, cooled": {
        "warmup_epochs": 3, "sched_on_updates": True, "warmup_prefix": True, "cooldown_epochs": 2, "epochs": 7,
    },
    "step": {"sched": "step", "warmup_epochs": 0, "decay_epochs": 5, "decay_rate": 0.3},
    "step with a warm-up in it": {"sched": "step", "warmup_epochs": 6, "decay_epochs": 5, "decay_rate": 0.3},
    "step behind a warm-up": {"sched": "step", "warmup_epochs": 3, "decay_epochs": 4, "warmup_prefix": True},
    "step of a broken length": {"sched": "step", "warmup_epochs": 0, "decay_epochs": 2.5},
    "step by updates": {"sched": "step", "warmup_epochs": 2, "decay_epochs": 2.4, "sched_on_updates": True},
    "multistep": {"sched": "multistep", "warmup_epochs": 0, "decay_milestones": [4, 9], "decay_rate": 0.2},
    "multistep from the first": {"sched": "multistep", "warmup_epochs": 0, "decay_milestones": [1, 2, 7]},
    "multistep with a warm-up in it": {"sched": "multistep", "warmup_epochs": 5, "decay_milestones": [3, 9]},
    "multistep behind a warm-up": {
        "sched": "multistep", "warmup_epochs": 2, "decay_milestones": [1, 3, 6], "warmup_prefix": True,
    },
    "multistep by updates": {
        "sched": "multistep", "warmup_epochs": 0, "decay_milestones": [4, 9], "sched_on_updates": True,
    },
    "poly": {"sched": "poly", "warmup_epochs": 0, "decay_rate": 2.0},
    "poly to a least rate with a warm-up": {"sched": "poly", "warmup_epochs": 3, "decay_rate": 0.9, "min_lr": 1e-3},
    "poly in cycles with k-decay": {
        "sched": "poly", "warmup_epochs": 0, "decay_rate": 1.5, "lr_cycle_limit": 2, "epochs": 6, "lr_k_decay": 2.0,
    },
    "multistep out of order": {"sched": "multistep", "warmup_epochs": 0, "decay_milestones": [10, 5]},
    "multistep out of order with a warm-up in it": {
        "sched": "multistep", "warmup_epochs": 3, "decay_milestones": [9, 2, 6, 4],
    },
    "multistep out of order by updates": {
        "sched": "multistep", "warmup_epochs": 0, "decay_milestones": [9, 4], "sched_on_updates": True,
    },
    "cosine in cycles that grow": {
        "warmup_epochs": 0, "lr_cycle_limit": 3, "lr_cycle_mul": 2.0, "lr_cycle_decay": 0.3, "epochs": 4,
    },
    "cosine in cycles that grow by a part, behind a warm-up, cooled": {
        "warmup_epochs": 3, "warmup_prefix": True, "lr_cycle_limit": 2, "lr_cycle_mul": 1.5, "epochs": 5,
        "min_lr": 1e-3, "cooldown_epochs": 4,
    },
    "cosine in cycles that grow, with k-decay": {
        "warmup_epochs": 0, "lr_cycle_limit": 2, "lr_cycle_mul": 3.0, "epochs": 3, "lr_k_decay": 1.5,
    },
    "cosine in one cycle that would grow": {"warmup_epochs": 0, "lr_cycle_mul": 1.1, "cooldown_epochs": 2},
    "poly in cycles that grow, with a warm-up in it": {
        "sched": "poly", "warmup_epochs": 2, "lr_cycle_limit": 2, "lr_cycle_mul": 3.0, "epochs": 4, "min_lr": 1e-4,
    },
    "constant": {"sched": "constant", "warmup_epochs": 3},
    "none": {"sched": "none"},
    "layer decay": {"layer_decay": 0.5, "min_lr": 1e-3, "warmup_epochs": 2},
    "layer decay without a warm-up": {"layer_decay": 0.5, "min_lr": 1e-3, "warmup_epochs": 0},
}  # fmt: skip


@pytest.fixture(scope="module")
def registries() -> Registries:
    """With the bridge to timm."""
    return lossreg.load_registries()


@pytest.fixture(autouse=True)
def _without_warnings_of_timm() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # its plateau is deprecated
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


class Network(torch.nn.Sequential):
    """Parameters of one and of two dimensions, in layers that timm is told as its own models tell them."""

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:
        """A layer for each child."""
        return {"blocks": r"^(\d+)"}


def model() -> torch.nn.Module:
    """Three layers, of which the first has a norm, too."""
    torch.manual_seed(0)
    first = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4))
    return Network(first, torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))


def of_timm(recipe: dict[str, Any], network: torch.nn.Module) -> tuple[torch.optim.Optimizer, Any, int]:
    """Optimizer, schedule and epochs as timm's train.py makes them."""
    cfg = argparse.Namespace(**{**DEFAULTS, **recipe})
    optimizer = timm_optim.create_optimizer_v2(network, **timm_optim.optimizer_kwargs(cfg=cfg), **cfg.opt_kwargs)
    scheduler, epochs = create_scheduler_v2(optimizer, **scheduler_kwargs(cfg), updates_per_epoch=STEPS)
    return optimizer, scheduler, epochs


def options(optimizer: torch.optim.Optimizer, network: torch.nn.Module) -> dict[str, dict[str, Any]]:
    """The hyperparameters of each parameter."""
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return {
        names[id(parameter)]: {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in group.items()
            if key not in BOOKKEEPING
        }
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


def rates(optimizer: torch.optim.Optimizer, network: torch.nn.Module) -> list[float]:
    """The rate of each parameter, by name."""
    return [float(group["lr"]) for _, group in sorted(options(optimizer, network).items())]


@for_each("recipe", RECIPES.values(), ids=RECIPES)
def test_the_rates_are_those_of_timm(recipe: dict[str, Any], registries: Registries) -> None:
    """Of each parameter, at each epoch, or at each update where the schedule counts those; and there are as many."""
    recipe = {"epochs": EPOCHS, "lr": 0.1, "opt": "sgd", "weight_decay": 0.01, "warmup_lr": 1e-3, **recipe}
    theirs_of, ours_of = model(), model()
    theirs, schedule, epochs = of_timm(recipe, theirs_of)
    found = read_settings(write_yaml(recipe), "args.yaml", "timm", registries)
    parts = lossreg.parts(found.settings, steps_per_epoch=STEPS, registries=registries)
    ours = parts.optimizer(ours_of)
    assert found.settings["epochs"] == epochs
    assert ("scheduler" in found.settings) == (recipe.get("sched") != "none"), found.left_out
    assert found.left_out == ()
    each = found.settings.get("scheduler_interval", "epoch")
    follows: Any = parts.scheduler(ours, each=each)
    updates = 0
    for epoch in range(epochs):
        for _ in range(STEPS):
            assert rates(ours, ours_of) == pytest.approx(rates(theirs, theirs_of), rel=1e-9, abs=1e-12), (
                epoch,
                updates,
            )
            updates += 1
            if schedule is not None:
                schedule.step_update(updates)
            if each == "step" and updates < epochs * STEPS:
                follows.step()
        if schedule is not None:
            schedule.step(epoch + 1)
        if each == "epoch" and follows is not None:
            follows.step()


UNDECAYED = {"ndim<=1 | *.bias": "weight_decay=0"}
WRITTEN: list[dict[str, Any]] = [
    {"optimizer": "sgd(lr=0.1)", "scheduler": "cosine(eta_min=0.01)"},
    {"optimizer": "sgd(lr=0.1, nesterov=True, weight_decay=0.1)",
     "scheduler": "warmup(step_lr(step_size=3), length=4)"},
    {"optimizer": "adamw(lr=0.1, betas=[0.8, 0.9], amsgrad=True)", "param_groups": UNDECAYED,
     "scheduler": "multi_step(milestones=[2, 7], gamma=0.5)"},
    {"optimizer": "rmsprop(lr=0.1, momentum=0.3)", "scheduler": "polynomial(power=2.0)"},
    {"optimizer": "adagrad(lr=0.1)", "scheduler": "warmup(length='25%', start_factor=0.5)"},
    {"optimizer": "timm.lamb(lr=0.1)", "scheduler": "warmup(cosine, length=2)",
     "param_groups": {"layer_decay(0.5)": True}},
]  # fmt: skip


@for_each("settings", WRITTEN, ids=lambda settings: settings["optimizer"])
def test_what_is_written_is_what_timm_makes(settings: dict[str, Any], registries: Registries) -> None:
    """The options of each parameter, and its rates, are those of the settings in lossreg."""
    spec = lossreg.RunSpec(**settings, epochs=EPOCHS)
    text, _ = write(spec, registries)
    theirs_of, ours_of = model(), model()
    theirs, schedule, epochs = of_timm(read_yaml(text, "args.yaml"), theirs_of)
    assert epochs == EPOCHS
    parts = lossreg.parts(spec, registries=registries)
    ours = parts.optimizer(ours_of)
    follows: Any = parts.scheduler(ours)
    expected = options(ours, ours_of)
    for name, group in options(theirs, theirs_of).items():
        own = {key: value for key, value in group.items() if key != "lr"}  # which the schedule sets
        assert {key: expected[name][key] for key in own} == own
    for epoch in range(epochs):
        assert rates(theirs, theirs_of) == pytest.approx(rates(ours, ours_of), rel=1e-9, abs=1e-12), epoch
        schedule.step(epoch + 1)
        follows.step()


@for_each("warmup", [0, 2])
def test_a_plateau_lowers_the_rate_when_timm_does(warmup: int, registries: Registries) -> None:
    """Also behind a warm-up, whose epochs it does not look at."""
    recipe = {"sched": "plateau", "epochs": EPOCHS, "lr": 0.1, "warmup_epochs": warmup, "warmup_lr": 1e-3,
              "patience_epochs": 1, "decay_rate": 0.5, "min_lr": 0.02}  # fmt: skip
    theirs_of, ours_of = model(), model()
    theirs, schedule, _ = of_timm(recipe, theirs_of)
    found = read_settings(write_yaml(recipe), "args.yaml", "timm", registries)
    parts = lossreg.parts(found.settings, registries=registries)
    ours = parts.optimizer(ours_of)
    follows: Any = parts.scheduler(ours)
    seen = []
    for epoch, value in enumerate([0.9, 0.5, 0.6, 0.5, 0.4, 0.5, 0.7, 0.6, 0.6, 0.6, 0.6, 0.6]):
        assert rates(ours, ours_of) == pytest.approx(rates(theirs, theirs_of), rel=1e-9)
        seen += rates(ours, ours_of)[:1]
        schedule.step(epoch + 1, value)
        follows.step(value)
    assert seen[-1] == pytest.approx(0.02)


@for_each("word", sorted({*timm_optim.list_optimizers(exclude_filters=["bnb*", "fused*"])} - OTHER_ROUTES))
def test_the_options_of_an_optimizer_are_those_of_timm(word: str, registries: Registries) -> None:
    """For each parameter: what is written, what timm sets, and the defaults of the class."""
    recipe = {"opt": word, "lr": 0.02, "weight_decay": 0.03, "momentum": 0.8, "opt_eps": 1e-6, "sched": "none"}
    theirs_of, ours_of = model(), model()
    theirs, _, _ = of_timm(recipe, theirs_of)
    found = read_settings(write_yaml(recipe), "args.yaml", "timm", registries)
    ours = lossreg.parts(found.settings, registries=registries).optimizer(ours_of)
    assert type(ours) is type(theirs)
    expected = options(theirs, theirs_of)
    made = options(ours, ours_of)
    assert made.keys() == expected.keys()
    for name, group in expected.items():
        assert {key: made[name].get(key) for key in group} == group, name


@for_each("betas", [[0.8, 0.95]])
def test_betas_and_further_arguments_are_carried_over(betas: list[float], registries: Registries) -> None:
    """opt_betas, and opt_kwargs by their names; a file for `--config` may hold both."""
    recipe = {"opt": "adamw", "lr": 0.02, "opt_betas": betas, "opt_kwargs": {"amsgrad": True}, "weight_decay": 0.0}
    theirs_of, ours_of = model(), model()
    theirs, _, _ = of_timm({**recipe, "sched": "none"}, theirs_of)
    found = read_settings(write_yaml(recipe), "args.yaml", "timm", registries)
    ours = lossreg.parts(found.settings, registries=registries).optimizer(ours_of)
    assert options(ours, ours_of) == options(theirs, theirs_of)


@for_each(("arguments", "name", "params"), [
    ({"smoothing": 0.1}, "LabelSmoothingCrossEntropy", {"smoothing": 0.1}),
    ({"smoothing": 0.0}, "SoftTargetCrossEntropy", {}),
    ({"smoothing": 0.1, "bce_loss": True}, "BinaryCrossEntropy", {"smoothing": 0.1}),
    ({"smoothing": 0.2, "bce_loss": True, "bce_sum": True, "bce_target_thresh": 0.3}, "BinaryCrossEntropy",
     {"smoothing": 0.2, "target_threshold": 0.3, "sum_classes": True}),
])  # fmt: skip
def test_the_loss_is_that_of_timm(
    arguments: dict[str, Any], name: str, params: dict[str, Any], registries: Registries
) -> None:
    """As train.py chooses it, on the same logits; without smoothing and mixup it is that of one-hot targets."""
    theirs = getattr(timm_loss, name)(**params)
    found = read_settings(write_yaml({"opt": "sgd", **arguments}), "args.yaml", "timm", registries)
    parts = lossreg.parts(loss=found.settings["loss"], task="classification", registries=registries)
    generator = torch.Generator().manual_seed(0)
    logits, target = torch.randn(8, 5, generator=generator), torch.arange(8) % 5
    given = torch.nn.functional.one_hot(target, 5) if name == "SoftTargetCrossEntropy" else target
    assert parts.loss(logits, target).item() == pytest.approx(theirs(logits, given).item(), rel=1e-6)


@for_each(("base", "opt", "expected"), [
    (0.1, "sgd", 0.1 * 1024 / 256),
    (0.1, "adamw", 0.1 * math.sqrt(1024 / 256)),
    (5e-3, "lamb", 5e-3 * 2),
])  # fmt: skip
def test_a_rate_of_a_base_is_that_of_the_batch(base: float, opt: str, expected: float, registries: Registries) -> None:
    """train.py multiplies it by the batch over 256, or by the root of that for the Adams."""
    recipe = {"opt": opt, "lr_base": base, "batch_size": 256, "grad_accum_steps": 4, "lr": None}
    found = read_settings(write_yaml(recipe), "args.yaml", "timm", registries)
    written = dict(lossreg.ComponentSpec.parse(found.settings["optimizer"]).params)
    assert written["lr"] == pytest.approx(expected, rel=1e-12)


@for_each("word", ["cosine", "tanh", "step", "multistep", "plateau", "poly", "constant", "none", "wsd", "rsqrt"])
def test_the_epochs_are_those_of_timm(word: str, registries: Registries) -> None:
    """Also of a schedule that lossreg does not have, and of cycles that get shorter: what is printed is their sum."""
    for more in ({}, {"lr_cycle_limit": 3}, {"lr_cycle_limit": 3, "lr_cycle_mul": 0.5}, {"warmup_prefix": True}):
        recipe = {
            "opt": "sgd", "lr": 0.1, "sched": word, "epochs": 10, "warmup_epochs": 2, "cooldown_epochs": 3, **more,
            "decay_epochs": 2,
        }  # fmt: skip
        found = read_settings(write_yaml(recipe), "args.yaml", "timm", registries)
        _, _, epochs = of_timm(recipe, model())
        assert found.settings["epochs"] == epochs, more
        assert epochs == 10 or any(one.startswith(f"epochs is {epochs}: ") for one in found.notes), more
