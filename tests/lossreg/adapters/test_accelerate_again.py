"""Accelerate that goes on with other batches, or with parts that have a schedule where the checkpoint has none."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import lossreg
from tests.table import for_each

accelerate: Any = pytest.importorskip("accelerate", reason="accelerate is not installed (pip install 'lossreg[hosts]')")

from lossreg.adapters.accelerate import prepare  # noqa: E402  # behind the check that accelerate is there


class Made:
    """A loop over 8 samples."""

    def __init__(self, scheduler: str | None = "cosine", batch: int = 4, interval: Any = None) -> None:
        self.accelerator = accelerate.Accelerator(cpu=True)
        self.parts = lossreg.parts(
            loss="dice", optimizer="sgd(lr=1.0)", scheduler=scheduler, scheduler_interval=interval
        )
        loader = DataLoader(TensorDataset(torch.ones(8, 2), torch.zeros(8, dtype=torch.long)), batch)
        self.ready = prepare(self.accelerator, self.parts, torch.nn.Linear(2, 3), loader, epochs=4)

    def trained(self, epochs: int) -> list[float]:
        """The rate of each step."""
        model, optimizer, loader, scheduler = self.ready
        rates = []
        for _ in range(epochs):
            for inputs, targets in loader:
                rates.append(optimizer.param_groups[0]["lr"])
                self.accelerator.backward(self.parts.loss(model(inputs), targets))
                optimizer.step()
                if scheduler is not None:
                    scheduler.step()
        return rates


def saved(folder: Path, scheduler: str | None = "cosine", interval: Any = None) -> str:
    """A checkpoint after 2 of 4 epochs of 2 steps."""
    made = Made(scheduler, interval=interval)
    made.trained(2)
    made.accelerator.save_state(str(folder))
    return str(folder)


@for_each(("interval", "batch"), [("epoch", 4), ("epoch", 2), ("epoch", 8), ("step", 2)])
def test_a_schedule_goes_on_after_as_many_epochs(
    interval: str, batch: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever the number of their steps is now: half a cosine, of 4 epochs or of all their steps, ends as it would."""
    made = Made(batch=batch, interval=interval)
    made.accelerator.load_state(saved(tmp_path_factory.mktemp("saved"), interval=interval))
    steps = 8 // batch
    places = [2, 3] if interval == "epoch" else [2 + step / steps for step in range(2 * steps)]
    cosine = [0.5 * (1 + math.cos(math.pi * place / 4)) for place in places]
    assert made.trained(2)[:: steps if interval == "epoch" else 1] == pytest.approx(cosine)


@for_each(
    ("was", "now", "wanted"),
    [
        ("cosine", None, r"has 1 schedule, and the accelerator has none \(lossreg.parts\(scheduler=None\)\): name the"),
        (None, "cosine", r"has no schedule, and the accelerator has 1 \(lossreg.parts\(scheduler='builtin.cosine"),
        ("cosine", "step_lr(step_size=2)", "cosine_annealing_lr, and this one is step_lr"),
    ],
)
def test_a_checkpoint_of_another_schedule_is_refused(
    was: str | None, now: str | None, wanted: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Accelerate would pass over a state that is left, and not find the file of one that is missing."""
    with pytest.raises(lossreg.StateError, match=wanted):
        Made(now).accelerator.load_state(saved(tmp_path_factory.mktemp("saved"), was))


class Scaled(torch.nn.Module):
    """The cross-entropy of outputs times a weight that is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The loss of a batch."""
        return torch.nn.functional.cross_entropy(output * self.scale, target)


def test_weights_of_the_loss_go_on(tmp_path: Path) -> None:
    """A state has them once, however often the parts were prepared; with several processes they are refused."""

    def made() -> tuple[Any, lossreg.HostParts, Callable[[], list[torch.Tensor]]]:
        torch.manual_seed(1)
        accelerator = accelerate.Accelerator(cpu=True)
        parts = lossreg.parts(loss=Scaled(), optimizer="adam(lr=0.1)", scheduler="cosine")
        loader = DataLoader(TensorDataset(torch.randn(8, 2), torch.arange(8) % 3), 4)
        prepare(accelerator, parts, torch.nn.Linear(2, 3), loader, epochs=2)
        accelerator.free_memory()
        model, optimizer, loader, scheduler = prepare(accelerator, parts, torch.nn.Linear(2, 3), loader, epochs=2)

        def epoch() -> list[torch.Tensor]:
            for inputs, targets in loader:
                optimizer.zero_grad()
                accelerator.backward(parts.loss(model(inputs), targets))
                optimizer.step()
                scheduler.step()
            return [one.detach().clone() for one in (*model.parameters(), *parts.loss.parameters())]

        return accelerator, parts, epoch

    accelerator, _, epoch = made()
    begun = epoch()
    accelerator.save_state(str(tmp_path))
    straight = epoch()
    assert begun[-1] != straight[-1]
    assert len([*tmp_path.glob("custom_checkpoint_*")]) == 1
    accelerator, parts, epoch = made()
    accelerator.load_state(str(tmp_path))
    assert all(map(torch.equal, epoch(), straight))
    several = SimpleNamespace(
        num_processes=2, device="cpu", gradient_accumulation_steps=1, scaler=None, prepare_scheduler=None
    )
    with pytest.raises(lossreg.ConfigError, match=r"the loss .*Scaled has weights of its own, which would differ"):
        prepare(several, parts, torch.nn.Linear(2, 3), DataLoader(Stream()), epochs=1)


class Stream(IterableDataset[tuple[torch.Tensor, torch.Tensor]]):
    """Samples without a number."""

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        return iter([(torch.ones(2), torch.tensor(0))] * 4)


def test_a_loader_without_a_length() -> None:
    """It is told where a schedule goes by it."""
    made = Made(None)
    loader = DataLoader(Stream(), 2)
    made.ready = prepare(made.accelerator, made.parts, torch.nn.Linear(2, 3), loader, epochs=1)
    assert made.trained(1) == [1.0, 1.0]
    parts = lossreg.parts(scheduler="cosine")
    with pytest.raises(lossreg.ConfigError, match=r"the loader has no length .* builtin.cosine_annealing_lr goes by"):
        prepare(made.accelerator, parts, torch.nn.Linear(2, 3), loader, epochs=1)


def test_a_constant_rate_goes_on(tmp_path: Path) -> None:
    """Without a schedule before and after."""
    made = Made(None)
    made.accelerator.load_state(saved(tmp_path, None))
    assert made.trained(1) == [1.0, 1.0]
