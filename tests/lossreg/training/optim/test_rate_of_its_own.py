"""An optimizer that sets its own learning rate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

import lossreg

if TYPE_CHECKING:
    from tests.lossreg.conftest import CommandWith
    from tests.lossreg.training.conftest import Run


class Relative(torch.optim.SGD):
    """SGD whose rate is 0.01, unless one is given: the groups say None, as those of Adafactor in timm do."""

    def __init__(self, params: Any, lr: float | None = None) -> None:
        super().__init__(params, lr=0.01 if lr is None else lr)
        for group in self.param_groups:
            group["lr"] = lr

    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # it returns nothing
        """A step with the rate that the groups lack."""
        for group in self.param_groups:
            own, group["lr"] = group["lr"], 0.01 if group["lr"] is None else group["lr"]
            super().step(closure)
            group["lr"] = own


@pytest.fixture
def registries() -> lossreg.Registries:
    """The built-ins and the optimizer."""
    made = lossreg.load_registries(allow=[])
    made.optimizers.register("relative")(Relative)
    return made


def test_a_rate_that_is_none_is_null_in_the_rows(run_table: Run, registries: lossreg.Registries) -> None:
    """The run trains, and its rows have no rate; with a rate, they have it."""
    result = run_table(optimizer="relative", registries=registries, log_every=1)
    rows = [json.loads(line) for line in (result.directory / "metrics.jsonl").read_text().splitlines()]
    assert {row["lr"] for row in rows} == {None}


def test_a_plan_says_who_sets_the_rate(table: Any, registries: lossreg.Registries) -> None:
    """The rates are not known, and the text says that the optimizer sets them."""
    plan = lossreg.plan(data=table(), model="mlp", optimizer="relative", registries=registries)
    assert plan.learning_rates is None
    assert "learning rate       set by the optimizer" in str(plan)


def test_a_schedule_of_no_rate_is_refused(table: Any, registries: lossreg.Registries) -> None:
    """A scheduler needs a rate to change."""
    with pytest.raises(
        lossreg.ConfigError, match=r"relative sets its own rate .* scheduler cosine_annealing_lr cannot"
    ):
        lossreg.plan(data=table(), model="mlp", optimizer="relative", scheduler="cosine", registries=registries)
    plan = lossreg.plan(
        data=table(), model="mlp", optimizer="relative(lr=0.5)", scheduler="cosine", epochs=2, registries=registries
    )
    assert plan.learning_rates == [(0.5, 0.5), (0.25, 0.25)]


def test_progress_shows_no_rate(command_with: CommandWith, tmp_path: Path) -> None:
    """The lines of a run in a terminal do without the rate."""
    (tmp_path / "relative.py").write_text(
        "import lossreg, torch\n\n@lossreg.optimizers.register('own')\nclass Own(torch.optim.SGD):\n"
        "    def __init__(self, params, lr: float | None = None):\n        super().__init__(params, lr=0.1)\n"
        "        self.param_groups[0]['lr'] = lr\n    def step(self, closure=None):\n        pass\n"
    )
    outcome = command_with(
        "run", "-p", "./relative.py", "--opt", "own", "--data", "diabetes", "--epochs", "1", "--limit-train", "8",
        "--limit-test", "4", "--log-every", "1", "--device", "cpu", "--out", "run", path=tmp_path, cwd=tmp_path,
    )  # fmt: skip
    assert outcome.returncode == 0, outcome.stderr
    assert "lr of its own" in outcome.stderr
