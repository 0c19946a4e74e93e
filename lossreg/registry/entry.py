"""A component in a registry: what its plugin declares, where it comes from, and its factory."""

from __future__ import annotations

import functools
import pkgutil
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs

from lossreg.component import Component
from lossreg.component_table import Row
from lossreg.errors import BuildError, LossregError, ParameterError, UnknownParameterError, describe_error
from lossreg.plugins.isolation import StdoutToStderr, is_from_outside
from lossreg.plugins.provenance import BUILTIN, Provenance
from lossreg.registry.from_data import balanced_hint, from_data
from lossreg.values import shown

if TYPE_CHECKING:
    from lossreg.registry.signature import Signature

C = TypeVar("C", bound=Component)

_MAKING = threading.RLock()  # so that threads which ask at once get the same record


@attrs.define(eq=False, repr=False)
class RegistryEntry(Generic[C]):
    """A component as a registry holds it.

    Attributes:
        declared: The record, or the row of a table from which it is made when it is first asked for.
        provenance: The plugin, its distribution and version.
        from_table: Whether it is one of many in a table.
    """

    declared: C | Row
    provenance: Provenance
    from_table: bool = False

    @property
    def component(self) -> C:
        """What the plugin declares.

        Raises:
            ComponentError: If a table has a row that is not a record.
        """
        if isinstance(self.declared, Row):
            with _MAKING:
                if isinstance(self.declared, Row):
                    self.declared = self.declared.make()  # type: ignore[assignment]  # a table has records of its kind
        return self.declared  # type: ignore[return-value]  # it is no row any more

    @property
    def id(self) -> str:
        """The full id, `plugin.name`."""
        return f"{self.provenance.plugin}.{self.declared.name}"

    @property
    def name(self) -> str:
        """The short name."""
        return self.declared.name

    @property
    def words(self) -> tuple[str, ...]:
        """The short name and the aliases."""
        return (self.declared.name, *self.declared.aliases)

    @property
    def summary(self) -> str:
        """One line that says what it is."""
        return self.declared.summary

    def __repr__(self) -> str:
        return f"<{self.component.kind} {self.id}>"

    @functools.cached_property
    def factory(self) -> Callable[..., Any]:
        """The factory, imported when first asked for.

        Raises:
            BuildError: If it does not exist or its import fails.
        """
        target = self.component.factory
        if not isinstance(target, str):
            return self._made_from(target)
        try:
            with StdoutToStderr():
                found = pkgutil.resolve_name(target)
        except BaseException as error:
            if is_from_outside(error):
                raise
            raise BuildError(
                f"{self.component.kind} {self.id} ({self.provenance}): its factory {target!r} cannot be imported: "
                f"{describe_error(error)}",
                component=self.id,
            ) from error
        if not callable(found):
            raise BuildError(
                f"{self.component.kind} {self.id}: its factory {target!r} is not callable", component=self.id
            )
        return self._made_from(found)

    def _made_from(self, found: Any) -> Callable[..., Any]:
        """What makes the component: a loss may be a function of input and target, which needs no making."""
        if self.component.kind == "loss":
            from lossreg.registry.function_loss import FunctionLossFactory, is_loss_itself  # listing names does without

            if is_loss_itself(found, self.component.known_parameters):
                return FunctionLossFactory(found)
        return found  # type: ignore[no-any-return]  # it is callable

    @functools.cached_property
    def signature(self) -> Signature:
        """The parameters of the factory."""
        from lossreg.registry.signature import Signature  # listing names does without

        wraps = "optimizer" in (
            getattr(self.component, "needs", None) or ()
        )  # what it wraps is a parameter like others
        return Signature.of(self.factory, 0 if wraps else self.component.positional_args)

    def takes_maker(self, parameter: str) -> bool:
        """Whether a parameter takes a class or function that makes a component, not the component."""
        found = self.signature.parameters.get(parameter)
        return found is not None and found.takes_maker

    def describe(self) -> str:
        """`dice(smooth: float = 1e-05, reduction: str = 'mean')`."""
        return self.signature.describe(self.name, self.component.defaults)

    def checked(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters in the form that the factory takes.

        Raises:
            UnknownParameterError: If a name is unknown.
            ParameterError: If a value does not fit.
        """
        signature, name, defaults = self.signature, self.component.name, self.component.defaults
        try:
            if self.component.kind != "loss":
                return {key: signature.find(key, name, defaults).check(value, name) for key, value in params.items()}
            return {
                key: from_data(self.component, key, value) or signature.find(key, name, defaults).check(value, name)
                for key, value in params.items()
            }
        except ParameterError as error:
            error.message += balanced_hint(self.component, error.parameter, params.get(error.parameter))
            raise

    def arguments(self, params: Mapping[str, Any], runtime: Mapping[str, Any]) -> dict[str, Any]:
        """The keyword arguments for the factory: the component's defaults, then the runtime's, then these parameters.

        Args:
            params: Checked parameters.
            runtime: Runtime name -> value.

        Raises:
            UnknownParameterError: If a required parameter is missing.
        """
        component = self.component
        values = {**self._defaults}
        if runtime:
            values |= {key: runtime[value] for key, value in component.runtime_args.items() if value in runtime}
        values |= params
        try:
            self.signature.check_complete(values, component.name, component.defaults)
        except UnknownParameterError as error:
            nested = (component.nested or "").removeprefix("*")
            if error.parameter == nested:
                error.message += f"; {nested} may stand first, without its name: {component.name}(NAME(...), ...)"
            raise
        return values

    @functools.cached_property
    def _defaults(self) -> Mapping[str, Any]:
        """The component's defaults that the factory has: those of torch have gained some since the oldest version."""
        own = self.component.defaults
        if self.provenance.plugin != BUILTIN or self.signature.open:
            return own
        return {name: value for name, value in own.items() if name in self.signature.parameters}

    def expanded(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """All parameters as a build with these arguments has them, the factory's own defaults included."""
        own = {p.name: p.default for p in self.signature.parameters.values() if not p.required}
        return {**own, **arguments}

    def construct(self, arguments: Mapping[str, Any], /, *positional: Any) -> Any:
        """Calls the factory.

        Args:
            arguments: Its keyword arguments.
            positional: What the kind's factory takes first.

        Raises:
            BuildError: If the factory refuses the arguments.
        """
        try:
            return self.factory(*positional, **arguments)
        except LossregError as error:
            if error.message.partition("=")[0] in arguments:  # a factory does not know by what name it is called
                error.message = f"{self.name}: {error.message}"
            raise
        except BaseException as error:
            if is_from_outside(error):
                raise
            written = ", ".join(f"{key}={shown(value)}" for key, value in arguments.items())
            raise BuildError(
                f"{self.name}({written}) cannot be built: {describe_error(error)}", component=self.id
            ) from error
