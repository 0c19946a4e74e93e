"""What a trial finds of a component, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from lossreg import Loss, LossregError, Metric, Model, Optimizer, Scheduler
from lossreg_bridges.trials import try_record
from tests.table import for_each


class Matrices(torch.optim.SGD):
    """Takes matrices alone."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, lr=lr)
        if any(one.ndim != 2 for group in self.param_groups for one in group["params"]):
            raise ValueError("matrices alone")


class Exploding(torch.optim.SGD):
    """Steps to infinity."""

    def step(self, closure: Any = None) -> Any:
        """A step."""
        with torch.no_grad():
            self.param_groups[0]["params"][0].fill_(float("inf"))


class Still(torch.optim.SGD):
    """Does not step."""

    def step(self, closure: Any = None) -> Any:
        """A step."""


def test_what_an_optimizer_needs_is_found() -> None:
    """Closures, modes and the rest of SGD, which needs nothing, and of LBFGS, which needs a closure."""
    plain = {"closure": False, "modes": False, "needs": (), "create_graph": False, "layout": "any", "routes": "all"}
    assert try_record(Optimizer("sgd", torch.optim.SGD)) == plain
    assert try_record(Optimizer("lbfgs", torch.optim.LBFGS))["closure"] is True
    assert try_record(Optimizer("matrices", Matrices))["routes"] == "matrices"


def loss(name: str, value: Callable[[Tensor], Tensor]) -> Loss:
    """A loss that goes by the output alone."""
    return Loss(name, lambda: lambda output, _: value(output), target="any")


@for_each(
    ("record", "message"),
    [
        (Optimizer("still", Still), "12 steps change no weight"),
        (Optimizer("exploding", Exploding), "12 steps lead to weights that are not finite"),
        (loss("undefined", lambda output: output.sum() * float("nan")), "it gives nan for an output of shape"),
        (loss("many", lambda output: output), "it gives shape"),
        (loss("constant", lambda output: (output * 0).sum()), "does not depend on the model's output"),
        (loss("steep", lambda output: output.sub(output).abs().sqrt().sum()), "its gradient is not finite"),
        (loss("in_place", lambda output: output.mul_(2).sum()), "it changes its input in place"),
        (Scheduler("wrong", lambda _: object()), "which has no step()"),
        (Model("flat", lambda: torch.nn.Flatten()), "for 2 pictures of 3 classes"),
        (Model("nothing", lambda: None), "which is not a torch.nn.Module"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_what_is_wrong_is_refused(record: Any, message: str) -> None:
    """Steps that lead nowhere, values and gradients that are not finite, and what is not of its kind."""
    with pytest.raises(LossregError) as raised:
        try_record(record)
    assert message in str(raised.value)


@for_each(("reduction", "averages"), [("mean", "sample"), ("sum", None)])
def test_whether_a_loss_averages_is_found(reduction: str, averages: str | None) -> None:
    """A mean over a batch is that of its parts, of whatever sizes; a sum is not."""
    defaults = {"reduction": reduction}
    record = Loss("loss", "torch.nn:CrossEntropyLoss", defaults=defaults, input="logits", target="index")
    assert try_record(record) == {"averages": averages}


class Averaging:
    """The mean of the means of batches, which depends on how a split is cut."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets."""
        self.means: list[Tensor] = []

    def update(self, output: Tensor, target: Tensor) -> None:
        """Takes a batch."""
        self.means.append((output == target).float().mean())

    def compute(self) -> Tensor:
        """The mean of means."""
        return torch.stack(self.means).mean()


class Counting(Averaging):
    """How many of all are right."""

    def update(self, output: Tensor, target: Tensor) -> None:
        """Takes a batch."""
        self.means += list((output == target).float())


def test_a_metric_agrees_with_itself_under_splitting() -> None:
    """A mean of means does not; a mean over samples does."""
    fields: dict[str, Any] = {"better": "higher", "target": "index", "input": "labels"}
    with pytest.raises(LossregError, match="for the same 8 samples in batches of different sizes"):
        try_record(Metric("averaging", Averaging, **fields))
    assert try_record(Metric("counting", Counting, **fields)) == {}
