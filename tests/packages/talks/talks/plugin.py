"""A plugin that prints wherever it can, also past Python."""

import os
import subprocess
import sys

import lossreg as lr


def say(where):
    """Prints, from Python and from elsewhere."""
    print(f"printed {where}")  # noqa: T201  # what is tested
    sys.stdout.write(f"written {where}\n")
    os.write(1, f"descriptor {where}\n".encode())
    subprocess.run(["echo", f"child {where}"], check=True)
    sys.__stdout__.write(f"kept {where}\n")
    sys.__stdout__.flush()


say("import")


@lr.hookimpl
def lossreg_losses():
    """One loss."""
    say("hook")
    return [lr.Loss("talker", "talks.loss:Talker", "A loss", target="dense", averages="element")]


@lr.hookimpl
def lossreg_run_started(run):
    """Prints."""
    say("started")


@lr.hookimpl
def lossreg_run_finished(run, result):
    """Prints."""
    say("finished")
