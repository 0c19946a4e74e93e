"""Completion of values: files, joined options, the words of a parameter, devices, plugins, the inside of a spec."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lossreg.cli.source_words import words_in_source
from tests.table import for_each

if TYPE_CHECKING:
    from tests.lossreg.cli.conftest import Ask, AskAll


def offers(answer: str, shell: str) -> list[tuple[str, str]]:
    """Type and value of what a shell is offered."""
    lines = [line for line in answer.splitlines() if line]
    if shell == "zsh":
        return list(zip(lines[::3], lines[1::3], strict=True))
    return [(line.partition(",")[0], line.partition(",")[2].partition("\t")[0]) for line in lines]


@for_each("line", ["lossreg run -p ", "lossreg -p ./a", "lossreg list --plugin ./a", "lossreg run -c ./a"])
def test_files_are_left_to_the_shell(line: str, ask: Ask) -> None:
    """After `-p` and `-c` the shell is told to offer files."""
    assert [kind for kind, _ in offers(ask("bash", line.split(" ")), "bash")] == ["file"]


@for_each(
    ("shell", "words", "values"),
    [
        ("bash", ["run", "--opt", "=", "sg"], ["sgd"]),
        ("bash", ["run", "--loader", "="], ["auto", "resident", "dataloader"]),
        ("bash", ["run", "--opt=sg"], ["sgd"]),
        ("zsh", ["run", "--opt=sg"], ["--opt=sgd"]),
        ("fish", ["run", "--opt=sg"], ["--opt=sgd"]),
        ("bash", ["run", "--loss", "dice", "--loss.reduction", "=", "m"], ["mean"]),
        ("zsh", ["run", "--loss", "dice", "--loss.reduction=m"], ["--loss.reduction=mean"]),
        ("bash", ["run", "-p", "no", ":", "bu"], ["builtin"]),
        ("zsh", ["run", "-p", "no:bu"], ["no:builtin"]),
        ("fish", ["run", "-p", "no:bu"], ["no:builtin"]),
    ],
)
def test_a_joined_word_is_completed_as_its_shell_replaces_it(
    shell: str, words: list[str], values: list[str], ask: Ask
) -> None:
    """Bash replaces what stands behind `=` or `:`, the others the whole word."""
    assert [value for _, value in offers(ask(shell, ["lossreg", *words]), shell)] == values


#: The words of a line -> what is offered for the last one.
VALUES: list[tuple[list[str], list[str]]] = [
    (["run", "--loss", "dice", "--loss.reduction", ""], ["mean", "sum", "none"]),
    (["run", "--loss", "dice", "--loss.reduction", "s"], ["sum"]),
    (["run", "--opt.nesterov", ""], ["true", "false"]),
    (["run", "--opt.nesterov", "T"], ["true"]),
    (["run", "--opt.lr", ""], []),
    (["run", "--opt.nope", ""], []),
    (["run", "--loss.reduction", ""], []),
    (["run", "--device", "c"], ["cpu", "cuda"]),
    (["run", "--weights", ""], ["auto", "raw", "optimizer", "ema", "swa"]),
    (["run", "--precision", ""], ["auto", "32", "bf16", "16"]),
    (["plugins", "doctor", "bu"], ["builtin"]),
    (["list", "--of", "bu"], ["builtin"]),
    (["run", "--loss", "dice("], ["dice(smooth=", "dice(reduction="]),
    (["run", "--loss", "dice(s"], ["dice(smooth="]),
    (["run", "--loss", "dice(smooth=1, r"], ["dice(smooth=1, reduction="]),
    (["run", "--loss", "dice(smooth=1, "], ["dice(smooth=1, reduction="]),
    (["run", "--loss", "dise("], []),
    (["run", "--opt", "sgd(nesterov=t"], ["sgd(nesterov=true"]),
    (["run", "--loss", "dice(smooth="], []),
]


def quoted(words: list[str]) -> list[str]:
    """A line, as it is typed."""
    return ["lossreg", *(f'"{word}' if " " in word else word for word in words)]


@pytest.fixture(scope="module")
def answers(ask_without_torch: AskAll) -> list[str]:
    """What a process that cannot import torch answers."""
    return ask_without_torch("zsh", [quoted(words) for words, _ in VALUES])


@for_each("index", range(len(VALUES)), ids=lambda index: " ".join(VALUES[index][0]))
def test_values_are_completed_without_torch(answers: list[str], index: int) -> None:
    """The words of Literal and bool parameters, devices, plugins and the inside of a spec need no import of torch."""
    assert [value for _, value in offers(answers[index], "zsh")] == VALUES[index][1]


@for_each("typed", ["", "'", "'m", "m"])
def test_a_text_in_a_spec_is_completed_with_its_quotes(typed: str, ask: Ask) -> None:
    """Behind `reduction=` stand the words in the quotes that a spec text needs."""
    words = ["lossreg", "run", "--loss", f'"dice(reduction={typed}']
    assert ("plain", "dice(reduction='mean'") in offers(ask("fish", words), "fish")


SOURCE = """
from __future__ import annotations
from typing import Literal, Optional
import typing as t
from .other import Elsewhere as Renamed

Alias = Literal["a", "b"]

def make(
    x: Alias, y: Optional[bool] = None, *, z: t.Literal[1, "two"] | None = None, w=True, v=3, u: "Alias" = "a"
): ...

class Thing:
    def __init__(self, flag: bool = False, size: int = 3) -> None: ...

class Bare: ...
"""


@pytest.mark.parametrize(
    ("target", "parameter", "words"),
    [
        ("inner:make", "x", ["a", "b"]),
        ("inner:make", "y", ["true", "false", "none"]),
        ("inner:make", "z", ["1", "two", "none"]),
        ("inner:make", "w", ["true", "false"]),
        ("inner:make", "v", []),
        ("inner:make", "u", ["a", "b"]),
        ("inner:make", "nope", []),
        ("inner:Thing", "flag", ["true", "false"]),
        ("inner:Thing", "size", []),
        ("inner:Bare", "flag", []),
        ("inner:Renamed", "how", ["on", "off"]),
        ("inner:nope", "x", []),
        ("missing:make", "x", []),
    ],
)
def test_words_are_read_from_source(
    target: str, parameter: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Literals, bools, aliases and re-exports are found in the source of a factory, which is not imported."""
    folder = tmp_path / "words_of_a_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (folder / "inner.py").write_text(SOURCE)
    (folder / "other.py").write_text("def Elsewhere(how: Literal['on', 'off'] = 'on'): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert words_in_source(f"words_of_a_test.{target}", parameter) == words
