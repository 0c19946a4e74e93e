"""Settings of the loop in a YAML of hydra: numbers and words under the names that they have as a rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lossreg.conversion.hydra.keys import SETTINGS
from lossreg.conversion.hydra.nodes import Node
from lossreg.conversion.quoted import READ_AS_NUMBER, unquoted
from lossreg.conversion.result import PRECISIONS, Draft
from lossreg.names import normalize
from lossreg.values import shown

_EVALUATING = ("val", "valid", "validation", "test", "eval", "predict")
#: Where words of the loop stand, such as `precision`, which elsewhere may be a metric.
_LOOPS = ("", "trainer", "training", "train")


def read_settings(nodes: Sequence[Node], draft: Draft) -> None:
    """Sets what is plainly a setting of the loop: a number or a word under one of its names.

    Args:
        nodes: All tables of the file.
        draft: Where settings are set.
    """
    for setting, names in SETTINGS.items():
        found = {
            f"{node.path}.{key}".lstrip("."): value
            for node in nodes
            if not any(part in _EVALUATING for part in normalize(node.path).split("."))
            for key, value in node.content.items()
            if normalize(key) in names
            and value is not None
            and not isinstance(value, dict)
            and (setting, value) != ("max_steps", -1)  # Lightning's word for none
        }
        found = {path: number for path, value in found.items() if (number := _number(value, path, draft)) is not None}
        if len({*found.values()}) > 1:
            said = " and ".join(f"{path}={value}" for path, value in found.items())
            draft.leave_out(f"{setting}: {said} are different")
        elif found:
            draft.set(setting, next(iter(found.values())))
    _read_words(nodes, draft)
    if "max_steps" in draft.settings:
        draft.note(
            f"max_steps={draft.settings['max_steps']}: a run ends after its epochs, too; set epochs to at least "
            "max_steps divided by the steps of an epoch"
        )
    clipped = [node for node in nodes if node.content.get("gradient_clip_algorithm") not in (None, "norm")]
    if clipped and draft.settings.pop("clip_grad_norm", None) is not None:
        algorithm = clipped[0].content["gradient_clip_algorithm"]
        draft.leave_out(f"gradient_clip_algorithm={algorithm}: gradients are clipped by their norm alone")


def _read_words(nodes: Sequence[Node], draft: Draft) -> None:
    """Sets `precision` and `deterministic`, which are no numbers, as Lightning's trainer has them."""
    for key, known in (("precision", PRECISIONS), ("deterministic", {"True": True})):
        found = {
            f"{node.path}.{key}".lstrip("."): str(node.content[key])
            for node in nodes
            if node.key in _LOOPS and isinstance(node.content.get(key), str | int) and node.content[key] is not False
        }
        path, value = next(iter(found.items()), ("", ""))
        if len({*found.values()}) > 1:
            draft.leave_out(f"{key}: {' and '.join(f'{one}={other}' for one, other in found.items())} are different")
        elif value in known:
            draft.set(key, known[value])
        elif found:
            draft.leave_out(f"{path}: lossreg has nothing like {shown(value)}")


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
