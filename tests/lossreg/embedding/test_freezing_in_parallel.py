"""Freezing a model that DistributedDataParallel is around already."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import lossreg


@pytest.fixture
def group(tmp_path: Path) -> Iterator[None]:
    """A group of this process alone."""
    dist.init_process_group("gloo", rank=0, world_size=1, init_method=f"file://{tmp_path}/store")
    yield
    dist.destroy_process_group()


def network() -> nn.Sequential:
    """Two layers."""
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))


def parameters(model: nn.Module) -> list[torch.Tensor]:
    """Weight and bias of each layer."""
    return list(model.parameters())


@pytest.mark.usefixtures("group")
def test_what_is_waited_for_is_not_frozen() -> None:
    """It would fail in the second step; the message says what to do, and nothing stays frozen."""
    model = network()
    wrapped = DistributedDataParallel(model)
    with pytest.raises(lossreg.ConfigError, match=r"freeze names 0\.weight and 1 more, for whose gradient") as caught:
        lossreg.parts(freeze="0.*").optimizer(wrapped)
    assert "call parts.optimizer before DistributedDataParallel" in str(caught.value)
    assert all(one.requires_grad for one in model.parameters())


@pytest.mark.usefixtures("group")
def test_both_ways_out_train() -> None:
    """Frozen before it is wrapped, or with parameters that may have no gradient: two steps change the rest alone."""
    for before in (True, False):
        model = network()
        parts = lossreg.parts(freeze="0.*", optimizer="sgd(lr=0.1)")
        first = parts.optimizer(model) if before else None
        wrapped = DistributedDataParallel(model, find_unused_parameters=not before)
        optimizer = first or parts.optimizer(wrapped)
        first_layer, last_layer = (weights.clone() for weights in (parameters(model)[0], parameters(model)[2]))
        for _ in range(2):
            optimizer.zero_grad()
            wrapped(torch.ones(5, 3)).sum().backward()
            optimizer.step()
        assert torch.equal(parameters(model)[0], first_layer)
        assert not torch.equal(parameters(model)[2], last_layer)
