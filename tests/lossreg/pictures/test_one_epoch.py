"""Runs of one epoch, which is a point and no curve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lossreg.past_runs.sources import read_sources
from lossreg.pictures.overlay import overlay_figure

if TYPE_CHECKING:
    from tests.lossreg.pictures.conftest import PastRunMaker


def test_the_range_over_seeds_is_seen(past_run: PastRunMaker) -> None:
    """From the least to the greatest value there is a line, since one point has no area."""
    runs = [past_run(str(seed), {"test_accuracy": [value]}, seed=seed) for seed, value in enumerate([0.25, 0.75])]
    figure = overlay_figure(read_sources(runs).runs, "test_accuracy", "epoch")
    (band,) = figure.axes[0].collections
    (path,) = band.get_paths()
    heights = np.asarray(path.vertices)[:, 1]
    assert (heights.min(), heights.max()) == (0.25, 0.75)
    assert np.all(np.asarray(band.get_linewidth()) > 0)


def test_the_band_of_a_curve_has_no_edge(past_run: PastRunMaker) -> None:
    """Its area is enough."""
    runs = [past_run(str(seed), {"test_accuracy": [0.1, value]}, seed=seed) for seed, value in enumerate([0.25, 0.75])]
    figure = overlay_figure(read_sources(runs).runs, "test_accuracy", "epoch")
    (band,) = figure.axes[0].collections
    assert np.all(np.asarray(band.get_linewidth()) == 0)
