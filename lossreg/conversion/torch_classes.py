"""Classes of torch and of installed plugins as components, and back.

Other programs name a class, `torch.optim.AdamW`, and its arguments. Which component a class is, is looked up among the
factories that the registries declare, so that nothing that a file names is imported.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Collection, Mapping
from typing import Any

import attrs

from lossreg.conversion.followed import direction
from lossreg.conversion.known_classes import STANDS_FOR, class_path, find_class
from lossreg.conversion.quoted import READ_AS_NUMBER, unquoted
from lossreg.errors import ConfigError, LossregError
from lossreg.groups import REST, SCHEDULER
from lossreg.registry.annotations import MISSING
from lossreg.registry.build import resolve
from lossreg.registry.entry import RegistryEntry
from lossreg.registry.registries import Registries
from lossreg.registry.registry import Registry
from lossreg.registry.signature import Signature
from lossreg.spec import ComponentSpec, holds_spec, thawed, value_text
from lossreg.values import shown

#: What a runner gives a class itself, not a person.
_GIVEN = ("params", "optimizer")
#: How the same numbers are computed: lossreg chooses it by the device.
_KERNELS = ("foreach", "fused")


class NoClassError(ConfigError):
    """No class equals a component, which is right in itself."""


@attrs.frozen
class FromClass:
    """What a class with arguments is in lossreg.

    Attributes:
        spec: The component, by its short name where that resolves.
        notes: What means something else here and was carried over right.
        left_out: The arguments that were not carried over, and why.
    """

    spec: ComponentSpec
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


@attrs.frozen
class ClassCall:
    """What a component is elsewhere.

    Attributes:
        path: The class, `torch.optim.AdamW`.
        arguments: Its keyword arguments as plain values; a nested component stays a ComponentSpec.
        notes: What a reader of the file has to know.
    """

    path: str
    arguments: dict[str, Any]
    notes: tuple[str, ...] = ()


def spec_of_class(
    path: str, arguments: Mapping[str, Any], kind: str, registries: Registries, *, span: int | None = None
) -> FromClass:
    """The component that a class with keyword arguments is.

    Where a default of the class is another than that of the component, it is written out.

    Args:
        path: As for `find_class`.
        arguments: Keyword arguments, as plain values; those that a runner gives (`params`, `optimizer`) are passed
            over. A value may be a ComponentSpec, of a schedule in a list of schedules.
        kind: `loss`, `optimizer` or `scheduler`.
        registries: Where components are looked up.
        span: How many epochs (or steps, for a scheduler that counts these) the run has, if that is known. An argument
            such as `T_max` that has this value is left to lossreg, which has it as the default; otherwise it is
            written out.

    Raises:
        ConfigError: If the class is not known, or the component needs a parameter that is not among the arguments that
            could be carried over.
    """
    registry = registries.of(kind)
    entry = find_class(path, kind, registries)
    name = registry.short_name(entry)
    notes, left_out, params = [], [], {}
    for key, value in arguments.items():
        if key in _GIVEN or (value is None and _default(entry, key) is None):
            continue
        if key in (*_KERNELS, "verbose"):
            notes += [f"{name}: {key} changes no number, and lossreg decides it"] if value else []
            continue
        why = _why_refused(entry, name, key, value, registry)
        number = None if why is None else unquoted(value)
        if why is None:
            params[key] = value
        elif number is not None and _why_refused(entry, name, key, number, registry) is None:
            params[key] = number
            notes.append(f"{name}: {key}={shown(value)} {READ_AS_NUMBER}")
        else:
            left_out.append(f"{why}{_instead(entry, key)}")
    params = {**_differing_defaults(entry, params), **params}
    notes += _take_span(entry, name, params, span)
    missing = [key for key in _required(entry) if key not in params]
    if missing:
        why = f": {'; '.join(left_out)}" if left_out else ""
        raise ConfigError(f"{shown(path)}: {name} needs {' and '.join(missing)}{why}")
    return FromClass(ComponentSpec(name, params), tuple(notes), tuple(left_out))


def class_of_spec(spec: ComponentSpec, kind: str, registries: Registries, *, span: int | None = None) -> ClassCall:
    """The class with keyword arguments that a component is.

    What lossreg sets without being asked, and the class does not, is written out.

    Args:
        spec: The component.
        kind: `loss`, `optimizer` or `scheduler`.
        registries: Where it is looked up.
        span: How many epochs (or steps) the run has, for arguments such as `T_max` which lossreg fills in by itself.

    Raises:
        NoClassError: If no class equals the component, such as a schedule behind `warmup`.
        LossregError: If the spec is wrong.
    """
    registry = registries.of(kind)
    bare, notes = for_class(spec, kind)
    resolved = resolve(registry, bare)
    entry: RegistryEntry[Any] = resolved.entry
    check_complete(entry, resolved.written)
    path = class_path(entry)
    if entry.id not in STANDS_FOR and entry.component.nested is not None:
        raise NoClassError(f"{spec.text}: {entry.name} is lossreg's own; no class equals it")
    takes = _class_signature(entry).parameters
    own = {key: value for key, value in entry.component.defaults.items() if value != _default(entry, key)}
    arguments: dict[str, Any] = {}
    for key, value in {**own, **resolved.written}.items():
        if kind == "scheduler" and key == "lr_lambda":
            raise NoClassError(f"{spec.text}: the expression {key} is lossreg's own; the class takes a Python function")
        if kind == "loss" and isinstance(value, ComponentSpec):
            notes.append(f"{entry.name}: {key}={value.text} is computed from the data; write the numbers")
        elif key == "mode" and value == "auto":
            arguments[key] = direction(str(resolved.written.get("monitor", "")), registries)
        elif key in takes or holds_spec(value):  # the signature is without what a runner gives first
            arguments[key] = value if holds_spec(value) else _plain(value)
        elif key != "monitor":
            notes.append(f"{entry.name}: {key}={shown(value)} is no argument of {path}")
    for key, word in entry.component.runtime_args.items():
        if word == "span" and key in takes and key not in arguments:
            if span is not None:
                arguments[key] = span
            elif not (key == "total_steps" and {"epochs", "steps_per_epoch"} <= arguments.keys()):
                notes.append(f"{entry.name}: {key} is the length of the run, which is not known here; write it")
    if kind == "optimizer" and entry.component.routes not in (None, "all"):
        notes.append(
            f"{entry.name}: lossreg gives it {entry.component.routes} alone, and the others to another optimizer"
        )
    if not path.startswith("torch."):
        notes.append(f"{path} is imported where the file is used, so that {_owner(entry)} is needed there")
    return ClassCall(path, arguments, tuple(notes))


def for_class(spec: ComponentSpec, kind: str) -> tuple[ComponentSpec, list[str]]:
    """A component without what lossreg's runner reads of an optimizer: `rest` and `scheduler`; with notes on them.

    Example:
        >>> for_class(ComponentSpec.parse("sgd(lr=0.1, scheduler=cosine)"), "optimizer")[0].text
        'sgd(lr=0.1)'
        >>> for_class(ComponentSpec.parse("lookahead(muon(rest=adamw))"), "optimizer")[0].text
        'lookahead(muon)'
    """
    if kind != "optimizer":
        return spec, []
    kept: dict[str, Any] = {}
    notes: list[str] = []

    def inner(wrapped: ComponentSpec) -> ComponentSpec:
        bare, said = for_class(wrapped, kind)
        notes.extend(said)
        return bare

    for key, value in spec.params:
        if key in (REST, SCHEDULER):
            notes.append(f"{spec.name}: {key}={value_text(value)} is left out, which only lossreg obeys")
        else:
            kept[key] = inner(value) if isinstance(value, ComponentSpec) else value
    return ComponentSpec(spec.name, kept, tuple(map(inner, spec.nested))), notes


def check_complete(entry: RegistryEntry[Any], written: Collection[str]) -> None:
    """Checks that all that a person has to set of a component is set.

    Raises:
        ConfigError: If something is missing.
    """
    missing = [key for key in _required(entry) if key not in written]
    if missing:
        raise ConfigError(f"{entry.name} needs {' and '.join(missing)}. {entry.describe()}")


def _owner(entry: RegistryEntry[Any]) -> str:
    return entry.provenance.distribution or entry.provenance.file or entry.provenance.plugin


def _class_signature(entry: RegistryEntry[Any]) -> Signature:
    """The parameters of the class that a component equals; its module is one that a component declares."""
    target = STANDS_FOR.get(entry.id)
    if target is None:
        return entry.signature
    return Signature.of(pkgutil.resolve_name(target), 1)


def _default(entry: RegistryEntry[Any], key: str) -> Any:
    """The class's own default of a parameter, or MISSING."""
    found = _class_signature(entry).parameters.get(key)
    return MISSING if found is None else found.default


def _required(entry: RegistryEntry[Any]) -> list[str]:
    """What a person has to set of a component."""
    known = {*entry.component.defaults, *entry.component.runtime_args}
    return [*dict.fromkeys([*entry.component.required, *sorted(entry.signature.required - known)])]


def _differing_defaults(entry: RegistryEntry[Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """The class's defaults that the component would not have by itself."""
    component, differing = entry.component, {}
    for key, parameter in _class_signature(entry).parameters.items():
        if key in params or parameter.required or key in _KERNELS or key not in component.known_parameters:
            continue
        if key in component.runtime_args:
            differs = parameter.default is not None and component.runtime_args[key] == "span"
        else:
            differs = key in component.defaults and component.defaults[key] != parameter.default
        if differs:
            differing[key] = parameter.default
    return differing


def _why_refused(
    entry: RegistryEntry[Any], name: str, key: str, value: Any, registry: Registry[Any, Any]
) -> str | None:
    """What is wrong with an argument; None if nothing is."""
    try:
        resolve(registry, ComponentSpec(name, {key: value}))
    except LossregError as error:
        return error.message.partition("\n")[0].removesuffix(f" {entry.describe()}")
    return None


def _instead(entry: RegistryEntry[Any], key: str) -> str:
    """What stands in the place of an argument that is left out: the default of the class."""
    default = _default(entry, key)
    is_plain = isinstance(default, bool | int | float | str | tuple)
    return f"; it has the default of the class, {value_text(default)}" if is_plain else ""


def _take_span(entry: RegistryEntry[Any], name: str, params: dict[str, Any], span: int | None) -> list[str]:
    """Takes those parameters away that lossreg sets to the length of the run by itself, with a note for each."""
    if span is None:
        return []
    ends = [key for key, word in entry.component.runtime_args.items() if word == "span" and params.get(key) == span]
    for key in ends:
        del params[key]
    return [f"{name}: {key}={span} is the length of the run, which is what lossreg takes" for key in ends]


def _plain(value: Any) -> Any:
    """A value as JSON and YAML have it."""
    value = thawed(value)
    return [_plain(one) for one in value] if isinstance(value, tuple) else value
