"""A text of Python that cannot be read says so where its format is not named, as one of YAML does."""

from __future__ import annotations

import pytest

from lossreg.conversion.formats import format_module, guess_format
from lossreg.errors import ConfigError
from lossreg.registry.registries import default
from tests.table import for_each

OF_NO_PROGRAM = "it does not say of which program it is"


@for_each(
    ("text", "said"),
    [
        ("lr = 1\nx = (1\n", "line 2 is not Python: '(' was never closed"),
        ("optimizer = dict(type='SGD'))\n", "line 1 is not Python: unmatched ')'"),
        ("class A:\n  x = 1\n y = 2\n", "line 3 is not Python: unindent does not match any outer indentation level"),
    ],
)
def test_the_message_is_the_same(text: str, said: str) -> None:
    """That of a file is what the format says; from stdin it could be settings of lossreg, too."""
    with pytest.raises(ConfigError) as guessed:
        guess_format(text, "x.py")
    with pytest.raises(ConfigError) as read:
        format_module("mmengine").read(text, "x.py", default)
    assert guessed.value.message == read.value.message == f"x.py, {said}"
    with pytest.raises(ConfigError, match=OF_NO_PROGRAM) as piped:
        guess_format(text, "stdin")
    assert f"settings of lossreg. stdin, {said}; nor is it TOML: " in piped.value.message


@for_each(
    ("text", "where"),
    [
        ("lr = 1\n", "x.py"),
        ("lr = 1\n", "stdin"),  # Python and TOML
        ("lr = dict(a=1)\n", "stdin"),  # Python
        ("[data.train]\nlr = true\n", "stdin"),  # TOML
        ("lr = (\n", "x.txt"),
    ],
)
def test_what_is_not_broken_is_of_no_program(text: str, where: str) -> None:
    """Nor is anything said of what need not be Python."""
    with pytest.raises(ConfigError, match=OF_NO_PROGRAM) as caught:
        guess_format(text, where)
    assert "is not Python" not in caught.value.message
