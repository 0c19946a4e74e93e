"""Completion of values: files, joined options, the words of a parameter, devices, plugins, the inside of a spec."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lossreg.cli.source_words import words_in_source

SHELLS = ("bash", "zsh", "fish")
CODE = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "numpy", "sklearn"):
            sys.stderr.write(f"imported: {name}\\n")
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocker())
from lossreg.cli.main import main
main()
"""


def ask(shell: str, words: list[str], cwd: Path) -> list[tuple[str, str]]:
    """Type and value of what a shell is offered for the last word, by a process that cannot import torch."""
    environment = {
        **os.environ,
        "_LOSSREG_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": "\n".join(words),
        "COMP_CWORD": words[-1] if shell == "fish" else str(len(words) - 1),
    }
    child = subprocess.run(
        [sys.executable, "-c", CODE], env=environment, cwd=cwd, capture_output=True, text=True, timeout=60, check=True
    )
    assert child.stderr == ""
    lines = [line for line in child.stdout.splitlines() if line]
    if shell == "zsh":
        return list(zip(lines[::3], lines[1::3], strict=True))
    return [(line.partition(",")[0], line.partition(",")[2].partition("\t")[0]) for line in lines]


@pytest.mark.parametrize(
    "line", ["lossreg run -p ", "lossreg -p ./a", "lossreg list --plugin ./a", "lossreg run -c ./a"]
)
def test_files_are_left_to_the_shell(line: str, tmp_path: Path) -> None:
    """After `-p` and `-c` the shell is told to offer files."""
    assert [kind for kind, _ in ask("bash", line.split(" "), tmp_path)] == ["file"]


@pytest.mark.parametrize(
    ("shell", "words", "values"),
    [
        ("bash", ["run", "--opt", "=", "ad"], ["adam"]),
        ("bash", ["run", "--opt", "="], ["adam", "sgd"]),
        ("bash", ["run", "--opt=ad"], ["adam"]),
        ("zsh", ["run", "--opt=ad"], ["--opt=adam"]),
        ("fish", ["run", "--opt=ad"], ["--opt=adam"]),
        ("bash", ["run", "--loss", "dice", "--loss.reduction", "=", "m"], ["mean"]),
        ("zsh", ["run", "--loss", "dice", "--loss.reduction=m"], ["--loss.reduction=mean"]),
        ("bash", ["run", "-p", "no", ":", "bu"], ["builtin"]),
        ("zsh", ["run", "-p", "no:bu"], ["no:builtin"]),
        ("fish", ["run", "-p", "no:bu"], ["no:builtin"]),
    ],
)
def test_a_joined_word_is_completed_as_its_shell_replaces_it(
    shell: str, words: list[str], values: list[str], tmp_path: Path
) -> None:
    """Bash replaces what stands behind `=` or `:`, the others the whole word."""
    assert [value for _, value in ask(shell, ["lossreg", *words], tmp_path)] == values


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["run", "--loss", "dice", "--loss.reduction", ""], ["mean", "sum", "none"]),
        (["run", "--loss", "dice", "--loss.reduction", "s"], ["sum"]),
        (["run", "--opt.nesterov", ""], ["true", "false"]),
        (["run", "--opt.nesterov", "T"], ["true"]),
        (["run", "--opt.lr", ""], []),
        (["run", "--opt.nope", ""], []),
        (["run", "--loss.reduction", ""], []),
        (["run", "--device", "c"], ["cpu", "cuda"]),
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
    ],
)
def test_values_are_completed_without_torch(words: list[str], values: list[str], tmp_path: Path) -> None:
    """The words of Literal and bool parameters, devices, plugins and the inside of a spec need no import of torch."""
    line = ["lossreg", *(f'"{word}' if " " in word else word for word in words)]
    assert [value for _, value in ask("zsh", line, tmp_path)] == values


@pytest.mark.parametrize("typed", ["", "'", "'m", "m"])
def test_a_text_in_a_spec_is_completed_with_its_quotes(typed: str, tmp_path: Path) -> None:
    """Behind `reduction=` stand the words in the quotes that a spec text needs."""
    words = ["lossreg", "run", "--loss", f'"dice(reduction={typed}']
    assert ("plain", "dice(reduction='mean'") in ask("fish", words, tmp_path)


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
