"""TensorBoard: event files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lossreg as lr
from lossreg_observers.common import load_library, numbers


class TensorBoard:
    """Writes event files that TensorBoard shows: `tensorboard --logdir runs`.

    Curves are `step/...` for the logged steps and `epoch/...` for the epochs, over the steps of the optimizer. The
    settings of the run, with all parameters of its components, are a text and the row of the run in the tab HPARAMS.

    Args:
        directory: A folder of many runs, in which this one has a folder named after its run directory; None is
            `tensorboard` in the run directory.

    Raises:
        MissingLibraryError: If tensorboard is not installed.
        ValueError: If `directory` is empty.

    Source:
        https://www.tensorflow.org/tensorboard
    """

    def __init__(self, directory: str | None = None) -> None:
        if directory == "":
            raise ValueError("directory is empty; name a folder, or leave it out")
        load_library("tensorboard", "tensorboard")
        self._torch = load_library("torch.utils.tensorboard", "tensorboard")
        # Absolute now: something in the run may change the working directory.
        self._parent = None if directory is None else Path(directory).expanduser().absolute()
        self._writer: Any = None
        self._settings: dict[str, Any] = {}

    def lossreg_run_started(self, run: lr.Run) -> None:
        """Opens the event file, and writes the settings."""
        folder = run.directory / "tensorboard" if self._parent is None else self._parent / run.directory.name
        self._writer = self._torch.SummaryWriter(str(folder))
        self._settings = run.settings
        rows = [f"| {name} | {_in_a_cell(value)} |" for name, value in self._settings.items()]
        self._writer.add_text("settings", "\n".join(["| setting | value |", "|---|---|", *rows]), 0)
        self._writer.flush()

    def lossreg_logged(self, run: lr.Run, record: Mapping[str, Any]) -> None:
        """Writes the curves of a step."""
        self._add(record)

    def lossreg_epoch_finished(self, run: lr.Run, record: Mapping[str, Any]) -> None:
        """Writes the curves of an epoch; now it is known which there are, and so the row for HPARAMS."""
        self._add(record)
        if self._settings:
            hparams = self._torch.writer.hparams(
                {name: _plain(value) for name, value in self._settings.items()}, numbers(record)
            )
            for summary in hparams[:2]:  # the third says that the run is over
                self._writer.file_writer.add_summary(summary)
            self._settings = {}
        self._writer.flush()

    def lossreg_run_finished(self, run: lr.Run, result: lr.RunResult) -> None:
        """Writes the metrics of the test split if they are apart, and closes the file."""
        if result.tested is not None:
            self._add(result.tested)
        self._end("STATUS_SUCCESS")

    def lossreg_run_failed(self, run: lr.Run, error: BaseException) -> None:
        """Closes the file, and marks the run as failed."""
        self._end("STATUS_FAILURE")

    def _add(self, record: Mapping[str, Any]) -> None:
        for name, value in numbers(record).items():
            self._writer.add_scalar(name, value, record["step"])

    def _end(self, status: str) -> None:
        self._writer.file_writer.add_summary(_session_end(status))
        self._writer.close()


def _session_end(status: str) -> Any:
    """What tells the tab HPARAMS how a run ended; torch has it only for runs that end well."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    end = plugin_data_pb2.SessionEndInfo(status=api_pb2.Status.Value(status))
    content = plugin_data_pb2.HParamsPluginData(session_end_info=end, version=metadata.PLUGIN_DATA_VERSION)
    told = Summary.Value(
        tag=metadata.SESSION_END_INFO_TAG,
        metadata={"plugin_data": {"plugin_name": metadata.PLUGIN_NAME, "content": content.SerializeToString()}},
    )
    return Summary(value=[told])


def _plain(value: object) -> bool | float | str:
    return value if isinstance(value, bool | int | float | str) else "none" if value is None else str(value)


def _in_a_cell(value: object) -> str:
    return str(_plain(value)).replace("|", "\\|").replace("\n", " ")
