"""What a loss divides by is exact, and is compared with its values instead of believed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import lossreg
from lossreg import Data
from tests.table import for_each

#: The example of a report: cross-entropy with weight [1, 0] and smoothing 0.5 on the rows of the identity.
INPUTS = torch.eye(2)
TARGETS = torch.tensor([1, 0])
WEIGHTS = torch.tensor([[0.5, 0.0], [0.0, -0.5]])


def two_points() -> Data:
    """The data of the example."""
    return Data((INPUTS, TARGETS), (INPUTS, TARGETS), "classification", (2,), num_classes=2)


def points(rows: int = 24) -> Data:
    """A regression of random points."""
    generator = torch.Generator().manual_seed(0)
    split = (torch.randn(rows, 3, generator=generator), torch.randn(rows, 2, generator=generator))
    return Data(split, split, "regression", (3,), out_features=2)


def run(tmp_path: Path, **arguments: Any) -> lossreg.RunResult:
    """One epoch of plain gradient descent with rate 0.1."""
    usual: dict[str, Any] = {
        "epochs": 1, "quiet": True, "device": "cpu", "precision": "32",
        "optimizer": "sgd(lr=0.1, momentum=0.0)", "out": tmp_path / "out",
    }  # fmt: skip
    return lossreg.run(**{**usual, **arguments})


def smoothed() -> tuple[float, Tensor]:
    """Value and gradient of the example by the formula, in float64.

    Each sample adds (1 - s) w[y] l[y] + s / C sum_c w[c] l[c], with l the negative log-probabilities; the sum is
    divided by the sum of w[y].
    """
    weight = WEIGHTS.double().requires_grad_()
    classes = torch.tensor([1.0, 0.0], dtype=torch.float64)
    lost = -(INPUTS.double() @ weight.T).log_softmax(1)
    own = classes[TARGETS] * lost.gather(1, TARGETS.unsqueeze(1)).squeeze(1)
    value = (0.5 * own + 0.25 * (classes * lost).sum(1)).sum() / classes[TARGETS].sum()
    value.backward()
    assert weight.grad is not None
    return value.item(), weight.grad


@pytest.mark.parametrize(("batch_size", "accumulate"), [(1, 2), (2, 1)])
def test_a_target_without_weight_is_smoothed(tmp_path: Path, batch_size: int, accumulate: int) -> None:
    """A class weight of 0 with label smoothing: loss and gradient of both samples, cut or not."""
    model = nn.Linear(2, 2, bias=False)
    model.weight.data = WEIGHTS.clone()
    result = run(
        tmp_path, data=two_points(), model=model, loss="cross_entropy(weight=[1, 0], label_smoothing=0.5)",
        batch_size=batch_size, accumulate=accumulate,
    )  # fmt: skip
    value, gradient = smoothed()
    assert value == pytest.approx(0.474077, abs=1e-6)
    assert result.metrics[0]["train_loss"] == pytest.approx(value, rel=1e-6)
    torch.testing.assert_close(model.weight.detach().double(), WEIGHTS.double() - 0.1 * gradient, rtol=1e-6, atol=1e-7)


def test_a_target_without_weight_is_evaluated(tmp_path: Path) -> None:
    """The test loss in batches of one is that of the whole split."""
    model = nn.Linear(2, 2, bias=False)
    model.weight.data = WEIGHTS.clone()
    result = run(
        tmp_path, data=two_points(), model=model, loss="cross_entropy(weight=[1, 0], label_smoothing=0.5)",
        batch_size=1, accumulate=2, optimizer="sgd(lr=0.0)", eval_train=True,
    )  # fmt: skip
    value, _ = smoothed()
    assert result.metrics[0]["test_loss"] == pytest.approx(value, rel=1e-6)
    assert result.metrics[0]["train_loss_after"] == pytest.approx(value, rel=1e-6)


class Weighted(nn.Module):
    """Cross-entropy with class weights whose `reduction` cannot be changed once it is made."""

    def __init__(self, weight: Tensor, reduction: str = "mean") -> None:
        super().__init__()
        self.weight, self.reduction, self.chosen = weight, reduction, reduction

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """0-d."""
        return functional.cross_entropy(output, target, self.weight, reduction=self.chosen)


def test_a_loss_without_a_sum_is_weighted(tmp_path: Path) -> None:
    """Class weights of a loss that goes on to return a mean: the gradient of the whole batch all the same."""
    generator = torch.Generator().manual_seed(0)
    inputs, targets = torch.randn(12, 3, generator=generator), torch.arange(12) % 3
    data = Data((inputs, targets), (inputs, targets), "classification", (3,), num_classes=3)
    weight = torch.tensor([1.0, 2.0, 5.0])
    loss = lossreg.Loss("weighted", lambda: Weighted(weight), target="index", averages="element")
    model = nn.Linear(3, 3)
    own = [one.detach().double().requires_grad_() for one in model.parameters()]
    value = functional.cross_entropy(inputs.double() @ own[0].T + own[1], targets, weight.double())
    value.backward()
    result = run(tmp_path, data=data, model=model, loss=loss, batch_size=3, accumulate=4)
    for trained, one in zip(model.parameters(), own, strict=True):
        assert one.grad is not None
        torch.testing.assert_close(trained.detach().double(), one.detach() - 0.1 * one.grad, rtol=1e-5, atol=1e-7)
    assert result.metrics[0]["train_loss"] == pytest.approx(value.item(), rel=1e-5)


@pytest.mark.parametrize(("batch_size", "accumulate"), [(24, 1), (8, 1), (8, 3), (5, 2)])
def test_a_sum_is_shown_for_one_sample(tmp_path: Path, batch_size: int, accumulate: int) -> None:
    """Of a loss that is a sum, train and test loss are the sum over all samples divided by their number."""
    model, data = nn.Linear(3, 2), points()
    assert isinstance(data.train, tuple)
    inputs, targets = data.train
    expected = (((model(inputs) - targets).double() ** 2).sum() / 24).item()
    result = run(
        tmp_path, data=data, model=model, loss="mse(reduction='sum')", batch_size=batch_size, accumulate=accumulate,
        optimizer="sgd(lr=0.0)", log_every=1, eval_train=True,
    )  # fmt: skip
    row = result.metrics[0]
    values = [row[name] for name in ("train_loss", "test_loss", "train_loss_after")]
    assert values == pytest.approx([expected] * 3, rel=1e-5)


def test_a_sum_is_minimised_as_a_sum(tmp_path: Path) -> None:
    """What is shown for one sample is trained as the sum of the whole step, whatever it is cut into."""
    model, data = nn.Linear(3, 2), points()
    assert isinstance(data.train, tuple)
    inputs, targets = (part.double() for part in data.train)
    own = [one.detach().double().requires_grad_() for one in model.parameters()]
    ((inputs @ own[0].T + own[1] - targets) ** 2).sum().backward()
    run(
        tmp_path, data=data, model=model, loss="mse(reduction='sum')", batch_size=8, accumulate=3,
        optimizer="sgd(lr=0.001, momentum=0.0)",
    )  # fmt: skip
    for trained, one in zip(model.parameters(), own, strict=True):
        assert one.grad is not None
        torch.testing.assert_close(trained.detach().double(), one.detach() - 0.001 * one.grad, rtol=1e-5, atol=1e-6)


def test_a_sum_that_is_an_object_is_a_sum(tmp_path: Path) -> None:
    """A loss object with reduction='sum' whose values add up is a sum, though it declares nothing."""
    plan = lossreg.plan(data=points(), model=nn.Linear(3, 2), loss=nn.MSELoss(reduction="sum"), accumulate=2)
    assert (plan.facts["reduction"], plan.warnings) == ("sum", [])


def squares(output: Tensor, target: Tensor) -> Tensor:
    """The sum of squares."""
    return ((output - target) ** 2).sum()


def largest(output: Tensor, target: Tensor) -> Tensor:
    """The greatest distance of the batch, which is neither a mean nor a sum."""
    return (output - target).abs().amax()


class Stubborn(nn.MSELoss):
    """The mean of squares, whatever its reduction says."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:  # noqa: A002  # torch's name
        """0-d."""
        return functional.mse_loss(input, target)


def declared(factory: Any, averages: str | None = "element", **defaults: Any) -> lossreg.Loss:
    """A record of a loss of numbers."""
    return lossreg.Loss("tried", factory, target="dense", averages=averages, defaults=defaults)  # type: ignore[arg-type]  # any of the words


@for_each(
    ("loss", "rule", "said"),
    [
        (declared(lambda: squares), "sum", "declares averages='element', but its value for the first batch is the sum"),
        (declared(lambda: largest, "sample"), None, "declares averages='sample', but its value for the first batch is"),
        (declared(Stubborn, reduction="sum"), "samples", "has reduction='sum', but its value for the first batch is"),
    ],
)
@for_each("batch_size", [24, 4, 1])
def test_a_declaration_that_is_not_true(loss: lossreg.Loss, rule: str | None, said: str, batch_size: int) -> None:
    """A record that says what the values of a loss deny is corrected, with a warning."""
    plan = lossreg.plan(data=points(), model=nn.Linear(3, 2), loss=loss, batch_size=batch_size)
    assert plan.facts["reduction"] == rule
    assert any(said in warning for warning in plan.warnings)


@pytest.mark.parametrize(("batch_size", "accumulate"), [(24, 1), (6, 4)])
def test_a_sum_that_claims_to_be_a_mean_is_cut_as_a_sum(tmp_path: Path, batch_size: int, accumulate: int) -> None:
    """A loss that sums and declares a mean makes the same step for every way to cut it."""
    model = nn.Linear(3, 2)
    model.weight.data, model.bias.data = torch.ones(2, 3), torch.zeros(2)
    data = points()
    assert isinstance(data.train, tuple)
    expected = float(((data.train[0] @ torch.ones(3, 2) - data.train[1]).double() ** 2).sum() / 24)
    result = run(
        tmp_path, data=data, model=model, loss=declared(lambda: squares), batch_size=batch_size, accumulate=accumulate
    )
    assert result.metrics[0]["train_loss"] == pytest.approx(expected, rel=1e-5)


TRUE = [
    ("mse", "samples"),
    ("l1", "samples"),
    ("mse(reduction='sum')", "sum"),
    (declared(nn.SmoothL1Loss), "samples"),
    (declared(nn.HuberLoss, "sample"), "samples"),
]


@for_each(("loss", "rule"), TRUE)
@for_each("batch_size", [24, 7, 1])
@for_each("scale", [1e-6, 1.0, 1e6])
def test_a_declaration_that_is_true(loss: Any, rule: str, batch_size: int, scale: float) -> None:
    """An honest loss is believed without a warning, for targets of every size."""
    data = points()
    assert isinstance(data.train, tuple)
    split = (data.train[0], data.train[1] * scale)
    data = Data(split, split, "regression", (3,), out_features=2)
    plan = lossreg.plan(data=data, model=nn.Linear(3, 2), loss=loss, batch_size=batch_size)
    assert (plan.facts["reduction"], plan.warnings) == (rule, [])


@for_each("spec", ["dice", "dice(reduction='sum')", "l1", "mse", "cross_entropy", "cross_entropy(weight="
                                  "[1,2,3,4,5,0,1,1,1,1], ignore_index=3, label_smoothing=0.1)"])  # fmt: skip
@for_each("batch_size", [64, 1])
def test_the_built_in_losses_are_honest(spec: str, batch_size: int) -> None:
    """No built-in loss is corrected on the digits."""
    plan = lossreg.plan(loss=spec, batch_size=batch_size, limit_train=128, limit_test=32, device="cpu")
    assert plan.warnings == []


class Counting(nn.Module):
    """A mean that counts its calls in a buffer, and draws a random number in each."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """0-d."""
        self.calls += 1
        return functional.mse_loss(output, target) + 0 * torch.rand(())


def test_trying_a_loss_leaves_no_trace() -> None:
    """The loss of the run is not called when it is tried, and no random number is drawn."""
    loss = Counting()
    torch.manual_seed(0)
    lossreg.plan(data=points(), model=nn.Linear(3, 2), loss=declared(lambda: loss), batch_size=1)
    assert float(loss.calls) == 0
    assert math.isfinite(float(torch.rand(())))
