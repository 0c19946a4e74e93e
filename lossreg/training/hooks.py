"""Calling the run hooks: of the run's own observers, whose errors end it, and in isolation of others and of plugins."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lossreg.errors import RunFailedError, describe_error
from lossreg.plugins.isolation import StdoutToStderr, is_from_outside
from lossreg.plugins.manager import implementations
from lossreg.plugins.participants import RUN_HOOKS, participants
from lossreg.training.choice import class_name
from lossreg.training.observing import HURRIED, IsolatedObserver, check_observer, copied

if TYPE_CHECKING:
    from lossreg.registry.registries import Registries
    from lossreg.training.state import Run

logger = logging.getLogger("lossreg")


class RunHooks:
    """Calls observers and plugins when something happens in a run.

    An observer is any object with methods named like the run hooks; its errors are the run's errors, unless it is
    isolated. An isolated one, or a plugin, whose hook raises costs one warning line and is not called again in this
    run; the run goes on.

    Args:
        observers: Called first, in this order.
        registries: Hold the plugins, and say whether their faults are errors.
        isolated: Called next.

    Attributes:
        participants: The plugins and files whose hooks are called.

    Raises:
        ConfigError: If an observer has a method of the hooks' prefix that is not a run hook, or none at all.
    """

    def __init__(
        self, observers: Sequence[object], registries: Registries, isolated: Sequence[IsolatedObserver] = ()
    ) -> None:
        for observer in observers:
            check_observer(observer, repr(observer))
        self._isolated = isolated
        self._observers: dict[str, list[tuple[str, Callable[..., Any]]]] = {
            hook: [(class_name(one), getattr(one, hook)) for one in observers if hasattr(one, hook)]
            for hook in RUN_HOOKS
        }
        self.participants = participants(registries.reports)
        labels = {participant.name: str(participant) for participant in self.participants}
        self._plugins = {
            hook: [(name, labels[name], call) for name, call in implementations(registries.manager, hook)]
            for hook in RUN_HOOKS
        }
        self._strict = registries.settings.strict
        self._silenced: set[str] = set()

    @classmethod
    def none(cls) -> RunHooks:
        """No hooks: those of a process that does not keep the record."""
        hooks = cls.__new__(cls)
        hooks.participants = ()
        hooks._isolated = ()
        hooks._observers = {hook: [] for hook in RUN_HOOKS}
        hooks._plugins = {hook: [] for hook in RUN_HOOKS}
        return hooks

    def call(self, hook: str, **arguments: Any) -> None:
        """Calls a hook.

        Args:
            hook: One of the run hooks.
            arguments: The hook's arguments, by name.
        """
        run: Run = arguments["run"]
        for observer, call in self._observers[hook]:
            reason = run.stop_reason
            call(**copied(arguments))
            if run.stop_reason is not reason:
                run.stopped_by = observer
        for isolated in self._isolated:
            isolated.call(hook, copied(arguments))
        for plugin, label, call in self._plugins[hook]:
            if plugin in self._silenced:
                continue
            reason = run.stop_reason
            self._call_plugin(plugin, hook, call, arguments)
            if run.stop_reason is not reason:
                run.stopped_by = label

    def close(self, *, hurried: bool) -> None:
        """Waits until the isolated observers are done with the run, each for as long as it may take.

        Args:
            hurried: Whether a signal ended the run.
        """
        ended = time.monotonic()
        for isolated in self._isolated:
            isolated.close()  # first all of them, so that they end side by side
        for isolated in self._isolated:
            isolated.wait(ended, HURRIED if hurried else None)

    def _call_plugin(self, plugin: str, hook: str, call: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
        try:
            with StdoutToStderr():
                call(**copied(arguments))
        except BaseException as error:  # a plugin must not end a user's run
            if is_from_outside(error):
                raise
            reason = describe_error(error)
            if self._strict:
                raise RunFailedError(f"plugin {plugin!r} failed in {hook} (strict): {reason}") from error
            self._silenced.add(plugin)
            logger.warning("plugin %r failed in %s and is left out of this run: %s", plugin, hook, reason)
