"""A component in a registry: its record, where it comes from, and the way from there to an object."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs

from lossreg import plugins
from lossreg.components import Component
from lossreg.errors import BuildError, LossregError
from lossreg.plugins import Provenance

if TYPE_CHECKING:
    from lossreg.parameters import Signature

C = TypeVar("C", bound=Component)


@attrs.define(eq=False, repr=False)
class Registered(Generic[C]):
    """A component as a registry holds it: the record, where it comes from, and the way to build it.

    Attributes:
        record: What the plugin wrote.
        provenance: The plugin, its distribution and version.
    """

    record: C
    provenance: Provenance

    @property
    def id(self) -> str:
        """The full id, `plugin.name`."""
        return f"{self.provenance.plugin}.{self.record.name}"

    @property
    def name(self) -> str:
        """The short name."""
        return self.record.name

    def __repr__(self) -> str:
        return f"<{self.record.kind} {self.id}>"

    @functools.cached_property
    def factory(self) -> Callable[..., Any]:
        """The factory, imported when first asked for.

        Raises:
            BuildError: If it is not there or its import fails.
        """
        target = self.record.factory
        if not isinstance(target, str):
            return target
        module, _, attribute = target.partition(":")
        try:
            found: Any = importlib.import_module(module)
            for name in attribute.split("."):
                found = getattr(found, name)
        except Exception as error:
            raise BuildError(
                f"{self.record.kind} {self.id} ({self.provenance}): its factory {target!r} cannot be imported: "
                f"{plugins.describe_error(error)}",
                component=self.id,
            ) from error
        if not callable(found):
            raise BuildError(f"{self.record.kind} {self.id}: its factory {target!r} is not callable", component=self.id)
        return found  # type: ignore[no-any-return]  # it is callable

    @functools.cached_property
    def signature(self) -> Signature:
        """The parameters of the factory."""
        from lossreg.parameters import Signature  # listing names does without

        return Signature.of(self.factory, self.record.leading)

    def describe(self) -> str:
        """`dice(smooth: float = 1e-05, reduction: str = 'mean')`."""
        return self.signature.describe(self.name, self.record.defaults)

    def arguments(self, params: Mapping[str, Any], runtime: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The keyword arguments for the factory: the record's defaults, then the runtime's, then these parameters.

        Raises:
            UnknownParameterError: If a name is unknown, or a needed parameter is missing.
            ParameterError: If a value does not fit.
        """
        signature, record = self.signature, self.record
        name = record.name
        values = dict(record.defaults)
        if runtime:
            values |= {key: runtime[value] for key, value in record.runtime_args.items() if value in runtime}
        for key, value in params.items():
            values[key] = signature.find(key, name, record.defaults).check(value, name)
        signature.check_complete(values, name, record.defaults)
        return values

    def expanded(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """All parameters as a build with these arguments has them, the factory's own defaults included."""
        own = {p.name: p.default for p in self.signature.parameters.values() if not p.required}
        return {**own, **arguments}

    def construct(self, leading: tuple[Any, ...], arguments: Mapping[str, Any]) -> Any:
        """Calls the factory.

        Raises:
            BuildError: If the factory refuses the arguments.
        """
        try:
            return self.factory(*leading, **arguments)
        except LossregError:
            raise
        except Exception as error:
            written = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
            raise BuildError(
                f"{self.name}({written}) cannot be built: {plugins.describe_error(error)}", component=self.id
            ) from error
