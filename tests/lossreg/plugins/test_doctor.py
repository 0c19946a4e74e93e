"""The doctor: what is wrong with a plugin, and how to remove it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lossreg.conftest import CommandWith, Install


@pytest.mark.parametrize(
    ("distribution", "name", "said"),
    [
        ("bad-import", "broken", ["Traceback (most recent call last)", "plugin.py", "a_module_that_nobody_has"]),
        ("bad-misspelt", "misspelt", ["there is no hook 'lossreg_loses'"]),
        ("bad-arguments", "arguments", ["takes registry, which the hook does not give"]),
        ("bad-factory", "factory", ["'lost' does not exist: bad_factory.plugin:Nowhere"]),
        ("bad-factory-late", "factory-late", ["factory_late.lost", "bad_factory_late.loss:Loss"]),
        ("bad-exit", "exit", ["SystemExit: 3"]),
        ("bad-nothing", "nothing", ["no function is marked"]),
        ("needs-thing", "thing", ["a-distribution-that-nobody-has>=2: not installed"]),
        ("needs-newer", "newer", ["requires lossreg>=99"]),
        ("claims-builtin", "claims-builtin", ["reserved for lossreg itself"]),
    ],
)
def test_the_doctor_says_what_is_wrong(
    install: Install, command_with: CommandWith, tmp_path: Path, distribution: str, name: str, said: list[str]
) -> None:
    """`lossreg plugins doctor` shows what is wrong with a plugin, and how to remove it; its exit code is 1."""
    result = command_with("plugins", "doctor", name, path=install(distribution), cwd=tmp_path)
    assert result.returncode == 1, result.stderr
    for fragment in said:
        assert fragment in result.stdout
    assert f"delete the files of {distribution}, or take the folder off PYTHONPATH" in result.stdout


def test_the_doctor_finds_nothing_wrong_with_a_good_plugin(
    install: Install, command_with: CommandWith, tmp_path: Path
) -> None:
    """A plugin in order has exit code 0, and every hook and component is well."""
    result = command_with("plugins", "doctor", "all", "--json", path=install("all-kinds"), cwd=tmp_path)
    assert result.returncode == 0
    (finding,) = json.loads(result.stdout)
    assert [part["problem"] for part in (*finding["hooks"], *finding["components"])] == [None] * 13


def test_the_doctor_knows_no_stranger(command_with: CommandWith, tmp_path: Path) -> None:
    """A name that no plugin has is an error with exit code 2."""
    result = command_with("plugins", "doctor", "builtn", path=tmp_path, cwd=tmp_path)
    assert result.returncode == 2
    assert "there is no plugin 'builtn'. Did you mean 'builtin'?" in result.stderr
