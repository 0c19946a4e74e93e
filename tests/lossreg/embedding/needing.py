"""Optimizers that need more of a loop than gradients, as packages have them; and a model of one number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


class Averaged(torch.optim.Optimizer):
    """Gradient descent that is evaluated with the mean of the weights after each step."""

    def __init__(self, params: Any, lr: float = 0.25) -> None:
        super().__init__(params, {"lr": lr})
        self.steps, self.is_mean = 0, False

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # as torch's do
        """One step."""
        self.steps += 1
        for group in self.param_groups:
            for one in group["params"]:
                if one.grad is not None:
                    one.sub_(group["lr"] * one.grad)
                    mean = self.state[one].setdefault("mean", torch.zeros_like(one))
                    mean.add_((one - mean) / self.steps)

    @torch.no_grad()
    def _swap(self, to_mean: bool) -> None:
        if self.is_mean == to_mean:
            return
        self.is_mean = to_mean
        for group in self.param_groups:
            for one in group["params"]:
                if "mean" in self.state[one]:
                    other = self.state[one]["mean"].clone()
                    self.state[one]["mean"].copy_(one)
                    one.copy_(other)

    def train(self) -> None:
        """The weights that are trained."""
        self._swap(to_mean=False)

    def eval(self) -> None:
        """Their mean."""
        self._swap(to_mean=True)


class Switched(Averaged):
    """The same, with a switch in its groups, as schedule-free optimizers have it: it begins in evaluation."""

    def __init__(self, params: Any, lr: float = 0.25) -> None:
        super().__init__(params, lr)
        self._switch(training=False)

    def _switch(self, *, training: bool) -> None:
        for group in self.param_groups:
            group["training"] = training

    def train(self) -> None:
        """The weights that are trained."""
        super().train()
        self._switch(training=True)

    def eval(self) -> None:
        """Their mean."""
        super().eval()
        self._switch(training=False)


class Curved(torch.optim.Optimizer):
    """Newton's method, with second derivatives of the gradients."""

    def __init__(self, params: Any, lr: float = 1.0) -> None:
        super().__init__(params, {"lr": lr})

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # as torch's do
        """One step."""
        for group in self.param_groups:
            for one in group["params"]:
                if one.grad is None:
                    continue
                if not one.grad.requires_grad:
                    raise RuntimeError("a gradient has no graph")
                (second,) = torch.autograd.grad(one.grad.sum(), one, retain_graph=True)
                with torch.no_grad():
                    one.sub_(group["lr"] * one.grad / second.abs().clamp_min(1e-12))


class One(torch.nn.Module):
    """`w * x` with `w = 1`: its mean squared error for x = 1 and target 0 is `w ** 2`."""

    def __init__(self) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The product."""
        return self.w * x
