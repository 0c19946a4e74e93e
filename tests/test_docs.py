"""The documentation names everything that a user can name."""

from __future__ import annotations

from pathlib import Path

import attrs
import click
import pytest

from lossreg import settings
from lossreg.cli.main import COMMANDS, cli
from lossreg.components import RUNTIME_NAMES, Dataset, Loss, Model, Optimizer, Scheduler
from lossreg.expression import WORDS
from lossreg.plugins import HOOKS
from lossreg.registry import default
from lossreg.run_spec import RUN_KEYS

ROOT = Path(__file__).parents[1]
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
ALL = "\n".join(PAGES.values())


def options() -> set[str]:
    """Every option of every command, by its last spelling."""
    context = click.Context(cli)
    found: set[str] = set()
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        found |= {parameter.opts[-1] for parameter in command.params if isinstance(parameter, click.Option)}
    return found


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented(hook: str) -> None:
    """The page on plugins names each hook with its arguments."""
    assert f"{hook}({', '.join(HOOKS[hook])})" in PAGES["plugins.md"]


@pytest.mark.parametrize("name", sorted(RUNTIME_NAMES))
def test_every_runtime_name_is_documented(name: str) -> None:
    """The page on plugins names what a runner supplies."""
    assert f"`{name}`" in PAGES["plugins.md"]


@pytest.mark.parametrize("record", [Loss, Optimizer, Scheduler, Model, Dataset])
def test_every_field_of_a_record_is_documented(record: type) -> None:
    """The page on plugins names each field of each record."""
    assert [f.name for f in attrs.fields(record) if f"`{f.name}`" not in PAGES["plugins.md"]] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented(command: str) -> None:
    """Each command is in the docs."""
    assert f"lossreg {command}" in ALL


@pytest.mark.parametrize("option", sorted(options()))
def test_every_option_is_documented(option: str) -> None:
    """Each option is in the docs."""
    assert option in ALL


@pytest.mark.parametrize("key", RUN_KEYS)
def test_every_key_is_documented(key: str) -> None:
    """The page on running names each key of a settings file."""
    assert f"`{key}`" in PAGES["running.md"]


@pytest.mark.parametrize("word", sorted(WORDS))
def test_every_word_of_the_expression_language_is_documented(word: str) -> None:
    """The page on expressions names each variable, constant and function."""
    assert f"`{word}" in PAGES["expressions.md"]


@pytest.mark.parametrize("word", [settings.PLUGINS_VARIABLE, settings.STRICT_VARIABLE, *settings.PROJECT_KEYS])
def test_every_setting_of_plugins_is_documented(word: str) -> None:
    """The page on plugins names environment variables and the keys of a project's file."""
    assert word in PAGES["plugins.md"]


@pytest.mark.parametrize("kind", ["loss", "optimizer", "scheduler", "model", "dataset"])
def test_every_built_in_is_documented(kind: str) -> None:
    """Each built-in component is named in the docs."""
    names = [r.name for r in default.of(kind).values() if r.provenance.plugin == "builtin"]
    assert [name for name in names if f"`{name}`" not in ALL] == []


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link leads to a file."""
    import re

    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_decision_is_listed() -> None:
    """The index of decisions has each record."""
    index = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    records = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("0*.md"))
    assert records
    assert [name for name in records if name not in index] == []
