"""Dotted options: `--opt.lr 0.1` sets one parameter of a component."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import attrs
import click

from lossreg.errors import ConfigError, LossregError
from lossreg.groups import REST, SCHEDULER
from lossreg.registry.entry import RegistryEntry
from lossreg.registry.levels import routed
from lossreg.registry.registries import Registries
from lossreg.run_spec import COMPONENT_FIELDS, OBSERVE, SETTINGS, RunSpec
from lossreg.spec import ComponentSpec
from lossreg.suggestions import did_you_mean

#: Flag without its dashes -> field of the run's spec.
FLAGS: Mapping[str, str] = {
    flag.removeprefix("--"): field for field in COMPONENT_FIELDS for flag in SETTINGS[field].flags
}

WAITING = "lossreg.waiting"  # where a context keeps a dotted option whose value is being completed

DOTTED = re.compile(r"--([A-Za-z][\w-]*)\.([^=]+)(?:=(.*))?", re.ASCII | re.DOTALL)


@attrs.frozen
class Edit:
    """A dotted option.

    Attributes:
        flag: As written, without the value.
        field: The component's field.
        parameter: The parameter.
        text: The value's text.
    """

    flag: str
    field: str
    parameter: str
    text: str


def split_dotted(args: Sequence[str], ctx: click.Context) -> tuple[list[str], list[Edit]]:
    """Separates dotted options from the other arguments.

    Raises:
        click.UsageError: If one has no value, or its flag is not a component's.
    """
    rest: list[str] = []
    edits: list[Edit] = []
    words = iter(args)
    for word in words:
        if word == "--":
            return [*rest, word, *words], edits
        match = DOTTED.fullmatch(word)
        if match is None:
            rest.append(word)
            continue
        flag, parameter, text = match.groups()
        if text is None:
            text = next(words, None)
        if ctx.resilient_parsing:
            if text is None and flag in FLAGS:
                ctx.meta[WAITING] = Edit(word, FLAGS[flag], parameter.replace("-", "_"), "")
            continue
        if flag == OBSERVE:
            written = f'--{OBSERVE} "NAME({parameter.replace("-", "_")}=...)"'
            raise click.UsageError(f"--{flag}.{parameter}: there may be several observers; write {written}", ctx)
        if flag not in FLAGS:
            hint = did_you_mean(f"--{flag}", [f"--{known}" for known in FLAGS]).replace("'", "")
            raise click.UsageError(f"--{flag}.{parameter}: there is no component --{flag}.{hint}", ctx)
        if text is None:
            raise click.UsageError(f"--{flag}.{parameter} needs a value", ctx)
        edits.append(Edit(f"--{flag}.{parameter}", FLAGS[flag], parameter.replace("-", "_"), text))
    return rest, edits


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
        values[edit.parameter] = parameter.read(edit.text, entry.name)
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
