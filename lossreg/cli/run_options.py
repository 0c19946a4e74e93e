"""Options that `run` and `plan` share, and their way into a request."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import attrs
import click
from click.shell_completion import CompletionItem

from lossreg.cli.config_file import load_config
from lossreg.cli.dotted import FLAGS, Edit, default_model, edited, split_dotted
from lossreg.errors import ConfigError, LossregError
from lossreg.names import normalize
from lossreg.run_spec import COMPONENT_FIELDS, RUN_KEYS, SETTINGS, RunSpec
from lossreg.settings import Setting
from lossreg.suggestions import close_matches

_EDITS = "lossreg.edits"

F = TypeVar("F", bound=Callable[..., Any])

_TYPES: Mapping[str, Any] = {"whole": int, "number": float}

#: What `--help` says of a setting in addition, where the command line has a form of its own.
_MORE_HELP: Mapping[str, str] = {
    "param_groups": " Written 'PATTERN: KEY=VALUE, ...': '*.bias: weight_decay=0'; may be given more than once.",
}


class RunCommand(click.Command):
    """A command that takes dotted parameters and refuses an option that is given twice."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Takes the dotted options out before click sees the rest: click would read `-1` after one as an option."""
        rest, edits = split_dotted(args, ctx)
        ctx.meta[_EDITS] = edits
        try:
            if not ctx.resilient_parsing:
                self._refuse_repeats(ctx, list(rest))
            return super().parse_args(ctx, rest)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            if isinstance(error, click.NoSuchOption):
                known = [option for parameter in self.get_params(ctx) for option in parameter.opts]
                meant = close_matches(error.option_name, known)
                raise click.NoSuchOption(error.option_name, possibilities=meant, ctx=ctx) from None
            raise

    def _refuse_repeats(self, ctx: click.Context, args: list[str]) -> None:
        _, _, order = self.make_parser(ctx).parse_args(args)
        for index, parameter in enumerate(order):
            if isinstance(parameter, click.Option) and not parameter.multiple and parameter in order[:index]:
                raise click.UsageError(f"{' / '.join(parameter.opts)} is given twice", ctx)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Completes options, and behind `--loss.` the parameters of the loss."""
        prefix, dot, _ = incomplete.partition(".")
        if not dot or prefix.lstrip("-") not in FLAGS:
            return super().shell_complete(ctx, incomplete)
        field = FLAGS[prefix.lstrip("-")]
        offered = [f"{prefix}.{name}" for name in _parameters(field, ctx.params)]
        return [CompletionItem(option) for option in offered if option.startswith(incomplete)]


def _parameters(field: str, params: Mapping[str, Any]) -> list[str]:
    from lossreg.registry.registries import default

    try:
        run_spec = RunSpec(**{key: params[key] for key in COMPONENT_FIELDS if params.get(key)})
        spec = getattr(run_spec, field)
        if field == "model" and spec is None:
            spec = default_model(run_spec, default)
        return default.of(COMPONENT_FIELDS[field])[spec.name].component.known_parameters if spec else []
    except LossregError:
        return []


def _complete(kind: str) -> Callable[..., list[CompletionItem]]:
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from lossreg.registry.registries import default

        registry = default.of(kind)
        return [
            # click's script for fish splits at commas.
            CompletionItem(name, help=registry[name].component.summary.replace(",", ""))
            for name in registry.names()
            if name.startswith(normalize(incomplete))
        ]

    return complete


def _option(name: str, setting: Setting) -> Callable[[F], F]:
    """The option of a setting."""
    shown = f"{setting.description}{_MORE_HELP.get(name, '')} [default: {setting.default}]"
    if setting.kind == "switch":
        return click.option(*setting.flags, name, is_flag=True, default=None, help=shown)
    return click.option(
        *setting.flags,
        name,
        type=click.Choice(setting.choices) if setting.kind == "choice" else _TYPES.get(setting.kind),
        metavar=setting.metavar,
        multiple=setting.kind == "groups",
        help=shown,
        shell_complete=_complete(COMPONENT_FIELDS[name]) if name in COMPONENT_FIELDS else None,
    )


def run_options(function: F) -> F:
    """Adds the options that describe a run: one for each setting, and the file."""
    function = click.option(
        "-c",
        "--config",
        type=click.Path(),
        metavar="FILE",
        help="A TOML or JSON file with such settings, or the run.json of a past run; options go before it.",
    )(function)
    for name, setting in reversed(list(SETTINGS.items())):
        function = _option(name, setting)(function)
    return function


@attrs.frozen
class RunSettings:
    """The settings of a run, and which of them a file gave.

    Attributes:
        spec: The settings.
        file: The file, or None.
        from_file: The settings that the file gave and no option replaced.
    """

    spec: RunSpec
    file: str | None
    from_file: frozenset[str]


@contextlib.contextmanager
def naming_file(file: str | None, from_file: frozenset[str]) -> Iterator[None]:
    """An error about a setting that a file gave names the file."""
    try:
        yield
    except LossregError as error:
        if error.setting in from_file:
            error.message = f"{file}: {error.message}"
        raise


def settings_of(ctx: click.Context) -> RunSettings:
    """The settings of a run: options before the file, and dotted options edit what the two say.

    Raises:
        LossregError: If the file or a setting is wrong.
    """
    from lossreg.registry.registries import default

    flags = {key: value for key, value in ctx.params.items() if key in RUN_KEYS and value not in (None, ())}
    if "param_groups" in flags:
        flags["param_groups"] = _groups(flags["param_groups"])
    from_flags = RunSpec.from_mapping(flags, "")
    settings = {key: getattr(from_flags, key) for key in flags}
    file: str | None = None
    config: dict[str, Any] = {}
    if ctx.params["config"] is not None:
        file, config = load_config(ctx.params["config"], default, replaced=flags.keys())
    from_file = frozenset(config.keys() - flags.keys())
    settings = {**config, **settings}
    edits: list[Edit] = ctx.meta[_EDITS]
    with naming_file(file, from_file):
        settings |= edited(edits, settings, flags, default)
    return RunSettings(RunSpec(**settings), file, from_file)


def _groups(texts: tuple[str, ...]) -> dict[str, str]:
    """`PATTERN: KEY=VALUE, ...` as patterns and options."""
    groups: dict[str, str] = {}
    for text in texts:
        pattern, colon, options = map(str.strip, text.partition(":"))
        if not colon or not pattern or not options:
            raise ConfigError(
                f"--param-groups {text!r}: write 'PATTERN: KEY=VALUE, ...', such as '*.bias: weight_decay=0'"
            )
        if pattern in groups:
            raise ConfigError(f"--param-groups: the pattern {pattern!r} is given twice")
        groups[pattern] = options
    return groups
