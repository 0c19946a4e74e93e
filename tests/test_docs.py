"""The documentation names everything that a user can name."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import attrs
import click

import lossreg
from lossreg.cli.main import COMMANDS, cli
from lossreg.component import RUNTIME_NAMES
from lossreg.components import Dataset, Loss, Model, Observer, Optimizer, Scheduler
from lossreg.expression import WORDS
from lossreg.plugins import plugin_settings as settings
from lossreg.plugins.checks import HOOKS
from lossreg.registry.registries import default
from lossreg.run_spec import RUN_KEYS, SETTINGS, RunSpec
from lossreg.training.arguments import RunArguments
from tests.table import for_each

ROOT = Path(__file__).parents[1]
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
OWN_PACKAGES = (
    (ROOT, "lossreg"),
    *((ROOT / "plugins", package.name) for package in sorted((ROOT / "plugins").glob("lossreg_*"))),
)
REFERENCE = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "reference").glob("*.rst")}
MARKDOWN = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
ALL = "\n".join(PAGES.values())


def section(page: str, heading: str) -> str:
    """What stands under a heading, until the next one of its level."""
    _, found, rest = PAGES[page].partition(f"\n## {heading}\n")
    assert found
    return rest.partition("\n## ")[0]


def table(text: str) -> list[list[str]]:
    """The cells of the rows of the first table, without its head."""
    lines = re.search(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE)
    assert lines is not None
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines[0].splitlines()]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def options() -> set[str]:
    """Every option of every command, by its last spelling."""
    context = click.Context(cli)
    found: set[str] = set()
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        found |= {parameter.opts[-1] for parameter in command.params if isinstance(parameter, click.Option)}
    return found


@for_each("hook", HOOKS)
def test_every_hook_is_documented(hook: str) -> None:
    """The page on hooks names each hook with its arguments."""
    assert f"`{hook}({', '.join(HOOKS[hook])})`" in PAGES["hooks.md"]


@for_each("name", sorted(RUNTIME_NAMES))
def test_every_runtime_name_is_documented(name: str) -> None:
    """The page on contracts names what a runner supplies."""
    assert f"`{name}`" in section("contracts.md", "Runtime arguments")


@for_each("component", [Loss, Optimizer, Scheduler, Model, Dataset, Observer])
def test_every_field_of_a_component_is_documented(component: type) -> None:
    """The page on contracts names each field of each kind of component."""
    text = section("contracts.md", "Components")
    assert [field.name for field in attrs.fields(component) if f"`{field.name}`" not in text] == []


@for_each("field", [field.name for field in attrs.fields(lossreg.Data)])
def test_every_field_of_a_data_set_is_documented(field: str) -> None:
    """The page on contracts names what a data set's factory returns."""
    assert f"`{field}`" in section("contracts.md", "Contracts")


@for_each("attribute", [name for name in dir(lossreg.Run) if not name.startswith("_")])
def test_every_attribute_of_a_run_is_documented(attribute: str) -> None:
    """The page on hooks names what a hook sees."""
    assert re.search(rf"`{attribute}[`(]", section("hooks.md", "The run that hooks see"))


@for_each("command", COMMANDS)
def test_every_command_is_documented(command: str) -> None:
    """Each command is in the docs."""
    assert f"lossreg {command}" in ALL


@for_each("option", sorted(options()))
def test_every_option_is_documented(option: str) -> None:
    """Each option is in the docs."""
    assert option in ALL


def test_every_setting_has_its_row() -> None:
    """The table of settings has one row for each key of a settings file, and no other row."""
    rows = table(section("running.md", "Settings"))
    assert sorted(row[1] for row in rows) == sorted(f"`{key}`" for key in RUN_KEYS)


@for_each("key", RUN_KEYS)
def test_every_setting_has_its_options(key: str) -> None:
    """The row of a setting has exactly the flags of its option."""
    command = cli.get_command(click.Context(cli), "run")
    assert command is not None
    (option,) = [parameter for parameter in command.params if parameter.name == key]
    (row,) = [row for row in table(section("running.md", "Settings")) if row[1] == f"`{key}`"]
    assert re.findall(r"--[\w-]+", row[0]) == list(option.opts)


@for_each("word", sorted(WORDS))
def test_every_word_of_the_expression_language_is_documented(word: str) -> None:
    """The page on expressions names each variable, constant and function."""
    assert f"`{word}" in PAGES["expressions.md"]


@for_each("key", RUN_KEYS)
def test_every_setting_is_described_as_in_the_code(key: str) -> None:
    """The row of a setting has its default, and begins with its description."""
    (row,) = [row for row in table(section("running.md", "Settings")) if row[1] == f"`{key}`"]
    assert row[2] == SETTINGS[key].default
    assert row[3].startswith(SETTINGS[key].description)


@for_each("key", RUN_KEYS)
def test_every_setting_is_described_in_the_help(key: str) -> None:
    """`lossreg run --help` has the description and the default of each setting, and RunSpec's docstring too."""
    command = cli.get_command(click.Context(cli), "run")
    assert command is not None
    (option,) = [parameter for parameter in command.params if parameter.name == key]
    assert isinstance(option, click.Option)
    assert option.help is not None
    assert option.help.startswith(SETTINGS[key].description)
    assert option.help.endswith(f"[default: {SETTINGS[key].default}]")
    assert f"{key}: {SETTINGS[key].description}" in str(RunSpec.__doc__)


def test_run_and_plan_take_every_setting() -> None:
    """Their signatures, and the types of their arguments, name the settings with the defaults of RunSpec."""
    assert tuple(RunArguments.__annotations__) == RUN_KEYS
    for function in (lossreg.run, lossreg.plan):
        shown = inspect.signature(function).parameters
        assert {key: shown[key].default for key in RUN_KEYS} == {
            field.name: getattr(field.default, "text", field.default) for field in attrs.fields(RunSpec)
        }


def test_every_module_is_on_the_map() -> None:
    """The pages on architecture have each module of the core and of our own plugins once, and no other."""
    found = {
        path.relative_to(root).as_posix() for root, package in OWN_PACKAGES for path in (root / package).rglob("*.py")
    }
    pages = "".join(text for name, text in PAGES.items() if name.startswith("architecture"))
    rows = [line for line in pages.splitlines() if line.startswith("| `")]
    listed = [module for row in rows for module in re.findall(r"`((?:lossreg|lossreg_\w+)/[\w/]*\.py)`", row)]
    assert sorted(listed) == sorted(found)


@for_each("word", [settings.PLUGINS_VARIABLE, settings.STRICT_VARIABLE, *settings.PROJECT_KEYS])
def test_every_setting_of_plugins_is_documented(word: str) -> None:
    """The page on loading plugins names environment variables and the keys of a project's file."""
    assert f"`{word}`" in section("plugin-loading.md", "Which plugins load")


@for_each("kind", ["loss", "optimizer", "scheduler", "model", "dataset", "metric", "observer"])
def test_every_built_in_is_documented(kind: str) -> None:
    """Each built-in component is named in the docs."""
    names = [r.name for r in default.of(kind).values() if r.provenance.distribution == "lossreg"]
    assert [name for name in names if f"`{name}`" not in ALL] == []


@for_each("page", MARKDOWN, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link leads to a file, and its anchor to a heading of that page."""
    text = without_code(page.read_text(encoding="utf-8"))
    targets = re.findall(r"\]\(([^()\s:]+)\)", text)
    assert [target for target in targets if not leads_somewhere(page, target)] == []


def leads_somewhere(page: Path, target: str) -> bool:
    """Whether a relative link of a page has a file, and a heading if it names one."""
    path, sharp, anchor = target.partition("#")
    file = page.parent / path if path else page
    return file.is_file() and (not sharp or anchor in anchors(file.read_text(encoding="utf-8")))


def without_code(text: str) -> str:
    """A page without its fenced blocks and inline code, in which brackets are no links."""
    return re.sub(r"`[^`\n]*`", "`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))


def anchors(text: str) -> set[str]:
    """The anchors that GitHub makes of a page's headings; a repeated one gets a number."""
    found: dict[str, int] = {}
    unfenced = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    names = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *$", unfenced, flags=re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        count = found[slug] = found.get(slug, -1) + 1
        names.add(f"{slug}-{count}" if count else slug)
    return names


def test_anchors_are_those_of_github() -> None:
    """Letters are lower case, marks are dropped, blanks are hyphens, and a repeated heading gets a number."""
    text = "# What's `run.json`?\n```sh\n# no heading\n```\n## A, b: c-d_e\n## [Link](a.md)\n## Link\n"
    assert anchors(text) == {"whats-runjson", "a-b-c-d_e", "link", "link-1"}


@for_each("page", sorted(PAGES))
def test_pages_are_short(page: str) -> None:
    """No page is longer than about 250 lines: a longer one wants to be two."""
    assert len(PAGES[page].splitlines()) <= 260


@for_each("page", sorted(name for name in PAGES if name != "index.md"))
def test_every_page_is_listed(page: str) -> None:
    """The entry of the docs and the README link to each page."""
    assert f"]({page})" in PAGES["index.md"]
    assert f"](docs/{page})" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_reference_page_is_listed() -> None:
    """The entry of the docs links to each page of the reference."""
    missing = [name for name in REFERENCE if f"](reference/{name})" not in PAGES["index.md"]]
    assert REFERENCE
    assert missing == []


@for_each("name", lossreg.__all__)
def test_every_public_name_is_in_the_reference(name: str) -> None:
    """The reference has an entry for each public name."""
    assert re.search(rf"^(?:\.\.| ) .*\blossreg\.{name}(?:\(\))?$", "\n".join(REFERENCE.values()), flags=re.MULTILINE)


@for_each("hook", HOOKS)
def test_every_hook_is_in_the_reference(hook: str) -> None:
    """The reference shows each hook with its example."""
    assert f".. autofunction:: lossreg.hookspecs.{hook}\n" in REFERENCE["hooks.rst"]


@for_each("error", [name for name in lossreg.__all__ if name.endswith("Error")])
def test_every_error_is_documented(error: str) -> None:
    """The page on errors has a row for each error, with the builtin exception that it also is."""
    if error == "LossregError":
        assert f"`lossreg.{error}`" in PAGES["errors.md"]
        return
    builtin = getattr(lossreg, error).__bases__[-1].__name__
    assert f"| `{error}` | `{builtin}` |" in PAGES["errors.md"]


def test_every_field_of_a_run_directory_is_documented(tmp_path: Path) -> None:
    """The page on the run directory names each field of run.json and metrics.jsonl."""
    for data, accumulate in (("digits", 1), ("diabetes", 2)):
        lossreg.run(
            data=data, epochs=1, limit_train=64, limit_test=32, log_every=1, eval_train=True, clip_grad_norm=1.0,
            accumulate=accumulate, device="cpu", out=tmp_path / data, quiet=True,
        )  # fmt: skip
        fields = set(json.loads((tmp_path / data / "run.json").read_text(encoding="utf-8")))
        for line in (tmp_path / data / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
            fields |= set(json.loads(line))
        assert sorted(field for field in fields if f"`{field}`" not in PAGES["run-directory.md"]) == []


def test_every_decision_is_listed() -> None:
    """The index of decisions has each record."""
    index = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    records = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("0*.md"))
    assert records
    assert [name for name in records if name not in index] == []
