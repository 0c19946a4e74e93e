"""How much the seed alone changes, and what that means for a comparison."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from lossreg.comparison.results import Comparison
from lossreg.comparison.statistics import CONFIDENCE, POWER, Spread, detectable, sd_interval

_SEEDS = (3, 5, 10, 20)  # for which the smallest difference is told, besides the number that was run


@attrs.frozen
class Noise:
    """The spread of a metric over seeds.

    Attributes:
        metric: Which; None if no run is done.
        spread: Mean and standard deviation.
        interval: Within which the standard deviation of all seeds lies with 95% confidence; None for one seed.
        detectable: Number of seeds -> the smallest difference between two cells that so many tell apart 4 times of 5.
    """

    metric: str | None
    spread: Spread | None
    interval: tuple[float, float] | None
    detectable: Mapping[int, float]

    def to_json(self) -> dict[str, Any]:
        """The noise as plain values."""
        return {
            "metric": self.metric,
            **({} if self.spread is None else attrs.asdict(self.spread)),
            "interval": None if self.interval is None else list(self.interval),
            "confidence": CONFIDENCE,
            "power": POWER,
            "detectable": {str(seeds): value for seeds, value in self.detectable.items()},
        }

    def lines(self) -> Iterator[str]:
        """What a person reads."""
        if self.metric is None or self.spread is None:
            yield "No run came to its end, so nothing is known of its noise."
            return
        if self.spread.sd is None or self.interval is None:
            yield f"{self.metric} {self.spread.mean:.4g}: one seed says nothing of noise; run more (--seeds)."
            return
        low, high = self.interval
        yield (
            f"{self.metric} {self.spread.mean:.4g} ± {self.spread.sd:.2g} over {self.spread.n} seeds; the deviation "
            f"itself is known to be {low:.2g} to {high:.2g} (95%)."
        )
        for seeds, value in self.detectable.items():
            yield f"{seeds:>4} seeds tell two cells apart, 4 times of 5, if they differ by {value:.2g}"


def noise_of(comparison: Comparison) -> Noise:
    """The noise of the one cell of a comparison."""
    metric = comparison.metric
    spread = None if metric is None else comparison.cells[0].summary.get(metric)
    if metric is None or spread is None or spread.sd is None:
        return Noise(metric, spread, None, {})
    sd = spread.sd
    return Noise(
        metric,
        spread,
        sd_interval(sd, spread.n),
        {seeds: detectable(sd, seeds) for seeds in sorted({*_SEEDS, spread.n})} if sd else {},
    )
