"""What must hold for a plugin: its hooks are marked, spelt and called right, and return components of their kind."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.util import find_spec
from types import ModuleType
from typing import Any, NamedTuple

from lossreg import hookspecs
from lossreg.component import Component
from lossreg.component_table import ComponentTable
from lossreg.errors import PluginError
from lossreg.hookspecs import COMPONENT_HOOKS, PREFIX, PROJECT
from lossreg.suggestions import did_you_mean
from lossreg.values import shown

#: Hook -> its arguments.
HOOKS: Mapping[str, tuple[str, ...]] = {
    name: tuple(inspect.signature(specification).parameters)
    for name, specification in vars(hookspecs).items()
    if name.startswith(PREFIX)
}


class Offered(NamedTuple):
    """What the hooks of a plugin return: records, and tables of further ones."""

    components: tuple[Component, ...] = ()
    tables: tuple[ComponentTable, ...] = ()


def collect(plugin: object, name: str) -> Offered:
    """Checks the hooks of a plugin and collects what it offers; all of it or nothing. A table is not read.

    Raises:
        PluginError: If a hook is misspelt, unmarked or has wrong arguments, a hook returns anything but components of
            its kind, two components have one name, or nothing is offered.
        Exception: Whatever a hook of the plugin raises.
    """
    hooks = hooks_of(plugin)
    for hook in hooks:
        check_hook(hook, getattr(plugin, hook), name)
    if not hooks:
        raise PluginError("it offers nothing: no function is marked with @lossreg.hookimpl", plugin=name)
    # A hook is called alone, not through a manager, so that the answer has an owner.
    offers = tuple(_components(plugin, name, [hook for hook in hooks if hook in COMPONENT_HOOKS]))
    if not offers and all(hook in COMPONENT_HOOKS for hook in hooks):
        raise PluginError("it offers nothing: its hooks returned no component", plugin=name)
    return Offered(
        tuple(one for one in offers if isinstance(one, Component)),
        tuple(one for one in offers if isinstance(one, ComponentTable)),
    )


def hooks_of(plugin: object) -> list[str]:
    """The names of functions of a module, or of an object and its class, that look like hooks."""
    attributes = list(vars(plugin)) if isinstance(plugin, ModuleType) else dir(plugin)
    # `import lossreg_focal.loss` binds such a name, too: only functions are hooks.
    return [name for name in attributes if name.startswith(PREFIX) and inspect.isroutine(getattr(plugin, name))]


def check_hook(hook: str, function: Callable[..., Any], plugin: str) -> None:
    """Checks one function that looks like a hook.

    Raises:
        PluginError: If the hook does not exist, or the function is unmarked, a wrapper, or has other arguments.
    """
    if hook not in HOOKS:
        hint = did_you_mean(hook, HOOKS)
        raise PluginError(f"there is no hook {hook!r}.{hint} Hooks: {', '.join(HOOKS)}", plugin=plugin)
    marked = getattr(function, f"{PROJECT}_impl", None)  # where pluggy's marker leaves its options
    if marked is None:
        raise PluginError(f"{hook} is not marked with @lossreg.hookimpl", plugin=plugin)
    if marked["hookwrapper"] or marked["wrapper"]:
        raise PluginError(f"{hook} is a wrapper; hooks of lossreg cannot be wrapped", plugin=plugin)
    allowed = HOOKS[hook]
    surplus = [argument for argument in inspect.signature(function).parameters if argument not in allowed]
    if surplus:
        raise PluginError(
            f"{hook} takes {', '.join(surplus)}, which the hook does not give; "
            f"it gives {', '.join(allowed) or 'no arguments'}",
            plugin=plugin,
        )


def _components(plugin: object, name: str, hooks: Iterable[str]) -> Iterator[Component | ComponentTable]:
    seen: set[tuple[str, str]] = set()
    for hook in hooks:
        answer = getattr(plugin, hook)()
        if isinstance(answer, ComponentTable):
            _check_table(answer, hook, name)
            yield answer
            continue
        if not isinstance(answer, Iterable):
            raise PluginError(f"{hook} returned {answer!r}; it returns a list of components", plugin=name)
        for component in answer:
            _check_component(component, hook, name)
            for word in (component.name, *component.aliases):
                if (component.kind, word) in seen:
                    raise PluginError(f"it offers the {component.kind} {word!r} twice", plugin=name)
                seen.add((component.kind, word))
            yield component


def _check_table(table: ComponentTable, hook: str, plugin: str) -> None:
    expected = COMPONENT_HOOKS[hook]
    if table.component_type is not expected:
        raise PluginError(
            f"{hook} returned a table of {getattr(table.component_type, '__name__', shown(table.component_type))} "
            f"components; it returns lossreg.{expected.__name__} components",
            plugin=plugin,
        )


def _check_component(component: object, hook: str, plugin: str) -> None:
    expected = COMPONENT_HOOKS[hook]
    if not isinstance(component, expected):
        raise PluginError(
            f"{hook} returned {component!r}; it returns lossreg.{expected.__name__} components", plugin=plugin
        )
    if not factory_may_exist(component.factory):
        raise PluginError(f"the factory of {component.what} does not exist: {component.factory}", plugin=plugin)


def factory_may_exist(target: object) -> bool:
    """Whether a factory can exist, as far as that shows without an import."""
    if not isinstance(target, str):
        return True
    module, _, attribute = target.partition(":")
    loaded = sys.modules.get(module)
    if loaded is not None:
        return attribute.partition(".")[0] in vars(loaded) or "__getattr__" in vars(loaded)
    parent, _, name = module.rpartition(".")
    folders = getattr(sys.modules.get(parent), "__path__", None) if parent else None
    if folders is None:
        return True
    # Most modules are files: one look at the disk is cheaper than asking all finders, or than making a Path.
    is_file = any(os.path.exists(f"{folder}/{name}.py") for folder in folders)  # noqa: PTH110  # see above
    return is_file or find_spec(module) is not None
