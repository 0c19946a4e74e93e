"""What every component declares, whatever its kind, and how its fields are checked."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import attrs

from lossreg.errors import ComponentError
from lossreg.names import check_name, with_article
from lossreg.values import shown

KINDS = ("loss", "optimizer", "scheduler", "model", "dataset", "metric", "observer")

#: What a runner can supply to a factory's parameter.
RUNTIME_NAMES = frozenset(
    {
        "params",
        "named_params",  # pairs of name and parameter: those that are trained
        "optimizer",
        "model",  # the module that is trained
        "num_samples",  # of the training split
        "interval",  # "epoch" or "step": what one step of the scheduler counts
        "epochs",
        "span",  # how many of these a scheduler has: the run's, or those of its part of a composed schedule
        "fused",  # True where the optimizer can step in one kernel on the run's device
        "total_steps",
        "steps_per_epoch",
        "num_classes",
        "in_channels",
        "in_features",
        "in_shape",  # of one input, without the batch
        "out_features",
        "ignore_index",  # the target that the loss leaves out, or None
        "monitor_better",  # "higher" or "lower": which values are better of the metric that a scheduler follows
    }
)

_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", re.ASCII)

Factory = str | Callable[..., Any]


def one_of(*words: str | bool | None) -> Callable[[Any, Any, Any], None]:
    """A validator of attrs: a field is one of these words."""

    def check(component: Component, attribute: Any, value: object) -> None:
        if value not in words:
            allowed = " | ".join(map(str, words))
            raise ComponentError(f"{component.what} has {attribute.name}={value!r}; it is one of {allowed}")

    return check


def is_a(*kinds: type, what: str) -> Callable[[Any, Any, Any], None]:
    """A validator of attrs: a field is of one of these types; `what` says so in words."""

    def check(component: Component, attribute: Any, value: object) -> None:
        if not isinstance(value, kinds):
            raise ComponentError(f"{component.what} has {attribute.name}={shown(value)}; it is {what}")

    return check


def words_only(component: Component, attribute: Any, value: object) -> None:
    """A validator of attrs: a field is a tuple of texts."""
    if not (isinstance(value, tuple) and all(isinstance(word, str) for word in value)):
        raise ComponentError(f"{component.what} has {attribute.name}={shown(value)}; it is a list of names")


def copied(values: Mapping[str, Any]) -> Any:
    """A converter of attrs: a mapping of the component's own; anything else as it is, for the validator."""
    return dict(values) if isinstance(values, Mapping) else values


def as_names(names: Iterable[str]) -> Any:
    """A converter of attrs: one name or several as a tuple; anything else as it is, for the validator."""
    if isinstance(names, str):
        return (names,)
    return tuple(names) if isinstance(names, Iterable) and not isinstance(names, Mapping) else names


@attrs.frozen
class Component:
    """What every kind of component declares.

    Attributes:
        name: A lower-case identifier; the class's snake_case without the kind's suffix (`cross_entropy`).
        factory: `"module:attribute"`, imported when first needed, or a callable (for notebooks).
        summary: One line that says what it is.
        defaults: Parameters that are set unless the user sets them; always shown and recorded.
        runtime_args: Which parameters of the factory the runner supplies, and with what:
            `{"T_max": "epochs"}`.
        required: Parameters that the user must set; shells complete them, with those above, without an import.
        aliases: Further names that lead here.
        nested: The parameter that nested specs without a name fill, as in `warmup(cosine(), length=5)`; with `*` before
            it (`"*schedulers"`) it takes any number of them.
        deprecated: What to use instead (`"use dice"`); the component works, and warns once.

    Raises:
        ComponentError: If a field is wrong.
    """

    kind: ClassVar[str]
    #: How many positional arguments the factory takes before its parameters.
    positional_args: ClassVar[int] = 0
    #: What `register` fills in.
    registered_fields: ClassVar[Mapping[str, Any]] = {}

    name: str
    factory: Factory
    summary: str = attrs.field(default="", validator=is_a(str, what="one line of text"))
    defaults: Mapping[str, Any] = attrs.field(
        factory=dict, converter=copied, validator=is_a(Mapping, what="a mapping from names to values"), kw_only=True
    )
    runtime_args: Mapping[str, str] = attrs.field(
        factory=dict, converter=copied, validator=is_a(Mapping, what="a mapping from names to names"), kw_only=True
    )
    required: tuple[str, ...] = attrs.field(default=(), converter=as_names, validator=words_only, kw_only=True)
    aliases: tuple[str, ...] = attrs.field(default=(), converter=as_names, validator=words_only, kw_only=True)
    nested: str | None = attrs.field(
        default=None, validator=is_a(str, types.NoneType, what="the name of a parameter, or None"), kw_only=True
    )
    deprecated: str | None = attrs.field(
        default=None, validator=is_a(str, types.NoneType, what="one line of text, or None"), kw_only=True
    )

    def __attrs_post_init__(self) -> None:
        for name in (self.name, *self.aliases):
            check_name(name, with_article(self.kind))
        factory = self.factory
        if not (callable(factory) or (isinstance(factory, str) and _TARGET.fullmatch(factory))):
            raise ComponentError(f"{self.what} has factory={factory!r}; write 'module:attribute' or give a callable")
        for parameter, supplied in self.runtime_args.items():
            if supplied not in RUNTIME_NAMES:
                raise ComponentError(
                    f"{self.what} asks for runtime_args[{parameter!r}]={supplied!r}; "
                    f"a runner supplies {', '.join(sorted(RUNTIME_NAMES))}"
                )

    @property
    def what(self) -> str:
        """The component in an error message: `loss 'dice'`."""
        return f"{self.kind} {self.name!r}"

    @property
    def known_parameters(self) -> list[str]:
        """The parameters that are declared; the factory may have more."""
        return [*self.required, *self.defaults, *self.runtime_args]

    def first_arguments(self, given: tuple[Any, ...], runtime: Mapping[str, Any]) -> tuple[Any, ...]:  # noqa: ARG002  # a kind may go by it
        """What the factory takes before its parameters.

        Args:
            given: What the kind's factories take first.
            runtime: Runtime name -> value.
        """
        return given

    @classmethod
    def contract_fields(cls) -> list[str]:
        """The fields that this kind adds to the common ones."""
        common = {field.name for field in attrs.fields(Component)}
        return [field.name for field in attrs.fields(cls) if field.name not in common]

    def contract(self) -> dict[str, Any]:
        """What this kind adds to the common fields: what a runner dispatches on."""
        return {name: getattr(self, name) for name in self.contract_fields()}
