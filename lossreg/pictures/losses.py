"""A loss and its gradient over the input, for `lossreg show loss NAME --plot`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lossreg.pictures.end_labels import label_ends
from lossreg.pictures.style import Look, drawing, name_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def loss_figure(name: str, x: str, inputs: Sequence[float], values: Sequence[float], slopes: Sequence[float]) -> Figure:
    """Draws the value of a loss, and below it the derivative.

    Args:
        name: The loss, as a person would write it.
        x: What is on x.
        inputs: Where it was computed.
        values: The loss there.
        slopes: Its derivative there.
    """
    with drawing():
        figure, axes = new_figure(2, 4.2, [name])
        for panel, heights, title, number in zip(axes, (values, slopes), ("loss", "gradient"), (0, 1), strict=True):
            panel.plot(inputs, heights, color=Look.of(number).colour)
            panel.set_title(title)
            panel.axvline(0, color="#8C8C8C", linewidth=0.7, zorder=1)
        axes[1].axhline(0, color="#8C8C8C", linewidth=0.7, zorder=1)
        axes[0].margins(x=0)
        name_axes(axes, x)
        label_ends(figure, [])
        return figure
