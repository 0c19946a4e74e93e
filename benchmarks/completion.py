"""Seconds that a shell waits for completions with all bridges that are installed, against those without a bridge.

The sides take turns; medians and their ratio are printed. It must be at most 1.3.

    python benchmarks/completion.py [--repeats 30]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

LINES = ("run --opt ad", "run --model m", "run --loss d", "run --sched co", "run --metric a", "show model m", "list ")


def asked(line: str, *, bridges: bool) -> tuple[float, int]:
    """The seconds that bash waits for the completions of a line, and how many there are."""
    words = ["lossreg", *line.split(" ")]
    environment = {
        **{key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"},
        "_LOSSREG_COMPLETE": "bash_complete",
        "COMP_WORDS": "\n".join(words),
        "COMP_CWORD": str(len(words) - 1),
        "LOSSREG_BRIDGES": str(int(bridges)),
    }
    started = time.perf_counter()
    command = [sys.executable, "-m", "lossreg"]
    answer = subprocess.run(command, env=environment, check=False, capture_output=True, text=True).stdout
    return time.perf_counter() - started, len(answer.splitlines())


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=30)
    repeats = parser.parse_args().repeats
    print(f"{'':<18}{'without':>9}{'with ms':>9}{'ratio':>7}{'answers':>9}")
    for line in LINES:
        times: dict[bool, list[float]] = {False: [], True: []}
        answers = 0
        for repeat in range(repeats + 1):
            for bridges in (False, True):
                taken, answers = asked(line, bridges=bridges)
                if repeat:  # the first fills the caches of byte code and of the file system
                    times[bridges].append(taken)
        without, together = (statistics.median(times[bridges]) for bridges in (False, True))
        print(f"{line:<18}{without * 1e3:>9.1f}{together * 1e3:>9.1f}{together / without:>7.2f}{answers:>9}")


if __name__ == "__main__":
    main()
