"""The file of a project that was made to do harm: one error, and nothing is waited for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import lossreg
from lossreg.plugins.plugin_settings import load_settings


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """Under the name of lossreg's own file it is an error; under pyproject.toml it says nothing to lossreg."""
    os.mkfifo(tmp_path / "pyproject.toml")
    assert load_settings({}, tmp_path) == load_settings({}, tmp_path.parent)
    os.mkfifo(tmp_path / "lossreg.toml")
    with pytest.raises(lossreg.ConfigError, match="not a regular file"):
        load_settings({}, tmp_path)


@pytest.mark.parametrize("text", ["a = " + "[" * 10_000, "a" + ".a" * 50_000 + " = 1", "#" * 1_000_001])
@pytest.mark.parametrize("name", ["lossreg.toml", "pyproject.toml"])
def test_a_file_that_takes_long_or_deep_recursion_is_an_error(text: str, name: str, tmp_path: Path) -> None:
    """Nested too deep, a name of thousands of parts, too long: a ConfigError that names the file."""
    (tmp_path / name).write_text(f"[tool.lossreg]\n{text}")
    with pytest.raises(lossreg.ConfigError, match=name):
        load_settings({}, tmp_path)
