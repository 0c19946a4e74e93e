"""Which of many past runs are wanted, and in which order: the texts behind `--where` and `--sort`."""

from __future__ import annotations

import fnmatch
import itertools
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from lossreg.errors import ConfigError
from lossreg.names import normalize
from lossreg.run_spec import COMPONENT_FIELDS, RunSpec
from lossreg.spec import ComponentSpec
from lossreg.suggestions import did_you_mean
from lossreg.synonyms import meant_setting
from lossreg.training.record.reading import LOST, STATUSES, RunSummary
from lossreg.values import decimal_comma_hint, shown

Value = float | str | datetime | None

#: Attributes of a run that can be asked for; `device` is the one that was used.
FACTS = (
    "status", "created", "directory", "device", "epochs_done", "best_epoch", "chosen_on", "seconds", "reason",
)  # fmt: skip
SETTINGS = tuple(field.name for field in attrs.fields(RunSpec))
#: Metrics that are known without a run that has them.
METRICS = tuple(
    f"{split}_{what}"
    for what, split in itertools.product(
        ("accuracy", "label_accuracy", "mean_absolute_error", "loss"), ("test", "validation", "train")
    )
)
_WORDS = {"when": "created", "started": "created", "dir": "directory", "name": "directory", "run": "directory"}
_TEXTS = {"status", "directory", "device", "chosen_on", "reason", *COMPONENT_FIELDS}
_CONDITION = re.compile(r"\s*([^\s=<>!]+)\s*(>=|<=|!=|==|=|>|<)\s*(.*?)\s*", re.DOTALL)
_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
}  # fmt: skip
_YES_NO = {"yes": "true", "no": "false"}


@attrs.frozen
class Condition:
    """What is asked of a run.

    Attributes:
        text: As it was written.
        field: A fact, a setting, a metric, or a parameter of a component (`loss.smooth`).
        sign: `=`, `!=`, `>=`, `<=`, `>` or `<`.
        value: With an order a number or a time, else a text.
    """

    text: str
    field: str
    sign: str
    value: Value

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Reads a condition.

        Raises:
            ConfigError: If it is not one.
            SpecError: If a component is compared with what is not a spec text.

        Example:
            >>> Condition.parse("test_accuracy>=0.9").value, Condition.parse("opt=sgd").field
            (0.9, 'optimizer')
        """
        match = _CONDITION.fullmatch(text)
        if match is None or not match[3]:
            raise ConfigError(
                f"--where {shown(text)}: write FIELD=VALUE, such as loss=dice, or a comparison, such as "
                "test_accuracy>=0.9"
            )
        field, sign = field_of(match[1]), match[2].replace("==", "=")
        return cls(text, field, sign, _operand(text, field, sign, match[3]))

    def holds(self, run: RunSummary) -> bool:
        """Whether a run is such a one; one that lacks the field is only by `!=`."""
        value = value_of(run, self.field)
        if self.sign in _ORDER:
            number = value if isinstance(value, datetime) else _number(value)
            return number is not None and _ORDER[self.sign](number, self.value)
        is_equal = _equals(self.field, value, str(self.value))
        return is_equal is (self.sign == "=")


@attrs.frozen
class Order:
    """By what runs are sorted.

    Attributes:
        field: As for a condition.
        descending: Whether the greatest comes first; runs that lack the field come last in both.
    """

    field: str
    descending: bool

    @classmethod
    def parse(cls, text: str) -> Order:
        """Reads `FIELD`, or `-FIELD` for the greatest first.

        Raises:
            ConfigError: If it names nothing.
        """
        name = text.strip()
        if not re.fullmatch(r"-?[^\s=<>!-][^\s=<>!]*", name):
            raise ConfigError(f"--sort {shown(text)}: write FIELD, or -FIELD for the greatest first")
        return cls(field_of(name.removeprefix("-")), name.startswith("-"))

    def apply(self, runs: Iterable[RunSummary]) -> list[RunSummary]:
        """The runs in this order; those that are equal stay as they were."""
        with_values = [(value_of(run, self.field), run) for run in runs]
        there = [pair for pair in with_values if pair[0] is not None]
        there.sort(key=lambda pair: _sortable(pair[0]), reverse=self.descending)
        return [run for _, run in there] + [run for value, run in with_values if value is None]


def field_of(word: str) -> str:
    """The field that a word names; the first part of a dotted one may be what a flag calls it.

    Example:
        >>> field_of("opt.lr"), field_of("batch-size"), field_of("when")
        ('optimizer.lr', 'batch_size', 'created')
    """
    head, dot, name = word.partition(".")
    head = normalize(head)
    return f"{_WORDS.get(head) or meant_setting(head) or head}{dot}{name.replace('-', '_')}"


def check_fields(fields: Mapping[str, str], runs: Sequence[RunSummary]) -> None:
    """Checks that what is asked for is something that runs have.

    Args:
        fields: Field -> how it was asked for, for the message.
        runs: The runs that were found.

    Raises:
        ConfigError: If neither a run can have it nor one of these does.
    """
    known = {*FACTS, *SETTINGS, *METRICS}
    for field, asked in fields.items():
        head, dot, name = field.partition(".")
        if dot:
            if head in COMPONENT_FIELDS and (not runs or any(run.param(head, name) is not None for run in runs)):
                continue
            known_params = {f"{part}.{one}" for run in runs for part in run.built for one in _params(run, part)}
            what = f"no {head} here has a parameter {shown(name)}" if head in COMPONENT_FIELDS else ""
            what = what or f"{shown(head)} is not a component; components: {', '.join(COMPONENT_FIELDS)}"
            raise ConfigError(f"{asked}: {what}.{did_you_mean(field, known_params)}")
        if field not in known and not any(field in run.final for run in runs):
            metrics = dict.fromkeys([*METRICS, *(name for run in runs for name in run.final)])
            hint = did_you_mean(field, [*known, *metrics])
            raise ConfigError(
                f"{asked}: no run here has {shown(field)}.{hint} Fields: {', '.join([*FACTS, *SETTINGS])}; metrics: "
                f"{', '.join(metrics)}; parameters, such as optimizer.lr"
            )


def value_of(run: RunSummary, field: str) -> Value:
    """What a run has for a field."""
    head, dot, name = field.partition(".")
    if dot:
        return run.param(head, name)
    if field in COMPONENT_FIELDS:
        return run.components.get(field, "none")
    if field == "directory":
        return str(run.directory)
    if field in FACTS:
        fact: Value = getattr(run, field)
        return fact
    return run.final[field] if field in run.final else run.spec.get(field)


def main_metric(run: RunSummary) -> str | None:
    """The metric that tells most of how a run ended: on the test split before others, no loss before others."""
    return next((name for name in METRICS if run.final.get(name) is not None), None)


def _operand(text: str, field: str, sign: str, value: str) -> Value:
    """What a condition compares with, checked."""
    if field == "status" and sign in ("=", "!=") and value not in (*STATUSES, LOST):
        hint = did_you_mean(value, (*STATUSES, LOST))
        raise ConfigError(
            f"--where {shown(text)}: there is no status {shown(value)}.{hint} Statuses: {', '.join((*STATUSES, LOST))}"
        )
    if field in COMPONENT_FIELDS and "(" in value and "*" not in value:
        return str(ComponentSpec.parse(value))
    if field == "created":
        return _time(text, value) if sign in _ORDER else value
    if sign not in _ORDER:
        return value
    if field in _TEXTS:
        raise ConfigError(f"--where {shown(text)}: {field} is not a number; compare it with = or !=")
    number = _number(value)
    if number is None:
        raise ConfigError(f"--where {shown(text)}: {shown(value)} is not a number{decimal_comma_hint(value)}")
    return number


def _time(text: str, value: str) -> datetime:
    try:
        return datetime.fromisoformat(value).astimezone()
    except (ValueError, OverflowError, OSError) as error:  # the last two for years that no clock has
        raise ConfigError(f"--where {shown(text)}: {shown(value)} is not a time, such as 2026-01-31") from error


def _number(value: object) -> float | None:
    """A number, or a text that is one; NaN is not."""
    try:
        number = float(value)  # type: ignore[arg-type]  # what is not a number is caught
    except (TypeError, ValueError, OverflowError):
        return None
    return None if number != number else number


def _equals(field: str, value: Value, wanted: str) -> bool:
    if value is None:
        return wanted.lower() == "none"
    if field in COMPONENT_FIELDS:
        return _is_component(str(value), wanted)
    if isinstance(value, datetime):
        return value.astimezone().isoformat(" ").startswith(wanted.replace("T", " "))
    one, other = _number(value), _number(wanted)
    if one is not None and other is not None:
        return one == other
    wanted = wanted.lower()
    text = str(value).lower()
    return text in (wanted, _YES_NO.get(wanted)) or (field == "directory" and fnmatch.fnmatchcase(text, f"*{wanted}*"))


def _is_component(text: str, wanted: str) -> bool:
    """Whether a component is the wanted one: by short name, full id, or spec text with or without its plugin."""
    name = text.partition("(")[0]
    spellings = {text, _without_plugins(text), name, name.rpartition(".")[2]}
    asked = {wanted, _without_plugins(wanted)} if "(" in wanted else {wanted, normalize(wanted)}
    return not spellings.isdisjoint(asked) or any(fnmatch.fnmatchcase(one, wanted) for one in spellings)


def _without_plugins(text: str) -> str:
    """A spec text, and those in it, without the plugins before their names."""
    text = re.sub(r"\b[a-z_]\w*\.(?=[a-z_]\w*\()", "", text)
    return text if "(" in text else text.rpartition(".")[2]


def _params(run: RunSummary, part: str) -> Iterable[str]:
    params = run.built[part].get("params")
    return params if isinstance(params, dict) else ()


def _sortable(value: Value) -> tuple[int, Any]:
    """What any value can be sorted by: times, then numbers, then texts."""
    if isinstance(value, datetime):
        return 0, value
    number = _number(value)
    return (2, str(value)) if number is None else (1, number)
