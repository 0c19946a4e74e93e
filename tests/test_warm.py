"""A process of `warm_python` is one that Python would have started."""

from __future__ import annotations

import subprocess


def test_every_file_that_is_passed_on_is_open(warm_python: str) -> None:
    """Also at the numbers that files of the server have."""
    numbers = range(3, 40)
    opened = " ".join(f"{number}</dev/null" for number in numbers)
    look = f"import os; print([n for n in range({numbers.start}, {numbers.stop}) if not os.path.sameopenfile(n, 0)])"
    command = f"exec {opened}; exec {warm_python} -c '{look}'"
    done = subprocess.run(
        ["bash", "-c", command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
