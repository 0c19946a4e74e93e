"""What is in a package that is not installed is named with what installs it, wherever it is asked for."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

from tests.toy_bridge import index, write_bridges, write_package

if TYPE_CHECKING:
    from pathlib import Path

# Answers many command lines in one process.
SEVERAL = """
import contextlib, io, json, sys
from lossreg.cli.main import main
answers = []
for line in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(line)
        except SystemExit as end:
            answers.append([end.code or 0, out.getvalue(), err.getvalue()])
print(json.dumps(answers))
"""
PIP = "pip install 'lossreg[gone]'"
LION, ROAR = f"not installed: gone.lion (optimizer): {PIP}\n", f"not installed: gone.roar (loss): {PIP}\n"


def test_lists_searches_and_show_name_it(tmp_path: Path, warm_python: str) -> None:
    """By a pattern, by a search with the name of the package, by `--of`, and by its name alone; not where none fits."""
    site = write_bridges(tmp_path / "site", "toy", "gone")
    content = index("gone")
    content["components"]["loss"]["roar"]["summary"] = "A lion's loss"
    (site / "lossreg_gone" / "index.json").write_text(json.dumps(content))
    path = [site, write_package(tmp_path / "packages")]
    expected = {
        ("list", "*lio*"): (0, LION),
        ("list", "optimizer", "lion"): (0, LION),
        ("list", "gone.*"): (0, f"no component fits 'gone.*' (lossreg list)\nnot installed: gone.lion (optimizer), "
                                f"gone.roar (loss): {PIP}\n"),
        ("list", "loss", "*o*r", "--where", "target=index", "--json"): (0, ROAR),
        ("list", "loss", "*o*r", "--where", "target=multilabel"): (0, None),
        ("list", "loss", "gone.lion"): (0, "no loss fits 'gone.lion' (lossreg list loss)\n"),
        ("list", "--search", "gone lion"): (0, None),
        ("list", "--search", "gone"): (0, None),
        ("list", "--search", "lion"): (0, LION),
        ("list", "--search", "lion", "--of", "toy"): (0, ""),
        ("list", "--of", "gone"): (2, f"lossreg: error: gone is not installed: {PIP}\n"),
        ("list",): (0, ""),
        ("list", "loss"): (0, ""),
        ("show", "gone.lion"): (2, "lossreg: error: no optimizer named 'gone.lion' is installed; gone has one: "
                                   f"{PIP}\n"),
    }  # fmt: skip
    child = subprocess.run(
        [warm_python, "-c", SEVERAL, json.dumps([*expected])],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "LOSSREG_BRIDGES": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    found = dict(zip(expected, json.loads(child.stdout), strict=True))
    for line, (code, err) in expected.items():
        assert (line, found[line][0]) == (line, code)
        if err is not None:
            assert (line, found[line][2]) == (line, err)
    assert "toy" in found["list", "*lio*"][1]
    assert found["list", "--search", "gone lion"][2].endswith(LION)
    assert "gone.lion" in found["list", "--search", "gone"][2]
    assert "not installed" not in found["list", "loss", "*o*r", "--where", "target=multilabel"][2]
