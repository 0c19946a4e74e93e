"""What a node of a cluster sends is put into the run directory, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from lossreg.comparison import cluster


def test_files_in_folders_are_kept(tmp_path: Path) -> None:
    """An observer may have made a folder."""
    cluster._keep({"run.json": b"{}", "events/one": b"1"}, tmp_path / "run")
    assert (tmp_path / "run" / "events" / "one").read_bytes() == b"1"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("name", ["../outside", "a/../../outside", "/lossreg-outside"])
def test_a_name_that_leads_out_is_refused(name: str, tmp_path: Path) -> None:
    """Nothing is written then."""
    with pytest.raises(OSError, match="outside of the run directory"):
        cluster._keep({"run.json": b"{}", name: b"1"}, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
    assert not Path("/lossreg-outside").exists()
