"""The table of cells where there is little room."""

from __future__ import annotations

import io

from rich.console import Console

from lossreg.training.display.cells import CellTable
from tests.table import for_each


@for_each("width", [45, 60, 80])
def test_names_give_way_to_values(width: int) -> None:
    """Status, epochs, metric and time are whole, however long the labels and the metric's name are."""
    console = Console(file=io.StringIO(), record=True, force_terminal=True, width=width, height=12, _environ={})
    labels = ["cross_entropy, sgd(lr=0.01, momentum=0.95), seed 0", "dice, sgd(lr=0.01, momentum=0.95), seed 1"]
    with CellTable(labels, "validation_mean_absolute_error", epochs=20, console=console) as table:
        table.update(labels[0], status="running", epoch=3, metric=0.1234)
        console.export_text()
        table.update(labels[1], status="running")
        table.update(labels[1], status="finished", epoch=20, metric=0.48)
        *_, running, finished, _foot = [line for line in console.export_text().splitlines() if line.strip()]
    assert running.split()[-4:] == ["running", "3/20", "0.1234", "0:00"]
    assert finished.split()[-4:] == ["finished", "20/20", "0.48", "0:00"]
    assert all(len(line.rstrip()) <= width for line in (running, finished))
    assert "…" in running
