"""What a package might offer, before it is tried; and what the signature of a factory tells of it."""

from __future__ import annotations

import enum
import inspect
import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

import attrs

from lossreg.names import snake_case

#: The key in an example that says of which size (channels, height, width) the pictures are that a model is tried with.
SIZE = "*size"
#: The key in an example that says that an optimizer is given groups of parameters, which say `use_muon`.
GROUPS = "*groups"
#: The key in an example with what a loss is called with that takes anything but output and target.
GIVEN = "*given"


@attrs.frozen
class Candidate:
    """A component as the maker of an index finds it.

    Attributes:
        kind: Its kind.
        name: Its name in the index.
        factory: `"module:attribute"`.
        fields: Further fields of its record.
        problem: Why it is not offered, where that shows before it is tried; or None.
        example: Values for parameters that a user must give, with which it is tried.
        family: Components that differ in sizes alone have one family, of which the first is tried for all of them; None
            is one of its own.
    """

    kind: str
    name: str
    factory: str
    fields: Mapping[str, Any]
    problem: str | None = None
    example: Mapping[str, Any] = attrs.field(factory=dict)
    family: str | None = None


def candidate(
    kind: str,
    name: str,
    factory: str,
    found: Callable[..., Any],
    *,
    positional: int = 0,
    defaults: Mapping[str, Any] | None = None,
    supplied: Mapping[str, str] | None = None,
    hidden: Collection[str] = (),
    example: Mapping[str, Any] | None = None,
    family: str | None = None,
    **fields: Any,
) -> Candidate:
    """A component with the parameters that its factory's signature has.

    Args:
        kind: Its kind.
        name: Its name.
        factory: `"module:attribute"`.
        found: The factory itself.
        positional: How many arguments come before the parameters.
        defaults: Parameters that have other defaults than the factory's own.
        supplied: `runtime_args`, where the factory has the parameter.
        hidden: Parameters that are not listed.
        example: Values for parameters that a user must give, with which it is tried.
        family: See `Candidate`.
        fields: Further fields of the record; an empty text or list is left out.
    """
    try:
        parameters = list(inspect.signature(found).parameters.values())[positional:]
    except (TypeError, ValueError) as error:
        return Candidate(kind, name, factory, {}, f"its parameters cannot be read: {error}")
    changed = dict(defaults or {})
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name not in hidden]
    needed = [p.name for p in named if p.default is p.empty or type(p.default).__name__ == "_RequiredParameter"]
    own = {p.name: _worded(p.default) for p in named if p.name not in needed}
    own = {key: value for key, value in own.items() if is_plain(value)}
    runtime = {key: value for key, value in (supplied or {}).items() if any(p.name == key for p in named)}
    required = [name for name in needed if name not in {*changed, *runtime}]
    settable = {key: value for key, value in {**own, **changed}.items() if key not in runtime}
    every = {
        "summary": first_sentence(found),
        "defaults": settable,
        "required": required,
        "runtime_args": runtime,
        **fields,
    }
    told = {key: value for key, value in every.items() if not (isinstance(value, str | list | dict) and not value)}
    return Candidate(kind, name, factory, told, example=example or {}, family=family)


def called_with(
    name: str, factory: str, found: Callable[..., Any], given: Mapping[str, Any], **fields: Any
) -> Candidate:
    """A loss that takes anything but output and target: it is listed with what it takes, and a run does not train it.

    Args:
        name: Its name.
        factory: `"module:attribute"`.
        found: The factory itself.
        given: What it takes, in order, each with a value that it is tried with.
        fields: As `candidate` takes them.
    """
    example = {GIVEN: tuple(given.values())}
    return candidate(
        "loss", name, factory, found, example=example, input="any", target=None, takes=list(given), **fields
    )


def is_plain(value: Any) -> bool:
    """Whether a default can stand in an index: JSON has it, and a spec can be written with it."""
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    if isinstance(value, float):
        return not math.isnan(value)
    return value is None or type(value) in (bool, int, str)


def _worded(value: Any) -> Any:
    """A member of an Enum that is a text as that text."""
    return str(value.value) if isinstance(value, str) and isinstance(value, enum.Enum) else value


def first_sentence(found: Any, longest: int = 100) -> str:
    """What the documentation of a class or function says first, in one line; empty where it has none of its own."""
    described = found
    if isinstance(found, type) and not vars(found).get("__doc__"):  # the base class describes another one
        described = vars(found).get("__init__")
    text = getattr(described, "__doc__", None) or ""
    block = inspect.cleandoc(text).strip().partition("\n\n")[0]
    line = " ".join(block.split()).strip(" `*.")
    sentence = line.partition(". ")[0].rstrip(".:")
    return sentence if len(sentence) <= longest else f"{sentence[: longest - 1].rsplit(' ', 1)[0]}…"


def name_of(attribute: str, kind: str) -> str:
    """The name of a class or function as a component's.

    Example:
        >>> name_of("DiceCELoss", "loss"), name_of("AdamP", "optimizer"), name_of("SSIM3DLoss", "loss")
        ('dice_ce', 'adamp', 'ssim_3d')
    """
    if kind == "optimizer":
        return attribute.lower()
    return re.sub(r"_*(\d)_d(?=_|$)", r"_\1d", snake_case(attribute, kind)).replace("__", "_").strip("_")
