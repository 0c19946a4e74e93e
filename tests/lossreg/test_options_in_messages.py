"""Messages that a person may get from Python name settings as Python does, and an option only behind it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

#: What a run, a plan or a loop of one's own goes through.
ROOMS = ("lossreg/training", "lossreg/embedding", "lossreg/adapters", "plugins/lossreg_builtin")

#: Questions about past runs, and pictures of a loss, which only the command line asks.
OF_COMMANDS = {"record/query.py": ("--where", "--sort"), "loss/profile.py": ("--plot",), "results.py": ("--json",)}

OPTION = re.compile(r"--[a-z][a-z.-]*")


def spoken(tree: ast.AST) -> Iterator[str]:
    """The texts of a module that are no docstrings; of one with values in it the whole, with `{}` for these."""
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) in inner | docs:
            continue
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_an_option_stands_behind_the_name_of_its_setting() -> None:
    """In brackets, as in `workers (--workers)`; whole commands, such as `lossreg run --resume DIR`, may be named."""
    wrong = []
    for file in sorted(one for room in ROOMS for one in (ROOT / room).rglob("*.py")):
        allowed = next((some for end, some in OF_COMMANDS.items() if file.as_posix().endswith(end)), ())
        source = file.read_text(encoding="utf-8")
        for text in spoken(ast.parse(source)) if OPTION.search(source) else ():
            if OPTION.fullmatch(text):  # put into a message elsewhere
                continue
            left = re.sub(r"\([^()]*--[^()]*\)|lossreg [a-z]+ --[a-z-]+", "", text)
            wrong += [f"{file.name}: {text}" for option in OPTION.findall(left) if option not in allowed]
    assert wrong == []
