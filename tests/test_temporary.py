"""Temporary files of a session of tests: in memory, and not for longer than the session."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.temporary import is_chosen, session_folder


def test_a_session_that_ended_leaves_nothing_to_the_next(tmp_path: Path) -> None:
    """What a session has kept, or left when it was killed, is removed by the next; that of one that lives stays."""
    lives, kept, ended = (session_folder(tmp_path, room=0) for _ in range(3))
    assert lives is not None
    assert kept is not None
    assert ended is not None
    (kept.path / "left").write_text("to be looked at")
    kept.close(keep=True)
    ended.close(keep=False)
    assert (kept.path / "left").exists()
    assert not ended.path.exists()
    following = session_folder(tmp_path, room=0)
    assert following is not None
    assert not kept.path.exists()
    assert lives.path.is_dir()
    for folder in (lives, following):
        folder.close(keep=False)


def test_no_other_user_reads_it(tmp_path: Path) -> None:
    """Folder and session are their user's alone."""
    folder = session_folder(tmp_path, room=0)
    assert folder is not None
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder.path, folder.path.parent)] == [0o700, 0o700]
    folder.close(keep=False)


def test_a_disk_is_taken_where_memory_has_no_room(tmp_path: Path) -> None:
    """Without such a file system, or with too little room in it, there is no folder."""
    assert session_folder(tmp_path, room=2**62) is None
    assert session_folder(tmp_path / "missing") is None


@pytest.mark.parametrize("name", ["TMPDIR", "PYTEST_DEBUG_TEMPROOT", "PYTEST_XDIST_WORKER"])
def test_a_choice_is_respected(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who names a folder for temporary files gets them there, and workers have theirs in that of their session."""
    for other in ("TMPDIR", "PYTEST_DEBUG_TEMPROOT", "PYTEST_XDIST_WORKER"):
        monkeypatch.delenv(other, raising=False)
    assert not is_chosen()
    monkeypatch.setenv(name, "chosen")
    assert is_chosen()
