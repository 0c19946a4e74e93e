"""What the doctor says of metrics."""

from __future__ import annotations

from typing import Any

import lossreg
from lossreg.registry.registries import default
from lossreg.training.trial.component import try_component
from tests.table import for_each


class Right:
    """The share that is right, and ways of being wrong."""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault
        self.values: list[float] = []

    def reset(self) -> None:
        """Begins anew."""
        if self.fault != "keeps":
            self.values = []

    def update(self, output: Any, targets: Any) -> None:
        """Takes a batch."""
        if self.fault == "fails":
            raise IndexError("no such thing")
        right = (output.argmax(1) == targets).double()
        self.values += [float(right.mean())] if self.fault == "averages" else right.tolist()

    def compute(self) -> Any:
        """The mean."""
        value = sum(self.values) / len(self.values)
        return {"": value, "nan": float("nan"), "percent": 100 * value, "text": "a lot"}.get(self.fault, value)


def tried(entry: Any) -> list[str]:
    """What is found of a component of a registry."""
    return try_component(entry)


def problems(**defaults: Any) -> list[str]:
    """What is found."""
    made = lossreg.load_registries(allow=[])
    made.metrics.register("right", better="higher", target="index", bounds=(0, 1), defaults=defaults)(Right)
    return tried(made.metrics["local.right"])


@for_each(
    ("fault", "said"),
    [
        ("averages", "if they come in three batches"),
        ("keeps", "after others and a reset()"),
        ("nan", "its value is not a number for 8 samples of all classes"),
        ("percent", "which is not within the bounds that it declares"),
        ("text", "gives 'a lot', and one number is needed"),
        ("fails", "it failed when it was tried: IndexError: no such thing"),
    ],
)
def test_what_a_metric_promises_is_tried(fault: str, said: str) -> None:
    """A value that depends on how samples are cut, on what was before, or is none, is told."""
    found = problems(fault=fault)
    assert any(said in one for one in found), found


def test_nothing_is_said_of_a_right_one() -> None:
    """No false alarm, of the built-in ones neither."""
    assert problems() == []
    assert {name: found for name in default.metrics if (found := tried(default.metrics[name]))} == {}
