"""Names of curves beside their ends, where a legend would lie over the data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs

from lossreg.pictures.style import WIDTH, clipped, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_LENGTH = 38  # characters of a name
_FONT = 8.0  # points
_MANY = 16  # from so many names on they are set smaller
_SAMPLE = 0.2  # inches: the piece of line before a name
_GAP = 0.1  # inches between the panel and that


@attrs.frozen(eq=False)
class EndLabel:
    """The name of a curve.

    Attributes:
        line: The curve, a `Line2D`.
        text: Its name.
        pattern: The line style that it was given; None for a point.
    """

    line: Any
    text: str
    pattern: Any  # a Line2D does not tell one pattern of dashes from another


def label_ends(figure: Figure, labels: Sequence[tuple[Axes, Sequence[EndLabel]]]) -> None:
    """Makes room on the right and writes the names there, each at the height of its curve's end where that is free.

    Called last: it goes by the limits of the panels.

    Args:
        figure: The figure.
        labels: Each panel with the names of its curves.
    """
    most = max((len(each) for _, each in labels), default=0)
    size = _FONT if most <= _MANY else _FONT * 0.85
    shown = [(panel, [attrs.evolve(one, text=clipped(one.text, MAX_LENGTH)) for one in each]) for panel, each in labels]
    width = max((text_width(one.text, size) for _, each in shown for one in each), default=0.0)
    ticks = max(text_width(text, 8.5) for panel in figure.axes for text in _tick_texts(panel))
    room = _GAP + _SAMPLE + 0.06 + width + 0.06 if width else 0.2
    left = 0.1 + ticks + 0.09
    figure.subplots_adjust(left=left / WIDTH, right=1 - room / WIDTH)
    for panel, each in shown:
        _write(panel, each, size, float(figure.get_size_inches()[1]))


def _tick_texts(panel: Axes) -> list[str]:
    texts: list[str] = panel.yaxis.get_major_formatter().format_ticks(list(panel.get_yticks()))
    return texts or [""]


def _write(panel: Axes, labels: Sequence[EndLabel], size: float, inches: float) -> None:
    """Writes the names beside a panel of a figure that is so many inches high."""
    ends = [(one, *_end(panel, one.line)) for one in labels]
    ends.sort(key=lambda end: end[2])
    box = panel.get_position()
    width, height = box.width * WIDTH, box.height * inches
    line = size * 1.28 / 72 / height
    # A little more than the panel is free: the space above it, and below the lowest the numbers of x.
    heights = spread([y for _, _, y in ends], line, -0.1 / height, 1 + 0.12 / height)
    start, stop = 1 + _GAP / width, 1 + (_GAP + _SAMPLE) / width
    for (one, x, y), at in zip(ends, heights, strict=True):
        colour = one.line.get_color()
        straight = {"transform": panel.transAxes, "clip_on": False, "color": colour}
        panel.add_line(_line([x, start], [y, at], linewidth=0.5, alpha=0.6, **straight))
        if one.pattern is None:
            dot = {"marker": one.line.get_marker(), "markersize": one.line.get_markersize()}
            panel.add_line(_line([(start + stop) / 2], [at], **dot, **straight))
        else:
            sample = {"linestyle": one.pattern, "linewidth": one.line.get_linewidth()}
            panel.add_line(_line([start, stop], [at, at], **sample, **straight))
        panel.text(stop + 0.06 / width, at, one.text, transform=panel.transAxes, va="center", size=size, clip_on=False)


def _line(x: list[float], y: list[float], **properties: Any) -> Any:
    from matplotlib.lines import Line2D

    return Line2D(x, y, **properties)


def _end(panel: Axes, line: Any) -> tuple[float, float]:
    """The last point of a curve, as shares of its panel."""
    points = [(x, y) for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True) if math.isfinite(y)]
    if not points:
        return 1.0, 0.0
    x, y = panel.transAxes.inverted().transform(panel.transData.transform(points[-1]))
    if not math.isfinite(y):  # not above 0 on a logarithmic scale
        return 1.0, 0.0
    return min(max(float(x), 0.0), 1.0), min(max(float(y), 0.0), 1.0)


def spread(wanted: Sequence[float], distance: float, lowest: float, highest: float) -> list[float]:
    """Heights at least a distance apart, as near to the wanted ones as can be (least squares); closer if too many.

    Args:
        wanted: In ascending order.
        distance: Between two.
        lowest: The lower bound.
        highest: The upper bound.

    Example:
        >>> spread([0.5, 0.5], 0.25, 0.0, 1.0), spread([0.0, 0.0, 0.0], 0.5, 0.0, 1.0)
        ([0.375, 0.625], [0.0, 0.5, 1.0])
    """
    if len(wanted) > 1:
        distance = min(distance, (highest - lowest) / (len(wanted) - 1))
    # Without the distances it is an isotonic regression: neighbours that would swap places share their mean.
    blocks: list[tuple[float, int]] = []
    for number, height in enumerate(wanted):
        mean, count = height - number * distance, 1
        while blocks and blocks[-1][0] > mean:
            other, size = blocks.pop()
            mean, count = (mean * count + other * size) / (count + size), count + size
        blocks.append((mean, count))
    top = highest - (len(wanted) - 1) * distance
    level = [min(max(mean, lowest), top) for mean, count in blocks for _ in range(count)]
    return [height + number * distance for number, height in enumerate(level)]
