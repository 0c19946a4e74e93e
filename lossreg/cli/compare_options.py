"""The options of `compare` and `noise`, and their way into a question."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import attrs
import click

from lossreg.cli.config_file import load_comparison
from lossreg.cli.run_command import EDITS, RunCommand
from lossreg.cli.run_options import repeatable_options
from lossreg.cli.run_settings import check_working_directory, groups_of
from lossreg.comparison.cells import Choice, Question, check_filled, seeds_from
from lossreg.comparison.question import Options, choices_of
from lossreg.errors import ConfigError, LossregError
from lossreg.registry.edits import Edit
from lossreg.run_spec import COMPONENT_FIELDS, RUN_KEYS, SETTINGS, RunSpec
from lossreg.training.arguments import check_call
from lossreg.values import shown

F = TypeVar("F", bound=Callable[..., Any])

#: Keys of the table [compare] that are not settings of a run, with the types that they have.
_KEYS: Mapping[str, type] = {"seeds": int, "pairs": bool, "target": str, "baseline": str, "fair": int}


class CompareCommand(RunCommand):
    """A command that takes the options of a run, each more than once."""

    without_value = frozenset(["--ray"])

    def _no_such_option(self, written: str, ctx: click.Context, args: list[str]) -> click.UsageError:
        """For options of a run that say in which directory it goes on, what a comparison has instead."""
        if written in ("--resume", "--override"):
            return click.UsageError(
                f"{written} belongs to run: a comparison that was broken off goes on, each run from its last "
                "checkpoint, if it is called again with the same --out",
                ctx,
            )
        return super()._no_such_option(written, ctx, args)


@attrs.frozen
class Asked:
    """What a command line asks.

    Attributes:
        question: What is compared.
        options: How.
    """

    question: Question
    options: Options


def compare_options(seeds: int) -> Callable[[F], F]:
    """Adds the options that `compare` and `noise` share.

    Args:
        seeds: How many seeds a cell has by default.
    """
    options: list[Callable[[F], F]] = [
        repeatable_options("target"),
        click.option(
            "--seeds",
            type=click.INT,
            metavar="N",
            help=f"Seeds of each cell, counted from --seed. [default: {seeds}]",
        ),
        click.option(
            "--target",
            metavar="TARGET",
            help="Measure epochs and seconds until a metric reaches a value: 'test_accuracy>=0.97'. It ends no run.",
        ),
        click.option(
            "--out",
            type=click.Path(),
            metavar="DIR",
            help="The directory: absent, empty, or that of the same comparison, which goes on. "
            "[default: runs/<time>-compare]",
        ),
        click.option("--jobs", type=click.INT, metavar="N", help="Runs at once. [default: what suits the machine]"),
        click.option(
            "--devices",
            metavar="LIST",
            help="CUDA devices for the runs: 'cuda:0,cuda:1'. [default: all that there are]",
        ),
        click.option("--plots/--no-plots", default=True, help="Draw curves.png in each run directory. [default: yes]"),
        click.option("--quiet", is_flag=True, help="Show no progress."),
        click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object."),
    ]

    def add(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return add


def asked_of(ctx: click.Context, default_seeds: int) -> Asked:
    """What a command line asks: options before the file, and before its table [compare].

    Args:
        ctx: The command's.
        default_seeds: How many seeds a cell has by default.

    Raises:
        LossregError: If the file or a setting is wrong.
    """
    from lossreg.registry.registries import default

    check_working_directory()
    check_call(None, ctx.params["out"])
    settings = {key: value for key, value in ctx.params.items() if key in RUN_KEYS and key != "target"}
    written = {key: value for key, value in settings.items() if value not in (None, ())}
    first = written.pop("seed", ())
    choices = [_choice(key, values) for key, values in written.items()]
    choices += _dotted(ctx.meta[EDITS])
    base: dict[str, Any] = {}
    table: dict[str, Any] = {}
    if ctx.params["config"] is not None:
        replaced = {*written, *(["seed"] if first else [])}
        file, base, table = load_comparison(ctx.params["config"], default, replaced)
        choices, first = _with_table(choices, first, table, file)
        first = first or ((base.pop("seed"),) if "seed" in base else ())
    options: dict[str, Any] = {
        name: table.get(name) if ctx.params.get(name) is None else ctx.params[name]
        for name in ("target", "baseline", "fair")
    }
    # `0` is not left out: it is an error to be told.
    count = ctx.params["seeds"] if ctx.params["seeds"] is not None else table.get("seeds") if len(first) < 2 else None
    seeds = seeds_from([RunSpec(seed=seed).seed for seed in first], count, default_seeds)
    pairs = bool(ctx.params.get("pairs") or table.get("pairs"))
    devices = tuple(part.strip() for part in (ctx.params["devices"] or "").split(",") if part.strip())
    return Asked(
        Question(tuple(choices), seeds, pairs, {key: value for key, value in base.items() if key not in written}),
        Options(ctx.params["jobs"], devices, **options, ray=ctx.params.get("ray"), plots=ctx.params["plots"]),
    )


def _choice(key: str, values: tuple[Any, ...]) -> Choice:
    flag = SETTINGS[key].flags[0]
    # What a run itself takes several of is not one for each cell.
    if SETTINGS[key].kind == "groups":
        return Choice(key, flag, (groups_of(values),))
    if SETTINGS[key].kind == "components":
        return Choice(key, flag, (values,))
    return Choice(key, flag, values)


def _dotted(edits: list[Edit]) -> list[Choice]:
    """A choice for each parameter, in the order in which they were first written."""
    found: dict[str, list[Edit]] = {}
    for edit in edits:
        found.setdefault(f"{edit.field}.{edit.parameter}", []).append(edit)
    return [Choice(key, several[0].flag, tuple(edit.text for edit in several)) for key, several in found.items()]


def _with_table(
    choices: list[Choice], first: tuple[Any, ...], table: Mapping[str, Any], file: str
) -> tuple[list[Choice], tuple[Any, ...]]:
    """The choices, and those of a table that no option replaces; the same for the seeds."""
    for key, kind in _KEYS.items():
        if key in table and (not isinstance(table[key], kind) or (kind is int and isinstance(table[key], bool))):
            words = {int: "a whole number", bool: "true or false", str: "text"}
            raise ConfigError(f"{file}: {key} in [compare] is {words[kind]}, not {shown(table[key])}")
    where = f"{file}: [compare]"
    for field, value in table.items():
        if field in COMPONENT_FIELDS and isinstance(value, Mapping):
            name = f"{field}.{next(iter(value), 'name')}"
            raise ConfigError(f'{where}: {name} is a parameter, whose key is in quotes: "{name}" = ...')
    try:
        lists, seeds = choices_of({key: value for key, value in table.items() if key not in _KEYS})
        _check_lists(lists)
    except LossregError as error:
        error.message = f"{where}: {error.message}"
        raise
    given = {choice.key for choice in choices}
    # A component that an option names takes its parameters along.
    kept = [one for one in lists if one.key not in given and one.key.partition(".")[0] not in given]
    return [*choices, *kept], first or seeds


def _check_lists(lists: Sequence[Choice]) -> None:
    """Checks what can be said of a table's lists one by one, so that its file can be named.

    Raises:
        LossregError: If one is empty, or has a value that does not fit its setting.
    """
    for choice in lists:
        check_filled(choice)
        if not choice.is_dotted:
            for value in choice.values:
                RunSpec.from_mapping({choice.key: value}, "")
