"""The focal loss."""

import torch
from torch.nn import functional


class FocalLoss(torch.nn.Module):
    """Mean of (1 - p)**gamma * -log(p), p the probability of the target's class."""

    def __init__(self, gamma: float = 2.0) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Logits (N, C), class indices (N,)."""
        cross_entropy = functional.cross_entropy(input, target, reduction="none")
        return ((1 - (-cross_entropy).exp()) ** self.gamma * cross_entropy).mean()
