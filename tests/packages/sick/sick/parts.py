"""Components each of which has one fault."""

import torch
from torch.nn import functional


def scale(input, target):
    """Changes the model's output in place."""
    input.mul_(2)
    return functional.cross_entropy(input, target)


def leaf(input, target):
    """Changes the targets in place."""
    value = functional.cross_entropy(input, target)
    target.zero_()
    return value


def marks(input, target, reduction: str = "mean"):
    """Takes a reduction, and gives the mean whatever it is."""
    return functional.cross_entropy(input, target)


class Ignores(torch.nn.Module):
    """Takes a reduction, and gives the mean and the sum."""

    def __init__(self, reduction: str = "mean"):
        super().__init__()
        self.reduction = reduction

    def forward(self, input, target):
        """Knows no `none`."""
        each = functional.cross_entropy(input, target, reduction="none")
        return each.sum() if self.reduction == "sum" else each.mean()


ignores = Ignores


def gaps(input, target):
    """The mean over classes of the means over their samples, so NaN where a class has none."""
    each = functional.cross_entropy(input, target, reduction="none")
    return torch.stack([each[target == index].mean() for index in range(input.shape[1])]).mean()


def claims(input, target):
    """A sum that says that it is a mean."""
    return functional.cross_entropy(input, target, reduction="sum")


def detached(input, target):
    """Has no gradient."""
    return functional.cross_entropy(input.detach(), target)


def vector(input, target):
    """Gives a number for each sample."""
    return functional.cross_entropy(input, target, reduction="none")


def typed(input, target, scale: float = 1.0):
    """Takes a number."""
    return scale * functional.cross_entropy(input, target)


class Still(torch.optim.SGD):
    """Moves nothing."""

    def step(self, closure=None):
        """Does nothing."""


class Panics(torch.optim.SGD):
    """Ends with what is no Exception."""

    def step(self, closure=None):
        """Panics."""
        raise GeneratorExit("no step today")


def below(optimizer):
    """Takes 0.06 off the rate in each epoch."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 - 0.6 * epoch)


def orphan():
    """Is never called."""
