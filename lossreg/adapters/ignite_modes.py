"""Ignite: an optimizer with modes, switched to training and to evaluation by the events of a trainer."""

from __future__ import annotations

from typing import Any

from ignite.engine import Events


class SwitchedModes:
    """Switches an optimizer to training before each epoch, and to evaluation with its last iteration.

    So all that a trainer calls after an epoch sees the weights to evaluate, in whichever order it was attached.

    Args:
        optimizer: One with `train()` and `eval()`.
    """

    def __init__(self, optimizer: Any) -> None:
        self._optimizer = optimizer
        self._in_training, self._is_interrupted = False, False
        self._is_first_epoch, self._was_terminated = True, False  # of a run; the run before
        self._last_iteration = 0  # of an epoch

    def attach(self, trainer: Any) -> None:
        """Has a trainer switch the optimizer.

        Args:
            trainer: An engine of Ignite.
        """
        trainer.add_event_handler(Events.STARTED, self._start)
        trainer.add_event_handler(Events.EPOCH_STARTED, self._before_epoch)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._after_iteration)
        # Of an epoch that is ended early no iteration is the last.
        trainer.add_event_handler(Events.TERMINATE_SINGLE_EPOCH, self._break_off)
        trainer.add_event_handler(Events.INTERRUPT, self._interrupt)
        trainer.add_event_handler(Events.TERMINATE, self._terminate)
        for event in (Events.EPOCH_COMPLETED, Events.COMPLETED):
            trainer.add_event_handler(event, self._evaluate)

    def before_iteration(self) -> None:
        """Switches to training where a trainer that was interrupted goes on within an epoch.

        It calls nothing else before that. This has no handler of its own, which would cost time in each iteration.
        """
        if self._is_interrupted:
            self._train()

    def _start(self) -> None:
        self._is_first_epoch = True

    def _before_epoch(self, trainer: Any) -> None:
        """Notes the last iteration, too: no multiple of the epoch's length where earlier epochs were ended early."""
        self._train()
        done, length = trainer.state.iteration, trainer.state.epoch_length
        # A run goes on within an epoch from a checkpoint, but not from where the one before was terminated.
        goes_on = self._is_first_epoch and not self._was_terminated
        self._is_first_epoch = self._was_terminated = False
        if length is None:  # only the end of the epoch shows it
            self._last_iteration = 0
        else:
            self._last_iteration = done + length - (done % length if goes_on else 0)

    def _after_iteration(self, trainer: Any) -> None:
        if trainer.state.iteration == self._last_iteration:
            self._evaluate()

    def _break_off(self, trainer: Any, iter_counter: int) -> None:
        """After the last iteration of an epoch that is ended early, as Ignite calls it."""
        del trainer, iter_counter
        self._evaluate()

    def _interrupt(self) -> None:
        self._is_interrupted = self._in_training
        self._evaluate()

    def _terminate(self) -> None:
        self._was_terminated = True
        self._evaluate()

    def _train(self) -> None:
        self._optimizer.train()
        self._in_training, self._is_interrupted = True, False

    def _evaluate(self) -> None:
        if self._in_training:
            self._optimizer.eval()
            self._in_training = False
