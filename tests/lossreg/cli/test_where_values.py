"""`lossreg list --where` with a value that nothing has, and without one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import Command


def test_a_value_that_nothing_has(lossreg_command: Command) -> None:
    """The values that there are, and the one that was probably meant, are named."""
    outcome = lossreg_command("list", "loss", "--of", "builtin", "--where", "target=indx")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err.startswith("no loss fits; target is one of ")
    assert "dense, index, label_lists" in outcome.err
    assert "Did you mean 'index'?" in outcome.err


def test_a_value_that_others_have_is_no_mistake(lossreg_command: Command) -> None:
    """Two tests that nothing passes together."""
    outcome = lossreg_command("list", "loss", "dice", "--where", "target=dense")
    assert outcome.err.splitlines()[0] == "no loss fits 'dice' (lossreg list loss)"


def test_a_field_of_lists_has_no_words(lossreg_command: Command) -> None:
    """Its values are not named, which would be long."""
    outcome = lossreg_command("list", "loss", "--of", "builtin", "--where", "takes=distance")
    assert outcome.err == "no loss fits (lossreg list loss)\n"


def test_a_field_without_a_value(lossreg_command: Command) -> None:
    """It is told how it is written, and not that the field itself was meant."""
    outcome = lossreg_command("list", "loss", "--where", "target")
    assert outcome.code == 2
    assert "--where target: write target=VALUE" in outcome.err
    assert "mean" not in outcome.err
