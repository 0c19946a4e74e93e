"""Signals that reach a worker of a data loader while it starts."""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import os
import signal

import pytest
import torch

from lossreg.training.data.batch_plan import BatchPlan
from lossreg.training.data.load import load_split
from lossreg.training.data.splits import StreamedSplit


class _Marker:
    """What a function that is called in each forked process belongs to."""


@pytest.mark.skipif(multiprocessing.get_start_method() != "fork", reason="workers are not forked here")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_worker_outlives_a_signal_while_it_starts(number: signal.Signals) -> None:
    """As when a terminal or SLURM sends it to all processes of a run, one of which has just been forked."""
    marker = _Marker()
    multiprocessing.util.register_after_fork(marker, lambda _: os.kill(os.getpid(), number))
    samples = torch.arange(8.0).reshape(8, 1), torch.arange(8)
    split = load_split(samples, "classification", None, torch.device("cpu"), "here", loader="dataloader", workers=1)
    assert isinstance(split, StreamedSplit)
    try:
        batches = list(split.epoch(BatchPlan(8, 4), seed=0, epoch=0))
    finally:
        split.close()
    assert sorted(torch.cat([targets for _, targets in batches]).tolist()) == list(range(8))
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
