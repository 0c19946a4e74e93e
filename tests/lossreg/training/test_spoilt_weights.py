"""Weights that are not finite: no file of a run keeps them, and a run that ends with them has failed."""

from __future__ import annotations

import json
import logging
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import lossreg
from lossreg import Data

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Run = Callable[..., lossreg.RunResult]

STEPS = 3  # of an epoch


class Overflows(torch.optim.SGD):
    """SGD that makes the first weight infinite in a step."""

    def __init__(self, params: Any, lr: float = 0.1, *, at: int = STEPS) -> None:
        super().__init__(params, lr=lr)
        self.at, self.steps = at, 0

    def step(self, closure: Any = None) -> Any:
        """A step."""
        result = super().step(closure)
        self.steps += 1
        if self.steps == self.at:
            with torch.no_grad():
                self.param_groups[0]["params"][0].view(-1)[0] = torch.inf
        return result


@pytest.fixture
def usual() -> dict[str, Any]:
    """A run of 3 steps an epoch, in whose last step a weight overflows."""
    inputs, targets = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), torch.zeros(6, 1)
    data = Data((inputs, targets), (inputs, targets), "regression", (3,), out_features=1)
    return {"data": data, "model": nn.Linear(3, 1), "optimizer": Overflows, "batch_size": 2, "epochs": 1}


def kept(run: Run, **settings: Any) -> tuple[lossreg.RunFailedError, Path]:
    """The error of a run that fails, and its directory."""
    directories: list[Path] = []

    class Seen:
        def lossreg_run_started(self, run: lossreg.Run) -> None:
            directories.append(run.directory)

    with pytest.raises(lossreg.RunFailedError) as caught:
        run(**settings, observers=[Seen()])
    return caught.value, directories[0]


@pytest.mark.parametrize(
    "settings", [{}, {"checkpoint_every": None}, {"checkpoint_every": None, "patience": 2}], ids=str
)
def test_a_run_whose_last_step_overflows_fails(
    run: Run, usual: dict[str, Any], settings: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """With checkpoints or without, no model.safetensors is written, a warning says why, and the record says failed."""
    with caplog.at_level(logging.WARNING):
        error, directory = kept(run, **usual, **settings)
    assert "the weights are not finite after epoch 0, step 3" in str(error)
    assert not (directory / "model.safetensors").exists()
    assert (
        f"{directory / 'model.safetensors'} is not written: the weights hold NaN or infinity in weight" in caplog.text
    )
    record = json.loads((directory / "run.json").read_text())
    assert (record["status"], record["files"]) == ("failed", {})


def test_the_last_good_checkpoint_is_named(run: Run, usual: dict[str, Any]) -> None:
    """The message of a run that fails in its second epoch names that of the first, whose weights are finite."""
    usual["optimizer"] = lambda params: Overflows(params, at=2 * STEPS)
    error, directory = kept(run, **{**usual, "epochs": 2})
    checkpoint = directory / "checkpoints" / "epoch-0001-step-00000003"
    assert str(error).endswith(f"\n  the last checkpoint, whose weights are finite: {checkpoint}")
    assert all(bool(one.isfinite().all()) for one in load_file(checkpoint / "model.safetensors").values())


def test_the_best_epoch_is_kept_where_a_later_one_overflows(run: Run, usual: dict[str, Any]) -> None:
    """With patience the weights of the best epoch are finite: they are written, and the run ends well."""
    usual["optimizer"] = lambda params: Overflows(params, at=2 * STEPS)
    result = run(**{**usual, "epochs": 2}, patience=5, checkpoint_every=None)
    assert result.best_epoch == 0
    assert all(bool(one.isfinite().all()) for one in load_file(result.directory / "model.safetensors").values())


def test_a_mask_that_was_infinite_before_is_no_fault(run: Run, usual: dict[str, Any]) -> None:
    """A buffer of -inf is saved as it is, also where a signal ends the run."""

    class Masked(nn.Module):
        mask: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 1)
            self.register_buffer("mask", torch.tensor([-torch.inf]))

        def forward(self, inputs: Tensor) -> Tensor:
            output: Tensor = self.layer(inputs)
            return output.maximum(self.mask)

    class Interrupts:
        def lossreg_logged(self, run: lossreg.Run, record: Mapping[str, Any]) -> None:
            self.directory = run.directory
            signal.raise_signal(signal.SIGINT)

    observer = Interrupts()
    with pytest.raises(KeyboardInterrupt):
        run(
            **{**usual, "model": Masked(), "optimizer": "sgd"}, log_every=1, checkpoint_every=None, observers=[observer]
        )
    assert load_file(observer.directory / "model.safetensors")["mask"].item() == -torch.inf
