"""Where the path of a class was written for a name: the error says which name the class has, if it has one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

from lossreg.component import KINDS
from lossreg.conversion.known_classes import class_path, same_class
from lossreg.errors import LossregError
from lossreg.names import snake_case
from lossreg.plugins.provenance import BUILTIN
from lossreg.registry.registries import Registries
from lossreg.spec_hints import class_path_error
from lossreg.suggestions import close_matches


@contextlib.contextmanager
def naming_classes(registries: Registries) -> Iterator[None]:
    """An error about the path of a class says which name the class has.

    Args:
        registries: Where names are looked up.
    """
    try:
        yield
    except LossregError as error:
        name_class(error, registries)
        raise


def name_class(error: LossregError, registries: Registries) -> None:
    """Puts the name of a class into the error about its path, or the nearest of torch that has one.

    What a person wrote is compared with what components declare; nothing is imported for it.

    Args:
        error: The error; one about something else stays as it is.
        registries: Where names are looked up.
    """
    found = class_path_error(error)
    if found is None:
        return
    with contextlib.suppress(LossregError):  # of plugins, which have errors of their own
        named = _component(found.path, registries)
        said = named.sentence if named else _misspelt(found.path, registries)
        if said:
            error.message = error.message.replace(found.hint, f". {said}")


class _Named(NamedTuple):
    """A class or a function that is a component."""

    kind: str
    path: str
    name: str

    @property
    def sentence(self) -> str:
        return f"The {self.kind} {self.path} is written {self.name}"


def _component(path: str, registries: Registries) -> _Named | None:
    """The component that a class, or a function of torch, is; None if it is none."""
    module, _, name = path.rpartition(".")
    if module == "torch.nn.functional":
        loss = registries.losses.get(f"{BUILTIN}.{snake_case(name, 'loss')}")
        return None if loss is None else _Named("loss", path, loss.name)
    for kind in KINDS:
        found = same_class(path, kind, registries)
        if len(set(map(class_path, found))) == 1:
            return _Named(kind, class_path(found[0]), registries.of(kind).short_name(found[0]))
    return None


def _misspelt(path: str, registries: Registries) -> str | None:
    """That a class of torch is no component, with the nearest that is one; None where none is near.

    Example:
        >>> from lossreg.registry.registries import default
        >>> _misspelt("torch.optim.AdamX", default)
        'No component is of the class torch.optim.AdamX. Did you mean torch.optim.Adam, which is written adam?'
    """
    module, _, name = path.rpartition(".")
    if path.partition(".")[0] != "torch":
        return None
    declared = [class_path(entry).rpartition(".") for kind in KINDS for entry in registries.of(kind).declared]
    near = close_matches(name, [one for its_module, _, one in declared if its_module == module], 1)
    named = _component(f"{module}.{near[0]}", registries) if near else None
    if named is None:
        return None
    return f"No component is of the class {path}. Did you mean {named.path}, which is written {named.name}?"
