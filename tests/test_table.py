"""A test over a table looks at each row, and names those that fail."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from tests.table import for_each, for_each_apart


def test_every_row_that_fails_is_named() -> None:
    """A failure stops no other row; the group of failures has a note with each row's name."""
    seen: list[int] = []

    @for_each("number", [1, 2, 3, 4], ids="abcd")
    def odd(number: int) -> None:
        seen.append(number)
        assert number % 2 == 1

    with pytest.raises(BaseExceptionGroup, match="2 of 4 rows of odd: b, d") as caught:
        odd()
    assert seen == [1, 2, 3, 4]
    assert [error.__notes__ for error in caught.value.exceptions] == [["in the row [b]"], ["in the row [d]"]]
    assert {type(error) for error in caught.value.exceptions} == {AssertionError}


def test_what_pytest_fails_with_counts() -> None:
    """An exception that was expected and did not come is a failure of its row."""

    @for_each(("text", "base"), [("1", 10), ("x", 10)])
    def refused(text: str, base: int) -> None:
        with pytest.raises(ValueError):
            int(text, base)

    with pytest.raises(BaseExceptionGroup) as caught:
        refused()
    assert [error.__notes__ for error in caught.value.exceptions] == [["in the row ['1'-10]"]]


def test_tables_multiply_and_leave_the_fixtures(tmp_path: Path) -> None:
    """Two tables are looked at in all combinations, and what no table has is a fixture."""
    seen: list[tuple[int, str, Path]] = []

    @for_each("number", [1, 2])
    @for_each("word", ["a", "b"])
    def collect(number: int, word: str, tmp_path: Path) -> None:
        seen.append((number, word, tmp_path))

    assert list(inspect.signature(collect).parameters) == ["tmp_path"]
    collect(tmp_path=tmp_path)
    assert seen == [(1, "a", tmp_path), (1, "b", tmp_path), (2, "a", tmp_path), (2, "b", tmp_path)]


def test_rows_apart_find_nothing_of_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each begins in an empty folder below the working directory, to which the test comes back, failed or not."""
    monkeypatch.chdir(tmp_path)
    seen: list[Path] = []

    @for_each_apart("number", [1, 2, 3])
    def leave_a_file(number: int) -> None:
        seen.append(Path.cwd())
        assert list(Path().iterdir()) == []
        Path("left").touch()
        assert number != 2

    with pytest.raises(BaseExceptionGroup, match="1 of 3 rows"):
        leave_a_file()
    assert {folder.parent for folder in seen} == {tmp_path}
    assert len(set(seen)) == 3
    assert Path.cwd() == tmp_path


def test_a_table_has_rows() -> None:
    """A table without rows would test nothing."""
    with pytest.raises(AssertionError, match="without rows"):
        for_each("number", [])
