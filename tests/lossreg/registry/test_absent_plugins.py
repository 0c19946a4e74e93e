"""A full id of a plugin that is not installed says so, and what to do."""

from __future__ import annotations

import pytest
import torch

import lossreg
from tests.table import for_each


@pytest.fixture(scope="module")
def registries() -> lossreg.Registries:
    """The built-ins, and a component of this process."""
    made = lossreg.load_registries(allow=[])
    made.losses.register("mine", target="dense", summary="Mine")(torch.nn.L1Loss)
    return made


@for_each(
    ("name", "wanted"),
    [
        ("my_losses.other", r"^no loss named 'my_losses.other': no plugin 'my_losses' is installed\. Install the "),
        ("my-losses.other", r"no plugin 'my_losses' is installed\. Install .*\(pip install \.\.\.; lossreg plugins"),
        ("my_losses.other", r"registers other is loaded with -p FILE \(local=\[FILE\].*its name is local\.other(\n|$)"),
        ("builtn.dice", r"^no loss named 'builtn.dice': no plugin 'builtn' is installed\. Did you mean 'builtin.dice'"),
    ],
)
def test_what_is_said_of_a_plugin_that_is_not_there(name: str, wanted: str, registries: lossreg.Registries) -> None:
    """What can be named instead is not a list of all losses, none of which was meant."""
    with pytest.raises(lossreg.UnknownNameError, match=wanted) as caught:
        registries.losses[name]
    assert "cross_entropy, " not in str(caught.value)
    with pytest.raises(lossreg.UnknownNameError, match=wanted):
        lossreg.parts(loss=name, registries=registries)


@for_each("name", ["builtin.nothing", "local.nothing", "nothing", "torch.nn.L1Loss", "a-b c.d", "plain.py", ".x", "x."])
def test_other_names_are_not_taken_for_those_of_a_plugin(name: str, registries: lossreg.Registries) -> None:
    """Of a plugin that is there, of no plugin, the path of a class or a file."""
    with pytest.raises(lossreg.UnknownNameError) as caught:
        registries.losses[name]
    assert "no plugin" not in str(caught.value)
