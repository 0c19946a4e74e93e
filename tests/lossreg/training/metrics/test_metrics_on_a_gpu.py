"""Metrics on a GPU: the values of the CPU, and no batch that waits for the device."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

import lossreg
from lossreg.registry.registries import default

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU with CUDA on this machine"),
    # What torch says of the mode that finds waiting.
    pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype feature:UserWarning"),
]

CLASSES = 5


@pytest.fixture
def waiting() -> Iterator[None]:
    """Puts the mode back that lets a program wait for the device."""
    yield
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.usefixtures("waiting")
@pytest.mark.parametrize("name", [entry.name for entry in default.metrics.values()])
def test_a_batch_does_not_wait(name: str) -> None:
    """Updates leave their numbers on the device; the value is that of the CPU."""
    component = lossreg.metrics[name].component
    generator = torch.Generator().manual_seed(0)
    output, targets = torch.randn(40, CLASSES, generator=generator), torch.randint(CLASSES, (40,), generator=generator)
    given, target = output, targets
    if component.target == "multilabel":
        given, target = (output > 0).long(), (output.roll(1) > 0).long()
    elif component.target == "dense":
        target = output.roll(1)
    elif component.input == "labels":
        given = output.argmax(1)
    supplied = {"num_classes": CLASSES, "ignore_index": 2, "k": 2}
    params = {key: value for key, value in supplied.items() if key in lossreg.metrics[name].signature.parameters}
    on_cpu, on_gpu = (lossreg.metrics.build(name, **params) for _ in range(2))
    if hasattr(on_gpu, "to"):
        on_gpu.to(torch.device("cuda"))
    moved = given.cuda(), target.cuda()
    on_cpu.update(given, target)
    torch.cuda.set_sync_debug_mode("error")
    on_gpu.update(*moved)
    torch.cuda.set_sync_debug_mode("default")
    assert float(on_gpu.compute()) == pytest.approx(float(on_cpu.compute()), rel=1e-6)
