"""When a run writes a checkpoint, and what happens when it cannot: training goes on, and it is tried again."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lossreg.checkpointing import Every
from lossreg.errors import LossregError, RunFailedError
from lossreg.training.choosing import gets_greater, is_better
from lossreg.training.not_finite import not_finite_weights
from lossreg.training.record.directory import why_not_written

if TYPE_CHECKING:
    from lossreg.checkpoints.folder import Checkpoint, CheckpointFolder
    from lossreg.run_spec import RunSpec
    from lossreg.training.agenda import Agenda
    from lossreg.training.resume.session import Session
    from lossreg.training.stops import SignalGuard

logger = logging.getLogger("lossreg")


class Saver:
    """Writes the checkpoints of a run; all processes call it at the same moments, and the main one writes.

    Args:
        spec: The settings.
        agenda: Says when a checkpoint is due by steps or minutes.
        folder: Where they are written; None in a process that writes none.
        synchronise: Puts metrics.jsonl on the disk and gives its length in bytes.
        signals: Lets the first signal wait while one is written.
        why_not: Why no run could go on from a checkpoint of these parts, or None.

    Attributes:
        last: Where the run is that the last checkpoint was written of, or None.
    """

    def __init__(
        self,
        spec: RunSpec,
        agenda: Agenda,
        folder: CheckpointFolder | None,
        synchronise: Callable[[], int],
        signals: SignalGuard,
        why_not: str | None = None,
    ) -> None:
        self._spec = spec
        self._every = None if spec.checkpoint_every is None else Every.of(spec.checkpoint_every)
        self._agenda = agenda
        self._folder = folder
        self._synchronise = synchronise
        self._signals = signals
        self._why_not = why_not
        self._exempt: frozenset[str] = frozenset()
        self._best_name: str | None = None
        self.last: tuple[int, int] | None = None
        self.failed: str | None = None

    def start(self, session: Session, checkpoint: Checkpoint | None) -> None:
        """Before the first step: sweeps leftovers, and takes up where a checkpoint left off.

        Args:
            session: The run.
            checkpoint: What the main process has found to go on from; verified.
        """
        processes = session.run.parts.processes
        self._exempt = frozenset()
        self._exempt = frozenset(name for name, _ in _not_finite(session))
'''  '''
