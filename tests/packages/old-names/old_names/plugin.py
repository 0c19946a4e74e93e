"""A plugin."""

import lossreg as lr


@lr.hookimpl
def lossreg_losses():
    """A loss under three names, and one that nobody should use any more."""
    return [
        lr.Loss("huber", "torch.nn:HuberLoss", "Huber", target="dense", aliases=("smooth_l1", "robust")),
        lr.Loss("hubert", "torch.nn:HuberLoss", "Misspelt", target="dense", deprecated="use huber"),
    ]
