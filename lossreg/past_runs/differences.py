"""What differs between runs or cells, and the labels that tell them apart. Needs no torch.

The same runs have the same labels in the table of a comparison, in a picture and on a page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from lossreg.run_spec import COMPONENT_FIELDS, RUN_KEYS
from lossreg.spec import ComponentSpec, value_text
from lossreg.training.record.texts import setting_text, short_text
from lossreg.values import one_line

NAMING = ("loss", "optimizer", "scheduler")  # what names something that differs from nothing


@attrs.frozen
class Part:
    """A component, as far as it is known.

    Attributes:
        name: With the plugin before it: `builtin.sgd`; the class of an object; None if there is none.
        text: Its spec text; empty if there is none.
        written: The parameters in its spec text.
        params: All its parameters, as texts.
    """

    name: str | None = None
    text: str = ""
    written: tuple[str, ...] = ()
    params: Mapping[str, str] = attrs.field(factory=dict)

    @classmethod
    def of(cls, spec: ComponentSpec, known: Mapping[str, Any]) -> Part:
        """The component of a spec.

        Args:
            spec: The spec.
            known: All parameters that it is built with, defaults too; empty if they are not known.
        """
        params = {name: one_line(value_text(value)) for name, value in spec.params}
        written = tuple(params)
        # A value as it was built: 1 and 1.0 are the same rate. A nested spec is a text there, and written it is none.
        params |= {
            name: _param_text(value)
            for name, value in known.items()
            if name not in params or not isinstance(value, str | Mapping)
        }
        return cls(spec.name, one_line(spec.text), written, params)


@attrs.frozen
class Subject:
    """What is compared: all settings but the seed.

    Attributes:
        parts: Field -> its component, for all of `COMPONENT_FIELDS`.
        settings: Setting -> its text, for all others.
    """

    parts: Mapping[str, Part]
    settings: Mapping[str, str]

    @property
    def key(self) -> Any:
        """Equal for what differs in nothing but the seed."""
        filled = ((field, part.name, frozenset(part.params.items())) for field, part in self.parts.items())
        return frozenset(filled), frozenset(self.settings.items())


def differences(subjects: Sequence[Subject]) -> list[dict[str, str]]:
    """Of each subject what is not the same in all: setting, or field and parameter -> its text.

    Names of components are short, unless two plugins have the same; a parameter that a component does not have is not
    there. In the order of the settings of a run.
    """
    found: list[dict[str, str]] = [{} for _ in subjects]
    for key in _keys(subjects):
        if key in COMPONENT_FIELDS:
            parts = [subject.parts[key] for subject in subjects]
            if len({part.name for part in parts}) > 1:
                for row, name in zip(found, _short_names(parts), strict=True):
                    row[key] = name
            for name in _differing_params(parts):
                for row, part in zip(found, parts, strict=True):
                    if name in part.params:
                        row[f"{key}.{name}"] = part.params[name]
        else:
            texts = [subject.settings.get(key, "none") for subject in subjects]
            if len(set(texts)) > 1:
                for row, text in zip(found, texts, strict=True):
                    row[key] = text
    return found


def labels_of(subjects: Sequence[Subject], differing: Sequence[Mapping[str, str]]) -> list[str]:
    """The labels: `dice, sgd(lr=0.1), epochs=5`.

    Args:
        subjects: The subjects.
        differing: What differs between them.
    """
    keys = dict.fromkeys(key for differs in differing for key in differs)
    fields = [field for field in _keys(subjects) if field in {key.partition(".")[0] for key in keys}]
    names = {field: _short_names([one.parts[field] for one in subjects]) for field in fields if _is_component(field)}
    return [
        ", ".join(_word(field, names[field][place] if field in names else "", differs) for field in fields)
        or name_of(subject)
        for place, (subject, differs) in enumerate(zip(subjects, differing, strict=True))
    ]


def name_of(subject: Subject) -> str:
    """The name of what differs from nothing: `dice(smooth=1), sgd`."""
    texts = [short_text(subject.parts[field].text) for field in NAMING]
    return ", ".join(filter(None, texts)) or "run"


def _is_component(key: str) -> bool:
    return key in COMPONENT_FIELDS


def _word(field: str, name: str, differs: Mapping[str, str]) -> str:
    if not _is_component(field):
        return f"{field}={differs[field]}"
    prefix = f"{field}."
    inner = ", ".join(f"{key.removeprefix(prefix)}={text}" for key, text in differs.items() if key.startswith(prefix))
    name = f"no {field}" if name == "none" else name
    return f"{name}({inner})" if inner else name


def _keys(subjects: Iterable[Subject]) -> list[str]:
    """All settings, in the order of a run's; those that this version does not know come last."""
    others = dict.fromkeys(key for subject in subjects for key in subject.settings if key not in RUN_KEYS)
    return [*RUN_KEYS, *others]


def _short_names(parts: Sequence[Part]) -> list[str]:
    """Short names; with the plugin before them where two plugins have the same."""
    short = {part.name: short_text(part.name) for part in parts if part.name is not None}
    counted = Counter(short.values())
    return [
        "none" if part.name is None else part.name if counted[short[part.name]] > 1 else short[part.name]
        for part in parts
    ]


def _differing_params(parts: Sequence[Part]) -> list[str]:
    """The parameters that are written for any component and differ, or differ between components of one name."""
    found = {
        name: None
        for name in dict.fromkeys(name for part in parts for name in part.written)
        if len({part.params.get(name) for part in parts}) > 1
    }
    alike: dict[str | None, list[Part]] = {}
    for part in parts:
        alike.setdefault(part.name, []).append(part)
    for same in alike.values():
        for name in dict.fromkeys(name for part in same for name in part.params):
            if len({part.params.get(name) for part in same}) > 1:
                found[name] = None
    return list(found)


def _param_text(value: Any) -> str:
    """The text of a plain value, as it would be written in a spec."""
    try:
        return one_line(value_text(value))
    except (ValueError, RecursionError):  # a file that was changed by hand: too many digits, too deep
        return setting_text(value)
