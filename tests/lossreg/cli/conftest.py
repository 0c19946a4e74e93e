"""Completion, as a shell asks for it: with the line in the environment of the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lossreg.cli.main import main

Ask = Callable[[str, list[str]], str]
AskAll = Callable[[str, list[list[str]]], list[str]]

# Answers many lines where importing anything heavy is loud, even if the exception is caught.
LIGHT = """
import contextlib, io, json, os, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "numpy", "sklearn", "matplotlib", "rich"):
            sys.stderr.write(f"imported: {name}\\n")
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocker())
from lossreg.cli.main import main
answers = []
for variables in json.loads(sys.argv.pop()):
    os.environ.update(variables)
    with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())) as answer, contextlib.suppress(SystemExit):
        main()
    answer.seek(0)
    answers.append(answer.read())
print(json.dumps(answers))
"""


def variables(shell: str, words: list[str]) -> dict[str, str]:
    """How a shell asks for completions of the last of these words."""
    return {
        "_LOSSREG_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": "\n".join(words),
        "COMP_CWORD": words[-1] if shell == "fish" else str(len(words) - 1),
    }


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """What the command answers to a shell and the words of a line, in this process and an empty working directory."""
    monkeypatch.chdir(tmp_path)

    def answer(shell: str, words: list[str]) -> str:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables(shell, words).items():
                patch.setenv(name, value)
            capsys.readouterr()
            with pytest.raises(SystemExit):
                main([])
        captured = capsys.readouterr()
        assert captured.err == ""
        return captured.out

    return answer


@pytest.fixture(scope="session")
def ask_without_torch(tmp_path_factory: pytest.TempPathFactory) -> AskAll:
    """What the command answers to a shell and many lines, each as its words, in a process that cannot import torch."""

    def answer(shell: str, lines: list[list[str]]) -> list[str]:
        child = subprocess.run(
            [sys.executable, "-c", LIGHT, json.dumps([variables(shell, words) for words in lines])],
            env={**os.environ, "PYTHONWARNINGS": "error"},
            cwd=tmp_path_factory.mktemp("completed"),
            capture_output=True,
            text=True,
            timeout=240,
            check=True,
        )
        assert child.stderr == ""
        answers: list[str] = json.loads(child.stdout)
        return answers

    return answer
