"""An index names only what is in its package, is read whole or not at all, and is written whole or not at all."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lossreg_bridges import index as index_module
from lossreg_bridges.index import IndexFileError, read_index, write_index
from tests.table import for_each
from tests.toy_bridge import LION, index


def written(folder: Path, content: Any) -> Path:
    """A file with this content."""
    file = folder / "index.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


@for_each(
    "factory",
    ["os:system", "toybox:Lion", "toy.x:os.system", "toy:", "toy", ":system", "toy..x:f", "toy:a b", " toy:f", None, 1],
)
def test_a_target_outside_of_the_package_is_refused(tmp_path: Path, factory: Any) -> None:
    """The whole index is, even if it has one such row, and the message says which."""
    rows = {"optimizer": {"good": LION, "bad": {**LION, "factory": factory}}}
    file = written(tmp_path, index(components=rows))
    with pytest.raises(IndexFileError) as raised:
        read_index(file, "toy")
    assert str(raised.value) == (
        f"{file}: the factory of optimizer 'bad' is {factory!r}; an index of toy names what is in that package alone"
    )


def test_a_common_field_is_not_a_factory(tmp_path: Path) -> None:
    """A target that rows leave to the common fields is refused, too."""
    file = written(tmp_path, index(common={"optimizer": {"factory": "os:system"}}))
    with pytest.raises(IndexFileError, match="a factory is one component's"):
        read_index(file, "toy")


@for_each(
    ("content", "message"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "is not an index of format 1"),
        ({"format": 2}, "is not an index of format 1"),
        (index("zoo"), "is an index of 'zoo', not of toy"),
        ({"format": 1, "package": "toy"}, "is not an index: 'version'"),
        (index(components=[]), "is not an index: a table is missing"),
        (index(components={"optimizer": {"lion": 7}}), "is not an index: a table is missing"),
        (index(left_out={"optimizer": {"lion": 7}}), "is not an index: a table is missing"),
    ],
)
def test_what_is_not_an_index_is_an_error_in_one_line(tmp_path: Path, content: Any, message: str) -> None:
    """It names the file and what is wrong."""
    file = written(tmp_path, content)
    with pytest.raises(IndexFileError, match=message) as raised:
        read_index(file, "toy")
    assert str(raised.value).startswith(str(file))


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its size is bounded."""
    monkeypatch.setattr(index_module, "MAX_BYTES", 10)
    with pytest.raises(IndexFileError, match="is larger than 10 bytes"):
        read_index(written(tmp_path, index()), "toy")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    """The fields that most rows share stand once, and each row has them."""
    first = index(common={"optimizer": {"closure": False, "layout": "any"}})
    read = read_index(written(tmp_path, first), "toy")
    target = tmp_path / "again.json"
    write_index(read, target)
    assert read_index(target, "toy") == read
    assert read.rows("optimizer")["lion"] == {"closure": False, "layout": "any", **LION}
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands beside it is removed."""
    read = read_index(written(tmp_path, index()), "toy")
    before = (tmp_path / "index.json").read_text()

    def fail(self: Path, target: Path) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        write_index(read, tmp_path / "index.json")
    assert (tmp_path / "index.json").read_text() == before
    assert [file.name for file in tmp_path.iterdir()] == ["index.json"]


def test_processes_that_write_at_once_leave_a_whole_file(tmp_path: Path) -> None:
    """Whoever reads while others write finds one of their indexes."""
    first = read_index(written(tmp_path, index()), "toy")
    second = read_index(written(tmp_path, index(version="2.0")), "toy")
    target = tmp_path / "index.json"
    with ThreadPoolExecutor(3) as pool:
        writes = [pool.submit(write_index, one, target) for one in (first, second) * 20]
        while not all(write.done() for write in writes):
            assert read_index(target, "toy") in (first, second)
    assert [file.name for file in tmp_path.iterdir()] == ["index.json"]
