"""Hydra: YAML of which `hydra.utils.instantiate` makes objects, by `_target_` and `_partial_`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from lossreg.conversion.followed import PLATEAU, counted, followed, torch_plateau
from lossreg.conversion.hydra.keys import ARGUMENTS, BUILD, FREQUENCY, INTERVAL, KEYS, MONITOR, TARGET
from lossreg.conversion.hydra.loop_settings import read_settings
from lossreg.conversion.hydra.nodes import Node, nodes_of
from lossreg.conversion.hydra.references import Resolver
from lossreg.conversion.known_classes import find_class
from lossreg.conversion.result import Converted, Draft
from lossreg.conversion.torch_classes import spec_of_class
from lossreg.conversion.yaml_text import read_yaml
from lossreg.errors import ConfigError, LossregError
from lossreg.registry.registries import Registries
from lossreg.spec import ComponentSpec
from lossreg.values import shown

#: Keys of hydra's own beside arguments, and what they say.
_MARKS = (TARGET, "_partial_", "_convert_", "_recursive_")


def read(text: str, where: str, registries: Registries) -> Converted:
    """Reads a YAML of hydra; see `lossreg.conversion.formats.FormatModule`."""
    draft = Draft()
    content = {str(key): value for key, value in read_yaml(text, where).items()}
    _tell_defaults(content.pop("defaults", None), draft)
    root = Node("", Resolver(content, draft).resolved())
    nodes = list(nodes_of(root))
    if not any(TARGET in node.content for node in nodes):
        raise ConfigError(f"{where}: nothing in it can be converted from hydra: it has no table with {TARGET}")
    read_settings(nodes, draft)
    _read_targets(nodes, draft, registries)
    return draft.done()


def _tell_defaults(defaults: Any, draft: Draft) -> None:
    for one in defaults if isinstance(defaults, list) else [defaults] if defaults else []:
        named = ", ".join(f"{key}: {value}" for key, value in one.items()) if isinstance(one, dict) else str(one)
        if named != "_self_":
            draft.leave_out(
                f"defaults: {named} is in a file of its own, which is not read: convert what `--cfg job` prints"
            )


def _read_targets(all_nodes: Sequence[Node], draft: Draft, registries: Registries) -> None:
    """Sets the components among the tables with `_target_`, and names the others that are not within one another."""
    nodes = [node for node in all_nodes if TARGET in node.content]
    components: list[str] = []
    others: dict[str, str] = {}
    for node in nodes:
        if _is_within(node, components):
            continue
        if _read_target(node, draft, registries):
            components.append(node.path)
        elif not _is_within(node, others):
            others[node.path] = str(node.content[TARGET])
    listed = [
        f"{node.path}.{key}[{place}] ({one[TARGET]})".lstrip(".")
        for node in all_nodes
        if not _is_within(node, components) and node.path not in components
        for key, value in node.content.items()
        for place, one in enumerate(value if isinstance(value, list) else [])
        if isinstance(one, dict) and TARGET in one
    ]
    if listed:
        draft.leave_out(f"not read, since they are in a list, and a run has one of each: {', '.join(listed)}")
    if others:
        said = ", ".join(f"{path or TARGET} ({target})" for path, target in others.items())
        draft.leave_out(f"not read, since they are not a loss, an optimizer or a schedule: {said}")


def _is_within(node: Node, paths: Iterable[str]) -> bool:
    return any(node.path.startswith(f"{path}.") for path in paths)


def _read_target(node: Node, draft: Draft, registries: Registries) -> bool:
    """Sets the component that a table with `_target_` is, and says whether it is one, or stands where one should."""
    path = str(node.content[TARGET])
    kinds = [kind for kind, keys in KEYS.items() if node.key in keys]
    named = node.path or TARGET
    own = _built_by_text(node.content)
    if own is not None and "optimizer" not in draft.settings:
        draft.set("optimizer", own)
        return True
    for kind in kinds or KEYS:
        try:
            find_class(torch_plateau(path), kind, registries)
        except LossregError as error:
            if kinds:
                draft.leave_out(f"{named}: {error.message.partition(chr(10))[0]}")
            continue
        if kind in draft.settings:
            draft.leave_out(f"{named}: {path} is a second {kind}; {draft.settings[kind]} is the first")
            return True
        if kind == "scheduler":
            _read_scheduler(node, named, draft, registries)
        elif (spec := _spec(node.content, kind, named, draft, registries)) is not None:
            draft.set(kind, spec)
        return True
    return bool(kinds)


def _read_scheduler(node: Node, named: str, draft: Draft, registries: Registries) -> None:
    """Sets a schedule, with what stands beside it of when it steps and what it follows."""
    content = {**node.content, TARGET: torch_plateau(str(node.content[TARGET]))}
    entry = find_class(content[TARGET], "scheduler", registries)
    if entry.id == PLATEAU:
        inside = content.pop(MONITOR, None)
        monitor = node.beside(MONITOR) if inside is None else inside
        name = None if monitor is None else str(monitor)
        content |= followed(name, content.get("mode", "min"), draft, f"{named}.{MONITOR}")
    own = entry.component.interval
    counts = counted(node.beside(INTERVAL), node.beside(FREQUENCY), own, entry.id == PLATEAU, draft, named)
    spec = None if counts is None else _spec(content, "scheduler", named, draft, registries, by_epoch=counts == "epoch")
    if spec is not None:
        draft.set("scheduler", spec)
        if counts != own:
            draft.set("scheduler_interval", counts)


def _built_by_text(content: dict[str, Any]) -> str | None:
    """The text of an optimizer in a call of lossreg's own, as it is written for one that no class equals."""
    match content:
        case {"_target_": str() as target, "_args_": [str() as text], **others}:
            return text if target == BUILD and set(others) <= {*_MARKS} else None
    return None


def _spec(
    content: dict[str, Any], kind: str, named: str, draft: Draft, registries: Registries, *, by_epoch: bool = False
) -> ComponentSpec | None:
    """The component that a table is, or None, which is said; `by_epoch` is a schedule of the run that counts epochs."""
    if ARGUMENTS in content:
        draft.leave_out(f"{named}: arguments without names ({ARGUMENTS}) are not read")
        return None
    arguments: dict[str, Any] = {}
    for key, value in content.items():
        if key in _MARKS:
            continue
        made = _argument(value, kind, f"{named}.{key}", draft, registries)
        if made is not _Left:
            arguments[key] = made
    try:
        span = draft.settings.get("epochs") if by_epoch and "max_steps" not in draft.settings else None
        found = spec_of_class(str(content[TARGET]), arguments, kind, registries, span=span)
    except LossregError as error:
        draft.leave_out(f"{named}: {error.message.partition(chr(10))[0]}")
        return None
    draft.note(*(f"{named}: {one}" for one in found.notes))
    draft.leave_out(*(f"{named}: {one}" for one in found.left_out))
    entry = find_class(str(content[TARGET]), kind, registries)
    values = {key: parameter.default for key, parameter in entry.signature.parameters.items() if not parameter.required}
    for key, value in {**values, **entry.component.defaults, **dict(found.spec.params)}.items():
        if key not in arguments and any(one.startswith(f"{named}.{key}: ") for one in draft.left_out):
            draft.note(f"{named}.{key}: it has the default of the class, {shown(value)}, since it is not read")
    return found.spec


class _Left:
    """What could not be carried over, which is said already."""


def _argument(value: Any, kind: str, named: str, draft: Draft, registries: Registries) -> Any:
    """An argument, with the components in it as specs."""
    if isinstance(value, list):
        made = [_argument(one, kind, f"{named}[{place}]", draft, registries) for place, one in enumerate(value)]
        return _Left if _Left in made else made
    if not isinstance(value, dict) or TARGET not in value:
        return value
    try:
        find_class(str(value[TARGET]), kind, registries)
    except LossregError:
        draft.leave_out(f"{named}: {value[TARGET]} is a function or an object, for which there is no text")
        return _Left
    spec = _spec(value, kind, named, draft, registries)
    return _Left if spec is None else spec
