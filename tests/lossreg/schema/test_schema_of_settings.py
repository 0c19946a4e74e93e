"""The schema of a file of settings: by it jsonschema refuses what is wrong, and nothing that lossreg takes."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft7Validator

import lossreg
from lossreg.cli.compare_options import _KEYS
from lossreg.errors import LossregError
from lossreg.run_spec import COMPONENT_FIELDS, LISTED_FIELDS, SETTINGS, RunSpec
from lossreg.schema.docs import parameter_docs
from lossreg.schema.document import COMPARISON, file_schema
from tests.table import for_each
from tests.toy_bridge import write_bridges, write_package

if TYPE_CHECKING:
    from tests.conftest import Command
    from tests.lossreg.conftest import CommandWith, LoadWith

ROOT = Path(__file__).parents[3]
OTHER_TABLES = {"project", "tool", "build-system"}  # of a pyproject.toml
EXAMPLES = {
    f"{page.relative_to(ROOT)}:{number}": text
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    for number, text in enumerate(re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL))
    if not OTHER_TABLES & tomllib.loads(text).keys()
} | {file.name: file.read_text(encoding="utf-8") for file in sorted((ROOT / "docs").glob("*.toml"))}

#: Values of all kinds, right for some settings and wrong for others.
VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 16, 32, 64, 500, 1000, 1001, 10**6, 10**9, 10**10, 2**63, -0.5, 0.1, 0.5, 1.0, 1.5,
    "", " ", "0", "1", "32", "0.1", "1e-1", "auto", "none", "None", " NONE ", "no", "cpu", "eval", "train", "log",
    "strict", "epoch", "step", "raw", "raw()", "optimizer", "ema", "ema(0.99)", "ema( decay = .9 )", "swa(start=0.75)",
    "swa(15)", "fold(1/5)", "Fold( 2 / 3 )", "fold", "90s", "1h30m", "1H 30 M", "0.25s", "1h30", "h", "500 steps",
    "10min", "2E", "10x", "validation_accuracy>=0.99", "test_loss <= 1", "test_loss=1", "test_loss", "*.bias",
    "model.0@3", [], [1], ["f1"], {}, {"*.bias": "lr=0.1"}, {"*.bias": {"lr": 0.1}}, {"no_decay": True}, {"*.bias": 3},
    "resident", "dataloader", "channels_last", "contiguous", "bf16",
)  # fmt: skip
TEXTS: dict[str, list[Any]] = {
    "loss": [
        "dice",
        "Dice",
        " cross-entropy ",
        "builtin.l1",
        "dice(smooth=1)",
        "Builtin.Dice ( smooth = 1 , )",
        "dice()",
    ],
    "optimizer": ["sgd", "adamw(lr=3e-4, betas=[0.9, 0.99])", "sam(sgd(lr=0.1), rho=0.05)", "muon(rest=adamw(lr=0.1))"],
    "scheduler": ["lambda_lr(lr_lambda='min(1, (epoch + 1) / 5)')", 'lambda_lr(lr_lambda="epoch // 2")'],
    "model": ["mlp", "mlp(hidden=[32, 16])", "mlp(hidden=[32, (16)])"],
    "data": ["digits", "mnist(root='a, b) ]')"],
    "metrics": ["f1", ["f1"], ["top_k(k=3)", "builtin.auroc"], []],
    "observe": ["none", [], "tensorboard"],
}
WRONG_NAMES = [
    "dise",
    "",
    "dice smooth",
    "builtin.",
    "other.dice",
    "dice(smooth=1",
    "none()",
    3,
    True,
    [3],
    {"name": "dice"},
]


@pytest.fixture(scope="module")
def registries() -> lossreg.Registries:
    """What comes with lossreg."""
    return lossreg.load_registries(allow=[], bridges=False)


@pytest.fixture(scope="module")
def schema(registries: lossreg.Registries) -> dict[str, Any]:
    """The schema of it, without an import."""
    return file_schema(registries)[0]


@pytest.fixture(scope="module")
def full(registries: lossreg.Registries) -> dict[str, Any]:
    """The same with what the factories tell."""
    found, failures = file_schema(registries, imports=True)
    assert failures == []
    return found


def is_taken(key: str, value: Any) -> bool:
    """Whether lossreg takes a value of a setting."""
    try:
        RunSpec.from_mapping({key: value}, "")
    except LossregError:
        return False
    return True


def fits(schema: dict[str, Any], **settings: Any) -> bool:
    """Whether settings are right by a schema."""
    return bool(Draft7Validator(schema).is_valid(settings))


def test_it_is_a_schema_of_draft_7(schema: dict[str, Any], full: dict[str, Any]) -> None:
    """Both forms are schemas, and name the draft that they are written in."""
    for one in (schema, full):
        Draft7Validator.check_schema(one)
        assert one["$schema"] == "http://json-schema.org/draft-07/schema#"


@for_each("name", EXAMPLES)
def test_every_example_of_the_docs_is_right(name: str, schema: dict[str, Any], full: dict[str, Any]) -> None:
    """Each TOML file, and each block of TOML that is one, fits."""
    settings = tomllib.loads(EXAMPLES[name])
    for one in (schema, full):
        assert [error.message for error in Draft7Validator(one).iter_errors(settings)] == []


def test_nothing_is_refused_that_lossreg_takes(schema: dict[str, Any]) -> None:
    """Whatever a setting takes is right by the schema."""
    for key in [key for key in SETTINGS if key not in COMPONENT_FIELDS and key not in LISTED_FIELDS]:
        validator = Draft7Validator({**schema["properties"][key], "definitions": schema["definitions"]})
        for value in filter(lambda value: is_taken(key, value), VALUES):
            assert validator.is_valid(value), (key, value)


def test_most_of_what_lossreg_refuses_is_refused(schema: dict[str, Any]) -> None:
    """What is left is told by the numbers inside of a text, or by the words of a pattern over parameters."""
    slipped = []
    for key in [key for key in SETTINGS if key not in COMPONENT_FIELDS and key not in LISTED_FIELDS]:
        validator = Draft7Validator(schema["properties"][key])
        slipped += [(key, value) for value in VALUES if validator.is_valid(value) and not is_taken(key, value)]
    texts = {"freeze", "unfreeze", "device", "init_from", "monitor", "best", "param_groups"}
    inside = {("validate", "0"), ("validate", "1"), ("validate", "32"), ("checkpoint_every", "0"), ("max_time", "0")}
    whole = {1.0}  # JSON's whole numbers
    assert {one for one in slipped if one[0] not in texts and one not in inside and one[1] not in whole} == set()


@for_each("field", TEXTS)
def test_texts_of_components_are_right(field: str, schema: dict[str, Any], full: dict[str, Any]) -> None:
    """Names in any case, full ids, and parameters with brackets and quotes in them."""
    for text in TEXTS[field]:
        if field != "observe" or text != "tensorboard":
            assert fits(schema, **{field: text}), text
            assert fits(full, **{field: text}), text


def test_every_component_may_be_written_with_its_defaults(
    schema: dict[str, Any], full: dict[str, Any], registries: lossreg.Registries
) -> None:
    """By its short name, by its full id, and with each default written out."""
    for kind in (*COMPONENT_FIELDS.values(), *LISTED_FIELDS.values()):
        for one in (schema, full):
            validator = Draft7Validator({**one["definitions"][kind], "definitions": one["definitions"]})
            for entry in registries.of(kind).entries:
                written = lossreg.ComponentSpec(entry.id, entry.component.defaults).text
                for text in (written, *entry.words, entry.id):
                    assert validator.is_valid(text), text


@pytest.mark.parametrize("text", WRONG_NAMES)
@pytest.mark.parametrize("field", ["loss", "optimizer", "metrics"])
def test_what_names_nothing_is_wrong(field: str, text: Any, schema: dict[str, Any]) -> None:
    """Unknown names, half a text, and what is not a text."""
    assert not fits(schema, **{field: text})


def test_no_component_is_a_word_where_there_may_be_none(schema: dict[str, Any]) -> None:
    """A run may have no scheduler; it has an optimizer."""
    assert fits(schema, scheduler="none")
    assert not fits(schema, optimizer="none")


@for_each(
    "text", ["dice(smoth=1)", "sgd(lr=0.1, lrs=1)", "digits(x=1)", "lambda_lr(lr_lambda='epoch', last=1)", "mlp(1)"]
)
def test_the_full_form_refuses_unknown_parameters(text: str, schema: dict[str, Any], full: dict[str, Any]) -> None:
    """The other one cannot know them: a factory may have more than is declared."""
    field = {"dice": "loss", "sgd": "optimizer", "digits": "data", "lambda_lr": "scheduler", "mlp": "model"}[
        text.partition("(")[0]
    ]
    assert fits(schema, **{field: text})
    assert not fits(full, **{field: text})


def test_the_full_form_reads_a_long_text_in_linear_time(full: dict[str, Any]) -> None:
    """A text of many brackets that ends wrong is refused at once; a pattern that tries all ways would not end."""
    text = f"mlp(hidden=[{'[1], ' * 2000}], )x"
    assert not fits(full, model=text)


def test_an_unknown_key_is_wrong(schema: dict[str, Any]) -> None:
    """At the top and in the table of a comparison."""
    assert not fits(schema, los="dice")
    assert not fits(schema, compare={"los": ["dice"]})
    assert not fits(schema, compare={"optimzer.lr": [1]})


@pytest.mark.parametrize(
    "table",
    [
        {"loss": ["dice", "l1"], "optimizer": "sgd", "optimizer.lr": [0.1, 1], "opt.momentum": 0, "seeds": 3},
        {"pairs": True, "target": "test_accuracy>=0.9", "baseline": "sgd", "fair": 5, "metrics": ["f1"]},
        {"scheduler": ["none", "lambda_lr(lr_lambda='epoch')"], "epochs": [1, 2], "seed": [0, 1], "max_time": ["90s"]},
    ],
)
def test_a_comparison_has_values_and_lists(table: dict[str, Any], schema: dict[str, Any]) -> None:
    """Of each setting one value or several, parameters in quotes, and words of its own."""
    assert fits(schema, compare=table)


@for_each(
    "table",
    [
        {"loss": []}, {"loss": ["dise"]}, {"epochs": ["1"]}, {"seeds": True}, {"pairs": 1}, {"target": "0.9"},
        {"fair": 1}, {"target": ["test_accuracy>=0.9"]},
    ],
)  # fmt: skip
def test_a_wrong_comparison_is_wrong(table: dict[str, Any], schema: dict[str, Any]) -> None:
    """Empty lists, unknown names and wrong types."""
    assert not fits(schema, compare=table)


def test_the_words_of_a_comparison_are_those_of_the_command() -> None:
    """No key of `[compare]` is missing, and none is invented."""
    assert COMPARISON.keys() == _KEYS.keys()


@for_each("key", SETTINGS)
def test_each_setting_says_what_it_is(key: str, schema: dict[str, Any]) -> None:
    """It has a description, a default in words, and something that not every value fits."""
    found = schema["properties"][key]
    assert SETTINGS[key].description in found["description"]
    assert SETTINGS[key].default in found["description"]
    assert {"type", "enum", "anyOf", "allOf"} & found.keys()


def test_bounds_and_defaults_are_there(schema: dict[str, Any]) -> None:
    """As the table of settings has them."""
    epochs, optimizer = schema["properties"]["epochs"], schema["properties"]["optimizer"]
    assert (epochs["minimum"], epochs["maximum"], epochs["default"]) == (1, 1_000_000, 20)
    assert optimizer["default"] == "sgd"


def test_an_editor_finds_each_name_with_its_summary(schema: dict[str, Any], registries: lossreg.Registries) -> None:
    """Names are constants with descriptions, which editors complete."""
    named = {one["const"]: one["description"] for one in schema["definitions"]["loss"]["anyOf"] if "const" in one}
    assert named.keys() == {*registries.losses.names()}
    assert registries.losses["dice"].summary in named["dice"]
    assert "smooth=1e-05" in named["dice"]


def test_each_component_has_its_parameters(schema: dict[str, Any], registries: lossreg.Registries) -> None:
    """Those that are declared, with their defaults."""
    for kind in (*COMPONENT_FIELDS.values(), *LISTED_FIELDS.values()):
        for entry in registries.of(kind).entries:
            table = schema["definitions"][f"{kind}.{entry.id}"]
            assert table["properties"].keys() == {*entry.component.known_parameters}
    assert schema["definitions"]["loss.builtin.dice"]["properties"]["smooth"] == {"default": 1e-5}


def test_the_full_form_has_types_words_and_docs(full: dict[str, Any]) -> None:
    """From annotations and docstrings, with the declared defaults."""
    smooth = full["definitions"]["loss.builtin.dice"]["properties"]["smooth"]
    assert (smooth["type"], smooth["default"]) == ("number", 1e-5)
    assert "Added to numerator and denominator" in smooth["description"]
    assert full["definitions"]["loss.builtin.dice"]["properties"]["reduction"]["enum"] == ["mean", "sum", "none"]
    assert full["definitions"]["loss.builtin.dice"]["additionalProperties"] is False


def test_rows_of_a_docstring_may_begin_in_the_next_line() -> None:
    """As torch writes them; notes after the section are no rows."""

    def factory(lr: float = 0.1, betas: tuple[float, float] = (0.9, 0.999)) -> None:
        """Does nothing.

        Args:
            lr (float, optional): The rate.
            betas (tuple[float, float], optional):
                Both of them: not one.

        Note:
            eps: is not a parameter.
        """

    assert parameter_docs(factory) == {"lr": "The rate.", "betas": "Both of them: not one."}


def test_it_has_the_components_of_local_files(tmp_path: Path) -> None:
    """What is registered there is named like all others."""
    file = tmp_path / "mine.py"
    file.write_text("import lossreg\nlossreg.losses.register('mine', 'mine_losses:Mine', defaults={'scale': 1.0})\n")
    with_it = file_schema(lossreg.load_registries(allow=[], bridges=False, local=[str(file)]))[0]
    assert fits(with_it, loss="mine(scale=2)")
    assert fits(with_it, loss="local.mine")


def test_it_has_what_bridges_offer_without_importing_it(load_with: LoadWith, tmp_path: Path) -> None:
    """Names and defaults are those of the index; the full form has the types of the package."""
    site, package = write_bridges(tmp_path / "site", "toy"), write_package(tmp_path / "packages")
    registries = load_with(site, package, bridges=True)
    found = file_schema(registries)[0]
    assert "toy" not in sys.modules
    assert fits(found, optimizer="toy.lion(lr=1)")
    assert found["definitions"]["optimizer.toy.lion"]["properties"]["momentum"] == {"default": 0.5}
    assert fits(found, optimizer="lion(x=1)")
    assert not fits(file_schema(registries, imports=True)[0], optimizer="lion(x=1)")


def test_the_command_prints_it(lossreg_command: Command) -> None:
    """As JSON that has the settings, and nothing else."""
    outcome = lossreg_command("schema")
    assert (outcome.code, outcome.err) == (0, "")
    printed = json.loads(outcome.out, parse_constant=pytest.fail)
    assert printed["properties"].keys() == {*SETTINGS, "compare"}


def test_what_cannot_be_imported_is_a_warning(command_with: CommandWith, tmp_path: Path) -> None:
    """The others have their parameters all the same, and it has what it declares."""
    broken = "import lossreg\nlossreg.losses.register('broken', 'no_such_module:Loss', defaults={'a': 1})\n"
    (tmp_path / "broken.py").write_text(broken)
    outcome = command_with("schema", "--full", "-p", "broken.py", path=[], cwd=tmp_path)
    assert outcome.returncode == 0
    assert "loss local.broken" in outcome.stderr
    assert "no_such_module" in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    printed = json.loads(outcome.stdout)
    assert printed["definitions"]["loss.local.broken"]["properties"] == {"a": {"default": 1}}
    assert fits(printed, loss="broken(anything=1)")
