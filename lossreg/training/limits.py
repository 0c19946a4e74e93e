"""The steps and the time that a run may take: `max_steps` and `max_time`."""

from __future__ import annotations

import math
import time

from lossreg.durations import seconds_of
from lossreg.training.record.run_json import MAX_STEPS, MAX_TIME
from lossreg.training.state import Run

_BETWEEN = 1.0  # seconds between two exchanges of several processes


class Limits:
    """Ends a run that has taken its steps or its time, in all processes at the same step.

    Args:
        run: The run; the time goes by its `seconds`.

    Attributes:
        are_set: Whether there is anything to look at between steps.
    """

    def __init__(self, run: Run) -> None:
        spec, plan = run.spec, run.parts.samples.plan
        self._run = run
        self._steps = math.inf if spec.max_steps is None else spec.max_steps
        self._seconds = math.inf if spec.max_time is None else seconds_of(spec.max_time)
        self._all_steps = spec.epochs * plan.steps
        self.are_set = spec.max_steps is not None or spec.max_time is not None
        self._asked = run.step  # when the processes last exchanged whether the time is over
        self._asked_at = time.perf_counter()
        self._ask_next = run.step

    def reached(self) -> bool:
        """Whether the run has to end here, between two steps or after an epoch; the reason is kept in the run then."""
        run = self._run
        if run.step >= self._all_steps:
            return False  # it ends by itself
        if run.step >= self._steps:
            self._request(f"max_steps is reached: {run.step:,} steps are done", MAX_STEPS)
            return True
        if self._seconds < math.inf and self._is_time_over():
            self._request(f"max_time is over: {run.spec.max_time}, after {run.step:,} steps", MAX_TIME)
            return True
        return False

    def _is_time_over(self) -> bool:
        """By the clock of the main process; several exchange it about once a second, and more often near the end."""
        run = self._run
        processes = run.parts.processes
        if processes.world_size == 1:
            return run.seconds >= self._seconds
        if run.step < self._ask_next:
            return False
        left, self._ask_next = processes.broadcast_object((self._seconds - run.seconds, self._next_exchange()))
        return left <= 0

    def _next_exchange(self) -> int:
        """The step at which the processes exchange again, by how fast the last ones were."""
        run = self._run
        now = time.perf_counter()
        done, seconds = run.step - self._asked, now - self._asked_at
        self._asked, self._asked_at = run.step, now
        wait = min(_BETWEEN, self._seconds - run.seconds)
        return run.step + max(1, int(wait * done / max(seconds, 1e-9)))

    def _request(self, reason: str, by: str) -> None:
        if self._run.stop_reason is None:
            self._run.stop_reason, self._run.stopped_by = reason, by
