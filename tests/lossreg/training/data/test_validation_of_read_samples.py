"""A validation split of samples that are read one by one, or kept on the device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from torch import nn

import lossreg
from lossreg import DataError

if TYPE_CHECKING:
    from tests.conftest import Command
    from tests.lossreg.training.conftest import Run, Weights
    from tests.lossreg.training.data.conftest import Pictures, Spoilt

# Kernels may sum in another order where a batch begins elsewhere in memory: some roundings of 2**-24.
ROUNDING = 1e-5
LOSSES = ("train_loss", "validation_loss", "test_loss")


def losses(result: lossreg.RunResult) -> list[float]:
    """All losses of the last row."""
    return [result.final[name] for name in LOSSES]


def test_resident_and_read_samples_are_cut_alike(run: Run, weights: Weights) -> None:
    """Tensors give the same weights and metrics whether they are kept on the device or read by workers."""
    usual: dict[str, Any] = {"model": "mlp", "epochs": 2, "limit_train": 200, "limit_test": 20, "validate": "fold(1/4)"}
    kept = run(**usual, loader="resident")
    read = run(**usual, loader="dataloader", workers=1)
    assert weights(kept.model).equal(weights(read.model))
    assert losses(kept) == pytest.approx(losses(read), rel=ROUNDING)


def test_a_map_style_data_set_is_held_out_in_part(
    run: Run, weights: Weights, pictures: Pictures, convolution: Callable[[], nn.Module]
) -> None:
    """The number of workers changes nothing, and the run record says how it was cut and read."""
    usual: dict[str, Any] = {"epochs": 2, "validate": 0.3, "patience": 2, "seed": 3}
    alone, with_worker = (run(**usual, data=pictures(), model=convolution(), workers=count) for count in (0, 1))
    assert weights(alone.model).equal(weights(with_worker.model))
    assert losses(alone) == pytest.approx(losses(with_worker), rel=ROUNDING)
    assert alone.test_read == 1


@pytest.mark.parametrize("workers", [0, 1])
def test_a_sample_that_cannot_be_read_has_its_number_in_the_data_set(
    run: Run, pictures: Pictures, spoilt: type[Spoilt], convolution: Callable[[], nn.Module], workers: int
) -> None:
    """Whatever side it is on, the error names the index by which the data set knows it."""

    def broken() -> Any:
        raise ValueError("torn")

    with pytest.raises(DataError, match=r"split (train|validation): sample 41 cannot be read.*torn"):
        run(data=pictures(spoilt(41, broken)), model=convolution(), epochs=1, validate=0.3, workers=workers)


def test_a_limit_counts_before_the_cut(run: Run, pictures: Pictures, convolution: Callable[[], nn.Module]) -> None:
    """The classes are those of the first samples, and only these are read."""
    plan = lossreg.plan(data=pictures(), model=convolution(), validate=0.5, limit_train=30)
    assert plan.facts["data"]["train"] + plan.facts["data"]["validation"] == 30
    assert plan.facts["validation"]["by"] == "index"


def test_a_file_with_a_share_that_leaves_nothing_is_named(lossreg_command: Command) -> None:
    """The error about a share names the file that it is from."""
    Path("run.toml").write_text("validate = 0.00001\n")
    assert "run.toml: data set digits, split train: validate" in lossreg_command("plan", "-c", "run.toml").err


def test_without_patience_a_files_monitor_has_nothing_to_do(lossreg_command: Command) -> None:
    """`--patience none` undoes what belongs to it."""
    Path("run.toml").write_text('patience = 2\nmonitor = "train_loss"\nmodel = "mlp"\n')
    outcome = lossreg_command("plan", "-c", "run.toml", "--patience", "none")
    assert (outcome.code, "chosen on" in outcome.out) == (0, False)
    assert "chosen on           train: patience by train_loss" in lossreg_command("plan", "-c", "run.toml").out
