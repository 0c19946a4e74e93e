"""The record of a metric: its contract, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

import lossreg
from lossreg.components import Metric
from lossreg.errors import ComponentError
from lossreg.hookspecs import COMPONENT_HOOKS
from tests.table import for_each


def record(**fields: Any) -> Metric:
    """A metric with these fields."""
    return Metric("f1", "acme.metrics:F1", **{"better": "higher", "target": "index", **fields})


def test_a_contract_holds_direction_input_target_and_bounds() -> None:
    """contract() holds what a runner dispatches on; a list of bounds is a pair."""
    assert record(input="labels", bounds=[0, 1]).contract() == {
        "better": "higher", "target": "index", "input": "labels", "bounds": (0, 1),
    }  # fmt: skip
    assert record(better=None).contract() == {
        "better": None, "target": "index", "input": "any", "bounds": (None, None),
    }  # fmt: skip


@for_each(
    ("field", "word"),
    [("better", "more"), ("better", True), ("target", "labels"), ("target", None), ("input", "label"), ("input", None)],
)
def test_another_word_is_refused(field: str, word: object) -> None:
    """A word that no runner understands is an error that names metric, field and word."""
    with pytest.raises(ComponentError, match=rf"metric 'f1' has {field}={word!r}"):
        record(**{field: word})


@for_each("bounds", [1, (0,), (0, 1, 2), ("0", 1), (1, 0), (0, 0), (True, None), {"least": 0}, None])
def test_bounds_are_two_numbers_in_order(bounds: object) -> None:
    """What is not a least and a greatest value is an error."""
    with pytest.raises(ComponentError, match="the least and the greatest value"):
        record(bounds=bounds)


def test_a_metric_says_which_values_are_better() -> None:
    """There is no default that would be safe."""
    with pytest.raises(TypeError, match="better"):
        Metric("f1", "acme.metrics:F1", target="index")  # type: ignore[call-arg]  # what is tested
    with pytest.raises(ComponentError, match=r"needs better=; write @lossreg\.metrics\.register"):
        lossreg.load_registries(allow=[]).metrics.register("f1")(object)


def test_a_registered_metric_takes_the_targets_as_they_are() -> None:
    """`register` fills in the target and takes the name from the class."""
    registries = lossreg.load_registries(allow=[])

    class HitMetric:
        """Hits."""

    registries.metrics.register(better="higher")(HitMetric)
    component = registries.metrics["hit"].component
    assert (component.kind, component.target, component.summary) == ("metric", "any", "Hits.")


def test_plugins_offer_metrics_by_a_hook() -> None:
    """The hook `lossreg_metrics` returns metrics, and `lossreg.metrics` holds them."""
    assert COMPONENT_HOOKS["lossreg_metrics"] is Metric is lossreg.Metric
    assert lossreg.metrics.kind == "metric"
