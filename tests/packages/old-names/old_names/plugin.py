"""A plugin."""

import lossreg as lr


@lr.hookimpl
def lossreg_losses():
    """A loss under three names, and one that nobody should use any more."""
    return [
        lr.Loss("bent", "torch.nn:HuberLoss", "Huber", target="dense", aliases=("bent_l1", "robust")),
        lr.Loss("bend", "torch.nn:HuberLoss", "Misspelt", target="dense", deprecated="use bent"),
    ]
