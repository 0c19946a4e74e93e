"""What is given to the functions of hosts in the wrong place, or of the wrong kind, is told by lossreg."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import lossreg

PARTS = lossreg.parts(loss="mse", task="regression", optimizer="sgd", scheduler="cosine", epochs=2)
MODEL = torch.nn.Linear(1, 1)
OPTIMIZER = PARTS.optimizer(MODEL)
LOADER = DataLoader(TensorDataset(torch.ones(2, 1), torch.ones(2, 1)), 2)

#: What is given in place of something else.
GIVEN: dict[str, Any] = {
    "nothing": None, "text": "adamw", "number": -3, "class": torch.nn.Linear, "parts": PARTS, "model": MODEL,
    "optimizer": OPTIMIZER,
}  # fmt: skip


def wrong(call: Callable[[Any], object], *right: str) -> None:
    """Everything that is not right is an error of lossreg that shows what was given."""
    for name, given in GIVEN.items():
        if name in right:
            continue
        with pytest.raises(lossreg.LossregError) as caught:
            call(given)
        shown = {"nothing": "None", "text": "adamw", "number": "-3", "parts": "parts"}.get(name, "")
        assert shown in str(caught.value), f"{name}: {caught.value}"


def adapter(name: str) -> Any:
    """The module of a host that is installed."""
    if name != "before_epochs":  # for hosts that are not imported
        pytest.importorskip("fastai.learner" if name == "fastai" else name, reason=f"{name} is not installed")
    return importlib.import_module(f"lossreg.adapters.{name}")


def test_accelerate() -> None:
    """Also in another order."""
    prepare, accelerator = adapter("accelerate").prepare, importlib.import_module("accelerate").Accelerator(cpu=True)
    wrong(lambda given: prepare(given, PARTS, MODEL, LOADER, epochs=1))
    wrong(lambda given: prepare(accelerator, given, MODEL, LOADER, epochs=1), "parts")
    wrong(lambda given: prepare(accelerator, PARTS, given, LOADER, epochs=1), "model")
    wrong(lambda given: prepare(accelerator, PARTS, MODEL, given, epochs=1))
    wrong(lambda given: prepare(accelerator, PARTS, MODEL, LOADER, epochs=given), "nothing")
    with pytest.raises(lossreg.ConfigError, match=r"prepare\(accelerator, parts, .* returns, not Linear\("):
        prepare(accelerator, MODEL, PARTS, LOADER, epochs=1)


def test_ignite() -> None:
    """Also a model in place of the optimizer, and a trainer that is no engine."""
    scheduler = adapter("ignite").PartsScheduler
    wrong(lambda given: scheduler(given, OPTIMIZER), "parts")
    wrong(lambda given: scheduler(PARTS, given), "optimizer")
    wrong(lambda given: scheduler(PARTS, OPTIMIZER, accumulate=given))
    wrong(lambda given: scheduler(PARTS, OPTIMIZER, evaluator=given), "nothing")
    wrong(lambda given: scheduler(PARTS, OPTIMIZER).attach(given))
    wrong(lambda given: scheduler(PARTS, OPTIMIZER).load_state_dict(given))


def test_lightning() -> None:
    """Parts and module may be swapped; a module without a trainer is told so."""
    configure = adapter("lightning").configure_optimizers
    wrong(lambda given: configure(given, MODEL), "parts", "text", "number", "nothing")
    wrong(lambda given: configure(PARTS, given), "model")
    for given in (MODEL, "adamw", None):
        with pytest.raises(lossreg.ConfigError, match=r"write configure_optimizers\(parts, self\), not "):
            configure(given, PARTS)
    with pytest.raises(lossreg.ConfigError, match="needs the trainer of the LightningModule"):
        configure(PARTS, pytest.importorskip("lightning").LightningModule())


def test_transformers() -> None:
    """What the Trainer takes beside is its own."""
    trainer = adapter("transformers").PartsTrainer
    wrong(lambda given: trainer(parts=given, model=MODEL), "parts")
    wrong(lambda given: trainer(parts=PARTS, model=given), "model", "nothing")
    wrong(lambda given: trainer(parts=PARTS, model=MODEL, args=given), "nothing")


def test_skorch() -> None:
    """A module that is none, and objects in place of texts."""
    net = adapter("skorch").PartsRegressor
    wrong(net, "model", "class")
    for field in ("scheduler", "param_groups"):
        for given in (MODEL, OPTIMIZER):
            with pytest.raises(lossreg.ConfigError, match=rf"PartsRegressor\(module, ...\): {field} is text, not "):
                net(MODEL, **{field: given})


def test_fastai() -> None:
    """A Learner and parts."""
    fastai = adapter("fastai")
    wrong(lambda given: fastai.use_parts(given, PARTS))
    wrong(fastai.PartsLoss, "parts")
    wrong(fastai.PartsSchedule, "parts")
    wrong(lambda given: fastai.PartsOptimizer(given, MODEL, 0.1), "parts")
    wrong(lambda given: fastai.PartsOptimizer(PARTS, given, 0.1), "model")


def test_before_epochs() -> None:
    """Parts, an optimizer, and the number of an epoch."""
    before = adapter("before_epochs").BeforeEpochs
    wrong(lambda given: before(given, OPTIMIZER), "parts")
    wrong(lambda given: before(PARTS, given), "optimizer")
    wrong(lambda given: before(PARTS, OPTIMIZER).step(given), "nothing")


def test_parts() -> None:
    """A loop of one's own."""
    wrong(PARTS.scheduler, "optimizer")
    wrong(PARTS.optimizer, "model")
    wrong(lambda given: PARTS.check(given, (torch.ones(2, 1), torch.ones(2, 1))), "model")


def test_optuna() -> None:
    """The trial of a study."""
    suggest = adapter("optuna").suggest
    wrong(lambda given: suggest(given, optimizer="sgd(lr=uniform(0.1, 1))"))
