"""Hydra: YAML of which `hydra.utils.instantiate` makes objects, by `_target_` and `_partial_`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from lossreg.conversion.followed import PLATEAU, counted, followed, torch_plateau
from lossreg.conversion.hydra.keys import ARGUMENTS, BUILD, FREQUENCY, INTERVAL, MONITOR, SETTINGS, TARGET
from lossreg.conversion.hydra.references import Resolver
from lossreg.conversion.known_classes import find_class
from lossreg.conversion.quoted import READ_AS_NUMBER, unquoted
from lossreg.conversion.result import Converted, Draft
from lossreg.conversion.torch_classes import spec_of_class
from lossreg.conversion.yaml_text import read_yaml
from lossreg.errors import ConfigError, LossregError
from lossreg.names import normalize
from lossreg.registry.registries import Registries
from lossreg.spec import ComponentSpec
from lossreg.values import shown

#: Keys of hydra's own beside arguments, and what they say.
_MARKS = (TARGET, "_partial_", "_convert_", "_recursive_")
#: Kind -> what a key is called under which a class of it stands.
_KEYS: Mapping[str, tuple[str, ...]] = {
    "optimizer": ("optimizer", "optim", "opt"),
    "scheduler": ("scheduler", "lr_scheduler", "sched"),
    "loss": ("loss", "criterion", "loss_fn", "loss_function"),
}
_EVALUATING = ("val", "valid", "validation", "test", "eval", "predict")


@attrs.frozen
class _Node:
    """A table of the file.

    Attributes:
        path: Its keys, with dots between them; empty for the whole file.
        content: What is in it, with references replaced.
        around: What is in the table that it stands in.
    """

    path: str
    content: dict[str, Any]
    around: Mapping[str, Any] = {}

    @property
    def key(self) -> str:
        """Its own key."""
        return normalize(self.path.rpartition(".")[2])

    def beside(self, word: str) -> Any:
        """What is said of it beside it, such as `interval` or `scheduler_interval`; None if nothing is."""
        found = {normalize(key): value for key, value in self.around.items()}
        for table in (found, *(found.get(f"{own}_config") for own in _KEYS["scheduler"])):
            for key in (word, *(f"{own}_{word}" for own in _KEYS["scheduler"])):
                if isinstance(table, Mapping) and isinstance(table.get(key), str | int | float):
                    return table[key]
        return None


def read(text: str, where: str, registries: Registries) -> Converted:
    """Reads a YAML of hydra.

    Args:
        text: The text.
        where: The file, for messages.
        registries: Where components are looked up.

    Raises:
        ConfigError: If it is not YAML, or has no `_target_`.
    """
    draft = Draft()
    content = {str(key): value for key, value in read_yaml(text, where).items()}
    _tell_defaults(content.pop("defaults", None), draft)
    root = _Node("", Resolver(content, draft).resolved())
    nodes = list(_nodes(root))
    if not any(TARGET in node.content for node in nodes):
        raise ConfigError(f"{where}: nothing in it can be converted from hydra: it has no table with {TARGET}")
    _read_settings(nodes, draft)
    _read_targets([node for node in nodes if TARGET in node.content], draft, registries)
    return draft.done()


def _tell_defaults(defaults: Any, draft: Draft) -> None:
    for one in defaults if isinstance(defaults, list) else [defaults] if defaults else []:
        named = ", ".join(f"{key}: {value}" for key, value in one.items()) if isinstance(one, dict) else str(one)
        if named != "_self_":
            draft.leave_out(
                f"defaults: {named} is in a file of its own, which is not read: convert what `--cfg job` prints"
            )


def _nodes(node: _Node) -> Iterator[_Node]:
    """A table and the tables in it, but for those within a component."""
    yield node
    for key, value in node.content.items():
        if isinstance(value, dict):
            path = f"{node.path}.{key}" if node.path else key
            yield from _nodes(_Node(path, {str(inner): one for inner, one in value.items()}, node.content))


def _read_settings(nodes: list[_Node], draft: Draft) -> None:
    """Sets what is plainly a setting of the loop: a number under one of its names."""
    for setting, names in SETTINGS.items():
        found = {
            f"{node.path}.{key}".lstrip("."): value
            for node in nodes
            if not any(part in _EVALUATING for part in normalize(node.path).split("."))
            for key, value in node.content.items()
            if normalize(key) in names and value is not None and not isinstance(value, dict)
        }
        found = {path: number for path, value in found.items() if (number := _number(value, path, draft)) is not None}
        if len({*found.values()}) > 1:
            said = " and ".join(f"{path}={value}" for path, value in found.items())
            draft.leave_out(f"{setting}: {said} are different")
        elif found:
            draft.set(setting, next(iter(found.values())))
    clipped = [node for node in nodes if node.content.get("gradient_clip_algorithm") not in (None, "norm")]
    if clipped and draft.settings.pop("clip_grad_norm", None) is not None:
        algorithm = clipped[0].content["gradient_clip_algorithm"]
        draft.leave_out(f"gradient_clip_algorithm={algorithm}: gradients are clipped by their norm alone")


def _number(value: Any, path: str, draft: Draft) -> int | float | None:
    """The number at a path, also one in quotation marks; None where there is another value, which is said."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    number: int | float | None = unquoted(value) if isinstance(value, str) else None
    if number is None:
        draft.leave_out(f"{path}: {shown(value)} is not a number")
    else:
        draft.note(f"{path}: {shown(value)} {READ_AS_NUMBER}")
    return number


def _read_targets(nodes: list[_Node], draft: Draft, registries: Registries) -> None:
    """Sets the components among the tables with `_target_`, and names the others that are not within one another."""
    components: list[str] = []
    others: dict[str, str] = {}
    for node in nodes:
        if _is_within(node, components):
            continue
        if _read_target(node, draft, registries):
            components.append(node.path)
        elif not _is_within(node, others):
            others[node.path] = str(node.content[TARGET])
    if others:
        said = ", ".join(f"{path or TARGET} ({target})" for path, target in others.items())
        draft.leave_out(f"not read, since they are not a loss, an optimizer or a schedule: {said}")


def _is_within(node: _Node, paths: Iterable[str]) -> bool:
    return any(node.path.startswith(f"{path}.") for path in paths)


def _read_target(node: _Node, draft: Draft, registries: Registries) -> bool:
    """Sets the component that a table with `_target_` is, and says whether it is one, or stands where one should."""
    path = str(node.content[TARGET])
    kinds = [kind for kind, keys in _KEYS.items() if node.key in keys]
    named = node.path or TARGET
    own = _built_by_text(node.content)
    if own is not None and "optimizer" not in draft.settings:
        draft.set("optimizer", own)
        return True
    for kind in kinds or _KEYS:
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


def _read_scheduler(node: _Node, named: str, draft: Draft, registries: Registries) -> None:
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
        span = draft.settings.get("epochs") if by_epoch else None
        found = spec_of_class(str(content[TARGET]), arguments, kind, registries, span=span)
    except LossregError as error:
        draft.leave_out(f"{named}: {error.message.partition(chr(10))[0]}")
        return None
    draft.note(*(f"{named}: {one}" for one in found.notes))
    draft.leave_out(*(f"{named}: {one}" for one in found.left_out))
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
