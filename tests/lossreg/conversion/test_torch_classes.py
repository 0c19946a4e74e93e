"""A class with arguments is a component that builds the same, and back; torch itself is what both are compared with."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

import lossreg
from lossreg.conversion.known_classes import STANDS_FOR, find_class
from lossreg.conversion.torch_classes import class_of_spec, spec_of_class
from lossreg.errors import ConfigError
from lossreg.registry.registries import Registries
from tests.table import for_each

KERNELS = {"foreach", "fused", "capturable", "differentiable"}

OPTIMIZERS = [
    name
    for name, one in vars(torch.optim).items()
    if inspect.isclass(one) and issubclass(one, torch.optim.Optimizer) and one is not torch.optim.Optimizer
]
#: Class -> what it needs.
SCHEDULERS: dict[str, dict[str, Any]] = {
    "StepLR": {"step_size": 3},
    "MultiStepLR": {"milestones": [2, 5]},
    "ConstantLR": {},
    "LinearLR": {},
    "PolynomialLR": {},
    "ExponentialLR": {"gamma": 0.8},
    "CosineAnnealingLR": {"T_max": 7},
    "CosineAnnealingWarmRestarts": {"T_0": 4},
    "CyclicLR": {"base_lr": 0.01, "max_lr": 0.3, "step_size_up": 3},
    "OneCycleLR": {"max_lr": 0.3, "epochs": 4, "steps_per_epoch": 3},
}
LOSSES = [
    name
    for name, one in vars(torch.nn.modules.loss).items()
    if name[0] != "_" and name.endswith("Loss") and inspect.isclass(one)
]


@pytest.fixture(scope="module")
def registries() -> Registries:
    """The built-in components alone."""
    return lossreg.load_registries(allow=[])


def weights() -> list[torch.nn.Parameter]:
    """A matrix, which every optimizer takes."""
    return [torch.nn.Parameter(torch.ones(2, 2))]


def defaults(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The options of an optimizer that change numbers."""
    return {key: value for key, value in optimizer.defaults.items() if key not in KERNELS}


@for_each("name", OPTIMIZERS)
def test_an_optimizer_without_arguments_has_the_defaults_of_torch(name: str, registries: Registries) -> None:
    """Also where the component has others."""
    found = spec_of_class(f"torch.optim.{name}", {}, "optimizer", registries)
    made = registries.optimizers.build(found.spec, weights())
    assert type(made).__name__ == name  # that of torch, or one derived from it
    assert isinstance(made, getattr(torch.optim, name))
    assert defaults(made) == defaults(getattr(torch.optim, name)(weights()))


@for_each("name", OPTIMIZERS)
def test_an_optimizer_by_name_alone_is_written_with_all_that_torch_does_not_do(
    name: str, registries: Registries
) -> None:
    """A component's own defaults are arguments of the class."""
    own = find_class(name, "optimizer", registries).name
    call = class_of_spec(lossreg.ComponentSpec(own), "optimizer", registries)
    assert call.path == f"torch.optim.{name}"
    made = getattr(torch.optim, name)(weights(), **call.arguments)
    assert defaults(made) == defaults(registries.optimizers.build(own, weights()))


def rates(optimizer: torch.optim.Optimizer, scheduler: Any) -> list[float]:
    """The rates of 12 epochs."""
    seen = []
    for _ in range(12):
        seen.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return seen


@for_each(("name", "needed"), SCHEDULERS.items())
def test_a_schedule_has_the_rates_of_torch(name: str, needed: dict[str, Any], registries: Registries) -> None:
    """With what it needs alone, and written as a class again."""
    found = spec_of_class(f"torch.optim.lr_scheduler.{name}", needed, "scheduler", registries)
    assert (found.notes, found.left_out) == ((), ())
    theirs = torch.optim.SGD(weights(), lr=0.1, momentum=0.9)
    expected = rates(theirs, getattr(lr_scheduler, name)(theirs, **needed))
    ours = torch.optim.SGD(weights(), lr=0.1, momentum=0.9)
    assert rates(ours, registries.schedulers.build(found.spec, ours)) == pytest.approx(expected, rel=1e-12)
    again = class_of_spec(found.spec, "scheduler", registries)
    back = torch.optim.SGD(weights(), lr=0.1, momentum=0.9)
    assert again.path == f"torch.optim.lr_scheduler.{name}"
    assert rates(back, getattr(lr_scheduler, name)(back, **again.arguments)) == pytest.approx(expected, rel=1e-12)


def test_a_plateau_is_that_of_torch(registries: Registries) -> None:
    """Less is better in torch, whatever is followed; the component would go by its metric."""
    found = spec_of_class("ReduceLROnPlateau", {"patience": 2}, "scheduler", registries)
    theirs, ours = torch.optim.SGD(weights(), lr=0.1), torch.optim.SGD(weights(), lr=0.1)
    expected = vars(lr_scheduler.ReduceLROnPlateau(theirs, patience=2))
    made = vars(registries.schedulers.build(found.spec.with_params({"monitor": "test_accuracy"}), ours))
    for key in ("mode", "factor", "patience", "threshold", "threshold_mode", "cooldown", "eps", "min_lrs"):
        assert made[key] == expected[key]
    more = class_of_spec(
        lossreg.ComponentSpec.parse("plateau(monitor='test_accuracy', patience=2)"), "scheduler", registries
    )
    assert more.arguments == {"mode": "max", "patience": 2}


@for_each("name", [name for name in LOSSES if name not in ("NLLLoss2d", "LinearCrossEntropyLoss")])
def test_a_loss_without_arguments_is_that_of_torch(name: str, registries: Registries) -> None:
    """The attributes of the module are those of the class's own."""
    found = spec_of_class(f"torch.nn.{name}", {}, "loss", registries)
    made, expected = registries.losses.build(found.spec), getattr(torch.nn, name)()
    assert type(made) is type(expected)
    assert made.extra_repr() == expected.extra_repr()
    plain = {key: value for key, value in vars(expected).items() if not key.startswith("_")}
    assert {key: vars(made)[key] for key in plain} == plain


@for_each(("path", "name"), [
    ("torch.optim.AdamW", "adamw"), ("torch.optim.adamw.AdamW", "adamw"), ("AdamW", "adamw"),
    ("torch.optim:AdamW", "adamw"), (" torch.optim.SGD ", "sgd"),
])  # fmt: skip
def test_a_class_is_found_by_each_of_its_paths(path: str, name: str, registries: Registries) -> None:
    """That of its package, that of its module, and its name alone."""
    assert find_class(path, "optimizer", registries).name == name


def test_every_class_that_a_component_stands_for_exists(registries: Registries) -> None:
    """The table names components that are there, and classes of torch."""
    for full_id, target in STANDS_FOR.items():
        module, _, name = target.partition(":")
        kind, classes = ("scheduler", lr_scheduler) if module == lr_scheduler.__name__ else ("optimizer", torch.optim)
        assert registries.of(kind)[full_id].id == full_id
        assert hasattr(classes, name)


@for_each(("arguments", "spec", "said"), [
    ({"T_max": 90}, "cosine_annealing_lr", ("T_max=90 is the length of the run",)),
    ({"T_max": 80}, "cosine_annealing_lr(T_max=80)", ()),
    ({"T_max": 90, "eta_min": 0.1, "last_epoch": -1}, "cosine_annealing_lr(eta_min=0.1, last_epoch=-1)",
     ("T_max=90 is the length of the run",)),
])  # fmt: skip
def test_the_length_of_the_run_is_left_to_lossreg(
    arguments: dict[str, Any], spec: str, said: tuple[str, ...], registries: Registries
) -> None:
    """Where it is that; another one is written out."""
    found = spec_of_class("CosineAnnealingLR", arguments, "scheduler", registries, span=90)
    assert found.spec.text == spec
    assert [part in note for part, note in zip(said, found.notes, strict=True)] == [True] * len(said)


def test_what_a_class_does_not_take_is_left_out(registries: Registries) -> None:
    """An unknown argument and a wrong value, each in a line of its own; the others are carried over."""
    found = spec_of_class(
        "SGD", {"lr": 0.1, "betas": [0.9, 0.99], "momentum": "x", "params": 1}, "optimizer", registries
    )
    assert found.spec.text == "sgd(lr=0.1, momentum=0)"
    assert len(found.left_out) == 2
    assert "sgd has no parameter 'betas'" in found.left_out[0]
    assert "momentum='x' does not fit" in found.left_out[1]
    assert all("\n" not in line and len(line) < 150 for line in found.left_out)


def test_what_chooses_a_kernel_is_passed_over(registries: Registries) -> None:
    """A note says it where it is switched on."""
    found = spec_of_class("Adam", {"foreach": True, "fused": None}, "optimizer", registries)
    assert found.spec.text == "adam"
    assert found.notes == ("adam: foreach changes no number, and lossreg decides it",)


@for_each(("path", "kind", "said"), [
    ("torch.optim.AdamWW", "optimizer", "did you mean torch.optim.AdamW"),
    ("torch.nn.CrossEntropyLos", "loss", "did you mean torch.nn.CrossEntropyLoss"),
    ("my.Thing", "scheduler", "'my.Thing' is not a class of a scheduler that lossreg knows"),
    ("os.system", "optimizer", "'os.system' is not a class of an optimizer"),
    ("my.optim.AdamW", "optimizer", "did you mean torch.optim.AdamW"),
])  # fmt: skip
def test_an_unknown_class_names_what_is_near(path: str, kind: str, said: str, registries: Registries) -> None:
    """Of this kind."""
    with pytest.raises(ConfigError, match=said.replace("(", r"\(")):
        spec_of_class(path, {}, kind, registries)


def test_a_class_that_needs_an_argument_says_which(registries: Registries) -> None:
    """With what could not be carried over."""
    with pytest.raises(ConfigError, match="step_lr needs step_size: step_lr: step_size='x' does not fit"):
        spec_of_class("StepLR", {"step_size": "x"}, "scheduler", registries)


@for_each(("spec", "kind", "said"), [
    ("warmup(cosine)", "scheduler", "warmup is lossreg's own"),
    ("sam(sgd)", "optimizer", "sam is lossreg's own"),
    ("step_lr", "scheduler", "step_lr needs step_size"),
    ("lambda_lr(lr_lambda='epoch')", "scheduler", "the expression lr_lambda is lossreg's own"),
])  # fmt: skip
def test_what_has_no_class_is_said(spec: str, kind: str, said: str, registries: Registries) -> None:
    """It is an error that the writers of formats turn into a note."""
    with pytest.raises(ConfigError, match=said):
        class_of_spec(lossreg.ComponentSpec.parse(spec), kind, registries)


@for_each(("spec", "kind", "span", "arguments", "said"), [
    ("cosine", "scheduler", 20, {"T_max": 20}, ()),
    ("cosine", "scheduler", None, {}, ("T_max is the length of the run, which is not known here",)),
    ("linear", "scheduler", 9, {"total_iters": 9}, ()),
    ("one_cycle(max_lr=0.1)", "scheduler", 60, {"max_lr": 0.1, "total_steps": 60}, ()),
    ("cross_entropy(weight=balanced)", "loss", None, {}, ("weight=balanced is computed from the data",)),
    ("kl_div", "loss", None, {"reduction": "batchmean"}, ()),
    ("muon(lr=0.1, rest=adamw(lr=0.2))", "optimizer", None, {"lr": 0.1},
     ("rest=adamw(lr=0.2) is left out", "lossreg gives it hidden_matrices alone")),
    ("dice(smooth=1)", "loss", None, {"smooth": 1}, ("lossreg is needed there",)),
    ("adam(betas=[0.8, 0.9])", "optimizer", None, {"betas": [0.8, 0.9]}, ()),
])  # fmt: skip
def test_a_component_is_written_with_what_the_run_supplies(
    spec: str, kind: str, span: int | None, arguments: dict[str, Any], said: tuple[str, ...], registries: Registries
) -> None:
    """And with a note on what it does not."""
    call = class_of_spec(lossreg.ComponentSpec.parse(spec), kind, registries, span=span)
    assert call.arguments == arguments
    assert [part in note for part, note in zip(said, call.notes, strict=True)] == [True] * len(said)
