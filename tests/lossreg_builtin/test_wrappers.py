"""Lookahead, SAM and cautious against the papers' updates, written out in float64."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import lossreg
from tests.table import for_each

SCALES = torch.tensor([1.0, 4.0, 0.25], dtype=torch.float64)
START = [1.0, -2.0, 3.0]
ROUNDING = 1e-14


def problem(spec: str) -> tuple[nn.Parameter, Any]:
    """Weights in float64, and an optimizer of them."""
    weight = nn.Parameter(torch.tensor(START, dtype=torch.float64))
    return weight, lossreg.optimizers.build(spec, [weight])


def descend(weight: nn.Parameter, optimizer: Any, steps: int) -> list[Tensor]:
    """Steps on half the weighted sum of squares; the weights after each."""

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = 0.5 * (SCALES * weight.square()).sum()
        loss.backward()
        return loss

    path = []
    for _ in range(steps):
        optimizer.step(closure)
        path.append(weight.detach().clone())
    return path


def test_lookahead_is_algorithm_1() -> None:
    """Seven steps of SGD without momentum, with k=3 and alpha=0.25, are the fast and slow weights of the paper."""
    weight, optimizer = problem("lookahead(optimizer=sgd(lr=0.1, momentum=0.0), k=3, alpha=0.25)")
    path = descend(weight, optimizer, 7)
    fast = slow = torch.tensor(START, dtype=torch.float64)
    for number, mine in enumerate(path, start=1):
        fast = fast - 0.1 * SCALES * fast
        if number % 3 == 0:
            fast = slow = slow + 0.25 * (fast - slow)
        torch.testing.assert_close(mine, fast, atol=ROUNDING, rtol=0)


def test_sam_is_algorithm_1() -> None:
    """Three steps of SAM over momentum SGD take the gradient at w + rho g / |g|, over all parameters together."""
    one, two = (nn.Parameter(torch.tensor(START, dtype=torch.float64) * factor) for factor in (1, -2))
    optimizer: Any = lossreg.optimizers.build("sam(optimizer=sgd(lr=0.1, momentum=0.5), rho=0.3)", [one, two])

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = 0.5 * (SCALES * one.square()).sum() + (two**4).sum()
        loss.backward()
        return loss

    def gradient(w: Tensor) -> Tensor:
        return torch.cat([SCALES * w[:3], 4 * w[3:] ** 3])

    hand = torch.cat([one, two]).detach().clone() * 0.3
    with torch.no_grad():
        one.mul_(0.3)
        two.mul_(0.3)
    momentum = torch.zeros_like(hand)
    for _ in range(3):
        before = (0.5 * (SCALES * hand[:3] ** 2).sum() + (hand[3:] ** 4).sum()).item()
        assert optimizer.step(closure).item() == pytest.approx(before, rel=1e-12)
        g = gradient(hand)
        momentum = 0.5 * momentum + gradient(hand + 0.3 * g / g.norm())
        hand = hand - 0.1 * momentum
        torch.testing.assert_close(torch.cat([one, two]).detach(), hand, atol=1e-11, rtol=0)


def test_cautious_leaves_out_what_goes_up() -> None:
    """Six steps over momentum SGD are masked and scaled as in the paper's listing; some element is left out."""
    weight, optimizer = problem("cautious(optimizer=sgd(lr=0.4, momentum=0.9))")
    path = descend(weight, optimizer, 6)
    hand = torch.tensor(START, dtype=torch.float64)
    momentum, left_out = torch.zeros_like(hand), 0
    for mine in path:
        gradient = SCALES * hand
        momentum = 0.9 * momentum + gradient
        mask = (momentum * gradient > 0).double()
        left_out += int((mask == 0).sum())
        hand = hand - 0.4 * momentum * mask / max(mask.mean().item(), 1e-3)
        torch.testing.assert_close(mine, hand, atol=1e-12, rtol=0)
    assert left_out > 0


WRAPPED = [
    "lookahead(optimizer=adam(lr=0.1), k=2)",
    "sam(optimizer=adam(lr=0.1))",
    "cautious(optimizer=sgd(lr=0.1))",
    "lookahead(optimizer=sam(optimizer=sgd(lr=0.1)), k=2)",
]


@for_each("spec", WRAPPED)
def test_the_state_of_a_wrapper_is_a_whole_one(spec: str) -> None:
    """A state that torch's safe reading accepts goes on, in another object, as if nothing had happened."""
    weight, optimizer = problem(spec)
    descend(weight, optimizer, 3)
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    other, resumed = problem(spec)
    with torch.no_grad():
        other.copy_(weight)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for mine, theirs in zip(descend(weight, optimizer, 4), descend(other, resumed, 4), strict=True):
        assert torch.equal(mine, theirs)


@for_each("spec", WRAPPED)
def test_a_scheduler_moves_the_rate_of_what_is_wrapped(spec: str) -> None:
    """The groups are those of the innermost optimizer, also after a state was loaded."""
    weight, optimizer = problem(spec)
    optimizer.load_state_dict(optimizer.state_dict())
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    descend(weight, optimizer, 1)
    scheduler.step()
    innermost = optimizer
    while hasattr(innermost, "optimizer"):
        innermost = innermost.optimizer
    assert [group["lr"] for group in innermost.param_groups] == [0.05]


def test_a_wrapper_has_the_modes_of_what_it_wraps() -> None:
    """`train` and `eval` are there if the wrapped optimizer has them, and reach it."""
    registries = lossreg.load_registries(allow=[])
    calls: list[str] = []

    class Switching(torch.optim.SGD):
        def train(self) -> None:
            calls.append("train")

        def eval(self) -> None:
            calls.append("eval")

    registries.optimizers.register("switching")(Switching)
    weights = [nn.Parameter(torch.zeros(1))]
    wrapper: Any = registries.optimizers.build("lookahead(optimizer=switching)", weights)
    wrapper.train()
    wrapper.eval()
    assert calls == ["train", "eval"]
    assert not hasattr(lossreg.optimizers.build("lookahead(optimizer=sgd)", weights), "train")


@for_each(
    ("spec", "said"),
    [
        ("sam(optimizer=sam(optimizer=sgd))", "sam wraps sam, which has closure=True; sam supports optimizers with"),
        ("cautious(optimizer=lookahead(optimizer=sam(optimizer=sgd)))", "cautious wraps lookahead, which has closure"),
        ("lookahead(optimizer=sgd, k=0)", "k=0 is not a number of steps"),
        ("lookahead(optimizer=sgd, alpha=2)", "alpha=2 is not between 0 and 1"),
        ("sam(optimizer=sgd, rho=-1)", "rho=-1 is not a distance"),
        ("sam", "sam needs optimizer"),
    ],
)
def test_what_a_wrapper_does_not_support_is_refused(spec: str, said: str) -> None:
    """A wrapped optimizer that takes a closure where that cannot be, and wrong numbers, are errors before the run."""
    with pytest.raises(lossreg.LossregError) as caught:
        lossreg.plan(data="diabetes", optimizer=spec, device="cpu")
    assert said in caught.value.message
