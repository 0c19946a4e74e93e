"""Every built-in optimizer and scheduler goes on exactly; a new one is in these tables by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

import lossreg
from tests.table import for_each

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lossreg.training.resume.conftest import Exact

OPTIMIZERS = sorted(name for name in lossreg.optimizers if name.startswith("builtin."))
SCHEDULERS = sorted(name for name in lossreg.schedulers if name.startswith("builtin."))

#: What an optimizer cannot do without, or what keeps its steps small.
NEEDED: dict[str, str] = {
    "lookahead": "lookahead(adam(lr=0.01), k=3)", "cautious": "cautious(adamw(lr=0.01))", "sam": "sam(sgd(lr=0.05))",
    "lbfgs": "lbfgs(lr=0.05, max_iter=3)",
    "constant_lr": "constant_lr(total_iters=2)", "chained": "chained(linear(), exponential(gamma=0.9))",
    "cyclic_lr": "cyclic_lr(base_lr=0.01, max_lr=0.1, step_size_up=3)",
    "sequential_lr": "sequential(linear(), cosine(), milestones=[1])", "warmup": "warmup(cosine(), length=2)",
    "cosine_annealing_warm_restarts": "cosine_annealing_warm_restarts(T_0=2)",
    "exponential_lr": "exponential_lr(gamma=0.9)",
    "lambda_lr": "lambda_lr(lr_lambda='0.9 ** epoch')", "multiplicative_lr": "multiplicative_lr(lr_lambda='0.9')",
    "multi_step_lr": "multi_step_lr(milestones=[1, 2])", "one_cycle_lr": "one_cycle_lr(max_lr=0.1)",
    "step_lr": "step_lr(step_size=1)", "reduce_lr_on_plateau": "reduce_lr_on_plateau(patience=0, threshold=1)",
}  # fmt: skip


class Embedded(nn.Module):
    """A model whose gradients are sparse."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(8, 3, sparse=True)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Logits."""
        return self.table(inputs.abs().long().clamp(max=7)).sum(1)  # type: ignore[no-any-return]  # nn.Module's call is not annotated


MODELS: dict[str, Callable[[], Any]] = {"sparse_adam": Embedded, "muon": lambda: "mlp(hidden=[8, 8])"}


@for_each("optimizer", OPTIMIZERS)
def test_a_run_with_each_optimizer_goes_on_exactly(exact: Exact, optimizer: str) -> None:
    """Broken off in the middle of the second epoch: momentum, averages, counters and what a wrapped one keeps."""
    name = optimizer.partition(".")[2]

    def parts() -> dict[str, Any]:
        return {"model": MODELS[name]()} if name in MODELS else {}

    exact(6, parts, optimizer=NEEDED.get(name, f"{name}(lr=0.01)"))


@pytest.mark.parametrize("interval", ["epoch", "step"])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_run_with_each_scheduler_goes_on_exactly(exact: Exact, scheduler: str, interval: str) -> None:
    """Broken off in the middle of the second epoch: rates and momentum, and what a schedule counts."""
    name = scheduler.partition(".")[2]
    if interval == "step" and name == "reduce_lr_on_plateau":
        pytest.skip("it follows a metric, which each epoch has once")
    ended = exact(6, scheduler=NEEDED.get(name, name), scheduler_interval=interval)
    assert len({row["lr"] for row in ended.rows}) > 1  # it did something
