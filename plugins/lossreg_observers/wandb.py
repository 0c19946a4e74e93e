"""Weights & Biases: a run of a project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import lossreg as lr
from lossreg_observers.common import how_it_failed, load_library, numbers


class WandB:
    """Keeps a run in Weights & Biases: settings as its config, rows as history by step, and how it ended.

    Nothing leaves the machine unless `mode="online"`: the run is written to `wandb` in the run directory, and
    `wandb sync DIRECTORY` uploads it later. History is `step/...` for the logged steps and `epoch/...` for the epochs.

    Args:
        project: The project.
        mode: `"offline"` keeps all in files; `"online"` sends it to the server, which needs `wandb login`.
        name: The run's name; None is that of the run directory.
        entity: The user or team; None is the default of the login.
        tags: Tags of the run.

    Raises:
        MissingLibraryError: If wandb is not installed.

    Source:
        https://docs.wandb.ai/guides/track
    """

    def __init__(
        self,
        project: str = "lossreg",
        mode: Literal["offline", "online"] = "offline",
        name: str | None = None,
        entity: str | None = None,
        tags: Sequence[str] = (),
    ) -> None:
        self._wandb = load_library("wandb", "wandb")
        self._arguments = {"project": project, "mode": mode, "entity": entity, "tags": list(tags)}
        self._name = name
        self._run: Any = None

    def lossreg_run_started(self, run: lr.Run) -> None:
        """Creates the run with its config."""
        # What is printed belongs to the program, and no prompt may wait for an answer.
        settings = self._wandb.Settings(console="off", silent=True)
        self._run = self._wandb.init(
            **self._arguments,
            name=self._name or run.directory.name,
            dir=str(run.directory),
            config=run.settings,
            settings=settings,
            reinit="create_new",  # a run of the program itself stays its own
        )

    def lossreg_logged(self, run: lr.Run, record: Mapping[str, Any]) -> None:
        """Adds a step."""
        self._add(record)

    def lossreg_epoch_finished(self, run: lr.Run, record: Mapping[str, Any]) -> None:
        """Adds an epoch."""
        self._add(record)

    def lossreg_run_finished(self, run: lr.Run, result: lr.RunResult) -> None:
        """Adds the metrics of the test split if they are apart, and ends the run."""
        if result.tested is not None:
            self._add(result.tested)
        self._run.finish(exit_code=0)

    def lossreg_run_failed(self, run: lr.Run, error: BaseException) -> None:
        """Ends the run."""
        self._run.finish(exit_code=how_it_failed(error) or 1)

    def _add(self, record: Mapping[str, Any]) -> None:
        self._run.log(numbers(record), step=record["step"])
