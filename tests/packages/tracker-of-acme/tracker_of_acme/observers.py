"""The observers."""

import lossreg as lr


class Lines:
    """Writes a line for each event into a file in the run directory."""

    def __init__(self, name: str = "lines.txt") -> None:
        self.name = name

    def _write(self, run, text):
        with (run.directory / self.name).open("a") as file:
            print(text, file=file)

    def lossreg_run_started(self, run):
        """The optimizer's rate."""
        self._write(run, f"started lr={run.settings['optimizer.lr']}")

    def lossreg_epoch_finished(self, run, record):
        """The epoch."""
        print("this goes to stderr")  # noqa: T201  # a stranger may print
        self._write(run, f"epoch {record['epoch']}")

    def lossreg_run_finished(self, run, result):
        """The end."""
        self._write(run, "finished")


class Down:
    """Cannot reach its server."""

    def lossreg_run_started(self, run):
        """Fails."""
        raise ConnectionError("no answer from tracker.acme.example")

    def lossreg_epoch_finished(self, run, record):
        """Is not called."""
        (run.directory / "called").touch()


class Blind:
    """Sees nothing."""


def needy():
    """Needs what is not there."""
    raise lr.MissingLibraryError("needy needs acme-client: pip install acme-client", library="acme_client")
