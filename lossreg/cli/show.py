"""`lossreg show`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from lossreg.cli.contract_words import contract_lines
from lossreg.cli.list import WORDS, check_kind, complete_kind, kinds_of
from lossreg.cli.output import columns, component_json, json_text
from lossreg.cli.plugin_options import plugin_options
from lossreg.component import KINDS
from lossreg.errors import ConfigError
from lossreg.names import normalize, with_article
from lossreg.registry.build import ResolvedComponent, resolve
from lossreg.registry.entry import RegistryEntry
from lossreg.registry.from_data import BALANCED, takes_balanced
from lossreg.registry.registry import PLURALS
from lossreg.spec import ComponentSpec, texts_of
from lossreg.suggestions import did_you_mean
from lossreg.training.record.texts import short_text
from lossreg.values import printable, shown


def _complete_name(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from lossreg.registry.registries import default

    kind = ctx.params.get("kind")
    names = default.of(kind).names() if kind in KINDS else []
    return [CompletionItem(name) for name in names if name.startswith(normalize(incomplete))]


@click.command("show")
@click.argument("kind", shell_complete=complete_kind)
@click.argument("name", required=False, shell_complete=_complete_name)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.option(
    "--plot",
    type=click.Path(),
    metavar="FILE",
    help="Of a loss: also draw it and its gradient over the input, a .png, .svg or .pdf.",
)
@plugin_options
def show_command(kind: str, name: str | None, as_json: bool, plot: str | None) -> None:
    """Show one component: where it comes from, its parameters with their defaults, its contract, its documentation.

    KIND is loss, optimizer, scheduler, model, dataset, metric or observer, and may be left out where one component has
    the name; NAME is a short name, a full id, or a spec text, whose parameters are checked.

    \b
    Examples:
      lossreg show loss dice
      lossreg show sgd
      lossreg show optimizer sgd
      lossreg show loss builtin.cross_entropy --json
      lossreg show loss "dice(smooth=1)" --plot dice.png
    """
    from lossreg.registry.registries import default

    kind, spec = _meant(kind, name)
    target = _picture(kind, plot)
    registry = default.of(kind)
    resolved = resolve(registry, spec)
    entry = resolved.entry
    facts = {
        **component_json(registry, entry),
        "spec": resolved.spec.text,
        "found": _found(resolved),
        "source": _source(entry),
        "signature": entry.describe(),
        "parameters": _parameters(entry, texts_of(resolved.spec.params)),
        "differs": differing_defaults(entry),
        "doc": inspect.getdoc(entry.factory),
        "same_name": [f"{other.id} ({other.provenance})" for other in registry.same_name(entry)],
    }
    if target is not None:
        _draw(resolved, target)
    click.echo(json_text(facts) if as_json else printable(_text(facts, contract_lines(entry.component), target)))


def _picture(kind: str, name: str | None) -> Path | None:
    """Where the picture shall be, before anything is imported for it.

    Raises:
        ConfigError: If there can be none.
    """
    if name is None:
        return None
    if kind != "loss":
        raise ConfigError(f"--plot draws losses, not {PLURALS[kind]}; leave it out")
    from lossreg.pictures.style import check_matplotlib, check_picture

    target = check_picture(name, "--plot")
    check_matplotlib()
    return target.absolute()  # a plugin may change the working directory


def _draw(resolved: ResolvedComponent[Any], target: Path) -> None:
    from lossreg.pictures.losses import loss_figure
    from lossreg.pictures.style import write_picture
    from lossreg.training.loss.profile import profile_loss  # it imports torch

    found = profile_loss(resolved)
    heading = f"{short_text(resolved.spec.text)}, {found.sample}"
    write_picture(loss_figure(heading, found.x, found.inputs, found.values, found.slopes), target)


def _meant(kind: str, name: str | None) -> tuple[str, ComponentSpec]:
    """The kind and the component that the words of a line mean."""
    if name is not None:
        return check_kind(kind), ComponentSpec.parse(name)
    if normalize(kind) in WORDS:
        known = WORDS[normalize(kind)]
        raise ConfigError(f"show {kind}: name the {known} to show (lossreg list {known})")
    spec = ComponentSpec.parse(kind)
    kinds = kinds_of(spec.name)
    if len(kinds) == 1:
        return kinds[0], spec
    if not kinds:
        unknown = f"nothing is named {shown(spec.name)}.{_close(spec.name)} Names: lossreg list"
        raise ConfigError(_offered(spec.name) or unknown)
    raise ConfigError(
        f"{spec.name} is {' and '.join(map(with_article, kinds))}; say which: show {kinds[0]} {spec.name}"
    )


def _offered(name: str) -> str | None:
    """What would have a name, of whatever kind, if its package was installed."""
    from lossreg.registry.registries import default

    return next((said for kind in KINDS if (said := default.offered(kind, name)) is not None), None)


def _close(name: str) -> str:
    from lossreg.registry.registries import default

    return did_you_mean(name, sorted({known for kind in KINDS for known in default.of(kind).names()}))


def differing_defaults(entry: RegistryEntry[Any]) -> dict[str, dict[str, Any]]:
    """The parameters for which the plugin declares another default than the factory's."""
    own = entry.signature.parameters
    return {
        name: {"default": value, "factory": own[name].default}
        for name, value in entry.component.defaults.items()
        if name in own and not own[name].required and own[name].default != value
    }


def _parameters(entry: RegistryEntry[Any], written: Mapping[str, str]) -> list[dict[str, Any]]:
    component = entry.component
    rows = []
    for parameter in entry.signature.parameters.values():
        supplied = component.runtime_args.get(parameter.name)
        row = {"name": parameter.name, "type": parameter.type_text, "supplied_by_runner": supplied}
        if takes_balanced(component, parameter.name):
            row["from_data"] = component.data_values[parameter.name]
        if parameter.name in component.defaults or not parameter.required:
            row["default"] = component.defaults.get(parameter.name, parameter.default)
        if parameter.name in written:
            row["set"] = written[parameter.name]
        rows.append(row)
    further = [name for name in written if name not in entry.signature.parameters]  # of a factory that takes **kwargs
    return [*rows, *({"name": name, "type": "", "supplied_by_runner": None, "set": written[name]} for name in further)]


def _found(resolved: ResolvedComponent[Any]) -> str | None:
    """What a trial finds of what the record of an optimizer leaves unsaid."""
    component = resolved.entry.component
    if component.kind != "optimizer" or None not in component.contract().values():
        return None
    from lossreg.training.trial.optimizer import describe_needs  # it imports torch

    return describe_needs(resolved)


def _source(entry: RegistryEntry[Any]) -> str | None:
    try:
        factory = inspect.unwrap(entry.factory)
        return f"{inspect.getsourcefile(factory)}:{inspect.getsourcelines(factory)[1]}"
    except (TypeError, OSError):  # made in C, or typed into an interpreter
        return None


def _text(facts: dict[str, Any], contract: Sequence[str], picture: Path | None) -> str:
    origin = f"{facts['distribution']} {facts['version']}" if facts["distribution"] else "this process"
    head = [
        ("kind", facts["kind"]),
        ("full id", facts["id"]),
        *([("spec", facts["spec"])] if facts["spec"] != facts["id"] else []),
        ("from", f"plugin {facts['plugin']}, {origin}"),
        ("factory", facts["factory"]),
        *([("source", facts["source"])] if facts["source"] else []),
        *zip(["contract", *[""] * len(contract)], contract or ["none"], strict=False),
        *([("found", facts["found"])] if facts["found"] else []),
        *([("picture", str(picture))] if picture else []),
    ]
    lines = [
        f"{facts['name']}: {facts['summary']}",
        "",
        *(f"{key:<10}{value}" for key, value in head),
        "",
        "parameters",
    ]
    rows = []
    for row in facts["parameters"]:
        default = f"= {row['default']!r}" if "default" in row else "(needed)"
        if "set" in row:
            instead = f"default {row['default']!r}" if "default" in row else "no default"
            default = f"= {row['set']}  (set; {instead})"
        if row["supplied_by_runner"]:
            default += f"  (the runner supplies {row['supplied_by_runner']})"
        if "from_data" in row:
            default += f"  (or {BALANCED}: {row['from_data']} of the training split)"
        rows.append((row["name"], row["type"], default))
    lines += columns(rows, indent="  ") or ["  none"]
    if facts["differs"]:
        package = facts["factory"].partition(".")[0]
        changes = (
            f"{key}={value['default']!r} ({package}: {value['factory']!r})" for key, value in facts["differs"].items()
        )
        lines += ["", f"differs from {package}: {', '.join(changes)}"]
    if facts["same_name"]:
        lines += ["", f"of the same name: {', '.join(facts['same_name'])}"]
    if facts["doc"]:
        lines += ["", facts["doc"]]
    return "\n".join(lines)
