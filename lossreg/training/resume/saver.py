"""When a run writes a checkpoint, and what happens when it cannot: training goes on, and it is tried again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lossreg.checkpointing import Every
from lossreg.checkpoints.tree import why_not_plain
from lossreg.errors import CheckpointError, ConfigError, LossregError, StateError, describe_error
from lossreg.training.choosing import is_better, worst
from lossreg.training.record.directory import why_not_written
from lossreg.training.resume.session import check_state
from lossreg.values import one_line

if TYPE_CHECKING:
    from lossreg.checkpoints.checkpoint import Checkpoint
    from lossreg.checkpoints.folder import CheckpointFolder
    from lossreg.run_spec import RunSpec
    from lossreg.training.agenda import Agenda
    from lossreg.training.resume.session import Session

logger = logging.getLogger("lossreg")


class Saver:
    """Writes the checkpoints of a run; all processes call it at the same moments, and the main one writes.

    Args:
        spec: The settings.
        agenda: Is told when one was written.
        folder: Where they are written; None in a process that does not write.
        synchronise: Puts metrics.jsonl on the disk and gives its length in bytes.
    """

    def __init__(
        self, spec: RunSpec, agenda: Agenda, folder: CheckpointFolder | None, synchronise: Callable[[], int]
    ) -> None:
        self._every = None if spec.checkpoint_every is None else Every.of(spec.checkpoint_every)
        self._keep = spec.keep
        self._metric = spec.best
        self._agenda = agenda
        self._folder = folder
        self._synchronise = synchronise
        self._written: tuple[int, int] | None = None  # epochs and steps that are done in the last one
        self._why_not: str | None = None
        self._best: str | None = None  # the name of the best one

    @property
    def is_on(self) -> bool:
        """Whether the run writes checkpoints."""
        return self._every is not None

    @property
    def has_written(self) -> bool:
        """Whether there is a checkpoint from which the run can go on."""
        return self._written is not None and self._why_not is None

    def begin(self, session: Session) -> None:
        """Before the first step: looks whether the state can be kept."""
        if not self.is_on:
            return
        parts = session.run.parts
        self._why_not = parts.optimization.needs.unreadable
        if self._why_not is None:
            self._why_not = why_not_plain(session.state())
            if self._why_not is not None and parts.processes.is_main:
                logger.warning(
                    "checkpoints of this run hold weights alone, and it cannot be resumed: %s", self._why_not
                )

    def restore(self, session: Session, checkpoint: Checkpoint | None, *, partly: bool) -> list[str]:
        """Takes up where a checkpoint left off; all processes are given what the main one reads.

        Args:
            session: The run, with its parts freshly built.
            checkpoint: What the main process goes on from; verified.
            partly: Whether what does not fit is left out.

        Returns:
            What was left out.

        Raises:
            LossregError: If it cannot be read, or does not fit.
        """
        processes = session.run.parts.processes
        held = None
        with processes.fail_together():
            if checkpoint is not None:
                held = self._read(session, checkpoint)
                session.watch.checkpoint = checkpoint.path
        held = processes.broadcast_object(held)
        assert held is not None  # noqa: S101  # the main process has one
        weights, state, self._written = held
        with processes.fail_together():
            differences = _restored(session, weights, state, partly=partly)
        best = state["best"]
        if best is not None and best["metric"] == self._metric:  # a run may go on with another one
            self._best, session.best = best["name"], best["value"]
        return differences

    def _read(self, session: Session, checkpoint: Checkpoint) -> tuple[dict[str, Any], Any, tuple[int, int]]:
        """Weights and state of a checkpoint, and which epochs and steps are done in it."""
        state = checkpoint.read_state(like=session.state_like())
        if not isinstance(state, dict):
            raise _not_of_a_run("it holds no state of one")
        if "why_not" in state:
            raise ConfigError(
                f"{checkpoint.path} holds weights alone, and no run can go on from it: {state['why_not']}; init_from "
                "(--init-from) begins a new run with them"
            )
        weights = {name: checkpoint.read_weights(name) for name in ("model", "loss") if checkpoint.has(name)}
        done = checkpoint.facts.get("epochs_done"), checkpoint.facts.get("step")
        if not all(type(one) is int for one in done):
            raise _not_of_a_run("it does not say how far the run was")
        return weights, state, done  # type: ignore[return-value]  # both were seen to be whole numbers

    def between_steps(self, session: Session) -> None:
        """Writes one that is due by steps or minutes, or because a signal ends the run."""
        if self.is_on and (self._agenda.save or self._agenda.signal is not None):
            self.save(session)

    def break_off(self, session: Session) -> None:
        """Writes one in the middle of an epoch that ends the run: it may go on from there with a greater limit."""
        if self.is_on:
            self.save(session)

    def after_epoch(self, session: Session, *, is_last: bool) -> None:
        """Writes one after the row of an epoch, if one is due, or it is the best so far.

        Args:
            session: The run.
            is_last: Whether the run ends here.
        """
        is_whole = session.done == session.run.parts.samples.plan.steps
        if not self.is_on or not is_whole:  # the steps that are left of an epoch begin at the checkpoint before its row
            return
        value = None if self._metric is None else session.row[self._metric]
        value = session.run.parts.processes.broadcast_object(value)
        is_best = self._metric is not None and self._is_better(session, self._metric, value)
        if is_best:
            session.best = value
        assert self._every is not None  # noqa: S101  # it is on
        is_due = self._every.unit == "epochs" and session.epochs_done % self._every.count == 0
        if is_due or is_last or is_best or self._agenda.save or self._agenda.signal is not None:
            self.save(session, is_best=is_best)

    def _is_better(self, session: Session, metric: str, value: float | None) -> bool:
        directions = session.run.parts.choices.directions
        return is_better(metric, value, worst(metric, session.best, directions), directions)

    def save(self, session: Session, *, is_best: bool = False) -> None:
        """Writes a checkpoint, unless there is one of this moment.

        Raises:
            RunFailedError: If a weight is not finite: no checkpoint holds such.
        """
        run = session.run
        moment = (session.epochs_done, run.step)
        if moment == self._written:
            return
        session.watch.check_weights()
        own = run.parts.processes.gather_objects(session.own_state())
        if self._folder is not None and self._write(self._folder, session, own, is_best=is_best):
            self._written = moment
            session.watch.checkpoint = self._folder.path / _name_of(session)
        self._written = run.parts.processes.broadcast_object(self._written)
        self._agenda.saved()

    def _write(self, folder: CheckpointFolder, session: Session, own: list[dict[str, Any]], *, is_best: bool) -> bool:
        """Writes it, and removes those that are too many; says whether it is there."""
        name = _name_of(session)
        best = name if is_best else self._best
        try:
            of_best = None if best is None else {"metric": self._metric, "value": session.best, "name": best}
            state: dict[str, Any] = {"shared": session.state(), "own": own, "best": of_best}
            if self._why_not is not None:
                state = {"why_not": self._why_not}
            folder.write(name, self._facts(session, is_best=is_best), session.weights(), state)
        except (OSError, RuntimeError, StateError) as error:
            logger.warning(
                "the checkpoint %s could not be written: %s; the run goes on, and tries again with the next one",
                folder.path / name,
                why_not_written(error),
            )
            return False
        self._best = best
        try:
            folder.prune(self._keep, [] if self._best is None else [self._best])
        except OSError as error:
            logger.warning("an old checkpoint in %s could not be removed: %s", folder.path, why_not_written(error))
        return True

    def _facts(self, session: Session, *, is_best: bool) -> Mapping[str, Any]:
        run = session.run
        best = {"best": f"{self._metric}={session.best:g}"} if is_best else {}
        return {
            "epoch": run.epoch,
            "epochs_done": session.epochs_done,
            "step": run.step,
            "phase": session.phase,
            "weights": run.parts.weights.held,
            "metrics_bytes": self._synchronise(),
            "spec": {**dict(run.spec.items()), **dict.fromkeys(run.parts.objects)},
            **best,
        }


def _name_of(session: Session) -> str:
    """The name of a checkpoint of this moment."""
    return f"epoch-{session.epochs_done:04d}-step-{session.run.step:08d}"


def _restored(session: Session, weights: dict[str, Any], state: Any, *, partly: bool) -> list[str]:
    """Gives a run a state that a file had; a checkpoint of a right manifest may hold anything."""
    try:
        best = state["best"]
        if best is not None and not (isinstance(best["name"], str) and type(best["value"]) in (int, float)):
            raise TypeError("best is not the name of a checkpoint and its value")
        check_state(state["shared"])
        return session.restore(weights, state["shared"], state["own"], partly=partly)
    except LossregError:
        raise
    except Exception as error:  # whatever a state of something else makes of the parts
        raise _not_of_a_run(describe_error(error)) from error


def _not_of_a_run(why: str) -> CheckpointError:
    return CheckpointError(one_line(f"the checkpoint does not hold the state of this run: {why}"), path="")
