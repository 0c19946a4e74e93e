"""The word `balanced` in a spec, as in `cross_entropy(weight=balanced)`: numbers that a run computes."""

from __future__ import annotations

from typing import Any

import attrs

from lossreg.component import Component
from lossreg.components import Loss
from lossreg.errors import ParameterError

BALANCED = "balanced"


@attrs.frozen
class FromData:
    """A parameter whose numbers are not known before the data set is.

    Attributes:
        component: The component's name.
        parameter: The parameter.
        fact: What the numbers are, a word of `lossreg.components.DATA_VALUES`.
    """

    component: str
    parameter: str
    fact: str

    def refused(self) -> ParameterError:
        """The error of building the component without numbers."""
        return ParameterError(
            f"{self.component}: {self.parameter}={BALANCED} is computed from the training split, which only a run has; "
            f"give numbers, such as {self.parameter}=[0.5, 2.0]",
            component=self.component,
            parameter=self.parameter,
        )


def takes_balanced(component: Component, parameter: str) -> bool:
    """Whether a run can compute a parameter from its data."""
    return isinstance(component, Loss) and parameter in component.data_values


def is_balanced(value: object) -> bool:
    """Whether a value of a spec is the bare word."""
    from lossreg.spec import ComponentSpec  # listing names does without

    return isinstance(value, ComponentSpec) and value.name == BALANCED and not value.params and not value.nested


def from_data(component: Component, parameter: str, value: object) -> FromData | None:
    """What stands for the numbers until they are known, where a value is the bare word and the parameter takes it."""
    if isinstance(component, Loss) and parameter in component.data_values and is_balanced(value):
        return FromData(component.name, parameter, component.data_values[parameter])
    return None


def balanced_hint(component: Component, parameter: str, value: Any) -> str:
    """What to write where `balanced` was written and does not fit, as the end of a message, or nothing."""
    if not (is_balanced(value) or (isinstance(value, str) and value == BALANCED)):
        return ""
    if takes_balanced(component, parameter):
        return f"; the word stands without quotes: {parameter}={BALANCED}"
    takers = list(component.data_values) if isinstance(component, Loss) else []
    which = f"here {' and '.join(takers)}" if takers else f"and {component.name} has none"
    return f"; {BALANCED} is for parameters with a number for each class, {which}"
