"""Accelerate with parts by name: rates for one process and for two, resuming, and the bits of a run."""

from __future__ import annotations

import math
import os
import runpy
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
import torch
from torch.utils.data import DataLoader, Sampler, TensorDataset

import lossreg

accelerate: Any = pytest.importorskip("accelerate", reason="accelerate is not installed (pip install 'lossreg[hosts]')")

from lossreg.adapters.accelerate import prepare  # noqa: E402  # behind the check that accelerate is there

ROOT = Path(__file__).parents[3]

SCRIPT = """
import math, torch, lossreg
from accelerate import Accelerator
from lossreg.adapters.accelerate import prepare
from torch.utils.data import DataLoader, TensorDataset

accelerator = Accelerator(cpu=True)
assert accelerator.num_processes == 2
torch.manual_seed(1)
loader = DataLoader(TensorDataset(torch.randn(32, 4), torch.randint(3, (32,))), 4)
parts = lossreg.parts(loss="dice", optimizer="sgd(lr=1.0)", scheduler="cosine")
model, optimizer, loader, scheduler = prepare(accelerator, parts, torch.nn.Linear(4, 3), loader, epochs=2)
rates = []
for _ in range(2):
    for inputs, targets in loader:
        rates.append(round(optimizer.param_groups[0]["lr"], 9))
        accelerator.backward(parts.loss(model(inputs), targets))
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
accelerator.end_training()
assert rates == [1.0] * 4 + [0.5] * 4, rates
"""


class Order(Sampler[int]):
    """The samples of each epoch in the order of a run."""

    def __init__(self) -> None:
        self.epoch = -1

    def __iter__(self) -> Iterator[int]:
        self.epoch += 1
        return iter(numpy.random.default_rng([3, self.epoch]).permutation(256).tolist())

    def __len__(self) -> int:
        return 256


def loop(accelerator: Any, parts: lossreg.HostParts, ready: tuple[Any, ...], epochs: int) -> list[float]:
    """A loop as Accelerate's documentation has it; the rate of each batch."""
    model, optimizer, loader, scheduler = ready
    rates = []
    for _ in range(epochs):
        for inputs, targets in loader:
            with accelerator.accumulate(model):
                rates.append(optimizer.param_groups[0]["lr"])
                accelerator.backward(parts.loss(model(inputs), targets))
                optimizer.step()
                scheduler.step()
                optimizer.zero_grad()
    return rates


def made(
    texts: dict[str, Any], epochs: int, accumulate: int = 1, **plugin: Any
) -> tuple[Any, lossreg.HostParts, tuple[Any, ...]]:
    """A linear model, always the same, and 4 batches of random numbers."""
    torch.manual_seed(1)
    accelerate.state.GradientState._reset_state()  # it is shared, and keeps what the first accelerator was told
    accumulating = accelerate.utils.GradientAccumulationPlugin(num_steps=accumulate, **plugin)
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_plugin=accumulating)
    loader = DataLoader(TensorDataset(torch.randn(32, 4), torch.randint(3, (32,))), 8)
    parts = lossreg.parts(**texts)
    return accelerator, parts, prepare(accelerator, parts, torch.nn.Linear(4, 3), loader, epochs=epochs)


def test_other_epochs_of_the_parts_are_overruled_aloud(caplog: pytest.LogCaptureFixture) -> None:
    """Those of the call are taken."""
    texts = {"loss": "dice", "optimizer": "sgd(lr=1.0)", "scheduler": "cosine"}
    accelerator, parts, ready = made({**texts, "epochs": 40}, 2)
    assert loop(accelerator, parts, ready, 2) == pytest.approx([1.0] * 4 + [0.5] * 4)
    (said,) = [record.getMessage() for record in caplog.records if record.name == "lossreg"]
    assert "told epochs=40, and Accelerate has epochs=2" in said


def test_a_run_and_accelerate_have_the_same_bits(tmp_path: Path) -> None:
    """The same texts with the same seed, data and order lead to the same weights, with groups and a schedule."""
    texts: dict[str, Any] = {
        "loss": "l1", "optimizer": "adamw(lr=0.01)", "param_groups": {"*.bias": "weight_decay=0"},
        "scheduler": "cosine",
    }  # fmt: skip
    result = lossreg.run(
        **texts, model="mlp", epochs=2, seed=3, limit_train=256, limit_test=64, device="cpu", precision="32",
        checkpoint_every="none", out=tmp_path / "run", quiet=True,
    )  # fmt: skip
    split = lossreg.datasets.build("digits").train
    assert isinstance(split, tuple)
    inputs, targets = (part[:256] for part in split)
    torch.manual_seed(3)
    model = lossreg.models.build("mlp", in_features=inputs[0].numel(), out_features=10)
    accelerator = accelerate.Accelerator(cpu=True)
    parts = lossreg.parts(task="classification", **texts)
    loader = DataLoader(TensorDataset(inputs, targets), 64, sampler=Order())
    loop(accelerator, parts, prepare(accelerator, parts, model, loader, epochs=2, fused=True), 2)
    own = model.state_dict()
    assert all(torch.equal(own[name], value) for name, value in result.model.state_dict().items())


@pytest.mark.parametrize("interval", ["epoch", "step"])
def test_schedules_count_epochs_or_steps(interval: str) -> None:
    """Half a cosine over 2 epochs, or over 4 steps of 2 accumulated batches each."""
    texts = {"loss": "dice", "optimizer": "sgd(lr=1.0)", "scheduler": "cosine", "scheduler_interval": interval}
    rates = loop(*made(texts, 2, accumulate=2), 2)
    count, batches = (2, 4) if interval == "epoch" else (4, 2)
    cosine = [0.5 * (1 + math.cos(math.pi * place / count)) for place in range(count)]
    assert rates == pytest.approx([rate for rate in cosine for _ in range(batches)])


def test_steps_may_go_across_epochs() -> None:
    """Of 3 epochs of 4 batches each 3 accumulated ones make a step: 4 steps, where 3 * ceil(4 / 3) would be 6."""

    def across(accumulate: int, **texts: Any) -> list[float]:
        texts = {"loss": "dice", "optimizer": "sgd(lr=1.0)", **texts}
        accelerator, parts, ready = made(texts, 3, accumulate, sync_with_dataloader=False)
        ready = ready if ready[3] is not None else (*ready[:3], SimpleNamespace(step=int))
        return loop(accelerator, parts, ready, 3)

    cosine = [0.5 * (1 + math.cos(math.pi * place / 4)) for place in range(4)]
    rates = across(3, scheduler="cosine", scheduler_interval="step")
    assert rates == pytest.approx([rate for rate in cosine for _ in range(3)])
    cosine = [0.5 * (1 + math.cos(math.pi * place / 3)) for place in range(3)]
    assert across(2, scheduler="cosine") == pytest.approx([rate for rate in cosine for _ in range(4)])
    assert across(3) == [1.0] * 12
    for texts in ({"scheduler": "cosine"}, {"optimizer": "sgd(lr=1.0, scheduler=cosine)"}):
        with pytest.raises(lossreg.ConfigError, match=r"of 4 batches is no whole number of steps of 3 .*val='step'"):
            across(3, **texts)


def test_a_schedule_that_follows_a_metric_is_given_it() -> None:
    """It is stepped after each epoch."""
    texts = {"optimizer": "sgd(lr=1.0)", "scheduler": "reduce_lr_on_plateau(monitor='loss', patience=0)"}
    _, _, (_, optimizer, _, scheduler) = made(texts, 3)
    scheduler.step(1.0)
    scheduler.step(2.0)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1)


def test_resuming_from_a_state_of_accelerate(tmp_path: Path) -> None:
    """Going on after the second of 3 epochs gives the weights of a straight run."""
    texts = {"loss": "dice", "optimizer": "adamw(lr=0.1)", "scheduler": "cosine"}
    accelerator, parts, ready = made(texts, 3)
    loop(accelerator, parts, ready, 2)
    accelerator.save_state(str(tmp_path))
    loop(accelerator, parts, ready, 1)
    straight = ready[0].weight.clone()
    accelerator, parts, ready = made(texts, 3)
    accelerator.load_state(str(tmp_path))
    loop(accelerator, parts, ready, 1)
    assert torch.equal(straight, ready[0].weight)


def test_two_processes_step_the_schedule_once() -> None:
    """Accelerate would step a plain scheduler once for each process."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    shared = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    shared["PYTHONPATH"] = os.pathsep.join(sys.path)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    errors = [process.communicate(timeout=240)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors


def test_the_example_runs() -> None:
    """It is a script that trains: 8 batches an epoch."""
    rates = runpy.run_path(str(ROOT / "docs" / "examples" / "accelerate_digits.py"))["main"]()
    assert rates == pytest.approx([0.01] * 8 + [0.005] * 8)
