"""Past runs are read as they were recorded, and what is broken is one clear line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from torch import nn

import lossreg
from lossreg.errors import ConfigError
from lossreg.training.record.files import MAX_RECORD
from lossreg.training.record.reading import LOST, PastRun, read_run, read_summary
from tests.table import for_each

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import Run

DEEP = "[" * 10_000 + "]" * 10_000
RECORD: dict[str, Any] = {
    "format": 2,
    "status": "finished",
    "spec": {"loss": "builtin.dice(smooth=1)", "optimizer": "builtin.sgd", "scheduler": None, "epochs": 3},
    "started": "2026-01-02T03:04:05+01:00",
    "metrics": {"kind": "epoch", "epoch": 2, "step": 12, "train_loss": 0.5, "test_accuracy": 0.75},
}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Makes a run directory of a run.json (text, or fields that replace those of RECORD) and a metrics.jsonl."""

    def make(record: str | dict[str, Any] | None = None, metrics: str | None = "") -> Path:
        text = record if isinstance(record, str) else json.dumps({**RECORD, **(record or {})})
        (tmp_path / "run.json").write_text(text)
        if metrics is not None:
            (tmp_path / "metrics.jsonl").write_text(metrics)
        return tmp_path

    return make


def message(directory: Path) -> str:
    """What is said of a directory that cannot be read."""
    with pytest.raises(ConfigError) as caught:
        read_run(directory)
    assert "\n" not in caught.value.message
    return caught.value.message


def test_a_run_is_read_as_it_was(run: Run) -> None:
    """Rows and final metrics are those that the run itself returned."""
    result = run(epochs=2, limit_train=64, limit_test=32, log_every=1, validate=0.25)
    past = read_run(result.directory)
    assert past.rows["epoch"] == result.metrics
    assert past.final == result.final
    assert past.rows["test"] == [result.tested]
    assert [row["step"] for row in past.rows["step"]] == [1, 2]
    assert (past.status, past.epochs, past.epochs_done, past.notes) == ("finished", 2, 2, ())


def test_components_are_texts_with_full_ids(run: Run) -> None:
    """A component is its spec text; without a scheduler there is none."""
    result = run(epochs=1, limit_train=64, limit_test=32, loss="dice(smooth=1)", model="mlp")
    past = read_run(result.directory)
    assert past.components == {
        "data": "builtin.digits", "model": "builtin.mlp", "loss": "builtin.dice(smooth=1)", "optimizer": "builtin.sgd",
    }  # fmt: skip
    assert past.labels["loss"] == "dice(smooth=1)"
    assert past.spec["limit_train"] == "64"
    assert past.spec["scheduler"] == "none"
    assert past.versions["lossreg"] == lossreg.__version__


def test_an_object_is_named_by_its_class(run_table: Run) -> None:
    """What was a Python object is its class, and is known to be one."""
    past = read_run(run_table(model=nn.Linear(4, 3)).directory)
    assert past.components["model"] == "torch.nn.modules.linear.Linear"
    assert past.objects == ("data", "model")


class Fails:
    """An observer that ends a run with an error."""

    def lossreg_epoch_finished(self, run: lossreg.Run, record: dict[str, Any]) -> None:
        """Raises."""
        raise ValueError("no\nmore")


def test_a_failed_run_tells_its_reason(run_table: Run, tmp_path: Path) -> None:
    """The reason of a failure is the error, on one line."""
    with pytest.raises(ValueError, match="no"):
        run_table(observers=[Fails()], out=tmp_path / "failed")
    past = read_summary(tmp_path / "failed")
    assert (past.status, past.reason) == ("failed", "ValueError: no more")


def test_a_run_whose_process_is_gone_is_lost(write: Write) -> None:
    """A run.json that says running, of a process that ended, is a lost run, which says so."""
    child = subprocess.run(
        [sys.executable, "-c", "import json; from lossreg.training.record.owner import this_process as p; "
         "print(json.dumps(p()))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    past = read_summary(write({"status": "running", "process": json.loads(child.stdout)}))
    assert past.status == LOST
    assert past.reason is not None
    assert "is gone" in past.reason


def test_the_start_is_a_time_with_its_offset(write: Write) -> None:
    """`created` is the time of run.json."""
    assert read_summary(write()).created == datetime.fromisoformat("2026-01-02T03:04:05+01:00")


@pytest.mark.parametrize("value", ["yesterday", 3, None, "0001-01-01", [], "9999-12-31T23:59:59"])
def test_a_start_that_is_no_time_is_unknown_or_local(write: Write, value: Any) -> None:
    """What is no time is None; a time without an offset gets the local one, where there is one."""
    created = read_summary(write({"started": value})).created
    assert created is None or created.tzinfo is not None


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("lossreg run", "lossreg run"),
        (["lossreg", "run", "--loss", "dice(smooth=1)"], "lossreg run --loss 'dice(smooth=1)'"),
        (3, None),
        ([1], None),
        (None, None),
    ],
)
def test_a_command_line_is_a_text_that_a_shell_reads(write: Write, command: Any, text: str | None) -> None:
    """Words of a command line are quoted."""
    assert read_summary(write({"command": command})).command == text


def test_the_run_json_itself_names_its_run(write: Write) -> None:
    """DIR/run.json is read as DIR."""
    assert read_summary(write() / "run.json").directory == write()


def test_a_torn_last_line_is_left_out(write: Write) -> None:
    """A row that was cut off while it was written is left out, and that is said."""
    past = read_run(write(metrics='{"kind": "step", "epoch": 0, "step": 1, "train_loss": 2.5}\n{"kind": "st'))
    assert past.rows["step"] == [{"kind": "step", "epoch": 0, "step": 1, "train_loss": 2.5}]
    assert past.notes == ("the last line of metrics.jsonl is cut off, and is left out",)


def test_a_whole_last_line_without_a_line_break_is_read(write: Write) -> None:
    """Only what is cut off is left out."""
    past = read_run(write(metrics='{"kind": "step", "epoch": 0, "step": 1}'))
    assert (len(past.rows["step"]), past.notes) == (1, ())


@for_each(
    "line",
    ["null", "[]", "3", "{", DEEP, '{"kind": "step"}', '{"kind": ["step"], "epoch": 0, "step": 1}', "\x00\x01",
     '{"kind": "other", "epoch": 0, "step": 1}', '{"kind": "step", "epoch": 0, "step": "1"}',
     '{"kind": "step", "epoch": -1, "step": 1}', '{"kind": "step", "epoch": true, "step": 1}', "1" * 5000],
    ids=[str(number) for number in range(13)],
)  # fmt: skip
def test_a_line_that_is_no_row_is_left_out(write: Write, line: str) -> None:
    """The rows before and after it are read, and its number is said."""
    row = '{"kind": "epoch", "epoch": 0, "step": 1}\n'
    past = read_run(write(metrics=f"{row}{line}\n{row}"))
    assert len(past.rows["epoch"]) == 2
    assert past.notes == ("line 2 of metrics.jsonl is not a row, and left out",)


def test_several_lines_that_are_no_rows_are_counted(write: Write) -> None:
    """However many there are, it is one note."""
    assert read_run(write(metrics="a\n\nb\n")).notes == (
        "2 lines of metrics.jsonl are not a row, and left out (line 1 is the first)",
    )


def test_numbers_that_are_not_finite_are_none(write: Write) -> None:
    """NaN, infinity, and what is too great to compute with are None, in rows and in final metrics."""
    row = f'"kind": "epoch", "epoch": 0, "step": 1, "a": NaN, "b": -Infinity, "c": 1e999, "d": {"9" * 400}, "e": 2'
    past = read_run(write(f'{{"format": 2, "spec": {{}}, "metrics": {{{row}}}}}', f"{{{row}}}\n"))
    expected = {"kind": "epoch", "epoch": 0, "step": 1, "a": None, "b": None, "c": None, "d": None, "e": 2}
    assert past.rows["epoch"] == [expected]
    assert past.final == expected


def test_a_run_without_metrics_is_read(write: Write) -> None:
    """A missing metrics.jsonl is said."""
    assert read_run(write(metrics=None)).notes == ("metrics.jsonl cannot be read: No such file or directory",)


@pytest.mark.parametrize("wrong", [None, 3, -1, 1.5, True, "x", [], [1], {}, {"a": {}}, "\x1b[31m", 1 << 70])
def test_no_type_of_a_field_is_a_traceback(write: Write, wrong: Any) -> None:
    """Each field with a value of any type is read, or is an error of one line."""
    fields = (*RECORD, "objects", "components", "versions", "process", "reason", "seconds", "epochs_done", "files",
              "best_epoch", "chosen_on", "device", "command", "participants", "observers")  # fmt: skip
    for field in fields:
        for status in ("finished", "running", "stopped"):
            try:
                past = read_run(write({"status": status, field: wrong}))
            except ConfigError as error:
                assert "\n" not in error.message  # noqa: PT017  # most are read
                continue
            assert past.best_epoch is None or type(past.best_epoch) is int
            assert all(isinstance(text, str) for text in (*past.spec.values(), *past.components.values()))


def test_each_value_of_a_table_may_be_anything(write: Write) -> None:
    """Deep and strange values in spec, components and versions are read."""
    deep: Any = {"a": 1}
    for _ in range(200):
        deep = {"a": [deep]}
    for value in (deep, 10**400, [None], {"\x1b": "\x1b"}):
        table = {"loss": value, "\x1b[2J": value, "epochs": value}
        past = read_run(write({"spec": table, "components": table, "versions": table, "objects": table, "odd": value}))
        assert "\x1b" not in repr(past.spec)
        assert len(repr(past)) < 10_000


def test_control_characters_are_made_printable(write: Write) -> None:
    """No text of a file moves the cursor, ends a line, or holds half a character."""
    evil = "a\x1b[2J\n\t\u202e\ud800"
    record = {"reason": evil, "device": evil, "command": evil, "spec": {"loss": evil, evil: evil},
              "versions": {evil: evil}, "metrics": {evil: evil}, "more": {evil: [evil]}}  # fmt: skip
    past = read_run(write(record, json.dumps({"kind": "step", "epoch": 0, "step": 1, evil: evil}) + "\n"))
    assert isinstance(past, PastRun)
    more = past.facts["more"]
    texts = [past.reason, past.device, past.command, *past.spec, *past.spec.values(), *past.versions, *past.final,
             *past.rows["step"][0], past.components["loss"], *more, *next(iter(more.values()))]  # fmt: skip
    assert all(str(text).isprintable() for text in texts)
    assert past.reason == "a\\x1b[2J\\n\\t\\u202e\\ud800"


@for_each(
    ("text", "why"),
    [
        ('{"format": 2, "spe', "is not a whole run.json: "),
        ("", "is not a whole run.json: "),
        (DEEP, "is not a whole run.json: it is nested too deep"),
        ("[]", "is not a whole run.json: it holds no keys and values"),
        ('{"n": ' + "9" * 5000 + "}", "is not a whole run.json: "),
        ("{}", "is not a run.json of format 1 or 2"),
        ('{"format": 3, "spec": {}}', "is not a run.json of format 1 or 2"),
        ('{"format": 2, "spec": []}', "or a damaged one"),
        (" " * (MAX_RECORD + 1), "it is longer than 10,000,000 bytes"),
    ],
    ids=["cut off", "empty", "deep", "list", "huge number", "foreign", "later", "damaged", "long"],
)
def test_a_run_json_that_cannot_be_used_is_one_line(write: Write, text: str, why: str) -> None:
    """It names the file and says what is wrong."""
    directory = write(text)
    assert message(directory).startswith(f"{directory / 'run.json'} ")
    assert why in message(directory)


def test_what_is_no_run_directory_says_what_it_is(tmp_path: Path) -> None:
    """A missing directory, one of something else, and a file are told apart."""
    (tmp_path / "file").touch()
    assert message(tmp_path / "none") == f"there is no run directory {tmp_path / 'none'}"
    assert message(tmp_path) == f"{tmp_path} is not a run directory: it has no run.json"
    assert message(tmp_path / "file") == f"{tmp_path / 'file'} is not a run directory: it is a file"
    assert "cannot be read" in message(tmp_path / ("x" * 5000))
    assert "cannot be read" in message(tmp_path / "a\0b")
    assert message(tmp_path / "a\x1b\nb").endswith("a\\x1b\\nb")


def test_a_pipe_is_not_waited_for(write: Write) -> None:
    """A metrics.jsonl or run.json that is a pipe without a writer is said, at once."""
    directory = write(metrics=None)
    os.mkfifo(directory / "metrics.jsonl")
    assert read_run(directory).notes == ("metrics.jsonl cannot be read: it is not a regular file",)
    (directory / "run.json").unlink()
    os.mkfifo(directory / "run.json")
    assert message(directory).endswith("run.json cannot be read: it is not a regular file")


def test_what_is_too_long_is_not_read(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a metrics.jsonl beyond the bound the beginning is read, and the rest is said to be left out."""
    monkeypatch.setattr("lossreg.training.record.rows.MAX_METRICS", 100)
    row = '{"kind": "step", "epoch": 0, "step": 1}\n'
    past = read_run(write(metrics=row * 50))
    assert len(past.rows["step"]) == 2
    assert past.notes[0] == "metrics.jsonl is longer than 100 bytes: what is beyond them is left out"


def test_reading_needs_no_torch(write: Write) -> None:
    """Importing and reading imports neither torch nor numpy."""
    code = (
        "import sys; from lossreg.training.record.reading import read_run; read_run(sys.argv[1]); "
        "print([m for m in ('torch', 'numpy', 'rich', 'click') if m in sys.modules])"
    )
    child = subprocess.run([sys.executable, "-c", code, str(write())], capture_output=True, text=True, check=True)
    assert child.stdout == "[]\n"
