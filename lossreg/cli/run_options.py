"""Options that `run` and `plan` share, and their way into a request."""

from __future__ import annotations

import contextlib
import functools
import itertools
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import attrs
import click
from click.shell_completion import CompletionItem

from lossreg.cli.completion import (
    complete_device,
    complete_groups,
    complete_spec,
    complete_value,
    complete_weights,
    parameters_of,
)
from lossreg.cli.config_file import load_config, load_past_run
from lossreg.cli.dotted import DOTTED, FLAGS, WAITING, split_dotted
from lossreg.errors import ConfigError, LossregError
from lossreg.groups import preset_of
from lossreg.names import normalize
from lossreg.registry.edits import Edit, default_model, merged
from lossreg.registry.entry import RegistryEntry
from lossreg.registry.guesses import Owner, find_owner
from lossreg.registry.registries import Registries
from lossreg.run_spec import COMPONENT_FIELDS, LISTED_FIELDS, RUN_KEYS, SETTINGS, RunSpec
from lossreg.settings import Setting
from lossreg.spec import ComponentSpec
from lossreg.suggestions import close_matches
from lossreg.synonyms import meant_setting
from lossreg.training.record.run_json import NAME
from lossreg.values import decimal_comma_hint
from lossreg.values import shown as quoted

EDITS = "lossreg.edits"
COMMAND = "lossreg.command"  # where main.py puts the whole line, as a shell would read it
_OPTION = re.compile(r"--[A-Za-z]", re.ASCII)

F = TypeVar("F", bound=Callable[..., Any])


class _Number(click.types.FloatParamType):
    """A number, whose decimal point may not be a comma."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number."""
        hint = decimal_comma_hint(str(value))
        return (
            self.fail(f"{value!r} is not a number{hint}.", param, ctx) if hint else super().convert(value, param, ctx)
        )


_TYPES: Mapping[str, click.ParamType[Any]] = {"whole": click.INT, "number": _Number()}

#: What `--help` says of a setting in addition, where the command line has a form of its own.
_MORE_HELP: Mapping[str, str] = {
    "param_groups": " Written 'PATTERN: KEY=VALUE, ...', 'PATTERN: OPTIMIZER' or "
    "'PRESET', as '*.bias: weight_decay=0'; may be given more than once.",
    "metrics": " A spec text such as 'f1' or 'top_k(k=5)'; may be given more than once.",
    "observe": " A spec text such as 'tensorboard'; may be given more than once.",
}


class RunCommand(click.Command):
    """A command that takes dotted parameters, and refuses an option that is given twice.

    Attributes:
        without_value: Options whose value may be left out.
    """

    without_value: ClassVar[Collection[str]] = ()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Takes the dotted options out before click sees the rest: click would read `-1` after one as an option."""
        if not ctx.resilient_parsing:
            self._check_values(ctx, args)
        rest, edits = split_dotted(args, ctx)
        ctx.meta[EDITS] = edits
        try:
            if not ctx.resilient_parsing:
                self._refuse_repeats(ctx, list(rest))
            return super().parse_args(ctx, rest)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            if isinstance(error, click.NoSuchOption):
                raise self._no_such_option(error.option_name, ctx, rest) from None
            raise

    def _check_values(self, ctx: click.Context, args: list[str]) -> None:
        """Checks that no option stands where the value of another belongs: click would take it for the value."""
        options = [parameter for parameter in self.get_params(ctx) if isinstance(parameter, click.Option)]
        known = {flag for option in options for flag in (*option.opts, *option.secondary_opts)}
        taking = {flag for option in options if not option.is_flag for flag in option.opts} - {*self.without_value}
        words = iter(args)
        for word in words:
            if word == "--":
                return
            dotted = DOTTED.fullmatch(word)
            if word not in taking and (dotted is None or dotted[3] is not None):
                continue
            value = next(words, None)
            if value is not None and (value in known or _OPTION.match(value)):
                raise click.UsageError(
                    f"{word} lacks its value: behind it stands {quoted(value)}, which is an option. A value that "
                    f"begins like one is written {word}=VALUE",
                    ctx,
                )

    def _no_such_option(self, written: str, ctx: click.Context, args: list[str]) -> click.UsageError:
        """The error that says what was probably meant: a setting, a parameter of a component, or an option."""
        known = [
            option for parameter in self.get_params(ctx) for option in (*parameter.opts, *parameter.secondary_opts)
        ]
        if self.name == "plan" and written in ("--out", "--quiet", "--no-plots"):
            return click.UsageError(
                f"{written} belongs to run: plan writes nothing and shows no progress; leave it out", ctx
            )
        setting = meant_setting(written.lstrip("-"))
        owner = None if setting else _owner(written.lstrip("-"), args)
        if setting:
            meant: tuple[str, ...] = (SETTINGS[setting].flags[0],)
        elif owner:
            meant = (f"{SETTINGS[owner.field].flags[0]}.{owner.parameter}",)
        else:
            begun = tuple(option for option in known if len(written) > 2 and option.startswith(written))
            meant = begun[:3] or close_matches(written, known)
        hint = f" Did you mean {' or '.join(map(repr, meant))}?" if meant else ""
        return click.UsageError(f"No such option {quoted(written)}.{hint}", ctx)  # click drops what looks unlike it

    def _refuse_repeats(self, ctx: click.Context, args: list[str]) -> None:
        _, _, order = self.make_parser(ctx).parse_args(args)
        for index, parameter in enumerate(order):
            if isinstance(parameter, click.Option) and not parameter.multiple and parameter in order[:index]:
                listed = parameter.name in ("freeze", "unfreeze")
                hint = "; write its patterns in one text, separated by commas" if listed else ""
                raise click.UsageError(f"{' / '.join(parameter.opts)} is given twice{hint}", ctx)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Completes options, behind `--loss.` the parameters of the loss, and behind one of these its values."""
        waiting: Edit | None = ctx.meta.get(WAITING)
        if waiting is not None:
            entry = _entry(waiting.field, ctx.params)
            return [] if entry is None else complete_value(entry, waiting.parameter, incomplete)
        prefix, dot, _ = incomplete.partition(".")
        if not dot or prefix.lstrip("-") not in FLAGS:
            return super().shell_complete(ctx, incomplete)
        entry = _entry(FLAGS[prefix.lstrip("-")], ctx.params)
        names = [] if entry is None else parameters_of(entry)
        offered = [f"{prefix}.{name}" for name in names]
        return [CompletionItem(option) for option in offered if option.startswith(incomplete)]


def _owner(word: str, args: list[str]) -> Owner | None:
    """The component, of those that a line names or that are the default ones, that has a parameter of this name."""
    from lossreg.registry.registries import default

    written: dict[str, str] = {}
    for option, value in itertools.zip_longest(args, args[1:], fillvalue=""):
        flag, sign, joined = option.removeprefix("--").partition("=")
        if option.startswith("--") and flag in FLAGS:
            written[FLAGS[flag]] = joined if sign else value
    try:
        return find_owner(word, components_of(written, default), default)
    except LossregError:
        return None


def components_of(written: Mapping[str, Any], registries: Registries) -> dict[str, ComponentSpec | None]:
    """Field -> the component that fills it, where the settings name it or it is the default one.

    Raises:
        LossregError: If a text is not a spec, or the data set does not exist.
    """
    run_spec = RunSpec(**{field: _last(written[field]) for field in COMPONENT_FIELDS if written.get(field)})
    specs = {field: getattr(run_spec, field) for field in COMPONENT_FIELDS}
    return {**specs, "model": specs["model"] or default_model(run_spec, registries)}


def _last(value: Any) -> Any:
    """What was written last, of an option that may be given more than once."""
    return value[-1] if isinstance(value, tuple) else value


def _entry(field: str, params: Mapping[str, Any]) -> RegistryEntry[Any] | None:
    """The component of a field as a line means it, or None."""
    from lossreg.registry.registries import default

    try:
        spec = components_of(params, default)[field]
        return default.of(COMPONENT_FIELDS[field])[spec.name] if spec else None
    except LossregError:
        return None


def _completer(name: str) -> Callable[..., list[CompletionItem[str]]] | None:
    """What completes the value of a setting; None where click knows."""
    if name == "device":
        return complete_device
    if name == "weights":
        return complete_weights
    if name == "param_groups":
        return complete_groups
    if name in LISTED_FIELDS:
        return functools.partial(_complete_spec, LISTED_FIELDS[name])
    if name not in COMPONENT_FIELDS:
        return None
    return functools.partial(_complete_spec, COMPONENT_FIELDS[name])


def _complete_spec(kind: str, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    return complete_spec(kind, incomplete)


class _OrNone(click.ParamType[Any]):
    """A number, or the word `none`, which undoes what a file says."""

    def __init__(self, number: click.ParamType[Any]) -> None:
        self._number = number
        self.name = number.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number, or the word as it is: RunSpec reads it."""
        return value if str(value).strip().lower() == "none" else self._number.convert(value, param, ctx)


def _type(setting: Setting) -> click.ParamType[Any] | None:
    if setting.kind == "choice":
        return click.Choice((*setting.choices, "none") if setting.optional else setting.choices)
    number = _TYPES.get(setting.kind)
    return _OrNone(number) if number and setting.optional else number


def _option(name: str, setting: Setting, *, repeatable: bool) -> Callable[[F], F]:
    """The option of a setting."""
    shown = f"{setting.description}{_MORE_HELP.get(name, '')} [default: {setting.default}]"
    if setting.kind == "switch":
        (flag,) = setting.flags
        words = f"{flag}/--no-{flag.removeprefix('--')}"
        return click.option(words, name, is_flag=True, default=None, multiple=repeatable, help=shown)
    return click.option(
        *setting.flags,
        name,
        type=_type(setting),
        metavar=setting.metavar,
        multiple=repeatable or setting.kind in ("groups", "components"),
        help=shown,
        shell_complete=_completer(name),
    )


def run_options(function: F) -> F:
    """Adds the options that describe a run: one for each setting, and the file."""
    return _described(function, (), repeatable=False)


def repeatable_options(*left_out: str) -> Callable[[F], F]:
    """Adds the same options, each of which may be given more than once.

    Args:
        left_out: Settings that have no option.
    """
    return functools.partial(_described, left_out=left_out, repeatable=True)


def _described(function: F, left_out: Collection[str], *, repeatable: bool) -> F:
    function = click.option(
        "-c",
        "--config",
        type=click.Path(),
        metavar="FILE",
        help="A TOML or JSON file with such settings, or the run.json of a past run; - is stdin; options go before it.",
    )(function)
    for name, setting in reversed(list(SETTINGS.items())):
        if name not in left_out:
            function = _option(name, setting, repeatable=repeatable)(function)
    return function


@attrs.frozen
class RunSettings:
    """The settings of a run, and which of them a file gave.

    Attributes:
        spec: The settings.
        file: The file, or None.
        from_file: The settings that the file gave and no option replaced.
        repeats: The run.json of the past run that is repeated, or None.
    """

    spec: RunSpec
    file: str | None
    from_file: frozenset[str]
    repeats: Path | None = None


@contextlib.contextmanager
def naming_file(file: str | None, from_file: frozenset[str]) -> Iterator[None]:
    """An error about a setting that a file gave names the file."""
    try:
        yield
    except LossregError as error:
        if error.setting in from_file:
            error.message = f"{file}: {error.message}"
        raise


def settings_of(ctx: click.Context, resume: Path | None = None) -> RunSettings:
    """The settings of a run: options before the file, and dotted options edit what the two say.

    Args:
        ctx: Of the command.
        resume: The directory of a run that goes on, whose record is the file.

    Raises:
        LossregError: If the file or a setting is wrong.
    """
    from lossreg.registry.registries import default

    check_working_directory()
    flags = {key: value for key, value in ctx.params.items() if key in RUN_KEYS and value not in (None, ())}
    if "param_groups" in flags:
        flags["param_groups"] = groups_of(flags["param_groups"])
    from_flags = RunSpec.from_mapping(flags, "")
    settings = {key: getattr(from_flags, key) for key in flags}
    file: str | None = None
    config: dict[str, Any] = {}
    if resume is not None and ctx.params["config"] is not None:
        raise ConfigError("--resume and --config are given: a run goes on with its own settings; leave out one of them")
    if resume is not None:
        file, config = load_past_run(resume, default)
    elif ctx.params["config"] is not None:
        file, config = load_config(ctx.params["config"], default, replaced=flags.keys())
    from_file = frozenset(config.keys() - flags.keys())
    edits: list[Edit] = ctx.meta[EDITS]
    with naming_file(file, from_file):
        settings = merged(settings, config, edits, default)
    repeats = Path(file) if file is not None and resume is None and Path(file).name == NAME else None
    return RunSettings(RunSpec(**settings), file, from_file, repeats)


def check_working_directory() -> None:
    """Checks that there is one: torch ends the process without it."""
    try:
        Path.cwd()
    except OSError as error:
        raise ConfigError(f"the working directory cannot be used: {error.strerror}; change to another one") from error


def groups_of(texts: tuple[str, ...]) -> dict[str, str] | str:
    """`PATTERN: KEY=VALUE, ...` as patterns and options; `none` as it is."""
    if len(texts) == 1 and normalize(texts[0]) == "none":
        return texts[0]
    groups: dict[str, str] = {}
    for text in texts:
        if normalize(text) == "none":
            raise ConfigError(f"--param-groups {quoted(text)} drops all groups, and stands alone; leave it out")
        preset = preset_of(text)
        if preset is not None:
            groups[preset.pattern] = ""
            continue
        pattern, colon, options = map(str.strip, text.partition(":"))
        if not colon or not pattern or not options:
            raise ConfigError(
                f"--param-groups {quoted(text)}: write 'PATTERN: KEY=VALUE, ...', such as '*.bias: weight_decay=0', "
                "or a preset, no_decay or layer_decay(0.75)"
            )
        if pattern in groups:
            raise ConfigError(f"--param-groups: the pattern {quoted(pattern)} is given twice")
        groups[pattern] = options
    return groups
