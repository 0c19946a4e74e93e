"""The learning rate over a run that is planned, for `lossreg plan --plot`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from lossreg.pictures.end_labels import EndLabel, label_ends
from lossreg.pictures.style import FEW_POINTS, Look, drawing, name_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@attrs.frozen
class RateCurve:
    """The rates that a schedule will give.

    Attributes:
        label: What has these rates.
        rates: The rate of each epoch or step, in their order.
        per_epoch: How many there are in an epoch: 1, or its steps.
    """

    label: str
    rates: Sequence[float]
    per_epoch: int


def rates_figure(curves: Sequence[RateCurve], epochs: int, heading: str) -> Figure:
    """Draws the learning rate over the epochs of a run.

    A rate holds until the next one: an epoch from its number to the next, a step for its share of that.

    Args:
        curves: What changes each in its own way.
        epochs: How long the run is.
        heading: What is planned.
    """
    with drawing():
        figure, (panel,) = new_figure(1, 3.0, [heading])
        labels = []
        for number, curve in enumerate(curves):
            look = Look.of(number)
            x = [place / curve.per_epoch for place in range(len(curve.rates) + 1)]
            y = [*curve.rates, *curve.rates[-1:]]
            style = "steps-post" if curve.per_epoch == 1 or len(y) <= FEW_POINTS else "default"
            (line,) = panel.plot(x, y, color=look.colour, linestyle=look.pattern, drawstyle=style)
            labels.append(EndLabel(line, curve.label, look.pattern))
        panel.set_title("learning rate")
        panel.set_xlim(0, epochs)
        low, high = panel.get_ylim()
        panel.set_ylim(min(low, 0.0), high)
        name_axes([panel], "epoch", whole=True)
        label_ends(figure, [(panel, labels if len(labels) > 1 else [])])
        return figure
