"""A file of YAML that cannot be read says so, whether its format is named or not."""

from __future__ import annotations

import pytest

from lossreg.conversion.formats import format_module, guess_format
from lossreg.errors import ConfigError
from lossreg.registry.registries import default
from tests.table import for_each


@for_each(
    ("text", "said"),
    [
        ("{{\n", "x.yaml, line 2 is not YAML"),
        ("lr: [1\n", "x.yaml, line 2 is not YAML: expected ',' or ']'"),
        ("lr: 1\nlr: 2\n", "x.yaml, line 2 is not YAML: the key 'lr' occurs twice"),
        ("lr: 1\nopts: \x1b[31m\n", "x.yaml, line 2 is not YAML: it holds the character U+001B"),
        ("just words\n", "x.yaml holds no keys and values, but 'just words'"),
        ("# nothing\n", "x.yaml holds no keys and values: it is empty"),
    ],
)
def test_the_message_is_the_same(text: str, said: str) -> None:
    """It names the line."""
    with pytest.raises(ConfigError) as guessed:
        guess_format(text, "x.yaml")
    with pytest.raises(ConfigError) as read:
        format_module("hydra").read(text, "x.yaml", default)
    assert guessed.value.message == read.value.message
    assert said in guessed.value.message
    with pytest.raises(ConfigError) as piped:
        guess_format(text, "stdin")
    assert piped.value.message == guessed.value.message.replace("x.yaml", "stdin")


@for_each(
    ("text", "where"),
    [("lr: 1\n", "x.yaml"), ("lr: [1\n", "x.txt"), ("lr: 1\n", "stdin"), ("lr = [1\n", "stdin"), ("[a.b]\n", "stdin")],
)
def test_what_is_not_broken_yaml_is_of_no_program(text: str, where: str) -> None:
    """Also what need not be YAML."""
    with pytest.raises(ConfigError, match="it does not say of which program it is"):
        guess_format(text, where)
