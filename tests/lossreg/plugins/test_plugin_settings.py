"""Which plugins load: flags, the environment, a project's file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lossreg.conftest import CommandWith, Install


def states(command_with: CommandWith, *arguments: str, path: Path, cwd: Path, **variables: str) -> dict[str, str]:
    """The state of each plugin, by name."""
    result = command_with("plugins", "--json", *arguments, path=path, cwd=cwd, **variables)
    assert result.returncode == 0, result.stderr
    return {row["name"]: row["state"] for row in json.loads(result.stdout)}


@pytest.mark.parametrize(
    ("arguments", "variables", "good", "rival"),
    [
        ((), {}, "loaded", "loaded"),
        (("--no-plugins",), {}, "blocked", "blocked"),
        (("-p", "no:good"), {}, "blocked", "loaded"),
        (("-p", "no:Rival-Dice"), {}, "loaded", "blocked"),
        ((), {"LOSSREG_PLUGINS": "good"}, "loaded", "blocked"),
        ((), {"LOSSREG_PLUGINS": ""}, "blocked", "blocked"),
        (("-p", "no:good"), {"LOSSREG_PLUGINS": "good, rival"}, "blocked", "loaded"),
        (("--no-plugins",), {"LOSSREG_PLUGINS": "good"}, "blocked", "blocked"),
    ],
)
def test_flags_and_environment_say_which_plugins_load(
    install: Install,
    command_with: CommandWith,
    tmp_path: Path,
    arguments: tuple[str, ...],
    variables: dict[str, str],
    good: str,
    rival: str,
) -> None:
    """Flags and the environment block and allow plugins by name or distribution; the built-ins always load."""
    site = install("good-losses", "rival-dice")
    found = states(command_with, *arguments, path=site, cwd=tmp_path, **variables)
    assert found == {"builtin": "loaded", "observers": "loaded", "good": good, "rival": rival}


def test_blocking_what_is_not_there_is_an_error(command_with: CommandWith, tmp_path: Path) -> None:
    """A flag that blocks a plugin of an unknown name would have no effect, and is refused."""
    result = command_with("list", "-p", "no:nobody", path=tmp_path, cwd=tmp_path)
    assert result.returncode == 2
    assert "there is no plugin 'nobody' to block" in result.stderr


def test_a_blocked_plugin_is_not_imported(install: Install, command_with: CommandWith, tmp_path: Path) -> None:
    """A plugin whose import ends the process is harmless when it is blocked, and says nothing."""
    result = command_with("list", "-p", "no:exit", path=install("bad-exit"), cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("file", ["lossreg.toml", "pyproject.toml"])
def test_the_nearest_project_file_counts(
    install: Install, command_with: CommandWith, tmp_path: Path, file: str
) -> None:
    """A project's file found upward blocks plugins; the environment goes before it."""
    head = "" if file == "lossreg.toml" else "[tool.lossreg]\n"
    (tmp_path / file).write_text(f'{head}plugins = ["rival"]\n')
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (below / "pyproject.toml").write_text("[project]\nname = 'unrelated'\n")
    site = install("good-losses", "rival-dice")
    found = states(command_with, path=site, cwd=below)
    assert found == {"builtin": "loaded", "observers": "loaded", "good": "blocked", "rival": "loaded"}
    found = states(command_with, path=site, cwd=below, LOSSREG_PLUGINS="good")
    assert found == {"builtin": "loaded", "observers": "loaded", "good": "loaded", "rival": "blocked"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("plugin = ['a']", "no key 'plugin'. Did you mean 'plugins'"),
        ("local = ['./evil.py']", "no key 'local'"),
        ("block = 'good'", "block is a list"),
        ("strict = 'yes'", "strict is true or false"),
        ("strict = ", "is not TOML"),
        ("plugins = ['nobody']", "no plugin 'nobody' to allow"),
        ("block = ['builtin']", "cannot be blocked"),
    ],
)
def test_a_project_file_with_a_mistake_is_an_error(
    command_with: CommandWith, tmp_path: Path, content: str, said: str
) -> None:
    """A wrong key or value in a project's file is told with exit code 2; no key names code to load."""
    (tmp_path / "lossreg.toml").write_text(content)
    result = command_with("list", path=tmp_path, cwd=tmp_path)
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("how", ["flag", "environment", "file"])
def test_strict_makes_a_fault_an_error(install: Install, command_with: CommandWith, tmp_path: Path, how: str) -> None:
    """Where it is strict, a plugin that fails ends the command with 2 and its reason."""
    if how == "file":
        (tmp_path / "lossreg.toml").write_text("strict = true\n")
    variables = {"LOSSREG_STRICT": "1"} if how == "environment" else {}
    flags = ["--strict"] if how == "flag" else []
    result = command_with("list", *flags, path=install("bad-import"), cwd=tmp_path, **variables)
    assert result.returncode == 2
    assert "No module named 'a_module_that_nobody_has'" in result.stderr
    assert result.stdout == ""
