"""The class of the commands that describe a run: dotted options, what was meant by an unknown one, completion."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import click
from click.shell_completion import CompletionItem

from lossreg.cli.completion import complete_value, parameters_of
from lossreg.cli.dotted import DOTTED, FLAGS, WAITING, split_dotted
from lossreg.errors import LossregError
from lossreg.registry.edits import Edit, default_model
from lossreg.registry.entry import RegistryEntry
from lossreg.registry.guesses import Owner, find_owner
from lossreg.registry.registries import Registries
from lossreg.run_spec import COMPONENT_FIELDS, SETTINGS, RunSpec
from lossreg.spec import ComponentSpec
from lossreg.suggestions import close_matches
from lossreg.synonyms import meant_setting
from lossreg.values import shown as quoted

EDITS = "lossreg.edits"
COMMAND = "lossreg.command"  # where main.py puts the whole line, as a shell would read it

_OPTION = re.compile(r"--[A-Za-z]", re.ASCII)


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
