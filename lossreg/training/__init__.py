"""The runner: assembles the parts, checks that they fit, trains, keeps the record."""

from lossreg.training.results import Plan, RunResult
from lossreg.training.runner import plan, run
from lossreg.training.state import Run

__all__ = ["Plan", "Run", "RunResult", "plan", "run"]
