"""Which component a class is: looked up among the factories that the registries declare; nothing is imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lossreg.errors import ConfigError
from lossreg.names import snake_case, with_article
from lossreg.registry.entry import RegistryEntry
from lossreg.registry.registries import Registries
from lossreg.suggestions import close_matches
from lossreg.values import shown

_SCHEDULERS = "torch.optim.lr_scheduler"

#: Id of a component -> the class that it equals, where its factory is one of lossreg's.
STANDS_FOR: Mapping[str, str] = {
    "builtin.lbfgs": "torch.optim:LBFGS",
    "builtin.lambda_lr": f"{_SCHEDULERS}:LambdaLR",
    "builtin.multiplicative_lr": f"{_SCHEDULERS}:MultiplicativeLR",
    "builtin.multi_step_lr": f"{_SCHEDULERS}:MultiStepLR",
    "builtin.cyclic_lr": f"{_SCHEDULERS}:CyclicLR",
    "builtin.one_cycle_lr": f"{_SCHEDULERS}:OneCycleLR",
    "builtin.reduce_lr_on_plateau": f"{_SCHEDULERS}:ReduceLROnPlateau",
    "builtin.sequential_lr": f"{_SCHEDULERS}:SequentialLR",
    "builtin.chained": f"{_SCHEDULERS}:ChainedScheduler",
}


def find_class(path: str, kind: str, registries: Registries) -> RegistryEntry[Any]:
    """The component that a class is.

    Args:
        path: `torch.optim.AdamW`, also by the module in which the class is defined, or the class alone, `AdamW`.
        kind: `loss`, `optimizer` or `scheduler`.
        registries: Where it is looked up, by what factories declare.

    Raises:
        ConfigError: If there is none, with the classes that were probably meant; or if there are several.
    """
    registry = registries.of(kind)
    found = same_class(path, kind, registries)
    name = path.strip().replace(":", ".").rpartition(".")[2]
    if len({class_path(entry) for entry in found}) > 1:
        raise ConfigError(
            f"{shown(path)} may be {' or '.join(sorted(map(class_path, found)))}; write the class with its module"
        )
    if found:
        return found[0]
    known = {class_path(entry).rpartition(".")[2]: class_path(entry) for entry in reversed(registry.entries)}
    near = " or ".join(known[one] for one in close_matches(name, known))
    offer = registries.offered(kind, snake_case(name, kind))
    said = f"{shown(path)} is not a class of {with_article(kind)} that lossreg knows"
    raise ConfigError(f"{said}; did you mean {near}?" if near else f"{said}{f': {offer}' if offer else ''}")


def same_class(path: str, kind: str, registries: Registries) -> list[RegistryEntry[Any]]:
    """The components whose class it may be.

    Of several components of one class, which differ in defaults, that with the name of the class comes first.

    Args:
        path: As for `find_class`.
        kind: The kind.
        registries: Where it is looked up.
    """
    registries.load()
    registry = registries.of(kind)
    written = path.strip().replace(":", ".")
    found = _matching(written, registry.declared) or _matching(written, registry.entries)
    name = snake_case(written.rpartition(".")[2], kind)
    return sorted(found, key=lambda entry: (entry.name != name, len(entry.name), entry.id))


def _matching(written: str, entries: list[RegistryEntry[Any]]) -> list[RegistryEntry[Any]]:
    """The components whose class it may be: the one of exactly this path, or those of its package with its name."""
    module, _, name = written.rpartition(".")
    root = module.partition(".")[0]
    same = [entry for entry in entries if class_path(entry).rpartition(".")[2] == name]
    exact = [entry for entry in same if class_path(entry) == written]
    if exact or root:
        return exact or [entry for entry in same if class_path(entry).partition(".")[0] == root]
    return [entry for entry in same if class_path(entry).startswith("torch.")] or same


def class_path(entry: RegistryEntry[Any]) -> str:
    """The class that a component is, `torch.optim.AdamW`, of what it declares."""
    target = STANDS_FOR.get(entry.id, entry.component.factory)
    if not isinstance(target, str):
        target = f"{target.__module__}:{getattr(target, '__qualname__', type(target).__qualname__)}"
    return target.replace(":", ".")
