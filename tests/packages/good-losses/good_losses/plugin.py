"""Offers a loss."""

import lossreg as lr


@lr.hookimpl
def lossreg_losses():
    """One loss."""
    return [
        lr.Loss(
            "focal",
            "good_losses.focal:FocalLoss",
            "Cross-entropy that looks away from easy samples (Lin et al. 2017)",
            defaults={"gamma": 2.0},
            input="logits",
            target="index",
            averages="sample",
        )
    ]
