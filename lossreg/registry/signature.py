"""What a factory takes: its parameters by inspection."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

import attrs

from lossreg.errors import UnknownParameterError
from lossreg.registry.annotations import MISSING
from lossreg.registry.parameters import Parameter
from lossreg.suggestions import did_you_mean
from lossreg.values import shown

_LEGACY = frozenset({"size_average", "reduce"})


def _is_torch_loss(factory: object) -> bool:
    """Whether a factory is one of torch's classes of losses, or made from one; torch must not be imported here."""
    bases = factory.__mro__ if isinstance(factory, type) else ()
    return any(base.__module__ == "torch.nn.modules.loss" for base in bases)


@attrs.frozen
class Signature:
    """The parameters of a factory that a user may set.

    Attributes:
        parameters: Name -> parameter, in the factory's order.
        open: Whether the factory takes further keywords (`**kwargs`).
        legacy: Those of torch's losses that `reduction` took the place of; they are not set and not shown.
    """

    parameters: Mapping[str, Parameter]
    open: bool
    legacy: frozenset[str] = frozenset()

    @functools.cached_property
    def required(self) -> frozenset[str]:
        """The parameters that the factory has no default for."""
        return frozenset(p.name for p in self.parameters.values() if p.required)

    @classmethod
    def of(cls, factory: Callable[..., Any], positional_args: int) -> Signature:
        """Inspects a factory.

        Args:
            factory: A class or function.
            positional_args: How many positional arguments come before the parameters.
        """
        try:
            signature = inspect.signature(factory, eval_str=True)
        except Exception:  # whatever evaluating an annotation raises: it may name what only a type checker imports
            try:
                signature = inspect.signature(factory)
            except (TypeError, ValueError):
                return cls({}, open=True)
        parameters: dict[str, Parameter] = {}
        takes_more = False
        for parameter in list(signature.parameters.values())[positional_args:]:
            if parameter.kind is parameter.VAR_KEYWORD:
                takes_more = True
            elif parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                annotation = MISSING if isinstance(parameter.annotation, str) else parameter.annotation
                parameters[parameter.name] = Parameter(parameter.name, annotation, parameter.default)
        legacy = _LEGACY if _is_torch_loss(factory) and parameters.keys() > _LEGACY else frozenset()
        own = {name: parameter for name, parameter in parameters.items() if name not in legacy}
        return cls(own, takes_more, legacy)

    def describe(self, component: str, defaults: Mapping[str, Any]) -> str:
        """`dice(smooth: float = 1e-05, reduction: str = 'mean')`, with these defaults over the factory's own."""
        shown = [p.describe(defaults.get(p.name, MISSING)) for p in self.parameters.values()]
        return f"{component}({', '.join([*shown, '...'] if self.open else shown)})"

    def find(self, name: str, component: str, defaults: Mapping[str, Any]) -> Parameter:
        """The parameter of this name.

        Raises:
            UnknownParameterError: If there is none.
        """
        found = self.parameters.get(name)
        if found is not None:
            return found
        if name in self.legacy:
            raise UnknownParameterError(
                f"{component}: {name} is deprecated in torch, which takes 'reduction' in its place: write "
                "reduction='mean' for size_average=True, 'sum' for size_average=False, 'none' for reduce=False",
                component=component,
                parameter=name,
            )
        if self.open:
            return Parameter(name, MISSING, MISSING)
        raise UnknownParameterError(
            f"{component} has no parameter {shown(name)}.{did_you_mean(name, self.parameters)} "
            + (self.describe(component, defaults) if self.parameters else "It takes none."),
            component=component,
            parameter=name,
        )

    def check_complete(self, given: Collection[str], component: str, defaults: Mapping[str, Any]) -> None:
        """Checks that every parameter without a default is given.

        Raises:
            UnknownParameterError: If one is missing.
        """
        if self.required.issubset(given):
            return
        missing = [name for name in self.parameters if name in self.required and name not in given]
        raise UnknownParameterError(
            f"{component} needs {' and '.join(missing)}. {self.describe(component, defaults)}",
            component=component,
            parameter=missing[0],
        )
