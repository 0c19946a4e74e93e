"""Runs that are the same on every machine, the loop that they are compared with, and their weights."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

import lossreg
from lossreg import Data, RunResult
from lossreg.training.agenda import Agenda
from lossreg.training.early_stopping import EarlyStopping
from lossreg.training.finite_loss import FiniteLoss
from lossreg.training.hooks import RunHooks
from lossreg.training.limits import Limits
from lossreg.training.loop import train_epoch, training_step
from lossreg.training.resume.saver import Saver
from lossreg.training.resume.session import Session
from lossreg.training.state import Run as State
from lossreg.training.stops import SignalGuard

if TYPE_CHECKING:
    from lossreg.training.optim.step import TrainingStep
    from lossreg.training.parts import Parts
    from lossreg.training.weights import AveragedStep

Run = Callable[..., RunResult]
Weights = Callable[[nn.Module], Tensor]
Samples = tuple[Tensor, Tensor]


class HandLoop(Protocol):
    """A training loop as one writes it without lossreg."""

    def __call__(
        self,
        model: Callable[[Tensor], Tensor],
        loss: Callable[[Tensor, Tensor], Tensor],
        optimizer: torch.optim.Optimizer,
        samples: Samples,
        *,
        epochs: int = 1,
        batch_size: int = 64,
        seed: int = 0,
        scheduler: LRScheduler | None = None,
        after_backward: Callable[[], object] = lambda: None,
    ) -> None:
        """Trains.

        Args:
            model: From inputs to the output.
            loss: From output and targets to a number.
            optimizer: Holds what is trained. A run builds its SGD and Adam with `fused=True`: bit-equal weights need
                the same here, since on some CPUs an unfused step rounds otherwise.
            samples: Inputs and targets.
            epochs: How often all samples are taken.
            batch_size: Samples of a step.
            seed: Of the order of samples.
            scheduler: Steps after each epoch.
            after_backward: Called when the gradients of a step are known.
        """


@pytest.fixture
def hand_loop() -> HandLoop:
    """A plain PyTorch loop; in epoch e it takes the samples in the order `default_rng([seed, e]).permutation(n)`."""

    def train(
        model: Callable[[Tensor], Tensor],
        loss: Callable[[Tensor, Tensor], Tensor],
        optimizer: torch.optim.Optimizer,
        samples: Samples,
        *,
        epochs: int = 1,
        batch_size: int = 64,
        seed: int = 0,
        scheduler: LRScheduler | None = None,
        after_backward: Callable[[], object] = lambda: None,
    ) -> None:
        inputs, targets = samples
        for epoch in range(epochs):
            order = torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(len(inputs)))
            for indices in order.split(batch_size):

                def closure(indices: Tensor = indices) -> Tensor:
                    optimizer.zero_grad()
                    value = loss(model(inputs[indices]), targets[indices])
                    value.backward()
                    after_backward()
                    return value

                optimizer.step(closure)  # type: ignore[arg-type]  # torch annotates a float, and takes the tensor
            if scheduler is not None:
                scheduler.step()

    return train


class TrainEpochs(Protocol):
    """Trains some epochs as the loop does, without evaluation, checkpoints and hooks."""

    def __call__(self, parts: Parts, epochs: range) -> TrainingStep | AveragedStep:
        """Trains.

        Args:
            parts: The parts of a run.
            epochs: Which of its epochs.

        Returns:
            What made the steps.
        """


@pytest.fixture
def train_epochs() -> TrainEpochs:
    """Calls `train_epoch` with what a run gives it."""

    def train(parts: Parts, epochs: range) -> TrainingStep | AveragedStep:
        run = State(parts.spec, Path(), parts)
        session = Session(run, EarlyStopping(run), FiniteLoss(run))
        step = session.watch.step = training_step(parts, session.watch.guard())
        agenda = Agenda(parts.spec, parts.processes, SignalGuard())
        saver = Saver(parts.spec, agenda, None, lambda: 0)
        for epoch in epochs:
            session.begin_epoch(epoch)
            parts.weights.begin_epoch()
            train_epoch(session, step, RunHooks.none(), saver, agenda, Limits(run))
            parts.weights.end_epoch(epoch)
        return step

    return train


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`lossreg.run` without progress and in float32, on every machine, each time into a new directory."""
    number = itertools.count()

    def quiet_run(**arguments: Any) -> RunResult:
        return lossreg.run(
            **{"quiet": True, "precision": "32", "device": "cpu", "out": tmp_path / f"run{next(number)}", **arguments}
        )

    return quiet_run


@pytest.fixture
def weights() -> Weights:
    """All weights and buffers of a model in one tensor, on the CPU, in float64, which holds every float32 exactly."""
    return lambda model: torch.cat([value.detach().cpu().double().flatten() for value in model.state_dict().values()])


@pytest.fixture(scope="session")
def digits() -> Samples:
    """Inputs and targets of the training split of the digits."""
    train = lossreg.datasets.build("digits").train
    assert isinstance(train, tuple)
    return train


@pytest.fixture(scope="session")
def digits_test() -> Samples:
    """Inputs and targets of the test split of the digits."""
    test = lossreg.datasets.build("digits").test
    assert isinstance(test, tuple)
    return test


@pytest.fixture
def float64(digits: Samples, digits_test: Samples) -> Iterator[Data]:
    """Makes float64 torch's default type for models and losses, and gives the digits in it.

    Where two ways to compute the same are compared, what is left of their difference is rounding. In float64 it is
    2**29 times smaller than in float32, so that a bound which holds on every machine still shows any other difference.
    """
    data = lossreg.datasets.build("digits")
    torch.set_default_dtype(torch.float64)
    yield attrs.evolve(data, train=(digits[0].double(), digits[1]), test=(digits_test[0].double(), digits_test[1]))
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def tutorial_model() -> Callable[[], nn.Module]:
    """Makes the tutorial's network, written by hand, in the layout that a run gives to convolutions."""

    def make() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 32, 3), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(1600, 64), nn.ReLU(), nn.Linear(64, 10),
        ).to(memory_format=torch.channels_last)  # fmt: skip

    return make


@pytest.fixture
def table() -> Callable[..., Data]:
    """Makes a classification of random rows."""

    def make(rows: int = 64, features: int = 4, classes: int = 3) -> Data:
        generator = torch.Generator().manual_seed(0)
        inputs = torch.randn(rows, features, generator=generator)
        targets = torch.randint(classes, (rows,), generator=generator)
        return Data((inputs, targets), (inputs, targets), "classification", (features,), num_classes=classes)

    return make


@pytest.fixture
def run_table(run: Run, table: Callable[..., Data], tmp_path: Path) -> Run:
    """`run` for one epoch on the table with a linear model, into `out`, unless the arguments say otherwise."""

    def one_epoch(**arguments: Any) -> RunResult:
        usual: dict[str, Any] = {"data": table(), "model": nn.Linear(4, 3), "epochs": 1, "out": tmp_path / "out"}
        return run(**{**usual, **arguments})

    return one_epoch


@pytest.fixture
def registries() -> lossreg.Registries:
    """The built-ins with OneCycleLR and ReduceLROnPlateau, as a plugin would offer them."""
    made = lossreg.load_registries(allow=[])
    made.schedulers.register(
        "one_cycle", "torch.optim.lr_scheduler:OneCycleLR", interval="step", runtime_args={"total_steps": "total_steps"}
    )
    made.schedulers.register(
        "plateau", "torch.optim.lr_scheduler:ReduceLROnPlateau", monitor="test_loss", defaults={"patience": 0}
    )
    return made


@pytest.fixture
def two_processes(warm_python: str, tmp_path: Path) -> Callable[[str], None]:
    """Runs a script in two processes that torchrun starts in `tmp_path`, each with one thread; fails if one does."""

    def execute(script: str) -> None:
        (tmp_path / "script.py").write_text(script)
        start = [warm_python, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "script.py"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            start, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=240
        )
        assert done.returncode == 0, done.stderr

    return execute
