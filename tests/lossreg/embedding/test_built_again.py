"""Objects that the same parts build again and again: what is checked once, and what each time."""

from __future__ import annotations

import gc
import math
import sys
import warnings
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import lossreg
from tests.table import for_each


def network() -> nn.Sequential:
    """Two linear layers."""
    return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3))


def held(optimizer: torch.optim.Optimizer) -> list[int]:
    """The ids of the parameters, in their order."""
    return [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]


def calls_in_lossreg(function: Callable[[], object]) -> int:
    """How many functions of lossreg a call enters: a cost that does not depend on the machine."""
    count = 0

    def see(frame: FrameType, event: str, _: object) -> None:
        nonlocal count
        count += event == "call" and frame.f_globals.get("__name__", "").startswith("lossreg.")

    before = sys.getprofile()
    sys.setprofile(see)
    try:
        function()
    finally:
        sys.setprofile(before)
    return count


@for_each("text", ["sgd(lr=0.5)", "adam", "adamw(weight_decay=0.1, betas=[0.8, 0.9])", "lbfgs(lr=1)", "adafactor"])
def test_an_optimizer_is_what_the_registry_builds(text: str) -> None:
    """Class, parameters in their order and every option are those of the optimizer by name."""
    model = network()
    built, expected = (
        lossreg.parts(optimizer=text).optimizer(model),
        lossreg.optimizers.build(text, model.parameters()),
    )
    assert type(built) is type(expected)
    assert held(built) == held(expected)
    assert [{**group, "params": 0} for group in built.param_groups] == [
        {**group, "params": 0} for group in expected.param_groups
    ]


def test_each_optimizer_has_what_is_trained_when_it_is_built() -> None:
    """What a program freezes, trains again, or puts in between two calls is seen by the second."""
    model, parts = network(), lossreg.parts()
    model[0].requires_grad_(False)
    assert held(parts.optimizer(model)) == [id(one) for one in model[2].parameters()]
    model[0].requires_grad_(True)
    model.append(nn.Linear(3, 2))
    assert held(parts.optimizer(model)) == [id(one) for one in model.parameters()]


def test_weights_of_a_loss_are_trained_once() -> None:
    """A parameter that the loss shares with the model is the model's; its own come behind, but for frozen ones."""

    class Weighted(nn.Module):
        def __init__(self, shared: nn.Parameter) -> None:
            super().__init__()
            self.shared, self.own = shared, nn.Parameter(torch.ones(()))
            self.still = nn.Parameter(torch.ones(()), requires_grad=False)

        def forward(self, output: Tensor, target: Tensor) -> Tensor:
            return self.own * self.still * (output - target).square().mean() + self.shared.sum()

    model = network()
    loss = Weighted(model[0].bias)  # type: ignore[arg-type]  # it is a parameter
    built = lossreg.parts(loss=loss).optimizer(model)
    assert held(built) == [*(id(one) for one in model.parameters()), id(loss.own)]


def test_a_model_without_parameters_is_refused_each_time() -> None:
    """The error names the model, and is the same the second time."""
    parts = lossreg.parts()
    for _ in range(2):
        with pytest.raises(lossreg.ConfigError, match=r"the model ReLU has no weight that can be trained"):
            parts.optimizer(nn.ReLU())


def test_a_pattern_is_looked_for_in_each_model() -> None:
    """Names that match in one model need not in another, nor in the same one after a change."""
    model, parts = network(), lossreg.parts(optimizer="adamw", param_groups={"0.bias": "weight_decay=0"})
    assert len(parts.optimizer(model).param_groups) == 2
    model[0].bias.requires_grad_(False)
    for changed in (model, nn.Sequential(nn.ReLU(), nn.Linear(2, 2))):
        with pytest.raises(lossreg.ConfigError, match=r"'0.bias' matches no trainable parameter"):
            parts.optimizer(changed)


def test_an_optimizer_that_says_nothing_is_tried_on_each_model() -> None:
    """One that fails in its first step on a matrix is refused before the training, although vectors were fine."""
    own = lossreg.load_registries(allow=[], bridges=False)

    @own.optimizers.register
    class Flat(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            if any(one.ndim > 1 for group in self.param_groups for one in group["params"]):
                raise ValueError("vectors alone")
            return super().step(closure)

    parts = lossreg.parts(optimizer="flat(lr=0.1)", registries=own)
    assert isinstance(parts.optimizer(nn.LayerNorm(3)), Flat)
    with pytest.raises(lossreg.BuildError, match="vectors alone"):
        parts.optimizer(network())


def test_a_trial_is_made_once_for_a_model() -> None:
    """A later optimizer of the model is the only one that is built; that of the model in float64 is tried anew."""
    own, built = lossreg.load_registries(allow=[], bridges=False), [0]

    @own.optimizers.register
    class Counting(torch.optim.SGD):
        def __init__(self, params: Any, lr: float = 0.1) -> None:
            super().__init__(params, lr=lr)
            built[0] += 1

    model, parts = network(), lossreg.parts(optimizer="counting", registries=own)
    for dtype, is_tried in (
        (torch.float32, True),
        (torch.float32, False),
        (torch.float64, True),
        (torch.float64, False),
    ):
        model.to(dtype)
        built[0] = 0
        assert held(parts.optimizer(model)) == [id(one) for one in model.parameters()]
        assert (built[0] > 1) is is_tried


def test_models_are_not_kept() -> None:
    """What was found of a model goes with it."""
    model, parts = network(), lossreg.parts(optimizer="adamw", param_groups={"*.bias": "weight_decay=0"})
    parts.optimizer(model)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


@for_each(
    "arguments, wanted",
    [
        ({"optimizer": "sgd", "frozen_mode": "train"}, "frozen_mode"),
        ({"optimizer": "sgd", "freeze": "1.*"}, "matches no parameter"),
        ({"source": {"freeze": "0.*", "unfreeze": "0.*@1"}}, "unfreeze"),
        ({"optimizer": "sgd", "param_groups": {"no_decay": True, "x.*": "lr=1"}}, "x.*"),
    ],
)
def test_what_is_wrong_is_said_each_time(arguments: dict[str, Any], wanted: str) -> None:
    """An error does not wear off."""
    source = arguments.pop("source", None)
    parts = lossreg.parts(source, **arguments)
    for _ in range(2):
        with pytest.raises(lossreg.ConfigError, match=wanted.replace("*", r"\*")):
            parts.optimizer(network())


def test_a_schedule_fits_how_it_is_stepped_each_time() -> None:
    """The same parts give schedules for loops that step them after each epoch, and after each step.

    The rate of the cosine is 0.1 (1 + cos(pi epoch / 4)) / 2.
    """
    parts = lossreg.parts(optimizer="sgd(lr=0.1)", scheduler="cosine", epochs=4, steps_per_epoch=2)
    for each, calls in (("epoch", 1), ("step", 2), ("epoch", 1), (None, 1)):
        optimizer = parts.optimizer(network())
        scheduler = parts.scheduler(optimizer, each=each)  # type: ignore[arg-type]  # they are intervals
        assert scheduler is not None
        assert scheduler.interval == (each or "epoch")
        for _ in range(3 * calls):
            optimizer.step()
            scheduler.step()
        assert scheduler.get_last_lr() == [pytest.approx(0.1 * (1 + math.cos(math.pi * 3 / 4)) / 2)]


def test_a_schedule_that_does_not_know_enough_is_refused_each_time() -> None:
    """And one for the loop of which more is known is built."""
    parts = lossreg.parts(scheduler="cosine")
    optimizer = parts.optimizer(network())
    for _ in range(2):
        with pytest.raises(lossreg.ConfigError, match="cosine_annealing_lr needs T_max"):
            parts.scheduler(optimizer)
    assert parts.for_loop(epochs=3).scheduler(optimizer) is not None


def test_a_schedule_that_steps_before_the_optimizer_says_so_once() -> None:
    """As torch's own does; what it says is in the words of the schedule that the loop has, and not of those in it."""
    parts = lossreg.parts(scheduler="step_lr(step_size=1)", epochs=5)
    scheduler = parts.scheduler(parts.optimizer(network()))
    assert scheduler is not None
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        for _ in range(3):
            scheduler.step()
    assert [str(one.message)[:39] for one in heard] == ["Detected call of `lr_scheduler.step()` "]


@for_each("more, most", [({}, 15), ({"loss": "cross_entropy", "epochs": 9, "scheduler": "cosine"}, 15)])
def test_a_later_object_costs_little_more_than_its_constructor(more: dict[str, Any], most: int) -> None:
    """What goes by the texts is not looked at again: few functions of lossreg are entered."""
    model, parts = network(), lossreg.parts(optimizer="sgd", **more)
    optimizer = parts.optimizer(model)
    parts.scheduler(optimizer)
    assert calls_in_lossreg(lambda: parts.optimizer(model)) <= most
    assert calls_in_lossreg(lambda: parts.scheduler(optimizer)) <= most
