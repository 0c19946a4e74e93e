"""A past run's model on another table: its numbers are scaled as those of the run were."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import lossreg
from tests.lossreg.trained.conftest import load_run

if TYPE_CHECKING:
    from lossreg.trained.loading import LoadedRun
    from tests.lossreg.trained.conftest import Run


def table(path: Path, rows: Sequence[tuple[object, ...]], names: str = "a,c,y") -> str:
    """Writes a table, and gives the data set."""
    path.write_text("\n".join([names, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return f"csv(path={str(path)!r}, target='y')"


def rows(seed: int, shift: float) -> list[tuple[object, ...]]:
    """Numbers around `shift`, two categories, and a target that depends on the numbers."""
    values = np.random.default_rng(seed).normal(shift, 5, 30).round(3)
    return [(value, "uv"[index % 2], round(3 * value + 0.5, 4)) for index, value in enumerate(values)]


@pytest.fixture
def loaded(run: Run, tmp_path: Path) -> LoadedRun:
    """A regression on a table."""
    return load_run(run(data=table(tmp_path / "a.csv", rows(0, 10)), limit_train=None, limit_test=None).directory)


def test_another_table_is_scaled_as_that_of_the_run(loaded: LoadedRun, tmp_path: Path) -> None:
    """The error on rows of another table is that of the run's scaling, computed in float64."""
    data = table(tmp_path / "b.csv", rows(1, 20))
    evaluated = loaded.evaluate(data, split="train")
    built = lossreg.datasets.build(data)
    assert isinstance(built.train, tuple)
    own = built.input_scaling, built.target_scaling, loaded.data.input_scaling, loaded.data.target_scaling
    moments = [(np.array(one.mean), np.array(one.std)) for one in own if one is not None]
    inputs, targets = (
        part.double().numpy() * std + mean for part, (mean, std) in zip(built.train, moments, strict=False)
    )
    scaled = [(raw - mean) / std for raw, (mean, std) in zip((inputs, targets), moments[2:], strict=True)]
    found = loaded.predict(built.train[0].new_tensor(scaled[0])).numpy()
    expected = np.abs(found - scaled[1]).mean()
    assert evaluated.metrics["train_mean_absolute_error"] == pytest.approx(expected, rel=1e-4)


def test_other_columns_and_classes_are_refused(loaded: LoadedRun, run: Run, tmp_path: Path) -> None:
    """A table with another column, category or class is not what the model was trained for."""
    for other, names in ((rows(1, 0), "a,d,y"), ([("1.5", "w", 1.5)] * 3 + rows(1, 0), "a,c,y")):
        with pytest.raises(lossreg.ConfigError, match=r"has the columns \('a', '[cd] \("):
            loaded.evaluate(table(tmp_path / "b.csv", other, names))
    classes = [(index, "u", "pq"[index % 2]) for index in range(20)]
    trained = load_run(run(data=table(tmp_path / "c.csv", classes), limit_train=None, limit_test=None).directory)
    with pytest.raises(lossreg.ConfigError, match=r"has the classes \('p', 'r'\), and .* was trained on \('p', 'q'\)"):
        trained.evaluate(table(tmp_path / "d.csv", [(a, c, y.replace("q", "r")) for a, c, y in classes]))
