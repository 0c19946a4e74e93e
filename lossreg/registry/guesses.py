"""Which component has a parameter that was written as if it were a setting of the run: `--lr`, `lr=`."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from lossreg.errors import LossregError
from lossreg.names import normalize
from lossreg.registry.registries import Registries
from lossreg.run_spec import COMPONENT_FIELDS
from lossreg.spec import ComponentSpec

_SYNONYMS = {"learning_rate": "lr", "wd": "weight_decay", "learningrate": "lr"}
_FIELDS = ("optimizer", "scheduler", "loss", "model", "data")  # in the order in which they are likely to be meant


@attrs.frozen
class Owner:
    """A component that has a parameter.

    Attributes:
        field: The component's field.
        component: Its name.
        parameter: The parameter.
    """

    field: str
    component: str
    parameter: str


def find_owner(word: str, specs: Mapping[str, ComponentSpec | None], registries: Registries) -> Owner | None:
    """The component of a run that has a parameter of this name.

    Args:
        word: What was written.
        specs: Field -> the component that fills it.
        registries: Where names are looked up.
    """
    name = _SYNONYMS.get(normalize(word), normalize(word))
    for field in _FIELDS:
        spec = specs.get(field)
        if spec is None:
            continue
        try:
            entry = registries.of(COMPONENT_FIELDS[field])[spec.name]
            if name in entry.component.known_parameters or name in entry.signature.parameters:
                return Owner(field, spec.name, name)
        except LossregError:  # this is about another error
            continue
    return None


def guess_parameter(word: str, specs: Mapping[str, ComponentSpec | None], registries: Registries) -> str:
    """Where to write a parameter of a component, as a sentence with a blank before it, or nothing."""
    owner = find_owner(word, specs, registries)
    if owner is None:
        return ""
    return (
        f" {owner.parameter} is a parameter of the {owner.field} {owner.component}: write "
        f'{owner.field}="{owner.component}({owner.parameter}=...)".'
    )
