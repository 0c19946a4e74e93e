"""The soft Dice loss over a batch."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from lossreg_builtin.class_sums import class_sums


class DiceLoss(nn.Module):
    r"""One minus the Dice coefficient of the softmax of the logits and the one-hot target, per class over the batch.

    For each class c, with sums over the batch and all positions,

        loss_c = 1 - (2 * sum(p_c * t_c) + smooth) / (sum(p_c) + sum(t_c) + smooth)

    Use it where classes are of very unequal size. Equals MONAI's `DiceLoss(batch=True, softmax=True,
    to_onehot_y=True, smooth_nr=smooth, smooth_dr=smooth)` and, where every class occurs, segmentation-models-pytorch's
    `DiceLoss("multiclass", smooth=smooth / 2)`. The denominator has the plain sums, not the sums of squares of
    Milletari et al. The value of a batch is not the mean over its samples.

    Args:
        smooth: Added to numerator and denominator; greater than 0, so that a class that neither occurs nor is
            predicted has loss 0.
        reduction: What happens to the C values of the classes: `"mean"`, `"sum"` or `"none"`.

    Shape:
        - input: `(N, C, *)`, logits, floating point.
        - target: `(N, *)`, int64, class indices in `[0, C)`.
        - output: 0-d, or `(C,)` for `reduction="none"`; float32, or float64 if the input is.

    Raises:
        ValueError: If `smooth` is not greater than 0, `reduction` is another word, or the shapes do not fit.

    Source:
        Sudre et al., "Generalised Dice overlap as a deep learning loss function for highly unbalanced
        segmentations", 2017, section 2; Milletari et al., "V-Net", 2016.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[9.0, 0.0], [0.0, 9.0]])
        >>> round(DiceLoss()(logits, torch.tensor([0, 1])).item(), 4)
        0.0001
    """

    def __init__(self, smooth: float = 1e-5, reduction: Literal["mean", "sum", "none"] = "mean") -> None:
        super().__init__()
        if not smooth > 0:
            raise ValueError(f"smooth is greater than 0, not {smooth!r}")
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f"reduction is 'mean', 'sum' or 'none', not {reduction!r}")
        self.smooth = smooth
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:  # noqa: A002  # torch's word
        """Computes the loss; shapes as in the class."""
        intersection, predicted, actual = class_sums(input, target)
        loss = 1 - (2 * intersection + self.smooth) / (predicted + actual + self.smooth)
        if self.reduction == "none":
            return loss
        return loss.mean() if self.reduction == "mean" else loss.sum()

    def extra_repr(self) -> str:
        """The parameters, as `repr` shows them."""
        return f"smooth={self.smooth}, reduction={self.reduction!r}"
