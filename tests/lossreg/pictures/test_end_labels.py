"""Names at the ends of curves: none over another, none over the data, none beyond the picture."""

from __future__ import annotations

import itertools
import math

import pytest

from lossreg.pictures.end_labels import EndLabel, label_ends, spread
from lossreg.pictures.style import Look, drawing, name_axes, new_figure
from tests.table import for_each


@for_each("wanted", [[0.5] * 7, [0.0, 0.1, 0.9, 1.0], [0.2, 0.21, 0.22, 0.8], [1.0] * 5])
def test_heights_keep_their_distance(wanted: list[float]) -> None:
    """Neighbours are at least the distance apart, in their order and within the bounds."""
    heights = spread(wanted, 0.1, 0.0, 1.0)
    assert all(upper - lower > 0.1 - 1e-9 for lower, upper in itertools.pairwise(heights))
    assert -1e-9 <= heights[0] <= heights[-1] <= 1 + 1e-9


def test_heights_that_have_room_stay() -> None:
    """What is far enough apart is where it was wanted."""
    assert spread([0.1, 0.5, 0.9], 0.2, 0.0, 1.0) == pytest.approx([0.1, 0.5, 0.9])


def test_too_many_heights_share_the_room() -> None:
    """Without room for the distance they are evenly spread."""
    assert spread([0.0] * 5, 1.0, 0.0, 1.0) == pytest.approx([0.0, 0.25, 0.5, 0.75, 1.0])


@for_each("text", ["a", "W" * 200, r"$\frac{1}{0}$", "\x1b[31m\n\t", "損失"])
def test_names_are_inside_of_the_picture_and_outside_of_the_panel(text: str) -> None:
    """As drawn, every name lies right of the panel, within the figure, and over no other name."""
    with drawing():
        figure, (panel,) = new_figure(1, 4.0)
        looks = [Look.of(number) for number in range(12)]
        lines = [
            panel.plot([0, 1, 2], [1, 2, 2 + number / 100], **look.line(3))[0] for number, look in enumerate(looks)
        ]
        name_axes([panel], "epoch")
        names = [EndLabel(line, text, look.pattern) for line, look in zip(lines, looks, strict=True)]
        label_ends(figure, [(panel, names)])
        figure.canvas.draw()
        boxes = sorted((one.get_window_extent() for one in panel.texts), key=lambda box: box.y0)
    assert len(boxes) == 12
    assert min(box.x0 for box in boxes) > panel.get_window_extent().x1
    assert max(box.x1 for box in boxes) <= figure.bbox.x1
    centres = [(box.y0 + box.y1) / 2 for box in boxes]
    assert min(b - a for a, b in itertools.pairwise(centres)) >= 8  # pixels: of letters of 8 points


def test_a_curve_without_an_end_is_named_as_well() -> None:
    """A curve of gaps gives its name a finite place."""
    with drawing():
        figure, (panel,) = new_figure(1, 4.0)
        (line,) = panel.plot([0, 1], [math.nan, math.nan])
        label_ends(figure, [(panel, [EndLabel(line, "nothing", "-")])])
        figure.canvas.draw()
    assert math.isfinite(panel.texts[0].get_position()[1])
