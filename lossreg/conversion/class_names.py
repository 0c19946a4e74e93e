"""Where the path of a class was written for a name: the error says which name the class has, if it has one."""

from __future__ import annotations

import contextlib
import sys
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
    """Puts the name of a class into the error about its path, or that there is no such class.

    What a person wrote is compared with what components declare; nothing but torch is imported for it.

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
    """That a module of torch has no such class, with the nearest one; None of other modules, which are not imported.

    Example:
        >>> from lossreg.registry.registries import default
        >>> _misspelt("torch.optim.AdamX", default)
        'torch.optim has no AdamX. Did you mean torch.optim.Adam, which is written adam?'
    """
    module, _, name = path.rpartition(".")
    if path.partition(".")[0] != "torch":
        return None
    import torch  # noqa: F401  # only such an error needs it, and all its modules that matter come with it

    known = sys.modules.get(module)
    if known is None or hasattr(known, name):
        return None
    there_are = [one for one, value in vars(known).items() if one[0] != "_" and callable(value)]
    declared = {class_path(entry) for kind in KINDS for entry in registries.of(kind).declared}
    components = [one for one in there_are if f"{module}.{one}" in declared]
    near = close_matches(name, components, 1) or close_matches(name, there_are, 1)
    if not near:
        return f"{module} has no {name}"
    meant = f"{module}.{near[0]}"
    named = _component(meant, registries)
    return f"{module} has no {name}. Did you mean {meant}{f', which is written {named.name}' if named else ''}?"
