"""The picture that is there before any script runs: for mail programs, for print, for those without scripts."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence

import attrs

from lossreg.reports.curves import Chart, Curve
from lossreg.reports.numbers import tick_texts

WIDTH, HEIGHT = 760, 360
LEFT, RIGHT, TOP, BOTTOM = 66, 14, 14, 46  # margins of the plot
COLOURS, DASHES = 7, 4  # classes of the style sheet: c0 to c6, d0 to d3

Point = tuple[float, float]


@attrs.frozen
class Tick:
    """A mark of an axis: where it is in the picture, and its text."""

    at: float
    text: str


@attrs.frozen
class Line:
    """A curve as SVG draws it.

    Attributes:
        style: Its classes.
        path: The line.
        band: The outline of mean ± standard deviation, or nothing.
        dots: Points without neighbours, which a line does not show.
    """

    style: str
    path: str
    band: str
    dots: tuple[Point, ...]


@attrs.frozen
class Picture:
    """All that is in the picture.

    Attributes:
        lines: In the order in which they are drawn.
        horizontal: Ticks of the horizontal axis.
        vertical: Ticks of the vertical axis.
        description: For those who do not see it.
    """

    lines: tuple[Line, ...]
    horizontal: tuple[Tick, ...]
    vertical: tuple[Tick, ...]
    description: str


def style_of(key: int) -> str:
    """The classes of a curve: neighbours differ in colour and in dashes."""
    return f"c{key % COLOURS} d{key % DASHES}"


def picture_of(chart: Chart, shown: Collection[int]) -> Picture:
    """Draws some curves of a chart over the first of its axes."""
    axis = chart.axes[0]
    curves = [curve for curve in chart.curves if curve.key in shown]
    across = [value for curve in curves for value in curve.x[axis]]
    up = [value for curve in curves for value in curve.y if value is not None]
    x0, x1 = _span(across)
    y0, y1 = _padded(*_span(up))

    def place(x: float, y: float) -> Point:
        return (
            round(LEFT + (x - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT), 1),
            round(HEIGHT - BOTTOM - (y - y0) / (y1 - y0) * (HEIGHT - TOP - BOTTOM), 1),
        )

    lines = tuple(_line(curve, axis, place) for curve in curves)
    xs, ys = _ticks(x0, x1, 8, whole=axis != "seconds"), _ticks(y0, y1, 6)
    return Picture(
        lines,
        tuple(Tick(place(value, y0)[0], text) for value, text in zip(xs, tick_texts(xs), strict=True)),
        tuple(Tick(place(x0, value)[1], text) for value, text in zip(ys, tick_texts(ys), strict=True)),
        _description(chart, curves, axis),
    )


def _span(values: Sequence[float]) -> Point:
    """The lowest and the highest of some values, apart from each other."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    return (low, high) if high > low else (low - (abs(low) or 1) / 2, low + (abs(low) or 1) / 2)


def _padded(low: float, high: float) -> Point:
    room = (high - low) * 0.04
    return low - room, high + room


def _line(curve: Curve, axis: str, place: Callable[[float, float], Point]) -> Line:
    stretches = list(_stretches(curve))
    bands = []
    for stretch in stretches:
        edges = [
            (index, curve.y[index] or 0.0, curve.deviations[index] or 0.0) for index in stretch if curve.deviations
        ]
        upper = [place(curve.x[axis][index], mean + deviation) for index, mean, deviation in edges]
        lower = [place(curve.x[axis][index], mean - deviation) for index, mean, deviation in reversed(edges)]
        if len(edges) > 1:
            bands.append(f"{_path([*upper, *lower])}Z")
    points = [[place(curve.x[axis][index], curve.y[index] or 0.0) for index in stretch] for stretch in stretches]
    return Line(
        style_of(curve.key),
        "".join(_path(one) for one in points if len(one) > 1),
        "".join(bands),
        tuple(one[0] for one in points if len(one) == 1),
    )


def _stretches(curve: Curve) -> Iterator[list[int]]:
    """The points without a gap between them."""
    stretch: list[int] = []
    for index, value in enumerate(curve.y):
        if value is not None:
            stretch.append(index)
        elif stretch:
            yield stretch
            stretch = []
    if stretch:
        yield stretch


def _path(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{x:g},{y:g}" for x, y in points)


def _ticks(low: float, high: float, most: int, *, whole: bool = False) -> list[float]:
    """Round numbers within bounds, at most about so many.

    Example:
        >>> _ticks(0.0, 1.0, 6), _ticks(0, 4, 8, whole=True)
        ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0, 1, 2, 3, 4])
    """
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * (1 - 1e-9))
    if whole:
        step = max(1, round(step))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{index * step:.12g}") if not whole else index * step for index in range(first, last + 1)]


def _description(chart: Chart, curves: Sequence[Curve], axis: str) -> str:
    ends = [
        f"{curve.name}: from {values[0]:.4g} to {values[-1]:.4g}"
        for curve in curves
        if (values := [value for value in curve.y if value is not None])
    ]
    what = f"Lines of {chart.name} over {axis}s" if axis != "seconds" else f"Lines of {chart.name} over seconds"
    return f"{what}. {'; '.join(ends)}."
