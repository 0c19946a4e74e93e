"""Run directories, written by hand as for pictures."""

from __future__ import annotations

from tests.lossreg.pictures.conftest import PastRunMaker, past_run

__all__ = ["PastRunMaker", "past_run"]
