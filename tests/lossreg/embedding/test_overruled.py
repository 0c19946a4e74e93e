"""Parts that were told another loop than that of their trainer: the log says so once, and what to write."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import lossreg
from lossreg.embedding.overruled import warn_overruled
from tests.table import for_each

LOOP = {"epochs": 4, "steps_per_epoch": 6}


def said(parts: lossreg.HostParts, caplog: pytest.LogCaptureFixture, **facts: int) -> list[str]:
    """What the log says where a trainer has these facts."""
    caplog.clear()
    warn_overruled(parts, parts.for_loop(**facts), "the host")
    return [record.getMessage() for record in caplog.records]


@for_each(
    ("told", "wanted"),
    [
        (
            {"epochs": 40},
            "told epochs=40, and the host has epochs=4, which the schedule (builtin.cosine_annealing_lr) goes by: "
            "leave epochs= out of lossreg.parts; a schedule of another length says so in its text, such as "
            "cosine(T_max=40)",
        ),
        ({"epochs": 4, "steps_per_epoch": 7}, "told steps_per_epoch=7, and the host has steps_per_epoch=6, which"),
        ({"epochs": 5, "steps_per_epoch": 7}, "told epochs=5, steps_per_epoch=7, and the host has epochs=4, steps_per"),
        ({"total_steps": 25, "scheduler_interval": "step"}, "told total_steps=25, and the host has total_steps=24,"),
    ],
)
def test_another_loop_is_named(told: dict[str, Any], wanted: str, caplog: pytest.LogCaptureFixture) -> None:
    """With both numbers, also of parts that went to another process."""
    parts = lossreg.parts(scheduler="cosine", **told)
    for given in (parts, pickle.loads(pickle.dumps(parts))):  # noqa: S301  # our own
        (message,) = said(given, caplog, **LOOP)
        assert wanted in message


@for_each(
    ("told", "facts"),
    [
        ({"scheduler": "cosine"}, LOOP),
        ({"scheduler": "cosine", "epochs": 4, "steps_per_epoch": 6}, LOOP),
        ({"scheduler": "cosine", "epochs": 4, "steps_per_epoch": 6}, {**LOOP, "total_steps": 23}),
        ({"scheduler": "cosine", "epochs": 4, "num_samples": 9}, {"total_steps": 23}),
        ({"epochs": 40}, LOOP),
    ],
)
def test_the_same_loop_is_no_matter(
    told: dict[str, Any], facts: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    """Nor one that ends within its last epoch, nor any where there is no schedule."""
    assert not said(lossreg.parts(**told), caplog, **facts)


def test_epochs_of_a_file_are_those_of_another_loop(caplog: pytest.LogCaptureFixture) -> None:
    """Those of an argument beside it, and what it is told later, are not."""
    source = {"scheduler": "cosine", "epochs": 40}
    parts = lossreg.parts(source, steps_per_epoch=6)
    assert parts.epochs_are_read
    assert not said(pickle.loads(pickle.dumps(parts)), caplog, **LOOP)  # noqa: S301  # our own
    for given in (lossreg.parts(source, epochs=40), parts.for_loop(epochs=40)):
        assert len(said(given, caplog, **LOOP)) == 1
