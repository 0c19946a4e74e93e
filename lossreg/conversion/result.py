"""What a file of another program says, as settings of a run; and the TOML of these."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping
from typing import Any

import attrs

from lossreg.run_spec import RunSpec
from lossreg.spec import ComponentSpec

#: What Lightning calls a precision -> ours.
PRECISIONS: Mapping[str, str] = {
    "32": "32", "32-true": "32", "16": "16", "16-mixed": "16", "bf16": "bf16", "bf16-mixed": "bf16",
}  # fmt: skip
WRITTEN_PRECISIONS: Mapping[str, str] = {"32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed"}

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


@attrs.frozen
class Converted:
    """What a file of another program says.

    Attributes:
        settings: Setting -> value, as RunSpec and TOML take it; components are spec texts.
        notes: What means something else here than there and was carried over right, each as a sentence.
        left_out: What is in the file and not in the settings, each as a sentence that names it.
    """

    settings: dict[str, Any]
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def unwritten(spec: RunSpec, written: Collection[str], what: str) -> list[str]:
    """A note for each setting that a format has no place for, and that is not the default.

    Args:
        spec: The settings.
        written: Those that the format has a place for.
        what: The format, `a YAML of LightningCLI`.

    Example:
        >>> from lossreg.run_spec import RunSpec
        >>> unwritten(RunSpec(max_steps=3, epochs=2), ["epochs"], "a YAML of Hydra")
        ['max_steps is left out: a YAML of Hydra has nothing like it']
    """
    default = RunSpec()
    return [
        f"{key} is left out: {what} has nothing like it"
        for key, _ in spec.items()
        if key not in written and getattr(spec, key) != getattr(default, key)
    ]


@attrs.define
class Draft:
    """A `Converted` while it is made.

    Attributes:
        settings: As there.
        notes: As there.
        left_out: As there.

    Example:
        >>> draft = Draft()
        >>> draft.set("optimizer", ComponentSpec("sgd", {"lr": 0.1}))
        >>> draft.leave_out("model: lossreg does not read it")
        >>> draft.done().settings
        {'optimizer': 'sgd(lr=0.1)'}
    """

    settings: dict[str, Any] = attrs.field(factory=dict)
    notes: list[str] = attrs.field(factory=list)
    left_out: list[str] = attrs.field(factory=list)

    def set(self, key: str, value: Any) -> None:
        """Sets a setting; a spec is kept as its text."""
        self.settings[key] = value.text if isinstance(value, ComponentSpec) else value

    def note(self, *sentences: str) -> None:
        """Keeps notes, each once."""
        self.notes += [one for one in dict.fromkeys(sentences) if one not in self.notes]

    def leave_out(self, *sentences: str) -> None:
        """Keeps what is left out, each once."""
        self.left_out += [one for one in dict.fromkeys(sentences) if one not in self.left_out]

    def done(self) -> Converted:
        """The result."""
        return Converted(dict(self.settings), tuple(self.notes), tuple(self.left_out))


def toml_of(settings: Mapping[str, Any]) -> str:
    """Settings as a TOML text; tables come last.

    Example:
        >>> print(toml_of({"param_groups": {"*.bias": "weight_decay=0"}, "epochs": 5}), end="")
        epochs = 5
        <BLANKLINE>
        [param_groups]
        "*.bias" = "weight_decay=0"
    """
    lines = [f"{key} = {_toml_value(value)}" for key, value in settings.items() if not isinstance(value, Mapping)]
    for key, table in settings.items():
        if isinstance(table, Mapping):
            lines += ["", f"[{key}]", *(f"{_toml_key(row)} = {_toml_value(value)}" for row, value in table.items())]
    return "\n".join(lines).strip("\n") + "\n"


def _toml_key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _toml_value(key)


def _toml_value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case float() if math.isinf(value):
            return "inf" if value > 0 else "-inf"
        case int() | float():
            return repr(value)
        case list() | tuple():
            return f"[{', '.join(map(_toml_value, value))}]"
        case Mapping():
            return f"{{{', '.join(f'{_toml_key(key)} = {_toml_value(one)}' for key, one in value.items())}}}"
    raise TypeError(f"TOML has no form for {value!r}")
