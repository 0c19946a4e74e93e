"""Names of components: short names, full ids, aliases, and which component a name means."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from torch import nn

import lossreg
from tests.table import for_each

if TYPE_CHECKING:
    from tests.lossreg.conftest import CommandWith, Install, LoadWith

BUILTIN = [entry.name for entry in lossreg.load_registries(allow=[]).losses.values()]


def tiny() -> dict[str, Any]:
    """The arguments of a short run."""
    return {"model": "mlp", "epochs": 1, "limit_train": 64, "limit_test": 32, "precision": "32", "quiet": True}


def test_aliases_lead_to_one_component(install: Install, load_with: LoadWith, caplog: pytest.LogCaptureFixture) -> None:
    """An alias, short or with its plugin, leads to the component, which is listed once, without a warning."""
    losses = load_with(install("old-names")).losses
    names = ("bent", "robust", "Bent-L1", "old.robust")
    assert [losses[name].id for name in names] == ["old.bent"] * 4
    assert [full_id for full_id in losses if full_id.startswith("old.")] == ["old.bend", "old.bent"]
    assert caplog.messages == []


def test_a_deprecated_component_works_and_warns_once(
    install: Install, load_with: LoadWith, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A deprecated name trains, with one line that says what to use."""
    registries = load_with(install("old-names"))
    with caplog.at_level(logging.WARNING):
        lossreg.run(loss="bend", out=tmp_path / "out", registries=registries, **tiny())
    (line,) = caplog.messages
    assert "loss old.bend is deprecated: use bent" in line


def test_a_built_in_s_name_that_a_plugin_has_too_is_noted(
    install: Install, load_with: LoadWith, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A run that names `dice` where a plugin has one, too, says which it takes."""
    registries = load_with(install("rival-dice"))
    with caplog.at_level(logging.INFO, "lossreg"):
        lossreg.run(loss="dice", out=tmp_path / "out", registries=registries, **tiny())
    assert "dice is builtin.dice, not rival.dice (rival-dice 1.0)" in caplog.text


def test_a_lookup_that_fails_names_the_plugins_that_failed(install: Install, load_with: LoadWith) -> None:
    """The error for an unknown name says which plugins failed to load, since the name may be theirs."""
    with pytest.raises(lossreg.UnknownNameError) as caught:
        load_with(install("bad-import")).losses["unreachable"]
    assert "no loss named 'unreachable'" in str(caught.value)
    assert "plugin 'broken' (bad-import 1.0) failed to load: ModuleNotFoundError" in str(caught.value)


def test_the_command_says_twice_that_a_plugin_failed(install: Install, command_with: CommandWith) -> None:
    """A command whose lookup fails warns of a plugin that failed to load, and names it in the error."""
    result = command_with("show", "loss", "unreachable", path=install("bad-import"))
    assert result.returncode == 2
    assert result.stderr.count("plugin 'broken' (bad-import 1.0) failed to load: ModuleNotFoundError") == 2


def test_a_built_in_keeps_its_short_name(install: Install, load_with: LoadWith) -> None:
    """A plugin's equal name is reached by its full id; the short one stays the built-in's."""
    losses = load_with(install("rival-dice")).losses
    assert (losses["dice"].id, losses["Rival.Dice"].id) == ("builtin.dice", "rival.dice")


def test_the_shortest_name_that_resolves_is_shown(install: Install, load_with: LoadWith) -> None:
    """A built-in is shown by its short name and its rival by the full id; of two plugins' equal names both are full."""
    losses = load_with(install("rival-dice", "rival-tversky")).losses
    names = losses.names()
    assert names == sorted([*BUILTIN, "rival.dice", "rival.tversky", "segments.tversky"])
    assert [losses[name].id for name in names if "." in name] == [name for name in names if "." in name]


def test_a_list_shows_the_shortest_name_that_resolves(install: Install, command_with: CommandWith) -> None:
    """`lossreg list` writes a built-in by its short name, and a plugin's component of the same name by its full id."""
    result = command_with("list", "loss", "*dice", path=install("rival-dice"))
    names = [line.split()[0] for line in result.stdout.splitlines() if line.startswith(" ")]
    assert names == ["dice", "rival.dice"]


def test_an_ambiguous_name_is_an_error_that_lists_full_ids(install: Install, load_with: LoadWith) -> None:
    """A short name that two plugins offer is refused with both full ids and their distributions."""
    with pytest.raises(lossreg.AmbiguousNameError) as caught:
        load_with(install("rival-dice", "rival-tversky")).losses["tversky"]
    assert str(caught.value) == (
        "'tversky' is offered by rival.tversky (rival-dice 1.0) and segments.tversky (rival-tversky 1.0). "
        "Write the full id."
    )


@for_each("name", ["cross_entropy", "Cross-Entropy", "builtin.cross_entropy", "BUILTIN.CROSS-ENTROPY"])
def test_case_and_hyphens_do_not_matter(name: str) -> None:
    """A short name and a full id resolve in any case, with `-` for `_`."""
    assert lossreg.losses[name].id == "builtin.cross_entropy"
    assert name in lossreg.losses


def test_an_unknown_name_is_a_key_error_with_a_suggestion() -> None:
    """An unknown name says what was meant, what there is and how to list it."""
    with pytest.raises(KeyError) as caught:
        lossreg.losses["dise"]
    assert isinstance(caught.value, lossreg.UnknownNameError)
    assert caught.value.suggestions == ("dice",)
    assert "no loss named 'dise'. Did you mean 'dice'?" in str(caught.value)
    assert "(lossreg list loss)" in str(caught.value)
    assert lossreg.losses.get("dise") is None


def test_a_scheduler_that_is_none() -> None:
    """The null of YAML, as a text, is told the word for a constant rate; a loss has none."""
    for written in ("null", "Null", "no", "off", "False"):
        with pytest.raises(lossreg.UnknownNameError, match=r"Did you mean scheduler='none', a constant rate\?"):
            lossreg.parts(scheduler=written)
    with pytest.raises(lossreg.UnknownNameError) as caught:
        lossreg.parts(loss="null")
    assert "constant rate" not in str(caught.value)
    parts = lossreg.parts(loss="cross_entropy", scheduler="none")
    assert parts.scheduler(parts.optimizer(nn.Linear(1, 1))) is None


def test_a_name_of_another_kind_is_told_apart() -> None:
    """Asking the wrong registry says where the name is."""
    with pytest.raises(lossreg.UnknownNameError, match="optimizer 'sgd' exists; it is not a loss"):
        lossreg.losses["sgd"]
