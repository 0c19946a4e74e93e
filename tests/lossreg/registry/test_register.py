"""`register` with and without parentheses, and losses that are plain functions."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

import lossreg

SHORT: dict[str, Any] = {"epochs": 1, "limit_train": 64, "limit_test": 32, "quiet": True, "precision": "32"}


@pytest.fixture
def registries() -> lossreg.Registries:
    """The built-ins, and what a test registers."""
    return lossreg.load_registries(allow=[])


def test_register_without_parentheses_takes_the_snake_case_name(registries: lossreg.Registries) -> None:
    """`@losses.register` alone registers a class under its name in snake case without the kind, and returns it."""

    @registries.losses.register
    class SmoothHuberLoss(torch.nn.HuberLoss):
        """Squared near zero."""

    entry = registries.losses["smooth_huber"]
    assert entry.factory is SmoothHuberLoss
    assert (entry.id, entry.component.summary) == ("local.smooth_huber", "Squared near zero.")


def test_register_with_fields_alone_takes_the_snake_case_name(registries: lossreg.Registries) -> None:
    """`@losses.register(target="dense")` names no component, and the class does."""

    @registries.losses.register(target="dense")
    class MSELoss(torch.nn.MSELoss):
        """Squared."""

    assert registries.losses["local.mse"].component.target == "dense"
    assert registries.losses["local.mse"].factory is MSELoss


@pytest.mark.parametrize("kind", ["optimizers", "schedulers", "models"])
def test_every_kind_registers_without_parentheses(registries: lossreg.Registries, kind: str) -> None:
    """Optimizers, schedulers and models, which need no further field, register alike."""

    def quick_thing() -> None: ...

    registry = getattr(registries, kind)
    assert registry.register(quick_thing) is quick_thing
    assert registry["quick_thing"].id == "local.quick_thing"


def test_a_field_that_is_needed_is_named(registries: lossreg.Registries) -> None:
    """A data set names its model, so register without it says what to write."""
    with pytest.raises(lossreg.ComponentError, match=r"dataset 'moons' needs model=; .*register\('moons', model="):

        @registries.datasets.register
        def moons() -> None: ...


def test_a_field_that_does_not_exist_is_named(registries: lossreg.Registries) -> None:
    """A misspelt field is an error with the field that was meant."""
    with pytest.raises(lossreg.ComponentError, match=r"no field 'targt'. Did you mean 'target'"):
        registries.losses.register("mine", "torch.nn:L1Loss", targt="dense")


@pytest.mark.parametrize("wrong", [3, ["mine"], object()])
def test_only_a_class_or_a_function_is_registered(registries: lossreg.Registries, wrong: Any) -> None:
    """What can be neither a name nor a factory is an error that shows it."""
    with pytest.raises(lossreg.ComponentError, match="decorates a class or a function"):
        registries.losses.register(wrong)


def test_a_function_is_a_loss(registries: lossreg.Registries, tmp_path: Path) -> None:
    """A function of (input, target) trains as the module that computes the same, with its own parameters."""

    @registries.losses.register(target="index", averages="sample")
    def scaled(output: torch.Tensor, target: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        """Cross-entropy, scaled."""
        return scale * functional.cross_entropy(output, target)

    assert registries.losses["scaled"].describe() == "scaled(scale: float = 1.0)"
    with pytest.raises(lossreg.UnknownParameterError, match="Did you mean 'scale'"):
        registries.losses.build("scaled(scal=2)")
    mine = lossreg.run(loss="scaled(scale=1.0)", registries=registries, out=tmp_path / "mine", **SHORT)
    theirs = lossreg.run(loss="cross_entropy", registries=registries, out=tmp_path / "theirs", **SHORT)
    assert mine.final["train_loss"] == theirs.final["train_loss"]
    assert mine.spec.loss is not None
    assert mine.spec.loss.text == "local.scaled(scale=1.0)"


def test_a_function_without_fields_takes_the_targets_as_they_are(
    registries: lossreg.Registries, tmp_path: Path
) -> None:
    """Without `target=`, class indices and numbers to predict reach the loss unchanged."""

    @registries.losses.register
    def plain_loss(a, b):  # type: ignore[no-untyped-def]  # as a notebook has it
        return functional.cross_entropy(a, b) if b.dtype is torch.int64 else functional.mse_loss(a, b)

    assert registries.losses["plain"].component.contract() == {
        "target": "any", "input": "any", "averages": None, "takes": ("input", "target"), "data_values": {},
    }  # fmt: skip
    for data, builtin in (("digits", "cross_entropy"), ("diabetes", "mse")):
        mine = lossreg.run(loss="plain", data=data, registries=registries, out=tmp_path / data, **SHORT)
        theirs = lossreg.run(loss=builtin, data=data, registries=registries, out=tmp_path / builtin, **SHORT)
        assert mine.final["train_loss"] == theirs.final["train_loss"]


def squared(output: torch.Tensor, target: torch.Tensor, reduction: str = "mean") -> torch.Tensor:
    """Squared distances."""
    return functional.mse_loss(output, target, reduction=reduction)


def test_a_function_in_text_is_a_loss(registries: lossreg.Registries) -> None:
    """A component may name such a function as `module:function`; what is built has its reduction, and is pickled."""
    registries.losses.register("squared", f"{__name__}:squared", target="dense", averages="element")
    a, b = torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, 1.0]])
    loss: Any = registries.losses.build("squared(reduction='sum')")
    assert (loss(a, b).item(), loss.reduction) == (5.0, "sum")
    assert pickle.loads(pickle.dumps(loss))(a, b).item() == 5.0  # noqa: S301  # our own bytes
    assert registries.losses.build("squared").reduction == "mean"


def test_a_factory_may_return_a_function(registries: lossreg.Registries, tmp_path: Path) -> None:
    """What a loss's factory returns may be a plain function; a function without such parameters is a factory."""

    @registries.losses.register("made", target="index", averages="sample")
    def make(smoothing: float = 0.0) -> Any:
        return lambda output, target: functional.cross_entropy(output, target, label_smoothing=smoothing)

    mine = lossreg.run(loss="made(smoothing=0.1)", registries=registries, out=tmp_path / "mine", **SHORT)
    theirs = lossreg.run(
        loss="cross_entropy(label_smoothing=0.1)", registries=registries, out=tmp_path / "theirs", **SHORT
    )
    assert mine.final["train_loss"] == theirs.final["train_loss"]


def test_a_factory_with_two_needed_parameters_stays_a_factory(registries: lossreg.Registries) -> None:
    """A factory whose parameters are numbers, or declared, or that says that it returns a module, is called for one."""

    @registries.losses.register("numbers", target="dense")
    def numbers(low: float, high: float):  # type: ignore[no-untyped-def]  # as a notebook has it
        return torch.nn.L1Loss()

    @registries.losses.register("declared", target="dense", required=["low", "high"])
    def declared(low, high):  # type: ignore[no-untyped-def]  # as a notebook has it
        return torch.nn.L1Loss()

    @registries.losses.register("returns", target="dense")
    def returns(low, high) -> torch.nn.Module:  # type: ignore[no-untyped-def]  # as a notebook has it
        return torch.nn.L1Loss()

    for name in ("numbers", "declared", "returns"):
        assert isinstance(registries.losses.build(name, low=0.0, high=1.0), torch.nn.L1Loss)
