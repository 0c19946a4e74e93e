"""What is tried before a run, an optimizer's step and a schedule, is what the run does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import lossreg
from lossreg import Data, RunResult

WORDS, CLASSES = 7, 3


def sentences() -> Data:
    """Twelve bags of four words."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randint(WORDS, (12, 4), generator=generator)
    targets = torch.randint(CLASSES, (12,), generator=generator)
    return Data((inputs, targets), (inputs, targets), "classification", (4,), num_classes=CLASSES)


def bag(*, sparse: bool = True) -> nn.Module:
    """A model whose only weights are the table of an embedding."""
    torch.manual_seed(1)
    return nn.EmbeddingBag(WORDS, CLASSES, mode="sum", sparse=sparse)


@pytest.fixture(scope="module", autouse=True)
def _registered() -> None:
    lossreg.optimizers.register("strict_closure", closure=True)(StrictClosure)
    lossreg.optimizers.register("four_dimensional")(FourDimensional)


class StrictClosure(torch.optim.Optimizer):
    """SGD that uses what the loop's closure promises: a tensor, and gradients."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step, by half for a loss that is not finite."""
        with torch.enable_grad():
            loss = closure()
        factor = 1.0 if loss.isfinite().item() else 0.5
        for group in self.param_groups:
            for parameter in group["params"]:
                assert parameter.grad.abs().sum() > 0
                parameter.sub_(parameter.grad, alpha=factor * group["lr"])
        return loss


class FourDimensional(torch.optim.SGD):
    """SGD that refuses weights of convolutions, or their layout."""

    def step(self, closure: Any = None) -> Any:
        """One step."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.view(len(parameter), -1) if parameter.ndim else None
        return super().step(closure)


def test_an_embedding_with_sparse_gradients_trains_with_sparse_adam(run: Callable[..., RunResult]) -> None:
    """SparseAdam is accepted for sparse gradients, and ends with the weights of a plain loop."""
    result = run(data=sentences(), model=bag(), optimizer="sparse_adam(lr=0.1)", epochs=2, batch_size=12)
    model = bag()
    (inputs, targets) = sentences().train  # type: ignore[misc]  # a pair of tensors
    optimizer = torch.optim.SparseAdam(model.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()
    torch.testing.assert_close(result.model.state_dict(), model.state_dict())


@pytest.mark.parametrize(
    ("optimizer", "sparse", "said"),
    [
        ("adam", True, "optimizer adam cannot step on cpu: RuntimeError: Adam does not support sparse gradients"),
        ("sparse_adam", False, "cannot step on cpu: RuntimeError: SparseAdam does not support dense gradients"),
    ],
)
def test_what_an_optimizer_refuses_is_refused_by_the_plan(optimizer: str, sparse: bool, said: str) -> None:
    """Adam is refused where gradients are sparse, and SparseAdam where they are dense, before anything is trained."""
    with pytest.raises(lossreg.BuildError) as caught:
        lossreg.plan(data=sentences(), model=bag(sparse=sparse), optimizer=optimizer, device="cpu")
    assert said in caught.value.message


@pytest.mark.parametrize("optimizer", ["sgd", "sgd(momentum=0)"])
def test_sgd_takes_sparse_gradients_without_a_warning(
    run: Callable[..., RunResult], caplog: pytest.LogCaptureFixture, optimizer: str
) -> None:
    """SGD, which is fused where it can be, is not fused here from the beginning."""
    model: Any = run(data=sentences(), model=bag(), optimizer=optimizer, epochs=1, batch_size=12).model
    assert model.weight.isfinite().all()
    assert caplog.text == ""


def test_the_trial_calls_a_closure_as_the_loop_does(run: Callable[..., RunResult]) -> None:
    """An optimizer whose closure must return a tensor and compute gradients passes the trial, and trains."""
    result = run(data=sentences(), model=bag(sparse=False), optimizer="strict_closure(lr=0.1)", epochs=1, batch_size=12)
    model = bag(sparse=False)
    inputs, targets = sentences().train  # type: ignore[misc]  # a pair of tensors
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    nn.functional.cross_entropy(model(inputs), targets).backward()
    optimizer.step()
    torch.testing.assert_close(result.model.state_dict(), model.state_dict())


def test_the_trial_has_the_dimensions_and_the_layout_of_the_weights() -> None:
    """An optimizer that cannot step on weights of convolutions in channels_last gets contiguous ones."""
    layout = lossreg.plan(optimizer="four_dimensional", device="cpu").facts["layout"]
    assert layout["memory_format"] == "contiguous_format"
    assert "RuntimeError: view size is not compatible" in layout["reason"]
    lossreg.plan(optimizer="four_dimensional", data="diabetes", device="cpu")


def test_the_error_of_a_scheduler_is_named_by_the_plan(lossreg_command: Callable[..., Any]) -> None:
    """OneCycleLR with 5 steps over 10: exit code 2, one line with its name, where, and torch's reason."""
    flags = ["--limit-train", "64", "--batch-size", "32", "--epochs", "5", "--device", "cpu"]
    for command in ("plan", "run"):
        outcome = lossreg_command(
            command, *flags, "--sched", "one_cycle_lr(max_lr=0.1, total_steps=5, cycle_momentum=False)"
        )
        assert outcome.code == 2
        (line,) = outcome.err.splitlines()
        assert line.startswith(
            "lossreg: error: scheduler one_cycle_lr(cycle_momentum=False, max_lr=0.1, total_steps=5)"
        )
        assert "fails after step 6 of the run's 10: ValueError: Tried to step 6 times." in line


def test_a_schedule_that_is_as_long_as_the_run_is_accepted() -> None:
    """OneCycleLR over exactly the run's steps reaches its lowest rate at the last step."""
    plan = lossreg.plan(
        scheduler="one_cycle_lr(max_lr=0.1, total_steps=10, cycle_momentum=False)",
        limit_train=64, batch_size=32, epochs=5, device="cpu",
    )  # fmt: skip
    assert plan.learning_rates is not None
    assert plan.learning_rates[-1][1] == pytest.approx(0.1 / 25 / 1e4)


def test_the_error_of_a_scheduler_object_is_named_in_the_run(run: Callable[..., RunResult]) -> None:
    """A scheduler that is an object is not tried beforehand: its error says whose it is."""

    class Breaks(torch.optim.lr_scheduler.LRScheduler):
        def get_lr(self) -> list[float | Tensor]:
            if self.last_epoch > 1:
                raise ZeroDivisionError("the schedule broke")
            return [0.1 for _ in self.optimizer.param_groups]

    model = bag(sparse=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ZeroDivisionError) as caught:
        run(data=sentences(), model=model, optimizer=optimizer, scheduler=Breaks(optimizer), epochs=4)
    assert any("raised by the scheduler" in note and "Breaks" in note for note in caught.value.__notes__)
