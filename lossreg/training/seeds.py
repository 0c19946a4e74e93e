"""Every random number of a run follows from its seed: the streams, in one place.

| What is drawn | Stream |
|---|---|
| initial weights, and what a data set draws when it is built | those of Python, numpy and torch, set before each |
| the validation split | a hash of each sample with `seed` as its key (`data/validation.py`) |
| order of samples in an epoch | `numpy.random.default_rng([seed, epoch])` |
| what random transforms make of a sample | a seed for each sample from `numpy.random.default_rng([seed, epoch, 1])` |
| dropout, and what else the model draws in training | these as building left them; in rank > 0 set anew |
| the same in a pass that makes statistics of batch normalisation | these, set for it and put back |
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

EVALUATION_EPOCH = 0  # the samples of a test split are read with the same seeds after every epoch


def seed_construction(seed: int) -> None:
    """Before the data set is built, and again before model and loss: what the data set draws must not change them."""
    _seed_all(seed)


def _seed_all(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)  # it takes 32 bits
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:  # it would note the seed for devices that do not exist, with three formatted stacks
        torch.default_generator.manual_seed(seed)


def seed_process(seed: int, rank: int) -> None:
    """Before training: every process but the first draws numbers of its own, or all would drop the same units."""
    if rank:
        _seed_all(int(np.random.SeedSequence([seed, rank]).generate_state(1)[0]))


@contextlib.contextmanager
def forked_generators(device: torch.device | None = None) -> Iterator[None]:
    """Puts all generators back after the block: Python's, numpy's, and torch's of the CPU and the accelerators.

    Args:
        device: Where the block computes; None are all that this process uses already.
    """
    with kept_generators(), torch.random.fork_rng(_indices(device)):
        yield


def _indices(device: torch.device | None) -> Sequence[int]:
    """The accelerators that a block may draw from; asking for their generators begins to use them."""
    accelerator = torch.accelerator.current_accelerator()
    if accelerator is None:
        return ()
    module = torch.get_device_module(accelerator)
    in_use = getattr(module, "is_initialized", lambda: True)  # torch.mps does not tell
    is_used = in_use() if device is None else device.type == accelerator.type
    return range(module.device_count()) if is_used else ()


@contextlib.contextmanager
def seeded_statistics(seed: int, rank: int, device: torch.device) -> Iterator[None]:
    """For a pass over the training split that is no training: what the model draws in it changes nothing after it."""
    of_device = [device.index or 0] if device.type not in ("cpu", "mps") else []
    kind = "cuda" if device.type == "cpu" else device.type
    with kept_generators(), torch.random.fork_rng(of_device, device_type=kind):
        _seed_all(int(np.random.SeedSequence([seed, rank, 1]).generate_state(1)[0]))
        yield


def order_generator(seed: int, epoch: int) -> np.random.Generator:
    """Decides the order of samples in an epoch."""
    # torch's CPU generator uses only 32 bits of its seed.
    return np.random.default_rng([seed, epoch])


def sample_seeds(seed: int, epoch: int, count: int) -> Tensor:
    """The seed with which each sample is read, for data sets that draw random numbers (augmentation).

    With the order it makes what is read a function of seed and epoch too, whatever reads it.

    Returns:
        `(count,)`, int64, 0 to 2**32 - 1, by index of the sample (not by position in the order).
    """
    return torch.from_numpy(np.random.default_rng([seed, epoch, 1]).integers(2**32, size=count, dtype=np.int64))


def seed_sample(seed: int) -> None:
    """Before a sample is read: Python's, numpy's and torch's generators of the CPU."""
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)  # torch.manual_seed would set the GPUs' too


@contextlib.contextmanager
def kept_generators() -> Iterator[None]:
    """Leaves the generators that `seed_sample` sets as they were."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def generator_states(device: torch.device) -> dict[str, Any]:
    """The states of all generators that a part of a run may draw from: Python's, numpy's, torch's of CPU and device."""
    states = {"python": random.getstate(), "numpy": np.random.get_state(), "cpu": torch.get_rng_state()}
    if device.type != "cpu":
        states["device"] = torch.get_device_module(device).get_rng_state(device)
    return states


def set_generator_states(states: Mapping[str, Any], device: torch.device) -> None:
    """Puts back what `generator_states` gave; that of another type of device is left out."""
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    torch.set_rng_state(states["cpu"])
    if "device" in states and device.type != "cpu":
        torch.get_device_module(device).set_rng_state(states["device"], device)
