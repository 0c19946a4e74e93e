"""The command `lossreg`, and `python -m lossreg`: light, so that Ctrl-C ends it in one line while it is imported."""

from __future__ import annotations

import sys
from typing import NoReturn

INTERRUPTED = 130  # 128 and the number of SIGINT, as shells count


def main() -> NoReturn:
    """Runs the command line and ends the process."""
    try:
        from lossreg.cli.main import main as run_command  # which takes a tenth of a second

        run_command()
    except KeyboardInterrupt:
        _say_stopped()
        sys.exit(INTERRUPTED)


def _say_stopped() -> None:
    """Says what the command itself says if Ctrl-C comes later; of several processes the main one does."""
    import contextlib
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C would only break this off
    from lossreg.errors import LossregError
    from lossreg.training.hardware.launcher import find_launch

    launch = None
    with contextlib.suppress(LossregError):  # the command would say it
        launch = find_launch()
    if sys.stderr is not None and (launch is None or launch.rank == 0):
        with contextlib.suppress(OSError):  # it may be a pipe that nothing reads
            sys.stderr.write("lossreg: stopped by Ctrl-C\n")


if __name__ == "__main__":
    main()
