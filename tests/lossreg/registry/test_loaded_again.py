"""Files that were imported before, which do not run again."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lossreg

NAME = "a_file_of_losses"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that registers a loss; the module is forgotten afterwards."""
    place = tmp_path / f"{NAME}.py"
    place.write_text(
        "import lossreg\n\n@lossreg.losses.register\ndef gap(input, target):\n    return (input - target).abs().sum()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield place
    sys.modules.pop(NAME, None)


def test_a_file_is_loaded_for_each_set(file: Path) -> None:
    """The second set has what the first one has, with the same provenance, whatever the word for the file."""
    first, second = (lossreg.load_registries(allow=[], local=[source]) for source in (str(file), NAME))
    for made in (first, second):
        assert made.losses["gap"].component.name == "gap"
        assert made.losses["gap"].provenance.file == str(file)
    assert first.losses["gap"] is not second.losses["gap"]


def test_a_file_that_was_imported_is_loaded_for_a_set(file: Path) -> None:
    """What it registered for `lossreg.losses` is in the set, too."""
    try:
        importlib.import_module(NAME)
        assert lossreg.load_registries(allow=[], local=[str(file)]).losses["gap"].component.name == "gap"
    finally:
        lossreg.losses._remove("local.gap")
