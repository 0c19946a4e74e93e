"""Where a run is kept: a directory that was named, one to be named, or that of a run that goes on."""

from __future__ import annotations

from pathlib import Path

import attrs

from lossreg.training.hardware.launcher import restarted_by_launcher
from lossreg.training.record.directory import RUNS, absolute_path
from lossreg.training.record.run_json import NAME
from lossreg.training.resume.past import find_restarted


@attrs.frozen
class Place:
    """Where a run is kept.

    Attributes:
        path: The run directory, or the folder for one that has no name yet; absolute.
        is_named: Whether it is the run directory.
        resumes: Whether the run in it goes on.
        by_itself: Whether it does so because its launcher started it again.
        override: Whether it may go on with other settings.
    """

    path: Path
    is_named: bool
    resumes: bool = False
    by_itself: bool = False
    override: bool = False

    @classmethod
    def of(cls, out: str | Path | None, resume: str | Path | None, runs: Path | None, *, override: bool) -> Place:
        """From the arguments of `run_request`."""
        if resume is not None:
            return cls(absolute_path(resume), is_named=True, resumes=True, override=override)
        path = absolute_path(runs or RUNS) if out is None else absolute_path(out)
        if not restarted_by_launcher():
            return cls(path, is_named=out is not None)
        found = path if out is not None else find_restarted(path)
        if found is None or not (found / NAME).exists():
            return cls(path, is_named=out is not None)
        return cls(found, is_named=True, resumes=True, by_itself=True)
