"""On a GPU: the same training, nothing that waits for the device, graphs, pinned memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

import lossreg
from lossreg import RunResult, RunSpec
from lossreg.registry.registries import default
from lossreg.training.hardware.distributed import Processes
from lossreg.training.selection import Request
from lossreg.training.setup.assembly import set_up

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import TrainEpochs

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU with CUDA on this machine"),
    # What torch says of the mode that finds waiting.
    pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype feature:UserWarning"),
]

SMALL = {"epochs": 2, "limit_train": 500, "limit_test": 100, "log_every": 10**6}


def test_a_gpu_trains_as_the_cpu_does(run: Callable[..., RunResult], weights: Callable[[nn.Module], Tensor]) -> None:
    """In float32 weights and metrics agree with those of the CPU to the rounding of other kernels."""
    cpu, gpu = run(**SMALL), run(device="cuda", **SMALL)
    torch.testing.assert_close(weights(gpu.model), weights(cpu.model), atol=1e-3, rtol=1e-2)
    assert gpu.final["test_loss"] == pytest.approx(cpu.final["test_loss"], rel=1e-2)


def test_auto_takes_the_gpu_and_bfloat16(run: Callable[..., RunResult]) -> None:
    """`auto` is the GPU, and bf16 where it has that; the optimizer is fused."""
    result = run(device="auto", precision="auto", **SMALL)
    record = json.loads((result.directory / "run.json").read_text())
    assert record["device"] == "cuda:0"
    assert record["precision"]["used"] == ("bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "32")
    assert record["components"]["optimizer"]["params"]["fused"] is True


@pytest.fixture
def nothing_waits() -> Iterator[None]:
    """Makes it an error to wait for the device."""
    yield
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.usefixtures("nothing_waits")
@pytest.mark.parametrize("loss", ["cross_entropy", "cross_entropy(ignore_index=3)", "dice"])
@pytest.mark.parametrize(
    "settings", [{}, {"accumulate": 2}, {"clip_grad_norm": 1.0}, {"precision": "bf16"}, {"loader": "dataloader"}]
)
def test_steps_that_log_nothing_do_not_wait(train_epochs: TrainEpochs, loss: str, settings: dict[str, object]) -> None:
    """A whole epoch of training runs without one synchronisation, but for the loss at its end."""
    spec = RunSpec.from_mapping({**SMALL, "precision": "32", "loss": loss, "device": "cuda", **settings}, "")
    parts = set_up(Request(spec, {}, default), Processes(), quiet=True)
    step = train_epochs(parts, range(1))  # the optimizer makes its state, and cuDNN chooses
    plan = parts.samples.plan
    batches = parts.samples.splits["train"].epoch(plan, 0, 1)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    for step_plan in plan:
        step(batches, step_plan)


@pytest.mark.filterwarnings("default")  # of its own parts the compiler warns as it likes
def test_compiled_runs_agree(run: Callable[..., RunResult], weights: Callable[[nn.Module], Tensor]) -> None:
    """Captured graphs give the rates and, to rounding, the weights of an eager run."""
    usual = {**SMALL, "device": "cuda", "scheduler": "lambda_lr(lr_lambda='1 / (1 + epoch)')"}
    eager, compiled = run(**usual), run(compile=True, **usual)
    torch.testing.assert_close(weights(compiled.model), weights(eager.model), atol=1e-3, rtol=1e-2)
    assert [row["lr"] for row in compiled.metrics] == [row["lr"] for row in eager.metrics]


def test_two_workers_feed_the_gpu(run: Callable[..., RunResult], weights: Callable[[nn.Module], Tensor]) -> None:
    """Batches through pinned memory train as resident ones do."""
    resident = run(device="cuda", **SMALL)
    loaded = run(device="cuda", loader="dataloader", workers=2, **SMALL)
    torch.testing.assert_close(weights(loaded.model), weights(resident.model), atol=1e-4, rtol=1e-3)


def test_a_device_that_is_not_there_is_refused() -> None:
    """An index beyond the last GPU is an error before anything is loaded."""
    with pytest.raises(lossreg.DeviceError, match="does not exist"):
        lossreg.plan(device=f"cuda:{torch.cuda.device_count()}")
