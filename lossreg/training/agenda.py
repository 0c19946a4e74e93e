"""What the loop does at a step besides training, and the signals that a run comes to an end by on its own terms."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

from lossreg.checkpointing import Every

if TYPE_CHECKING:
    from lossreg.run_spec import RunSpec
    from lossreg.training.hardware.distributed import Processes
    from lossreg.training.stops import SignalGuard

BETWEEN = 0.5  # seconds between two times that several processes agree: no signal waits for longer
MOST = 1000  # steps between them at most, however short they are
ROUNDS = 20  # batches of an evaluation between them


class Interrupted(Exception):  # noqa: N818  # not an error: it leads out of an evaluation
    """A signal came in the middle of an evaluation."""


class Agenda:
    """Tells the loop when to look up from training, by one comparison a step.

    In one process a signal is seen after the step under way. Several look whether one of them got a signal some steps
    apart, all after the same step, so that they end, and save, together.

    Args:
        spec: The settings.
        processes: Those that train together.
        signals: Notes signals.

    Attributes:
        next: The step after which the loop looks up.
        save: Whether a checkpoint is due, by steps or minutes.
        signal: The signal to end by, or None.
    """

    def __init__(self, spec: RunSpec, processes: Processes, signals: SignalGuard) -> None:
        every = None if spec.checkpoint_every is None else Every.of(spec.checkpoint_every)
        self._log_every = spec.log_every
        self._steps = every.count if every is not None and every.unit == "steps" else None
        self._seconds = 60.0 * every.count if every is not None and every.unit == "minutes" else None
        self._processes = processes
        self._signals = signals
        self._is_alone = processes.world_size == 1
        self._saved = self._agreed = time.monotonic()
        self._apart = 1
        self._next_agreement = 0
        self.next = 0
        self.save = False
        self.signal: int | None = None

    def note(self) -> None:
        """A signal came: in one process, the loop looks up after the step under way."""
        if self._is_alone:
            self.next = 0

    def saved(self) -> None:
        """A checkpoint was written, or could not be: none is due any more, and the minutes count anew."""
        self.save = False
        self._saved = time.monotonic()

    def look_up(self, step: int) -> None:
        """Finds out what is due after a step, and when to look up next; all processes call it after the same steps.

        Args:
            step: Steps that are done.
        """
        self.save = self._steps is not None and step % self._steps == 0
        if self._is_alone:
            self.signal = self._signals.noted
            self.save |= self._is_time()
        elif step >= self._next_agreement:
            self._agree()
            self._next_agreement = step + self._apart
        self.next = self._after(step)
        if self._is_alone and self._signals.noted is not None and self.signal is None:
            self.next = 0  # it came since

    def _after(self, step: int) -> int:
        due = [step - step % self._log_every + self._log_every]
        if self._steps is not None:
            due.append(step - step % self._steps + self._steps)
        if not self._is_alone:
            due.append(self._next_agreement)
        elif self._seconds is not None:
            due.append(step + 1)
        return min(due)

    def _is_time(self) -> bool:
        return self._seconds is not None and time.monotonic() - self._saved >= self._seconds

    def _agree(self) -> None:
        """The signal of any process, and by the clock of the main one whether it is time, and when to agree again."""
        now = time.monotonic()
        elapsed, self._agreed = max(now - self._agreed, 1e-3), now
        apart = min(max(int(self._apart * BETWEEN / elapsed), 1), 2 * self._apart, MOST)
        is_main = self._processes.is_main
        said = torch.tensor([self._signals.noted or 0, is_main and self._is_time(), apart if is_main else 0])
        signal, is_time, self._apart = map(int, self._processes.all_reduce_greatest(said).tolist())
        self.signal = signal or None
        self.save |= bool(is_time)

    def end_epoch(self) -> None:
        """After the row of an epoch was recorded: all see a signal that came since to one, also in the last epoch."""
        self.signal = self._signal_of_any()

    def interrupt_evaluation(self, batch: int) -> None:
        """Before each batch of an evaluation; of several processes, each counts its own batches.

        Args:
            batch: Its number, from 0.

        Raises:
            Interrupted: If a signal came; in all processes.
        """
        if self._is_alone or batch % ROUNDS == 0:
            self.signal = self._signal_of_any()
        if self.signal is not None:
            raise Interrupted

    def _signal_of_any(self) -> int | None:
        """The signal that this process got, or another one."""
        if self._is_alone:
            return self._signals.noted
        said = torch.tensor([self._signals.noted or 0])
        return int(self._processes.all_reduce_greatest(said).item()) or None

    def end_by_signal(self) -> None:
        """Ends the run by the signal; returns if its handler only takes note of it."""
        number, self.signal = self.signal, None
        if number is not None:
            self._signals.raise_noted(number)
