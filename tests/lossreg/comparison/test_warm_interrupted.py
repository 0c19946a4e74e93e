"""Ctrl-C while the server of workers still imports: it has nothing to say about it."""

from __future__ import annotations

import subprocess

SCRIPT = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "lossreg.training.api":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
import lossreg.comparison.warm
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""


def test_ctrl_c_during_its_imports_shows_no_traceback(warm_python: str) -> None:
    """It is for the process that a person started. Workers find the handler as it was."""
    done = subprocess.run([warm_python, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
