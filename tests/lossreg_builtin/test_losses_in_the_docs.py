"""The tables of losses in the docs against the records."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from lossreg import RegistryEntry
from lossreg.cli.show import differing_defaults
from lossreg.registry.registries import default
from tests.table import for_each

PAGE = Path(__file__).parents[2] / "docs" / "losses.md"
ROWS = {
    cells[0].strip("`"): cells[1:]
    for line in PAGE.read_text(encoding="utf-8").partition("## What is done")[0].splitlines()
    if (cells := [cell.strip() for cell in line.strip("|").split(" |")]) and re.fullmatch(r"`\w+`", cells[0])
}
LOSSES = [entry for entry in default.losses.values() if entry.provenance.plugin == "builtin"]


def test_every_loss_has_a_row() -> None:
    """The page on losses has each built-in loss once, and no other."""
    assert sorted(ROWS) == sorted(entry.name for entry in LOSSES)


@for_each("entry", LOSSES, ids=lambda entry: entry.name)
def test_a_row_says_what_the_record_says(entry: RegistryEntry[Any]) -> None:
    """A row has what the loss takes, and the defaults that are not torch's."""
    component, (_, *row) = entry.component, ROWS[entry.name]
    if not component.is_fed:
        assert row == [", ".join(component.takes)]
        return
    differs = ", ".join(
        f"`{name}={value['default']!r}` ({value['factory']!r})" for name, value in differing_defaults(entry).items()
    )
    assert row == [component.input, component.target, "not in torch" if entry.name == "dice" else differs]
