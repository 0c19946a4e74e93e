"""run.json: which formats can be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lossreg.errors import ConfigError
from lossreg.training.record.run_json import FORMAT, read_run_record, write_run_record
from tests.table import for_each

if TYPE_CHECKING:
    from tests.conftest import Command

#: As lossreg 0.1.0 wrote it, without the fields that are for reading alone.
FORMAT_1: dict[str, Any] = {
    "format": 1,
    "status": "finished",
    "objects": {},
    "spec": {"loss": "builtin.dice(smooth=1)", "optimizer": "builtin.sgd(lr=0.5)", "epochs": 3},
    "components": {
        "loss": {
            "id": "builtin.dice", "params": {"smooth": 1, "reduction": "mean"},
            "plugin": "builtin", "distribution": "lossreg", "version": "0.1.0",
        },
    },
    "contract": {"input": "as it is", "target": "as it is", "output_shape": [64, 10]},
    "averaging": None,
    "versions": {},
}  # fmt: skip


def test_a_run_of_format_1_is_planned_again(lossreg_command: Command, tmp_path: Path) -> None:
    """The settings of a run.json of the first format are taken."""
    (tmp_path / "run.json").write_text(json.dumps(FORMAT_1))
    outcome = lossreg_command("plan", "-c", "run.json", "--json")
    assert outcome.code == 0, outcome.err
    spec = json.loads(outcome.out)["spec"]
    assert {key: spec[key] for key in FORMAT_1["spec"]} == FORMAT_1["spec"]


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    """A run record that was written is read with its spec, under the present format."""
    write_run_record(tmp_path, {"spec": {"epochs": 2}, "objects": {}, "components": {}, "versions": {}})
    content = json.loads((tmp_path / "run.json").read_text())
    assert content["format"] == FORMAT
    assert read_run_record(content, tmp_path / "run.json").spec == {"epochs": 2}


@for_each("number", [0, FORMAT + 1, "2", None, True])
def test_another_format_is_refused(number: object) -> None:
    """A format that this version does not know is an error that names the file and the formats that it reads."""
    with pytest.raises(ConfigError, match=r"past/run.json is not a run.json of format 1 or 2"):
        read_run_record({"format": number, "spec": {}}, Path("past/run.json"))


def test_a_component_of_a_process_is_missing_in_another(lossreg_command: Command, tmp_path: Path) -> None:
    """A repeat without a component that a process had registered says so."""
    content = {
        **FORMAT_1,
        "spec": {"loss": "local.gone"},
        "components": {"loss": {"id": "local.gone", "plugin": "local", "distribution": None, "version": None}},
    }
    (tmp_path / "run.json").write_text(json.dumps(content))
    outcome = lossreg_command("plan", "-c", "run.json")
    assert outcome.code == 2
    assert "its loss local.gone is missing here; it came from a process that registered it" in outcome.err
