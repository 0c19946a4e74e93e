"""Paths that cannot be used, files without an end, control characters, long words: one short line, exit code 2."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lossreg.values import bounded, plain, printable, shown
from tests.table import for_each

if TYPE_CHECKING:
    from tests.conftest import Command

LONG = "a" * 300
REMOVED = "cannot be used: the working directory was removed; change to another"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("run --quiet --epochs 1", f"the run directory runs {REMOVED}"),
        ("run --out x --epochs 1", f"the run directory x {REMOVED}"),
        ("plan", "the working directory cannot be used: No such file or directory; change to another one"),
        ("plan -p ./x.py", "the working directory cannot be used: No such file or directory; change to another one"),
    ],
)
def test_a_removed_working_directory_is_said(line: str, said: str, tmp_path: Path) -> None:
    """In a directory that is gone a run ends with one line, before torch ends the process."""
    code = (
        "import os; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')\nfrom lossreg.cli.main import main; main()"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code, *line.split()]
    child = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (child.returncode, child.stdout) == (2, "")
    assert child.stderr == f"lossreg: error: {said}\n"


@for_each(
    "line",
    [
        f"run --out {LONG} --epochs 1",
        f"plan -c {LONG}",
        f"plan -c {LONG}/x.toml",
        f"plan --data mnist --data.root {LONG}",
        f"plan --loss {LONG}",
        f"plan --loss '{'a ' * 5000}'",
        f"plan --opt.{LONG} 1",
        f"plan --{LONG} 1",
        f"plan --{LONG}.lr 1",
        f"plan --epochs {LONG}",
        f"plan --device {LONG}",
        f"plan --param-groups {LONG}",
        f"plan --param-groups '{LONG}: {LONG}=1'",
        f"list {LONG}",
        f"list --of {LONG}",
        f"show {LONG}",
        f"show loss {LONG}",
        LONG,
    ],
    ids=lambda line: line[:25],
)
def test_a_long_word_is_cut_in_a_short_message(lossreg_command: Command, line: str) -> None:
    """A name that no file can have, and any other long word, ends with exit code 2 and a message that cuts it."""
    outcome = lossreg_command(*shlex.split(line))
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("lossreg: error: ")
    assert "Traceback" not in outcome.err
    assert LONG not in outcome.err
    assert max(map(len, outcome.err.splitlines())) < 1000


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may go everywhere")
@pytest.mark.parametrize("line", ["run --out {} --epochs 1", "plan -c {}", "plan -p {}.py"])
def test_a_forbidden_folder_is_said(lossreg_command: Command, tmp_path: Path, line: str) -> None:
    """A folder that may not be entered is one line."""
    folder = tmp_path / "forbidden"
    folder.mkdir(mode=0)
    outcome = lossreg_command(*line.format(folder / "x").split())
    assert (outcome.code, outcome.out) == (2, "")
    assert len(outcome.err.splitlines()) == 1


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no such device")
def test_a_file_without_an_end_is_refused(lossreg_command: Command) -> None:
    """`-c /dev/zero` ends."""
    outcome = lossreg_command("plan", "-c", "/dev/zero")
    assert (outcome.code, outcome.err) == (
        2,
        "lossreg: error: /dev/zero cannot be read: it is longer than 10,000,000 bytes\n",
    )


@pytest.mark.parametrize(
    "text",
    [
        'loss = "\\u001b[31mred"',
        '"\\u001b[31mred" = 1',
        'device = "\\u001b]0;title\\u0007"',
        "data = \"mnist(root='a\\u0000b')\"",
        'loss = "dice\\u202e"',
        '[param_groups]\n"\\u001b[2J" = "lr=1"',
        "scheduler = \"lambda_lr(lr_lambda='\\u009b31m')\"",
    ],
)
def test_control_characters_of_a_file_do_not_reach_the_terminal(
    lossreg_command: Command, tmp_path: Path, text: str
) -> None:
    """They are escaped in messages."""
    Path(tmp_path, "run.toml").write_text(text)
    outcome = lossreg_command("plan", "-c", "run.toml")
    assert (outcome.code, outcome.out) == (2, "")
    assert [sign for sign in outcome.err if not (sign.isprintable() or sign == "\n")] == []


def test_a_message_is_shown_whole_unless_it_is_very_long() -> None:
    """What a person writes stays as it is; what a program made is cut in its middle."""
    assert shown("dise") == "'dise'"
    assert shown("x" * 9000) == "'" + "x" * 79 + "..." + "x" * 29 + "'"
    assert shown(10**5000) == "<int>"
    assert bounded("/home/person/runs/first cannot be used") == "/home/person/runs/first cannot be used"
    assert bounded("x" * 200) == "x" * 80 + "..." + "x" * 30
    assert len(bounded("x " * 9000)) == 2003
    assert printable("tab\tline\nü\x1b\x9b") == "tab\tline\nü\\x1b\\x9b"


def test_what_is_no_number_of_another_library_stays() -> None:
    """`plain` changes nothing but numbers."""
    kept = [None, True, 1, 1.5, "1", [1], object]
    assert [plain(value) for value in kept] == kept


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as POSIX has them")
def test_a_second_interrupt_shows_no_traceback(warm_python: str, tmp_path: Path) -> None:
    """Two Ctrl-C end a run with exit code 130 and no traceback, neither of the run nor of another library's exit."""
    command = [warm_python, "-m", "lossreg", "run", "--epochs", "100000", "--log-every", "1", "--out", "x"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        next(line for line in child.stderr if line.startswith("epoch 0"))
        child.send_signal(signal.SIGINT)
        rest = []
        for line in child.stderr:
            rest.append(line)
            if "stopped by Ctrl-C" in line:
                break
        time.sleep(0.05)  # while other libraries are on their way out
        child.send_signal(signal.SIGINT)
        rest.append(child.stderr.read())
    assert child.returncode == 130
    assert "Traceback" not in "".join(rest)
