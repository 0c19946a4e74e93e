"""one_cycle_lr and cyclic_lr: an optimizer without momentum is refused where torch refuses it."""

from __future__ import annotations

import pytest
import torch
from torch.optim import lr_scheduler as torch_s

import lossreg
from tests.table import for_each

TEXTS = {"one_cycle_lr": "one_cycle_lr(max_lr=0.1", "cyclic_lr": "cyclic_lr(base_lr=0.1, max_lr=0.2"}
OPTIMIZERS = ["adagrad", "rprop", "adadelta", "asgd", "sgd", "sgd(momentum=0)", "rmsprop", "adam", "lookahead(adagrad)"]


@for_each(("name", "optimizer"), [(name, optimizer) for name in TEXTS for optimizer in OPTIMIZERS])
def test_an_optimizer_without_momentum(name: str, optimizer: str) -> None:
    """The message says what to write, and that is taken; torch's class refuses the same optimizers."""

    def build(scheduler: str) -> None:
        parts = lossreg.parts(optimizer=optimizer, scheduler=scheduler, epochs=2, steps_per_epoch=3)
        parts.scheduler(parts.optimizer(torch.nn.Linear(1, 1)))

    built = lossreg.parts(optimizer=optimizer).optimizer(torch.nn.Linear(1, 1))
    try:
        if name == "one_cycle_lr":
            torch_s.OneCycleLR(built, max_lr=0.1, total_steps=6)
        else:
            torch_s.CyclicLR(built, base_lr=0.1, max_lr=0.2)
    except ValueError:
        with pytest.raises(lossreg.ConfigError) as caught:
            build(f"{TEXTS[name]})")
        assert f"{name}: cycle_momentum=True moves the momentum" in str(caught.value)
        assert f"{type(built).__name__} has none; write {name}(..., cycle_momentum=False)" in str(caught.value)
        build(f"{TEXTS[name]}, cycle_momentum=False)")
    else:
        build(f"{TEXTS[name]})")


def test_torch_refuses_one_of_them() -> None:
    """The table above has what it is for."""
    with pytest.raises(ValueError, match="momentum"):
        torch_s.OneCycleLR(torch.optim.Adagrad([torch.nn.Parameter(torch.zeros(1))]), max_lr=0.1, total_steps=6)


@for_each("name", TEXTS)
def test_several_optimizers_without_one_momentum(name: str) -> None:
    """`momentum` of Muon and `betas` of AdamW are two; both ways out that the message names are taken."""

    def build(optimizer: str, scheduler: str | None) -> None:
        parts = lossreg.parts(optimizer=optimizer, scheduler=scheduler, epochs=2, steps_per_epoch=3)
        parts.scheduler(parts.optimizer(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))))

    with pytest.raises(lossreg.ConfigError, match="Muon and AdamW, whose rates it sets together") as caught:
        build("muon(rest=adamw)", f"{TEXTS[name]})")
    assert f"write {name}(..., cycle_momentum=False)" in str(caught.value)
    assert f"NAME(..., scheduler={name}(...))" in str(caught.value)
    build("muon(rest=adamw)", f"{TEXTS[name]}, cycle_momentum=False)")
    build(f"muon(scheduler={TEXTS[name]}), rest=adamw(scheduler={TEXTS[name]})))", None)
