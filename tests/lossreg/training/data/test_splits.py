"""A split as one tensor or through a data loader: the training is the same."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

import lossreg
from lossreg import Data
from lossreg.training.data.order import sample_order

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import Run, Weights
    from tests.lossreg.training.data.conftest import Images, Pictures, Spoilt


@pytest.mark.parametrize("workers", [0, 2])
def test_the_data_loader_trains_as_resident_tensors_do(
    run: Run,
    weights: Weights,
    images: type[Images],
    pictures: Pictures,
    convolution: Callable[[], nn.Module],
    workers: int,
) -> None:
    """Weights and metrics are the same bits whichever way the samples take, dropout and ragged batch included."""
    usual = {"epochs": 2, "batch_size": 16, "log_every": 2}
    split = images(shift=False)
    tensors = pictures((split.images, split.targets), (split.images, split.targets))
    resident = run(data=tensors, model=convolution(), **usual)
    loaded = run(data=tensors, model=convolution(), loader="dataloader", workers=workers, **usual)
    one_by_one = run(data=pictures(split, split), model=convolution(), workers=workers, **usual)
    for other in (loaded, one_by_one):
        assert weights(other.model).equal(weights(resident.model))
        assert [row["test_loss"] for row in other.metrics] == [row["test_loss"] for row in resident.metrics]


def test_the_order_is_that_of_numpy_on_both_ways(run: Run) -> None:
    """Batches hold the samples of `default_rng([seed, epoch]).permutation(n)`, one after the other."""
    inputs = torch.arange(20.0).unsqueeze(1)
    seen: list[float] = []

    class Watching(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # torch's word
            if self.training:
                seen.extend(input.flatten().tolist())
            return super().forward(input)

    for loader in ("resident", "dataloader"):
        model = Watching(1, 1)
        data = Data((inputs, inputs), (inputs, inputs), "regression", (1,), out_features=1)
        run(data=data, model=model, optimizer="sgd(lr=1e-9)", epochs=2, batch_size=8, seed=3, loader=loader)
        epochs = [sample_order(3, epoch, 20).tolist() for epoch in range(2)]
        assert seen[-40:] == [float(index) for epoch in epochs for index in epoch]


def die_in_a_worker() -> tuple[Tensor, int]:
    """Ends the process that reads, as the system does when the memory runs out."""
    if torch.utils.data.get_worker_info() is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    return torch.zeros(3, 8, 8), 0


def test_a_worker_that_is_killed_is_explained(
    run: Run, spoilt: type[Spoilt], pictures: Pictures, convolution: Callable[[], nn.Module]
) -> None:
    """A worker that something else ends is one sentence about memory and workers."""
    with pytest.raises(lossreg.DataError, match="a worker was ended from outside"):
        run(data=pictures(spoilt(40, die_in_a_worker)), model=convolution(), epochs=1, workers=1)


def fail() -> tuple[Tensor, int]:
    """Is an error of the data set."""
    raise ValueError("it")


def test_workers_end_with_the_run(
    run: Run, spoilt: type[Spoilt], pictures: Pictures, convolution: Callable[[], nn.Module]
) -> None:
    """No worker outlives a run that failed, though its error is kept."""
    with pytest.raises(lossreg.DataError) as kept:
        run(data=pictures(spoilt(40, fail)), model=convolution(), epochs=1, batch_size=16, workers=2)
    deadline = time.monotonic() + 120  # only a worker that never ends is waited for so long
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert multiprocessing.active_children() == [], kept
