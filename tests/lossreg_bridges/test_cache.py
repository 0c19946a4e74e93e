"""Another version than the one of the release: read once, in a process of its own, and kept; or the snapshot, said."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import lossreg
from lossreg_bridges.bridge import Bridge
from lossreg_bridges.cache import cache_file, index_of_other_version
from lossreg_bridges.index import Index, read_index
from tests.toy_bridge import LION, index, write_bridges, write_package


@pytest.fixture
def bridge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bridge:
    """A bridge to version 2.0 of a package, whose snapshot is of 1.0, and an empty cache."""
    site = tmp_path / "site"
    write_package(write_bridges(site, "toy"), version="2.0")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(site))
    return Bridge("toy", "toy", site / "lossreg_toy")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands of child processes, each of which ends at once with an error."""
    commands = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 1, "", "Traceback\nImportError: no toy\n")

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def keep(bridge: Bridge, content: Any) -> Path:
    """Puts a file into the cache."""
    file = cache_file(bridge, "2.0")
    file.parent.mkdir(parents=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def of(bridge: Bridge) -> Index:
    """The index of the installed version."""
    return index_of_other_version(bridge, "2.0", read_index(bridge.snapshot, "toy"))


def test_another_version_is_read_once_and_kept(
    bridge: Bridge, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, warm_python: str
) -> None:
    """A child process imports the package, says so on stderr, and tries what is new; afterwards none is needed."""
    monkeypatch.setattr(sys, "executable", warm_python)
    old = index(components={"optimizer": {"lion": {**LION, "layout": "contiguous"}}})
    bridge.snapshot.write_text(json.dumps(old))
    made = of(bridge)
    assert (made.version, made.made_by) == ("2.0", lossreg.__version__)
    assert made.rows("optimizer")["lion"]["layout"] == "contiguous"  # as the snapshot has it
    assert made.rows("loss")["roar"]["averages"] == "sample"  # found by a trial
    assert "toy" not in sys.modules
    assert capfd.readouterr().err == "lossreg: reading what toy 2.0 offers; this is done once, and imports it\n"
    monkeypatch.setattr(subprocess, "run", None)
    assert of(bridge) == made
    assert [file.name for file in cache_file(bridge, "2.0").parent.iterdir()] == [
        f"toy-2.0-lossreg-{made.made_by}.json"
    ]


def test_a_kept_index_needs_no_process(bridge: Bridge, started: list[list[str]]) -> None:
    """What the cache has for this version is taken."""
    keep(bridge, index(version="2.0"))
    assert of(bridge).version == "2.0"
    assert started == []


@pytest.mark.parametrize(
    "content",
    [
        "", "{", index(version="1.5"), index(version="2.0", lossreg="0.0.1"), index(version="2.0", format=0),
        index(version="2.0", components={"loss": {"evil": {"factory": "os:system", "target": "any"}}}),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_made_again(bridge: Bridge, started: list[list[str]], content: Any) -> None:
    """A broken, stale or foreign file in the cache is as good as none."""
    file = keep(bridge, content)
    assert of(bridge).version == "1.0"  # the child fails here
    (command,) = started
    assert command[1:] == ["-P", "-m", "lossreg_bridges", "index", "toy", "--out", str(file), "--quiet"]


def test_a_failure_is_said_and_not_repeated(
    bridge: Bridge, started: list[list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    """The next starts use the snapshot, with the reason and the file to remove."""
    with caplog.at_level(logging.WARNING):
        assert of(bridge).version == "1.0"
        assert of(bridge).version == "1.0"
    assert len(started) == 1
    first, second = (record.getMessage() for record in caplog.records)
    assert first == (
        "toy 2.0 is installed; what is listed of it is that of 1.0, with which lossreg was released: reading it ended "
        "with exit code 1: ImportError: no toy"
    )
    assert second == f"{first} (remove {cache_file(bridge, '2.0').with_suffix('.failed.json')} to try again)"


def test_a_home_that_is_read_only_is_said(
    bridge: Bridge, started: list[list[str]], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is read that could not be kept; the snapshot is used, with a note."""
    folder = cache_file(bridge, "2.0").parent
    folder.parent.mkdir(parents=True)
    folder.write_text("a file in its place")
    with caplog.at_level(logging.WARNING):
        assert of(bridge).version == "1.0"
    assert f"{folder} cannot be made: File exists" in caplog.text
    folder.unlink()
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with caplog.at_level(logging.WARNING):
        assert of(bridge).version == "1.0"
    assert f"{folder} cannot be written to" in caplog.text
    assert started == []


def test_a_completion_waits_for_nothing(
    bridge: Bridge, started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell gets the names of the snapshot at once."""
    monkeypatch.setenv("_LOSSREG_COMPLETE", "bash_complete")
    assert of(bridge).version == "1.0"
    assert started == []


def test_versions_do_not_lead_out_of_the_cache(bridge: Bridge) -> None:
    """A version is a part of a file's name, whatever is in it."""
    file = cache_file(bridge, "../../2.0")
    assert file.parent.name == "indexes"
    assert "/" not in file.name
