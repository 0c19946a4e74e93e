"""The layout of images and weights is tried before the run, and does not decide which models work."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import lossreg
from lossreg import Data
from tests.table import for_each


def images(channels: int = 3, rows: int = 12) -> Data:
    """A classification of random 6x6 images in 3 classes."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(rows, channels, 6, 6, generator=generator)
    split = (inputs, torch.arange(rows) % 3)
    return Data(split, split, "classification", (channels, 6, 6), num_classes=3)


class Viewing(nn.Module):
    """Flattens what a convolution gives, or its own input, with `view`."""

    def __init__(self, *, inputs: bool) -> None:
        super().__init__()
        self.inputs = inputs
        self.convolution = nn.Conv2d(3, 4, 3)
        self.linear = nn.Linear(108 if inputs else 64, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        if self.inputs:
            return self.linear(x.view(len(x), -1)) + self.convolution(x).mean()  # type: ignore[no-any-return]  # torch's
        return self.linear(self.convolution(x).view(len(x), -1))  # type: ignore[no-any-return]  # see above


def convolution() -> nn.Module:
    """A model that works in every layout."""
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))


def by_hand(model: nn.Module, optimizer: torch.optim.Optimizer, data: Data) -> Tensor:
    """The weights after one step of the whole training split, in one vector, in the contiguous layout."""
    assert isinstance(data.train, tuple)
    order = torch.from_numpy(numpy.random.default_rng([0, 0]).permutation(len(data.train[1])))
    functional.cross_entropy(model(data.train[0][order]), data.train[1][order]).backward()
    optimizer.step()
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def one_step(tmp_path: Path, **arguments: Any) -> lossreg.RunResult:
    """A run of one step, on the CPU in float32."""
    usual: dict[str, Any] = {
        "data": images(), "epochs": 1, "batch_size": 12, "quiet": True, "device": "cpu", "precision": "32",
        "optimizer": lambda parameters: torch.optim.SGD(parameters, lr=0.1), "loss": "cross_entropy",
    }  # fmt: skip
    return lossreg.run(**{**usual, "out": tmp_path / "out", **arguments})


def layout_of(**arguments: Any) -> dict[str, str]:
    """The layout that a plan of `one_step` says."""
    usual: dict[str, Any] = {"data": images(), "device": "cpu", "precision": "32", "batch_size": 4}
    layout: dict[str, str] = lossreg.plan(**{**usual, **arguments}).facts["layout"]
    return layout


@pytest.mark.parametrize("inputs", [False, True])
def test_a_model_that_views_trains_as_in_a_plain_loop(tmp_path: Path, *, inputs: bool) -> None:
    """A model that flattens by `view` is trained in the contiguous layout, which says why."""
    torch.manual_seed(1)
    model, own = Viewing(inputs=inputs), Viewing(inputs=inputs)
    own.load_state_dict(model.state_dict())
    expected = by_hand(own, torch.optim.SGD(own.parameters(), lr=0.1), images())
    result = one_step(tmp_path, model=model)
    trained = torch.cat([weight.detach().flatten() for weight in result.model.parameters()])
    torch.testing.assert_close(trained, expected)
    layout = layout_of(model=Viewing(inputs=inputs))
    assert layout["memory_format"] == "contiguous_format"
    assert "failed in channels_last: RuntimeError: view size is not compatible" in layout["reason"]


def test_the_fast_layout_stays_where_it_works() -> None:
    """A model of convolutions without `view` is laid out channels-last."""
    assert layout_of(model=convolution())["memory_format"] == "channels_last"


class ViewingLoss(nn.Module):
    """Cross-entropy of a segmentation that flattens its input with `view`, or only on the way back."""

    def __init__(self, *, back: bool) -> None:
        super().__init__()
        self.back = back

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """0-d."""
        if self.back:
            return functional.cross_entropy(Back.apply(output), target)
        return functional.cross_entropy(output.view(len(output), -1).view(output.shape), target)


class Back(torch.autograd.Function):
    """The identity; what it keeps for the gradient is flattened with `view`."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        """The values."""
        ctx.save_for_backward(values)
        return values.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """The gradient."""
        kept: Tensor = ctx.saved_tensors[0]
        return gradients[0] + 0 * kept.view(-1).view(kept.shape)


@for_each("back", [False, True])
def test_a_loss_that_views_is_given_the_contiguous_layout(*, back: bool) -> None:
    """A loss that fails in channels-last, forward or backward, decides on the layout, too."""
    inputs = torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    split = (inputs, torch.zeros(8, 6, 6, dtype=torch.long))
    data = Data(split, split, "segmentation", (3, 6, 6), num_classes=2)
    layout = layout_of(data=data, model=nn.Conv2d(3, 2, 3, padding=1), loss=ViewingLoss(back=back))
    assert layout["memory_format"] == "contiguous_format"
    assert "view size is not compatible" in layout["reason"]


class ViewingSGD(torch.optim.SGD):
    """SGD that looks at its gradients with `view`, as AdamP, SGDP, Nero and SWATS do."""

    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # no loss comes back
        """A step."""
        for group in self.param_groups:
            for parameter in group["params"]:
                assert parameter.grad is not None
                parameter.grad.view(-1)
        super().step(closure)


def viewing_sgd(params: Iterable[nn.Parameter], lr: float = 0.1) -> ViewingSGD:
    """By name."""
    return ViewingSGD(params, lr=lr)


@pytest.mark.parametrize("given", ["name", "class", "function of the model", "object"])
def test_an_optimizer_that_views_steps_in_the_contiguous_layout(tmp_path: Path, given: str) -> None:
    """However the optimizer is given, it is tried on weights of the layout; the step is that of a plain loop."""
    torch.manual_seed(1)
    model, own = convolution(), convolution()
    own.load_state_dict(model.state_dict())
    expected = by_hand(own, torch.optim.SGD(own.parameters(), lr=0.1), images())
    registries = lossreg.load_registries(allow=[])
    registries.optimizers.register("viewing")(viewing_sgd)
    optimizers: dict[str, Any] = {
        "name": "viewing",
        "class": viewing_sgd,
        "function of the model": lambda _: viewing_sgd(model.parameters()),
        "object": viewing_sgd(model.parameters()),
    }
    optimizer = optimizers[given]
    layout = layout_of(model=convolution(), optimizer=optimizer, registries=registries) if given == "name" else None
    result = one_step(tmp_path, model=model, optimizer=optimizer, registries=registries)
    trained = torch.cat([weight.detach().flatten() for weight in result.model.parameters()])
    torch.testing.assert_close(trained, expected)
    assert layout is None or layout["reason"].startswith(
        "the optimizer viewing cannot step on weights in channels_last"
    )


def test_an_optimizer_that_never_steps_is_not_the_layout_s_fault() -> None:
    """An optimizer that fails in every layout fails with its own error."""

    def step(self: Any, closure: Any = None) -> None:
        raise RuntimeError("out of ideas")

    registries = lossreg.load_registries(allow=[])
    registries.optimizers.register("tired")(type("Tired", (torch.optim.SGD,), {"step": step}))
    with pytest.raises(lossreg.BuildError, match="optimizer tired cannot step on cpu: RuntimeError: out of ideas"):
        lossreg.plan(data=images(), model=convolution(), optimizer="tired", registries=registries, device="cpu")


@pytest.mark.parametrize("name", ["AdamP", "SGDP", "Nero", "SWATS"])
def test_optimizers_of_pytorch_optimizer_train_convolutions(tmp_path: Path, name: str) -> None:
    """The optimizers of pytorch_optimizer that take views of gradients train a model of convolutions."""
    if importlib.util.find_spec("pytorch_optimizer") is None:
        pytest.skip("pytorch_optimizer is not installed")
    registries = lossreg.load_registries(allow=[])
    registries.optimizers.register("foreign", f"pytorch_optimizer:{name}")
    result = one_step(tmp_path, model=convolution(), optimizer="foreign", batch_size=4, registries=registries)
    assert result.metrics[-1]["step"] == 3


def test_a_requested_layout_is_obeyed(tmp_path: Path) -> None:
    """`contiguous` is that, whatever would be faster; `channels_last` lays out weights that `auto` would not."""
    assert layout_of(model=convolution(), layout="contiguous") == {
        "memory_format": "contiguous_format",
        "reason": "as requested",
    }
    model = convolution()
    one_step(tmp_path, model=model, layout="channels_last")
    assert next(model.parameters()).is_contiguous(memory_format=torch.channels_last)
    assert not next(model.parameters()).is_contiguous()


@for_each(
    ("arguments", "said"),
    [
        ({"model": Viewing(inputs=False)}, "the layout channels_last was requested (--layout)"),
        ({"model": convolution(), "optimizer": "viewing"}, "the layout channels_last was requested (--layout)"),
        ({"data": "diabetes"}, "is a layout of images (N, channels, height, width)"),
    ],
)
def test_a_requested_layout_that_does_not_work_is_an_error(arguments: dict[str, Any], said: str) -> None:
    """A request is never replaced by another layout."""
    registries = lossreg.load_registries(allow=[])
    registries.optimizers.register("viewing")(viewing_sgd)
    with pytest.raises(lossreg.LossregError) as caught:
        layout_of(layout="channels_last", registries=registries, **arguments)
    assert said in str(caught.value)


def test_an_unknown_layout_is_an_error(lossreg_command: Callable[..., Any]) -> None:
    """The words are auto, contiguous and channels_last."""
    outcome = lossreg_command("plan", "--layout", "nhwc")
    assert outcome.code == 2
    assert "'auto', 'contiguous', 'channels_last'" in outcome.err


def test_weights_of_other_dimensions_keep_their_layout(tmp_path: Path) -> None:
    """A model with two- and three-dimensional convolutions trains; only the former are laid out channels-last."""

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.flat, self.deep = nn.Conv2d(3, 4, 3), nn.Conv3d(3, 4, (1, 3, 3))
            self.linear = nn.Linear(64, 3)

        def forward(self, x: Tensor) -> Tensor:
            both = self.flat(x) + self.deep(x.unsqueeze(2)).squeeze(2)
            return self.linear(both.flatten(1))  # type: ignore[no-any-return]  # torch's

    model = Both()
    one_step(tmp_path, model=model)
    assert not model.flat.weight.is_contiguous()
    assert model.deep.weight.is_contiguous()
