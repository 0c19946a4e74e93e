"""Options that describe a run: one for each setting, and the file."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from lossreg.cli.completion import complete_device, complete_groups, complete_spec, complete_weights
from lossreg.run_spec import COMPONENT_FIELDS, LISTED_FIELDS, SETTINGS
from lossreg.settings import Setting
from lossreg.values import decimal_comma_hint

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
