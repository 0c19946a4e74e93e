"""What a run keeps where the weights to keep cannot be put in place, and optimizers with modes in trials."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import schedulefree
import torch
from safetensors.torch import load_file
from torch import nn

import lossreg
from lossreg.training.trial.component import try_component

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import Run


class _Broken(schedulefree.SGDScheduleFree):  # type: ignore[misc]  # the package is not annotated
    """Cannot be switched to evaluation."""

    def eval(self) -> None:
        """Fails before it changes anything."""
        raise ValueError("no evaluation here")


def test_an_optimizer_that_cannot_switch_costs_a_run_no_weights(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What there is is saved, the error is the run's, and run.json does not claim to know which weights they are."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    out = tmp_path / "out"
    with caplog.at_level(logging.WARNING, "lossreg"), pytest.raises(ValueError, match="no evaluation here"):
        run(model=model, loss="cross_entropy", optimizer=_Broken, epochs=1, limit_train=128, out=out)
    assert json.loads((out / "run.json").read_text())["files"] == {"model.safetensors": {"weights": None}}
    assert torch.equal(load_file(out / "model.safetensors")["1.bias"], model.state_dict()["1.bias"])
    assert [entry.message for entry in caplog.records] == [
        "the weights optimizer could not be put in place: ValueError: no evaluation here"
    ]


def test_the_doctor_switches_an_optimizer_to_training() -> None:
    """Its trial steps are in training mode, so that it finds nothing wrong with a schedule-free optimizer."""
    registries = lossreg.load_registries(allow=[])
    defaults: dict[str, Any] = {"lr": 1.0}
    registries.optimizers.register("sf", "schedulefree:SGDScheduleFree", defaults=defaults)
    entry: Any = registries.optimizers["sf"]
    assert try_component(entry) == []


def test_an_optimizer_with_modes_is_tried_on_the_layout_of_images() -> None:
    """The trial that decides on channels-last steps in training mode: one that cannot do it there is found."""

    class Plain(schedulefree.SGDScheduleFree):  # type: ignore[misc]  # see above
        def step(self, closure: Any = None) -> Any:
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.grad.view(-1)  # what a channels-last gradient does not allow
            return super().step(closure)

    registries = lossreg.load_registries(allow=[])
    registries.optimizers.register("plain", defaults={"lr": 1.0})(Plain)
    layout = lossreg.plan(optimizer="plain", device="cpu", registries=registries).facts["layout"]
    assert layout["memory_format"] == "contiguous_format"
    assert layout["reason"].startswith("the optimizer plain cannot step on weights in channels_last: ")
