"""Runs every case of CASES into folders below the one that is named, in as many processes as start this together.

torchrun --nproc-per-node 2 together.py DIR trains with two, python together.py DIR alone. All compute in float64, so
that what the two ways differ by is either rounding far below any learning rate, or a fault.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import attrs
import schedulefree
import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import Tensor, nn

import lossreg
from lossreg import Data

#: Name -> arguments of `lossreg.run`; 129 samples, or 33, leave one for the last batch, and one process without any.
#: The eps of Adam keeps it from dividing what is nothing but rounding by what is nothing but rounding. How a step is
#: shared does not depend on the model: `plain` has the convolutions of the main job, which take most of the time; where
#: layers are named, `small` has the same with fewer channels.
CASES: dict[str, dict[str, Any]] = {
    "plain": {
        "loss": "cross_entropy", "model": "mnist_cnn", "batch_size": 16, "limit_train": 33, "limit_test": 18,
    },
    "mse": {"loss": "mse", "batch_size": 63},
    "weights": {"loss": "cross_entropy(weight=[1, 2, 3, 4, 5, 6, 7, 8, 9, 0], label_smoothing=0.1)"},
    "balanced": {"loss": "cross_entropy(weight=balanced)", "loader": "dataloader", "workers": 0},
    "ignored": {"loss": "cross_entropy(ignore_index=3)", "batch_size": 4},
    "sum": {"loss": "cross_entropy(reduction='sum')", "optimizer": "sgd(lr=1e-4)"},
    "accumulated": {"loss": "cross_entropy(ignore_index=3)", "batch_size": 10, "accumulate": 3, "clip_grad_norm": 0.5},
    "loader": {"loss": "cross_entropy", "loader": "dataloader", "workers": 1},
    "schedule": {
        "loss": "l1", "optimizer": "adam(eps=0.01)", "scheduler": "lambda_lr(lr_lambda='1 / (1 + step)')",
        "scheduler_interval": "step",
    },
    "closure": {
        "data": "diabetes", "loss": "mse", "optimizer": "lbfgs(max_iter=3)", "batch_size": 100,
        "limit_train": None,
    },
    "sam": {
        "data": "diabetes", "loss": "mse", "optimizer": "sam(sgd(lr=1e-6), rho=0.05)", "batch_size": 100,
        "limit_train": None,
    },
    "learned": {"loss": "tempered"},
    "moving": {"loss": "tempered", "weights": "ema(0.9)"},
    "mean": {"loss": "cross_entropy", "weights": "swa(start=0)"},
    "modes": {"loss": "cross_entropy", "optimizer": schedulefree.SGDScheduleFree},
    "validated": {
        "model": "small", "loss": "cross_entropy", "validate": "fold(2/3)", "patience": 1,
        "optimizer": "sgd(lr=1.5)", "epochs": 6,
    },
    "mixed": {
        "model": "small", "optimizer": "adam(eps=0.01)",
        "param_groups": {"ndim>=2 & !7.*": "sgd(lr=0.02)", "no_decay": True},
        "batch_size": 10, "accumulate": 3, "clip_grad_norm": 0.5,
    },
    "frozen": {"model": "small", "freeze": "0.*, 2.*", "unfreeze": "2.*@1", "optimizer": "adam(eps=0.01)"},
}  # fmt: skip


def small() -> nn.Module:
    """The model of the main job with a few channels."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.Conv2d(4, 8, 3), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(200, 16), nn.ReLU(), nn.Linear(16, 10),
    )  # fmt: skip


class Tempered(nn.Module):
    """Cross-entropy at a temperature that is learned."""

    def __init__(self) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(()))

    def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The loss."""
        return nn.functional.cross_entropy(output / self.temperature, target)


class Unused(nn.Module):
    """A model with a layer that the output does not depend on."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Linear(784, 10), nn.Linear(784, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits."""
        return self.used(images.flatten(1))  # type: ignore[no-any-return]  # nn.Module's call is not annotated


class Drawing(nn.Module):
    """A linear model that keeps a random number of each batch that it is trained on, as dropout would draw it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(784, 10)
        self.drawn: list[float] = []

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        if self.training:
            self.drawn.append(torch.rand(()).item())
        return self.linear(images.flatten(1))  # type: ignore[no-any-return]  # nn.Module's call is not annotated


def in_float64(data: Data) -> Data:
    """The data with all numbers in float64."""

    def doubled(split: Any) -> tuple[Tensor, Tensor]:
        inputs, targets = split
        return inputs.double(), targets.double() if targets.is_floating_point() else targets

    return attrs.evolve(data, train=doubled(data.train), test=doubled(data.test))


class Stopper:
    """Asks for the end of a run; hooks are called in one process, and all have to end."""

    def lossreg_logged(self, run: lossreg.Run, record: dict[str, Any]) -> None:
        """Asks for it."""
        run.request_stop("enough")


def main() -> None:
    """Runs the cases."""
    folder = Path(sys.argv[1])
    if dist.is_torchelastic_launched():
        dist.init_process_group("gloo")  # lossreg joins the group of the program that calls it
    torch.set_default_dtype(torch.float64)
    digits, diabetes = (in_float64(lossreg.datasets.build(name)) for name in ("digits", "diabetes"))
    rank = dist.get_rank() if dist.is_initialized() else 0
    lossreg.models.register("small")(small)
    lossreg.losses.register("tempered", target="index", averages="sample")(Tempered)
    usual: dict[str, Any] = {
        "data": digits, "model": "mlp", "epochs": 2, "limit_train": 129, "limit_test": 70, "precision": "32",
        "device": "cpu", "quiet": True, "log_every": 2,
    }  # fmt: skip
    for name, arguments in CASES.items():
        data = {"data": diabetes, "model": "mlp"} if arguments.get("data") == "diabetes" else {}
        lossreg.run(**{**usual, **arguments, **data, "out": folder / name})
    torch.manual_seed(0)
    lossreg.run(**{**usual, "model": Unused(), "out": folder / "unused"})
    stopped = lossreg.run(**{**usual, "batch_size": 16, "observers": [Stopper()], "out": folder / "stopped"})
    assert stopped.reason == "enough"  # in each process
    assert stopped.directory == folder / "stopped"
    torch.manual_seed(0)
    drawing = Drawing()
    lossreg.run(**{**usual, "model": drawing, "batch_size": 43, "out": folder / "drawing"})
    (folder / f"drawn{rank}.json").write_text(json.dumps(drawing.drawn))
    torch.manual_seed(0)
    normed = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(784), nn.Linear(784, 10))
    averaged = {"model": normed, "batch_size": 43, "weights": "ema(0.5)", "out": folder / "statistics"}
    held = lossreg.run(**{**usual, **averaged}).model
    kept = load_file(folder / "statistics" / "model.safetensors")
    assert all(value.equal(kept[name]) for name, value in held.state_dict().items())  # in each
    logging.basicConfig(filename=None if rank else folder / "warnings.txt")
    torch.manual_seed(0)
    normed = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(784), nn.Linear(784, 10))
    warned = lossreg.run(**{**usual, "model": normed, "loss": "dice", "batch_size": 43, "out": folder / "warned"})
    kept = load_file(folder / "warned" / "model.safetensors")
    assert all(value.equal(kept[name]) for name, value in warned.model.state_dict().items())  # in each
    generator = torch.Generator().manual_seed(0)
    inputs, targets = torch.rand(3, 4, generator=generator), torch.randint(2, (3,), generator=generator)
    few = Data((inputs, targets), (inputs, targets), "classification", (4,), num_classes=2)
    torch.manual_seed(0)
    lossreg.run(**{**usual, "data": few, "model": nn.Linear(4, 2), "batch_size": 1, "out": folder / "single"})
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
