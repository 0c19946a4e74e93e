"""In what a model computes: what is chosen, and that losses get float32."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import lossreg
from lossreg.training.hardware import precision
from lossreg.training.hardware.precision import choose_precision

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import HandLoop, Run, Samples, Weights

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("device", "fast", "model", "chosen"),
    [
        ("cpu", False, nn.Conv2d(1, 1, 1), "32"),
        ("cpu", True, nn.Conv2d(1, 1, 1), "bf16"),
        ("cpu", True, nn.Linear(1, 1), "32"),
        ("cuda:0", False, nn.Conv2d(1, 1, 1), "32"),
        ("cuda:0", True, nn.Linear(1, 1), "bf16"),
        ("mps:0", False, nn.Linear(1, 1), "32"),
    ],
)
def test_auto_is_what_suits_device_and_model(
    monkeypatch: pytest.MonkeyPatch, device: str, fast: bool, model: nn.Module, chosen: str
) -> None:
    """`auto` is bfloat16 where the device has it fast, on a CPU only for convolutions; there is a reason for each."""
    monkeypatch.setattr(precision, "_has_fast_bf16", lambda _: fast)
    result = choose_precision("auto", torch.device(device), model, closure=False)
    assert result.name == chosen
    assert result.reason


def test_a_cpu_says_whether_it_has_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU torch is asked for AMX and AVX512_BF16."""
    for amx, avx in ((False, False), (True, False), (False, True)):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda amx=amx: amx)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda avx=avx: avx)
        assert precision._has_fast_bf16(CPU) is (amx or avx)


class Watching(nn.Module):
    """Cross-entropy that keeps the type of what it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.dtype] = []

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        self.seen.append(output.dtype)
        return functional.cross_entropy(output, target)


@pytest.mark.parametrize(("name", "dtype"), [("bf16", torch.bfloat16), ("16", torch.float16)])
def test_the_model_computes_in_16_bits_and_the_loss_in_32(run: Run, name: str, dtype: torch.dtype) -> None:
    """Under autocast the model's output has 16 bits, the loss gets float32, and the weights stay float32."""
    loss = Watching()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    outputs: list[torch.dtype] = []
    model.register_forward_hook(lambda *seen: outputs.append(seen[2].dtype))
    result = run(precision=name, loss=loss, model=model, epochs=1, limit_train=128, limit_test=64)
    assert set(outputs) == {dtype}
    assert set(loss.seen) == {torch.float32}
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert json.loads((result.directory / "run.json").read_text())["precision"]["used"] == name


def test_bf16_is_the_plain_loop_under_autocast(
    run: Run, weights: Weights, hand_loop: HandLoop, digits: Samples, tutorial_model: Callable[[], nn.Module]
) -> None:
    """A hand-written loop with torch.autocast ends with the same bits."""
    result = run(precision="bf16", optimizer="sgd(momentum=0.0)", epochs=1, limit_train=16, limit_test=8, batch_size=8)
    torch.manual_seed(0)
    model = tutorial_model()

    def predict(inputs: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            output: Tensor = model(inputs)
        return output.float()

    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, fused=True)
    hand_loop(predict, functional.cross_entropy, optimizer, (digits[0][:16], digits[1][:16]), batch_size=8)
    assert weights(result.model).equal(weights(model))


@pytest.mark.parametrize("name", ["bf16", "16"])
def test_16_bits_learn_as_32_do(run: Run, name: str) -> None:
    """Five epochs end near the loss of float32, momentum, clipping, accumulation and schedule included."""
    usual = {
        "model": "mlp", "epochs": 5, "limit_train": 512, "limit_test": 100, "batch_size": 16, "accumulate": 2,
        "clip_grad_norm": 1.0,
        "scheduler": "lambda_lr(lr_lambda='1 / (1 + 0.01 * step)')", "scheduler_interval": "step",
    }  # fmt: skip
    full, half = run(**usual), run(precision=name, **usual)
    assert half.final["train_loss"] == pytest.approx(full.final["train_loss"], rel=0.05)


def test_float16_steps_that_overflow_are_left_out(run: Run) -> None:
    """A loss so large that the first scaled gradients overflow does not reach weights or momentum."""
    result = run(
        model="mlp", precision="16", loss="cross_entropy(reduction='sum')", optimizer="sgd(lr=1e-5)", epochs=3,
        limit_train=512, limit_test=64,
    )  # fmt: skip
    assert all(weight.isfinite().all() for weight in result.model.parameters())
    losses = [row["train_loss"] for row in result.metrics]
    assert losses[-1] < losses[0]
    record = json.loads((result.directory / "run.json").read_text())
    assert record["components"]["optimizer"]["params"]["fused"] is None  # it would move its momentum


def test_float16_with_a_closure_is_refused(run: Run) -> None:
    """A gradient scaler cannot serve an optimizer with a closure, which is said before the run."""
    with pytest.raises(lossreg.ConfigError, match="precision 16 scales gradients"):
        run(precision="16", optimizer="lbfgs")


def test_a_whole_number_is_a_precision() -> None:
    """TOML's `precision = 32` is the word 32; other numbers are refused."""
    assert lossreg.RunSpec(precision=32).precision == "32"
    with pytest.raises(lossreg.ConfigError, match=r"precision \(--precision\) is 'auto', '32', 'bf16' or '16'"):
        lossreg.RunSpec(precision=64)
