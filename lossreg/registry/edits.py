"""One parameter of a component is set from a text: what `--opt.lr 0.1` does to the spec of a run."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import attrs

from lossreg.errors import ConfigError, LossregError, ParameterError, UnknownParameterError
from lossreg.groups import REST, SCHEDULER, has_own_scheduler
from lossreg.registry.entry import RegistryEntry
from lossreg.registry.from_data import BALANCED, balanced_hint, takes_balanced
from lossreg.registry.levels import routed
from lossreg.registry.registries import Registries
from lossreg.run_spec import COMPONENT_FIELDS, RunSpec
from lossreg.spec import ComponentSpec


@attrs.frozen
class Edit:
    """A text for one parameter.

    Attributes:
        flag: As written, without the value: `--opt.lr`.
        field: The component's field.
        parameter: The parameter.
        text: The value's text.
    """

    flag: str
    field: str
    parameter: str
    text: str


def merged(
    given: Mapping[str, Any], base: Mapping[str, Any], edits: Collection[Edit], registries: Registries
) -> dict[str, Any]:
    """The settings of a run: what is given goes before a file, and texts for parameters edit what the two say.

    Args:
        given: Field -> value, of options.
        base: Field -> value, of a file.
        edits: The texts for parameters.
        registries: Where names are looked up.

    Raises:
        LossregError: If an edit is wrong; see `edited`.
    """
    settings = {**_without_effect_removed(base, given), **given}
    return settings | dict(edited(edits, settings, given, registries))


def _without_effect_removed(config: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """What a file says, without what belongs to a part of it that an option undoes."""
    undone = set()
    settings = {**config, **options}
    is_counted = has_own_scheduler(settings.get("optimizer"), settings.get("param_groups", ()))
    if "scheduler" in options and options["scheduler"] is None and not is_counted:
        undone.add("scheduler_interval")
    if "patience" in options and options["patience"] is None:
        undone.add("monitor")
    if "freeze" in options and options["freeze"] is None:
        undone |= {"unfreeze", "frozen_mode"}
    loader = options.get("loader", "dataloader")
    if loader != "dataloader" and loader != config.get("loader"):
        undone.add("workers")
    return {key: value for key, value in config.items() if key not in undone}


def misfit(edit: Edit, settings: Mapping[str, Any], registries: Registries) -> LossregError | None:
    """Why an edit does not fit the component that settings name: it has no such parameter; None if it has.

    Raises:
        LossregError: If there is no such component.
    """
    if edit.field == "scheduler" and RunSpec(**settings).scheduler is None:
        return ConfigError(f"{edit.flag} has no effect without a scheduler")
    spec = _base(edit.field, settings, edit, registries)
    entry = registries.of(COMPONENT_FIELDS[edit.field])[spec.name]
    if edit.field == "optimizer" and _is_read_by_the_runner(edit.parameter, entry, spec, registries):
        return None
    try:
        entry.signature.find(edit.parameter, entry.name, entry.component.defaults)
    except UnknownParameterError as error:
        return error
    return None


def edited(
    edits: Collection[Edit], settings: Mapping[str, Any], written: Collection[str], registries: Registries
) -> Iterator[tuple[str, ComponentSpec]]:
    """Applies dotted options.

    Args:
        edits: The options.
        settings: Field -> value, as the other options and the file give them.
        written: The fields that other options give.
        registries: Where names are looked up, to read a value as its parameter takes it.

    Yields:
        Each field that is edited, and its new spec.

    Raises:
        LossregError: If a component has no such parameter, or a value does not fit it.
    """
    for field in COMPONENT_FIELDS:
        of_field = [edit for edit in edits if edit.field == field]
        if of_field:
            taken = dict(settings[field].params) if field in written and settings[field] is not None else {}
            yield field, _edited(field, of_field, settings, taken, registries)


def _edited(
    field: str, edits: list[Edit], settings: Mapping[str, Any], taken: Collection[str], registries: Registries
) -> ComponentSpec:
    spec = _base(field, settings, edits[0], registries)
    try:
        entry = registries.of(COMPONENT_FIELDS[field])[spec.name]
    except LossregError as error:
        error.setting = field
        raise
    values: dict[str, Any] = {}
    for edit in sorted(edits, key=lambda edit: edit.parameter == REST):  # which goes by what is wrapped
        if edit.parameter in values or edit.parameter in taken:
            raise ConfigError(f"{edit.flag}: {edit.parameter} of {entry.name} is given twice")
        if field == "optimizer" and _is_read_by_the_runner(edit.parameter, entry, spec.with_params(values), registries):
            values[edit.parameter] = ComponentSpec.parse(edit.text)
            continue
        parameter = entry.signature.find(edit.parameter, entry.name, entry.component.defaults)
        if edit.text.strip() == BALANCED and takes_balanced(entry.component, edit.parameter):
            values[edit.parameter] = ComponentSpec(BALANCED)
            continue
        try:
            values[edit.parameter] = parameter.read(edit.text, entry.name)
        except ParameterError as error:
            error.message += balanced_hint(entry.component, edit.parameter, edit.text.strip())
            raise
    return spec.with_params(values)


def _is_read_by_the_runner(
    parameter: str, entry: RegistryEntry[Any], spec: ComponentSpec, registries: Registries
) -> bool:
    """Whether a parameter of an optimizer's spec is not the factory's: it names another component."""
    if parameter == SCHEDULER:
        return parameter not in entry.signature.parameters
    return parameter == REST and routed(registries.optimizers, spec).entry is not None


def _base(field: str, settings: Mapping[str, Any], edit: Edit, registries: Registries) -> ComponentSpec:
    run_spec = RunSpec(**settings)
    spec: ComponentSpec | None = getattr(run_spec, field)
    if spec is not None:
        return spec
    if field == "model":
        return default_model(run_spec, registries)
    if field == "loss":
        raise ConfigError(f"{edit.flag}: which loss is meant depends on the data set; name it with --loss")
    raise ConfigError(f"{edit.flag} has no effect without a {field}; name one with --sched")


def default_model(run_spec: RunSpec, registries: Registries) -> ComponentSpec:
    """The model that the data set names.

    Raises:
        LossregError: If the data set does not exist.
    """
    return ComponentSpec(registries.datasets[run_spec.data.name].component.model)
