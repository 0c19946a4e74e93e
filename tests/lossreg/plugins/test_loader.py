"""Discovery, with real distributions: what loads, and that a failure costs the others nothing."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import lossreg

if TYPE_CHECKING:
    from tests.lossreg.conftest import CommandWith, Install, LoadWith


def trained(tmp_path: Path, **arguments: Any) -> dict[str, Any]:
    """The run.json of a run on the CPU."""
    result = lossreg.run(out=tmp_path / "out", precision="32", quiet=True, **arguments)
    record: dict[str, Any] = json.loads((result.directory / "run.json").read_text())
    return record


def test_a_loss_of_another_distribution_is_named_like_a_built_in(
    install: Install, load_with: LoadWith, tmp_path: Path
) -> None:
    """An installed package's loss trains by its short name, with its parameters and its provenance in the record."""
    registries = load_with(install("good-losses"))
    record = trained(
        tmp_path, loss="focal(gamma=1.5)", model="mlp", epochs=1, limit_train=64, limit_test=8, registries=registries
    )
    assert record["spec"]["loss"] == "good.focal(gamma=1.5)"
    assert record["components"]["loss"] == {
        "id": "good.focal", "params": {"gamma": 1.5}, "plugin": "good", "distribution": "good-losses", "version": "1.0",
    }  # fmt: skip


def test_the_command_trains_with_what_another_distribution_offers(
    install: Install, command_with: CommandWith, tmp_path: Path
) -> None:
    """`lossreg run` takes an installed package's loss by its short name."""
    words = ("--loss", "focal", "--model", "mlp", "--epochs", "1", "--limit-train", "64", "--quiet", "--out", "out")
    result = command_with("run", *words, path=install("good-losses"), cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads((tmp_path / "out" / "run.json").read_text())["spec"]["loss"] == "good.focal"


def test_components_of_all_kinds_train_together(install: Install, load_with: LoadWith, tmp_path: Path) -> None:
    """Loss, optimizer, scheduler, model, data set, metric and run hook of one distribution work in one run."""
    record = trained(
        tmp_path, loss="brier", optimizer="sign_sgd(lr=0.1)", scheduler="all.cosine", data="corners", epochs=60,
        metrics=["hits"], registries=load_with(install("all-kinds")),
    )  # fmt: skip
    assert record["metrics"]["test_accuracy"] == 1.0
    assert record["metrics"]["test_hits"] == 4
    assert record["contract"]["input"] == "softmax"
    assert record["components"]["scheduler"]["params"]["T_max"] == 60
    assert record["components"]["model"]["params"] == {"in_features": 2, "out_features": 2}
    assert (tmp_path / "out" / "all_kinds.txt").read_text() == "60 epochs"


def test_ctrl_c_passes_through(install: Install, command_with: CommandWith) -> None:
    """Ctrl-C while a plugin is imported ends the command with 130, and is no fault of the plugin."""
    result = command_with("list", path=install("bad-interrupt"))
    assert (result.returncode, result.stdout) == (130, "")
    assert "failed to load" not in result.stderr


def test_a_slow_import_costs_the_line_alone(
    install: Install, load_with: LoadWith, caplog: pytest.LogCaptureFixture
) -> None:
    """A plugin whose import takes over a second is warned of, and works."""
    with caplog.at_level(logging.WARNING):
        registries = load_with(install("bad-slow"))
    assert re.search(r"its import took \d+\.\d s", caplog.text)
    assert "late" in registries.losses


def test_a_factory_that_is_missing_is_an_error_when_it_is_used(install: Install, load_with: LoadWith) -> None:
    """A factory that its module lacks is named with its component and its distribution."""
    with pytest.raises(lossreg.BuildError) as caught:
        load_with(install("bad-factory-late")).losses.build("lost")
    assert str(caught.value).startswith(
        "loss factory_late.lost (bad-factory-late 1.0): its factory 'bad_factory_late.loss:Loss' cannot"
    )


def test_a_plugin_that_registers_and_looks_up_while_it_is_imported(
    install: Install, command_with: CommandWith, tmp_path: Path
) -> None:
    """Looking up and registering during the import of a plugin does not set off discovery again."""
    result = command_with("list", "loss", "--json", path=install("looks-up"), cwd=tmp_path)
    rows = {row["id"]: row for row in json.loads(result.stdout)}
    assert rows["local.early"]["summary"] == "dice was there: True"
    assert "looks.late" in rows
