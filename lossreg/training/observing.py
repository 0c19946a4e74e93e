"""Observers whose errors are their own: a failing one is left out, and neither ends a run nor holds it up."""

from __future__ import annotations

import contextlib
import inspect
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lossreg.errors import ConfigError, LossregError, describe_error
from lossreg.hookspecs import PREFIX
from lossreg.plugins.checks import HOOKS
from lossreg.plugins.isolation import StdoutToStderr, is_from_outside
from lossreg.plugins.participants import RUN_HOOKS
from lossreg.run_spec import OBSERVE
from lossreg.training.choice import Choice, class_name
from lossreg.training.selection import Request, select_observers

if TYPE_CHECKING:
    from lossreg.training.state import Run

HURRIED = 5.0  # seconds that a run waits at most for all observers if a signal ended it: a second one soon kills it

logger = logging.getLogger("lossreg")


class IsolatedObserver:
    """An observer that is called with each event of a run until it fails for the first time.

    Args:
        label: The observer in warnings and in the run record.
        observer: Has methods named like the run hooks.
        wait: Seconds that the end of a run waits for its thread; None if it is called by the training itself, which
            waits for each call.

    Raises:
        ConfigError: If it has a method of the hooks' prefix that is not a run hook, or none at all.
    """

    def __init__(self, label: str, observer: object, wait: float | None) -> None:
        check_observer(observer, label)
        self.label = label
        self._methods: dict[str, Callable[..., Any]] = {
            hook: getattr(observer, hook) for hook in RUN_HOOKS if hasattr(observer, hook)
        }
        self._wait = wait
        self._waiting: queue.SimpleQueue[tuple[str, Mapping[str, Any]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_started = False
        self._is_out = False

    def call(self, hook: str, arguments: Mapping[str, Any]) -> None:
        """Calls the method of a hook, or has the thread call it.

        What has not been told that the run starts is not told that it failed, either.

        Args:
            hook: One of the run hooks.
            arguments: The hook's arguments, by name; it may keep and change them.
        """
        self._is_started |= hook == "lossreg_run_started"
        if self._is_out or not self._is_started or hook not in self._methods:
            return
        if self._wait is None:
            with StdoutToStderr():
                self._call(hook, arguments)
            return
        if self._thread is None:
            # A daemon: a call that never returns must not keep the program from ending.
            self._thread = threading.Thread(target=self._work, name=f"lossreg: {self.label}", daemon=True)
            try:
                self._thread.start()
            except RuntimeError as error:  # no more threads
                self._thread = None
                self._leave_out(hook, error)
                return
        self._waiting.put((hook, arguments))

    def close(self) -> None:
        """Has the thread end when it has done what it still has to do."""
        if self._thread is not None:
            self._waiting.put(None)

    def wait(self, ended: float, limit: float | None) -> None:
        """Waits for the end of a closed observer's thread, but not for ever.

        Args:
            ended: When the run ended, on the monotonic clock.
            limit: Seconds after that to wait at most; None is as long as the observer says.
        """
        if self._thread is None or self._wait is None:
            return
        wait = self._wait if limit is None else min(limit, self._wait)
        self._thread.join(max(0.0, ended + wait - time.monotonic()))
        if self._thread.is_alive() and not self._is_out:
            self._is_out = True
            logger.warning(
                "the observer %s is not done %g s after the end of the run; what it still has to do is left out",
                self.label,
                wait,
            )

    def _work(self) -> None:
        while not self._is_out and (waiting := self._waiting.get()) is not None:
            self._call(*waiting)

    def _call(self, hook: str, arguments: Mapping[str, Any]) -> None:
        run: Run = arguments["run"]
        reason = run.stop_reason
        try:
            self._methods[hook](**arguments)
        except BaseException as error:  # an observer must not end a user's run
            if self._wait is None and is_from_outside(error):  # signals reach the main thread alone
                raise
            self._leave_out(hook, error)
        if run.stop_reason is not reason:
            run.stopped_by = self.label

    def _leave_out(self, hook: str, error: BaseException) -> None:
        if not self._is_out:  # the end of the run has not said so already
            self._is_out = True
            reason = describe_error(error)
            logger.warning("the observer %s failed in %s and is left out of this run: %s", self.label, hook, reason)


def build_observers(request: Request) -> list[IsolatedObserver]:
    """Builds the observers that are named, and takes those that are given.

    Raises:
        LossregError: If one does not exist or cannot be built, or is none.
    """
    built = []
    for choice in select_observers(request):
        with _blaming_the_setting():
            observer = choice.build(runtime=_runtime(request.spec.epochs))
            component, label = choice.component, _id(choice)
            built.append(IsolatedObserver(label, observer, None if component.blocking else component.wait))
    return [*built, *(IsolatedObserver(class_name(given), given, None) for given in request.observers)]


def observer_facts(choices: Sequence[Choice], epochs: int) -> dict[str, Any]:
    """What the run record says of the observers that are named: all parameters and provenance."""
    return {f"observer.{number}": one.facts(_runtime(epochs)) for number, one in enumerate(choices, start=1)}


def check_observer(observer: object, label: str) -> None:
    """Checks that an object can observe a run.

    Raises:
        ConfigError: If it has a method of the hooks' prefix that is not a run hook, or none at all.
    """
    methods = [name for name in dir(observer) if name.startswith(PREFIX)]
    unknown = [name for name in methods if name not in RUN_HOOKS]
    if unknown or not methods:
        wrong = f"has {unknown[0]}, which is not a run hook" if unknown else "has no method named like a run hook"
        raise ConfigError(f"the observer {label} {wrong}; run hooks: {', '.join(RUN_HOOKS)}")
    for name in methods:
        try:
            inspect.signature(getattr(observer, name)).bind(**dict.fromkeys(HOOKS[name]))
        except TypeError as error:
            takes = ", ".join(HOOKS[name])
            raise ConfigError(f"the observer {label}: {name} is called with {takes}: {error}") from error


def copied(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with a row of its own for each that is called: what one writes into it, no other reads."""
    return {name: dict(value) if name == "record" else value for name, value in arguments.items()}


def _runtime(epochs: int) -> dict[str, Any]:
    """What an observer can be supplied with: it is built before all else, so that nothing is loaded in vain."""
    return {"epochs": epochs}


def _id(choice: Choice) -> str:
    spec = choice.spec
    return choice.label if spec is None else spec.name


@contextlib.contextmanager
def _blaming_the_setting() -> Iterator[None]:
    try:
        yield
    except LossregError as error:
        error.setting = OBSERVE
        raise
