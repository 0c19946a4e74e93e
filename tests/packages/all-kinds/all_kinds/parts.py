"""The parts."""

import torch

from lossreg import Data


class Brier(torch.nn.Module):
    """Mean over samples of the squared distance of probabilities and one-hot target."""

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Both (N, C)."""
        return ((input - target) ** 2).sum(1).mean()


class SignSGD(torch.optim.Optimizer):
    """Steps by lr in the direction of the gradient's sign."""

    def __init__(self, params, lr: float = 0.01) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        """One step."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter -= group["lr"] * parameter.grad.sign()


class Perceptron(torch.nn.Module):
    """One linear layer over the flattened input."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(in_features, out_features)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(N, *) to (N, out_features)."""
        return self.linear(input.flatten(1))


class Hits:
    """How many samples are predicted rightly."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begins anew."""
        self.hits = 0

    def update(self, input: torch.Tensor, target: torch.Tensor) -> None:
        """Counts a batch."""
        self.hits += int((input == target).sum())

    def compute(self) -> int:
        """How many."""
        return self.hits


def corners() -> Data:
    """The corners of a square; the class is that of the first coordinate."""
    points = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    classes = points[:, 0].long()
    return Data((points, classes), (points, classes), task="classification", in_shape=(2,), num_classes=2)
