"""Texts of optimizers that only lossreg's runner reads in whole, written for other programs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lossreg.conversion.formats import FORMATS, check_setting, format_module
from lossreg.errors import LossregError
from lossreg.registry.registries import default
from lossreg.run_spec import RunSpec
from lossreg.spec import ComponentSpec
from tests.table import for_each

if TYPE_CHECKING:
    from tests.conftest import Command

PAGES = sorted(Path(__file__).parents[3].joinpath("docs").glob("*.md"))
OF_RUNNER = re.compile(r'"((?:muon|[a-z_]+\([^"\n]*(?:rest|scheduler)=)[^"\n]*)"')
DOCUMENTED = sorted(
    {
        text
        for page in PAGES
        for text in OF_RUNNER.findall(page.read_text())
        if ComponentSpec.parse(text).name in default.optimizers
    }
)
OTHERS = [
    "adamw(lr=0.003, scheduler=cosine)",
    "lookahead(muon(lr=0.02, rest=adamw), scheduler=cosine)",
    "muon(lr=0.02, rest=lookahead(adamw, scheduler=cosine))",
    "sam(sgd(lr=0.1), rho=0.05)",
]


def written(**settings: Any) -> dict[str, tuple[str, str]]:
    """Format -> the text of settings in it, and all notes."""
    for key, value in settings.items():
        check_setting(key, value, default)
    spec = RunSpec.from_mapping(settings, "")
    made = {name: format_module(name).write(spec, default) for name in FORMATS}
    return {name: (text, "\n".join(notes)) for name, (text, notes) in made.items()}


@for_each("text", [*DOCUMENTED, *OTHERS])
def test_each_text_of_the_pages_is_written_and_what_has_no_equal_is_named(text: str) -> None:
    """`rest` and `scheduler`, wherever they are in it, are not in what is written, and a note says so."""
    inner = re.findall(r"(?:rest|scheduler)=\w+", text)
    for name, (content, notes) in written(optimizer=text).items():
        assert not re.search(r"\b(rest|scheduler)=", content), (name, content)
        assert "left out" in notes or not inner, name
        assert all(one in notes for one in inner), (name, notes)


def test_the_pages_have_such_texts() -> None:
    """The table above has what it is for."""
    assert any("rest=" in text for text in DOCUMENTED)
    assert any("scheduler=" in text for text in DOCUMENTED)


def test_the_optimizer_itself_is_written_where_it_is_a_class() -> None:
    """Without its `rest` an optimizer is one class, which LightningCLI has a place for."""
    made = written(optimizer="muon(lr=0.02, rest=adamw(lr=0.003))")
    assert "class_path: torch.optim.Muon" in made["lightning"][0]
    assert "_target_: torch.optim.Muon" in made["hydra"][0]
    assert "lookahead(muon(lr=0.02))" in written(optimizer="lookahead(muon(lr=0.02, rest=adamw))")["hydra"][0]


@for_each("options", ["rest", "adamw(scheduler=cosine)"])
def test_so_are_groups_with_an_optimizer(options: str) -> None:
    """A note of each format says that they are not there."""
    made = written(optimizer="muon(rest=adamw)", param_groups={"*.bias": options})
    assert all("param_groups" in notes for _, notes in made.values())


@for_each(
    ("settings", "said"),
    [
        ({"optimizer": "adamw(rest=sgd)"}, "adamw has no parameter 'rest'"),
        ({"optimizer": "muon(rest=adamw(lrr=1))"}, "adamw has no parameter 'lrr'"),
        ({"optimizer": "lookahead(adamw(scheduler=cosine))"}, "the rates are those of what wraps it"),
        ({"optimizer": "adamw(scheduler=cosin)"}, "scheduler of adamw: no scheduler named 'cosin'"),
        ({"param_groups": {"*.bias": "muon(rest=adamw)"}}, "leaves no rest"),
    ],
)
def test_what_a_run_refuses_is_refused(settings: dict[str, Any], said: str) -> None:
    """In the words of a run."""
    with pytest.raises(LossregError, match=re.escape(said)):
        written(**settings)


def test_the_command_ends_with_0(lossreg_command: Command, tmp_path: Path) -> None:
    """What has no equal is a note."""
    path = tmp_path / "run.toml"
    path.write_text('optimizer = "muon(lr=0.02, rest=adamw(lr=0.003))"\n')
    outcome = lossreg_command("convert", str(path), "--to", "mmengine")
    assert outcome.code == 0, outcome.err
    assert "note: muon: rest=adamw(lr=0.003) is left out, which only lossreg obeys" in outcome.err
