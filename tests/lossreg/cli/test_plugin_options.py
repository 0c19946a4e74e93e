"""The options about plugins: `-p`, `--no-plugins`, `--strict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lossreg.conftest import CommandWith, Install


@pytest.mark.parametrize("before", [True, False])
def test_the_flags_work_before_and_after_the_subcommand(
    install: Install, command_with: CommandWith, tmp_path: Path, before: bool
) -> None:
    """`-p`, `--no-plugins` and `--strict` are taken in both places."""
    site = install("good-losses", "bad-import")
    flags, words = ["-p", "no:broken", "--strict"], ["list", "loss", "focal"]
    result = command_with(*([*flags, *words] if before else [*words, *flags]), path=site, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "focal" in result.stdout
