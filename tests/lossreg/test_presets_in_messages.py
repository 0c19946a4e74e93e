"""What is said of a preset of parameter groups that is not quite spelt, or does not stand with True."""

from __future__ import annotations

from typing import Any

import pytest

from lossreg.errors import ConfigError
from lossreg.groups import parse_groups
from tests.table import for_each


@for_each(
    ("groups", "said"),
    [
        ({"nodecay": True}, r"'nodecay' has the options True; did you mean the preset no_decay\?$"),
        ({"no_decy": True}, r"did you mean the preset no_decay\?$"),
        ({"NoDecay": None}, r"did you mean the preset no_decay\?$"),
        (
            {"no_decay": False},
            "no_decay is a preset, which stands with True; it is not False: take it out, or w",
        ),
        ({"layer_decay(0.5)": False}, r"layer_decay\(0.5\) is a preset, which stands with True"),
        ({"layerdecay(0.5)": True}, r"did you mean the preset layer_decay\(0.5\)\?$"),
        ({"layer-deacy(0.5)": True}, r"did you mean the preset layer_decay\(0.5\)\?$"),
        ({"layerdecay": True}, r"did you mean the preset layer_decay\(0.75\)\?$"),
        ({"*.bias": True}, "has the options True; write, for example, 'weight_decay=0'$"),
    ],
)
def test_the_preset_is_named(groups: dict[str, Any], said: str) -> None:
    """It is the name that was meant, with its number."""
    with pytest.raises(ConfigError, match=said):
        parse_groups(groups)


def test_a_parameter_may_have_such_a_name() -> None:
    """A pattern with options is one, whatever it is like."""
    assert [group.pattern for group in parse_groups({"nodecay": "lr=0.1"})] == ["nodecay"]
