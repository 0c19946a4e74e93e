"""The cells of a comparison: all combinations of what was given more than once. Needs no torch."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import attrs

from lossreg.conversion.class_names import naming_classes
from lossreg.errors import ConfigError, LossregError, UnknownParameterError
from lossreg.registry.edits import Edit, merged, misfit
from lossreg.registry.registries import Registries
from lossreg.run_spec import CHECKPOINTING, RunSpec
from lossreg.spec import ComponentSpec
from lossreg.values import shown

SEEDS = 3  # of each cell, by default
MAX_RUNS = 10_000  # more is a typing error


@attrs.frozen
class Choice:
    """What one setting, or one parameter of a component, is in turn.

    Attributes:
        key: The setting (`"loss"`), or field and parameter (`"optimizer.lr"`).
        flag: As it was written, for messages: `--loss`, `--opt.lr`.
        values: Values of the setting as RunSpec takes them, or texts for a parameter.
    """

    key: str
    flag: str
    values: tuple[Any, ...]

    @property
    def is_dotted(self) -> bool:
        """Whether it is of a parameter."""
        return "." in self.key


@attrs.frozen
class Question:
    """What is to be compared.

    Attributes:
        choices: What differs, or is given for all; each setting and each parameter once, but not the seed.
        seeds: With which each cell is run.
        pairs: Whether lists go together, the first values with the first, instead of in all combinations.
        base: What a file says of the settings that no choice is about.
    """

    choices: tuple[Choice, ...]
    seeds: tuple[int, ...]
    pairs: bool = False
    base: Mapping[str, Any] = attrs.field(factory=dict)


def seeds_from(first: Sequence[int], count: int | None, default: int = SEEDS) -> tuple[int, ...]:
    """The seeds of each cell.

    Args:
        first: What was given as `seed`: none, the first, or all.
        count: How many, or None.
        default: How many if that is not said.

    Raises:
        ConfigError: If there are none, or the two contradict each other.

    Example:
        >>> seeds_from([], None), seeds_from([7], 2), seeds_from([1, 5], None)
        ((0, 1, 2), (7, 8), (1, 5))
    """
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_RUNS):
        raise ConfigError(f"seeds (--seeds) is a whole number from 1 to {MAX_RUNS:,}, not {shown(count)}")
    if len(first) > 1:
        if count is not None:
            raise ConfigError(
                f"seeds (--seeds) is {count}, and {len(first)} seeds are named (--seed): leave one of the two out"
            )
        return tuple(first)
    start = first[0] if first else 0
    return tuple(range(start, start + (default if count is None else count)))


def expand(question: Question, registries: Registries) -> tuple[list[RunSpec], list[str]]:
    """The spec of each cell, with the first seed, and what is to be said aloud of options that do not fit all.

    Raises:
        LossregError: If there is nothing to compare, a value is wrong, or an option fits no cell.
    """
    _check(question)
    dotted = [choice for choice in question.choices if choice.is_dotted]
    fitting: dict[str, int] = dict.fromkeys((choice.key for choice in dotted), 0)
    refusals: dict[str, dict[str, LossregError]] = {choice.key: {} for choice in dotted}
    specs: dict[tuple[Any, ...], RunSpec] = {}
    combinations = list(_combinations(question))
    for values in combinations:
        given = {choice.key: value for choice, value in values if not choice.is_dotted}
        given["seed"] = question.seeds[0]
        with naming_classes(registries):
            plain = RunSpec.from_mapping(given, "")
        given = {key: getattr(plain, key) for key in given}
        unedited = merged(given, question.base, (), registries)
        edits = []
        for choice, text in values:
            if choice.is_dotted:
                field, _, parameter = choice.key.partition(".")
                edit = Edit(choice.flag, field, parameter, text)
                why = misfit(edit, unedited, registries)
                if why is None:
                    edits.append(edit)
                    fitting[choice.key] += 1
                else:
                    refusals[choice.key][why.message] = why
        spec = RunSpec(**merged(given, question.base, edits, registries))
        specs.setdefault(identity(spec), spec)
    notes = [
        note
        for choice in dotted
        for note in _misfits(choice, fitting[choice.key], len(combinations), refusals[choice.key])
    ]
    return list(specs.values()), notes


def identity(spec: RunSpec) -> tuple[Any, ...]:
    """What makes two specs the same cell: all but the seed, by its text."""
    return tuple(sorted((key, repr(value)) for key, value in spec.items() if key != "seed"))


def check_filled(choice: Choice) -> None:
    """Checks that a choice has something to choose from.

    Raises:
        ConfigError: If it is an empty list.
    """
    if not choice.values:
        raise ConfigError(f"{choice.flag} is an empty list, so there is no cell to run; name a value, or leave it out")


def _check(question: Question) -> None:
    """Checks that no list is empty, says something twice, or has no partner.

    Raises:
        ConfigError: That names the list.
    """
    for choice in question.choices:
        check_filled(choice)
        texts = [_text(value) for value in choice.values]
        twice = next((text for index, text in enumerate(texts) if text in texts[:index]), None)
        if twice is not None and not question.pairs:  # where it may go with another value
            raise ConfigError(f"{choice.flag} {twice} is given twice")
        if choice.key in CHECKPOINTING and len(choice.values) > 1:
            raise ConfigError(
                f"{choice.flag} has {len(choice.values)} values ({', '.join(texts)}), and decides nothing of a run but "
                "its checkpoints: cells that differ in it would be the same; give it once, for all cells"
            )
    if len(set(question.seeds)) < len(question.seeds):
        raise ConfigError(f"--seed: a seed is given twice: {', '.join(map(str, question.seeds))}")
    lists = [choice for choice in question.choices if len(choice.values) > 1]
    if question.pairs and len({len(choice.values) for choice in lists}) > 1:
        lengths = ", ".join(f"{choice.flag} has {len(choice.values)}" for choice in lists)
        raise ConfigError(f"--pairs: lists that go together are of one length, but {lengths}")
    cells = 1
    for choice in lists:
        cells = len(choice.values) if question.pairs else cells * len(choice.values)
    if cells * len(question.seeds) > MAX_RUNS:
        raise ConfigError(
            f"{cells:,} cells with {len(question.seeds)} seeds are {cells * len(question.seeds):,} runs; a comparison "
            f"has at most {MAX_RUNS:,}"
        )


def _combinations(question: Question) -> Iterator[Collection[tuple[Choice, Any]]]:
    choices = question.choices
    if not question.pairs:
        yield from (
            tuple(zip(choices, values, strict=True)) for values in itertools.product(*(one.values for one in choices))
        )
        return
    for index in range(max((len(choice.values) for choice in choices), default=1)):
        yield tuple((choice, choice.values[index if len(choice.values) > 1 else 0]) for choice in choices)


def _misfits(choice: Choice, fitting: int, total: int, why: Mapping[str, LossregError]) -> Iterator[str]:
    """What to say of an option that does not fit all cells.

    Raises:
        LossregError: If it fits none.
    """
    reasons = "; ".join(dict.fromkeys(map(_briefly, why.values())))
    if fitting == 0 and len(why) == 1:
        raise next(iter(why.values()))
    if fitting == 0:
        raise ConfigError(f"{choice.flag} fits none of the cells: {reasons}")
    if why:
        share = f"{fitting // len(choice.values)} of {total // len(choice.values)}"
        yield (
            f"{choice.flag} is set in {share} combinations of the other choices, and left out where it does not fit: "
            f"{reasons}"
        )


def _briefly(error: LossregError) -> str:
    if isinstance(error, UnknownParameterError):
        return f"{error.component} has no parameter {error.parameter!r}"
    return error.message.partition("\n")[0]


def _text(value: Any) -> str:
    return value.text if isinstance(value, ComponentSpec) else str(value)
