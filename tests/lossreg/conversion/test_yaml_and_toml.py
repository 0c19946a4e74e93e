"""YAML of unknown origin is read safely and within bounds; settings are written as TOML that says the same."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from lossreg.conversion.result import Draft, toml_of
from lossreg.conversion.yaml_text import MOST, read_yaml, write_yaml
from lossreg.errors import ConfigError, LossregError, MissingLibraryError
from lossreg.spec import ComponentSpec
from tests.table import for_each

LAUGHS = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{one}: &{one} [{', '.join([f'*{before}'] * 9)}]\n" for before, one in zip("abcdefgh", "bcdefghi", strict=True)
)


@for_each(("text", "value"), [
    ("1e-3", 1e-3), ("1E5", 1e5), ("-2.5e+3", -2500.0), ("1.5", 1.5), ("3", 3), ("2024-01-01", "2024-01-01"),
    ("true", True), ("null", None), ("'1e-3'", "1e-3"), ("[1e-3, x]", [1e-3, "x"]), (".5e1", 5.0), ("1e", "1e"),
])  # fmt: skip
def test_numbers_are_those_of_other_programs(text: str, value: Any) -> None:
    """PyYAML alone takes 1e-3 for a text; a date is a text."""
    assert read_yaml(f"key: {text}", "f.yaml") == {"key": value}


@for_each(("text", "said"), [
    ("a: [1\nb: 2", "f.yaml, line 2 is not YAML: "),
    ("a: 1\n  b: 2", "f.yaml, line 2 is not YAML: "),
    ("a: !!python/object/apply:os.system ['true']", "f.yaml, line 1 is not YAML: could not determine a constructor"),
    ("a: !!python/name:os.system", "f.yaml, line 1 is not YAML: "),
    ("a: *b", "f.yaml, line 1 is not YAML: found undefined alias 'b'"),
    ("a: \x00", "f.yaml, line 1 is not YAML: it holds the character U+0000"),
    ("- a", r"f.yaml holds no keys and values, but ['a']"),
    ("", "f.yaml holds no keys and values: it is empty"),
    ("text", "f.yaml holds no keys and values, but 'text'"),
    (LAUGHS, "f.yaml cannot be read: with what is repeated in it, it has more than 100,000 values"),
    ("a: &a\n  b: *a", "f.yaml cannot be read: it is nested more than 50 levels deep"),
    ("a: " + "[" * 500, "f.yaml is not YAML that can be read: it is nested too deep"),
    ("a: " + "{" * 60 + "}" * 60, "f.yaml"),
    ("a: " + "x" * MOST, "f.yaml cannot be read: it has more than 200,000 characters"),
    ("a: " + "9" * 5000, "f.yaml is not YAML: "),
    ("? [1, 2]\n: 3", "f.yaml, line 1 is not YAML: "),
])  # fmt: skip
def test_what_is_broken_is_one_line_that_names_its_place(text: str, said: str) -> None:
    """Nothing in it is run."""
    with pytest.raises(ConfigError) as caught:
        read_yaml(text, "f.yaml")
    assert caught.value.message.startswith(said)
    assert "\n" not in caught.value.message


def test_a_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named."""
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    with pytest.raises(MissingLibraryError, match=r'pip install "lossreg\[convert\]"'):
        read_yaml("a: 1", "f.yaml")


def test_what_is_written_is_read_again() -> None:
    """In its order, with lists for tuples, and small numbers as numbers."""
    content = {"b": {"lr": 1e-5, "betas": (0.9, 0.99)}, "a": [True, None, "é: x", "1e-3", "3"]}
    text = write_yaml(content)
    assert read_yaml(text, "f.yaml") == {
        "b": {"lr": 1e-5, "betas": [0.9, 0.99]},
        "a": [True, None, "é: x", "1e-3", "3"],
    }
    assert text.index("b:") < text.index("a:")


@for_each("text", [
    "", " ", "a.b", '"', "'", "\\", "\n", "\t",
    "\x00", "\x1f", "\x7f", "\x85", "\u2028", "é", "😀", "# no comment", "[a]", "*.bias",
    "ndim<=1 | *.bias", "a = 1", '"""', "\\u0041", "\r\n",
])  # fmt: skip
def test_toml_says_what_was_given(text: str) -> None:
    """Whatever characters texts and patterns have."""
    expected = {"loss": text, "epochs": 3, "param_groups": {text: text, "b": {"lr": 1e-05, text: True}}}
    assert tomllib.loads(toml_of(expected)) == expected


@for_each("number", [0, -3, 10**15, 0.1, 1e-05, 1e22, 1e300, -0.0, 3.0, float("inf"), float("-inf"), True, False])
def test_toml_has_the_same_number(number: float) -> None:
    """Of the same type."""
    (read,) = tomllib.loads(toml_of({"lr": number})).values()
    assert (read, type(read)) == (number, type(number))


def test_a_draft_keeps_each_sentence_once() -> None:
    """In their order; a spec is its text."""
    draft = Draft()
    draft.set("loss", ComponentSpec("dice", {"smooth": 1}))
    draft.note("b", "a", "b")
    draft.note("a")
    draft.leave_out("c", "c")
    done = draft.done()
    assert (done.settings, done.notes, done.left_out) == ({"loss": "dice(smooth=1)"}, ("b", "a"), ("c",))
    assert issubclass(MissingLibraryError, LossregError)
