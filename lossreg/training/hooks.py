"""The run hooks: a run calls those of its observers, and of plugins, each in isolation."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lossreg.errors import ConfigError, RunFailedError, describe_error
from lossreg.hookspecs import COMPONENT_HOOKS, PREFIX
from lossreg.plugins.checks import HOOKS
from lossreg.plugins.manager import implementations

if TYPE_CHECKING:
    from lossreg.registry.registries import Registries

RUN_HOOKS = tuple(hook for hook in HOOKS if hook not in COMPONENT_HOOKS)

logger = logging.getLogger("lossreg")


class RunHooks:
    """Calls observers and plugins when something happens in a run.

    An observer is any object with methods named like the run hooks; its errors are the run's errors. A plugin whose
    hook raises costs one warning line and is not called again in this run; the run goes on.

    Args:
        observers: Called first, in this order.
        registries: Hold the plugins, and say whether their faults are errors.

    Raises:
        ConfigError: If an observer has a method of the hooks' prefix that is not a run hook, or none at all.
    """

    def __init__(self, observers: Sequence[object], registries: Registries) -> None:
        for observer in observers:
            _check_observer(observer)
        self._observers: dict[str, list[Callable[..., Any]]] = {
            hook: [getattr(observer, hook) for observer in observers if hasattr(observer, hook)] for hook in RUN_HOOKS
        }
        self._plugins = {hook: list(implementations(registries.manager, hook)) for hook in RUN_HOOKS}
        self._strict = registries.settings.strict
        self._silenced: set[str] = set()

    @classmethod
    def none(cls) -> RunHooks:
        """No hooks: those of a process that does not keep the record."""
        hooks = cls.__new__(cls)
        hooks._observers = {hook: [] for hook in RUN_HOOKS}
        hooks._plugins = {hook: [] for hook in RUN_HOOKS}
        return hooks

    def call(self, hook: str, **arguments: Any) -> None:
        """Calls a hook.

        Args:
            hook: One of the run hooks.
            arguments: The hook's arguments, by name.
        """
        for call in self._observers[hook]:
            call(**_copied(arguments))
        for plugin, call in self._plugins[hook]:
            if plugin in self._silenced:
                continue
            try:
                call(**_copied(arguments))
            except (Exception, SystemExit) as error:  # a plugin must not end a user's run
                if self._strict:
                    reason = describe_error(error)
                    raise RunFailedError(f"plugin {plugin!r} failed in {hook} (strict): {reason}") from error
                self._silenced.add(plugin)
                logger.warning(
                    "plugin %r failed in %s and is left out of this run: %s",
                    plugin,
                    hook,
                    describe_error(error),
                )


def _copied(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments with a row of its own for each that is called: what one writes into it, no other reads."""
    return {name: dict(value) if name == "record" else value for name, value in arguments.items()}


def _check_observer(observer: object) -> None:
    methods = [name for name in dir(observer) if name.startswith(PREFIX)]
    unknown = [name for name in methods if name not in RUN_HOOKS]
    if unknown or not methods:
        wrong = f"has {unknown[0]}, which is not a run hook" if unknown else "has no method named like a run hook"
        raise ConfigError(f"the observer {observer!r} {wrong}; run hooks: {', '.join(RUN_HOOKS)}")
    for name in methods:
        try:
            inspect.signature(getattr(observer, name)).bind(**dict.fromkeys(HOOKS[name]))
        except TypeError as error:
            takes = ", ".join(HOOKS[name])
            raise ConfigError(f"the observer {observer!r}: {name} is called with {takes}: {error}") from error
