"""One test over a table of rows: what `pytest.mark.parametrize` would make thousands of tests of.

Where the fact of a row takes microseconds, pytest's own work for a test, and that of xdist, would take a hundred times
as long. `for_each` is written as `parametrize` is, looks at all rows, and names each that fails. Rows share the
fixtures of their test, so it is for tests whose rows leave nothing behind, but for files in the working directory with
`for_each_apart`.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

Test = Callable[..., None]
Ids = Sequence[str] | Iterable[str] | Callable[[Any], object] | None


def for_each(names: str | Sequence[str], rows: Iterable[Any], ids: Ids = None) -> Callable[[Test], Test]:
    """Makes one test that looks at all rows.

    Args:
        names: The arguments that a row has values of, as `parametrize` takes them.
        rows: A value each, or as many as there are names.
        ids: What names the rows in the report of a failure: a text for each, or a function of a value.

    Returns:
        A decorator of a test.
    """
    return _for_each(names, rows, ids, contextlib.nullcontext)


def for_each_apart(names: str | Sequence[str], rows: Iterable[Any], ids: Ids = None) -> Callable[[Test], Test]:
    """As `for_each`; each row begins in an empty folder of its own, below the working directory of the test."""
    return _for_each(names, rows, ids, _own_folder)


@contextlib.contextmanager
def _own_folder() -> Iterator[None]:
    """Has a block work in a folder that is new."""
    number = sum(1 for _ in Path().glob("row*"))
    folder = Path(f"row{number}")
    folder.mkdir()
    with contextlib.chdir(folder):
        yield


def _for_each(
    names: str | Sequence[str], rows: Iterable[Any], ids: Ids, place: Callable[[], AbstractContextManager[None]]
) -> Callable[[Test], Test]:
    """A test that looks at each row within a block."""
    words = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    table = [tuple(row) if len(words) > 1 else (row,) for row in rows]
    labels = [_label(row, ids) for row in table] if ids is None or callable(ids) else list(ids)
    assert table, "a table without rows tests nothing"
    labels = [f"{label}#{number}" if labels.count(label) > 1 else label for number, label in enumerate(labels)]

    def decorate(test: Test) -> Test:
        signature = inspect.signature(test)
        others = [parameter for name, parameter in signature.parameters.items() if name not in words]

        @functools.wraps(test)
        def over_all(**fixtures: Any) -> None:
            failed: dict[str, BaseException] = {}
            for label, row in zip(labels, table, strict=True):
                try:
                    with place():
                        test(**dict(zip(words, row, strict=True)), **fixtures)
                except (KeyboardInterrupt, SystemExit):
                    raise
                except BaseException as error:  # what pytest.fail raises is not an Exception
                    error.add_note(f"in the row [{label}]")
                    failed[label] = error
            if failed:
                said = f"{len(failed)} of {len(table)} rows of {test.__name__}: {', '.join(failed)}"
                raise BaseExceptionGroup(said, list(failed.values()))

        vars(over_all)["__signature__"] = signature.replace(parameters=others)
        return over_all

    return decorate


def _label(row: Sequence[Any], ids: Callable[[Any], object] | None) -> str:
    """What names a row."""
    return "-".join(repr(value) if ids is None else str(ids(value)) for value in row)
