"""Run directories as a run leaves them, written by hand: what is drawn is known without training."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

PastRunMaker = Callable[..., Path]

SPEC = {
    "loss": "builtin.cross_entropy",
    "optimizer": "builtin.sgd(lr=0.1)",
    "scheduler": None,
    "model": "builtin.mnist_cnn",
    "data": "builtin.digits",
    "epochs": 3,
    "seed": 0,
}


def epoch_rows(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Rows of epochs of 10 steps and 2 seconds, with these columns."""
    count = max(map(len, columns.values()), default=0)
    return [
        {"kind": "epoch", "epoch": epoch, "step": 10 * (epoch + 1), "seconds": 2.0}
        | {name: values[epoch] for name, values in columns.items()}
        for epoch in range(count)
    ]


@pytest.fixture
def past_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PastRunMaker:
    """Writes a run directory below the working directory, which is empty, and returns its relative path."""
    monkeypatch.chdir(tmp_path)

    def make(
        name: str,
        columns: Mapping[str, Sequence[Any]] | None = None,
        more: Sequence[Mapping[str, Any]] = (),
        facts: Mapping[str, Any] | None = None,
        **spec: Any,
    ) -> Path:
        chosen = {"test_accuracy": [0.5, 0.75, 0.875]} if columns is None else columns
        folder = Path(name)
        folder.mkdir(parents=True)
        record = {"format": 2, "status": "finished", "spec": {**SPEC, **spec}, "epochs_done": 3, **(facts or {})}
        (folder / "run.json").write_text(json.dumps(record))
        rows = [*epoch_rows(chosen), *more]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return folder

    return make
