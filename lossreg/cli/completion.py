"""Shell completion: how the shells hand a line over, and what fits where a word is not complete."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, get_args

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

from lossreg.errors import ConfigError
from lossreg.groups import LAYER_DECAY, NO_DECAY, REST, SCHEDULER
from lossreg.names import normalize
from lossreg.registry.from_data import BALANCED, takes_balanced
from lossreg.values import shown
from lossreg.weights import Averaging

if TYPE_CHECKING:
    from lossreg.registry.entry import RegistryEntry

_SHELLS = ("bash", "zsh", "fish")
DEVICES = ("auto", "cpu", "cuda", "mps", "xpu")
BLOCK = "no:"  # before the name of a plugin that must not load


class _Whole(ShellComplete):
    """A shell that replaces the whole word, with `--opt=` before what is completed."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        """What fits the word, as a whole word."""
        flag, sign, value = incomplete.partition("=")
        if not (incomplete.startswith("--") and sign):
            return super().get_completions(args, incomplete)
        items = super().get_completions([*args, flag], value)
        return [
            CompletionItem(f"{flag}={item.value}", item.type, item.help) if item.type == "plain" else item
            for item in items
        ]


@add_completion_class
class _Zsh(_Whole, ZshComplete):
    """zsh."""


@add_completion_class
class _Fish(_Whole, FishComplete):
    """fish; its script splits an answer at its first comma alone, since a spec has commas."""

    source_template = FishComplete.source_template.replace('string split ","', 'string split -m 1 ","')


@add_completion_class
class _Bash(BashComplete):
    """bash, which makes words of their own of `=` and `:`, and replaces what stands behind them."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        """What fits the part of the word behind `=` or `:`."""
        words = [word for index, word in enumerate(args) if not (word == "=" and args[index - 1].startswith("--"))]
        flag, sign, value = incomplete.partition("=")
        if incomplete == "=":
            incomplete = ""
        elif incomplete.startswith("--") and sign:
            words, incomplete = [*words, flag], value
        elif words[-2:] == ["no", ":"] or (words[-1:] == ["no"] and incomplete == ":"):
            rest = "" if incomplete == ":" else incomplete
            del words[-2 if words[-1] == ":" else -1 :]
            items = super().get_completions(words, f"{BLOCK}{rest}")
            return [CompletionItem(item.value.removeprefix(BLOCK), item.type, item.help) for item in items]
        return super().get_completions(words, incomplete)


def check_request(variable: str, environment: Mapping[str, str]) -> None:
    """Checks what a shell asks for: its script, or completions of a line.

    Args:
        variable: The name of the variable that asks.
        environment: Where it is, and the line.

    Raises:
        ConfigError: If the shell is not a known one, or the line is missing.
    """
    asked = environment[variable]
    shell, _, what = asked.partition("_")
    if shell not in _SHELLS or what not in ("source", "complete"):
        scripts = [f"{one}_source" for one in _SHELLS]
        raise ConfigError(
            f"{variable}={shown(asked)} is not a request for completion, which there is for {', '.join(_SHELLS)}: "
            f"write {', '.join(scripts[:-1])} or {scripts[-1]}"
        )
    index = environment.get("COMP_CWORD")
    is_number = shell == "fish" or (index is not None and index.isascii() and index.isdigit())
    if what == "complete" and ("COMP_WORDS" not in environment or index is None or not is_number):
        raise ConfigError(
            f"{variable}={asked} asks for the completions of a line, which {shell} hands over in COMP_WORDS and "
            f"COMP_CWORD; write {shell}_source for the script that does so"
        )


def complete_plugin(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Completes the names of plugins and of distributions."""
    from lossreg.registry.registries import default

    names = {name for r in default.reports for name in (r.provenance.plugin, r.provenance.distribution) if name}
    return _beginning(sorted(names), incomplete)


def complete_source(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Completes what `-p` takes: a file, or `no:` and a plugin."""
    if not incomplete.startswith(BLOCK):
        return [CompletionItem(incomplete, "file")]
    names = complete_plugin(ctx, param, incomplete.removeprefix(BLOCK))
    return [CompletionItem(f"{BLOCK}{item.value}") for item in names]


def complete_device(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Completes devices; which of them the machine has, only torch knows."""
    return _beginning(DEVICES, incomplete)


def complete_weights(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Completes the words of the setting, two of which may have a number behind them."""
    return _beginning(get_args(Averaging), incomplete)


def complete_spec(kind: str, incomplete: str) -> list[CompletionItem[str]]:
    """Completes a spec text: a name, behind `dice(` a parameter, behind `reduction=` a value."""
    from lossreg.registry.registries import default

    registry = default.of(kind)
    name, opened, inside = incomplete.partition("(")
    if not opened:
        # click's script for fish splits at commas.
        default.load()
        named = {registry.short_name(entry): entry for entry in registry.entries}
        return [
            CompletionItem(name, help=named[name].summary.replace(",", ""))
            for name in sorted(named)
            if name.startswith(normalize(incomplete))
        ]
    if name not in registry:
        return []
    entry = registry[name]
    nested = _complete_nested(entry, incomplete, inside)
    if nested is not None or any(sign in inside for sign in "([{)]}"):
        return nested or []
    before, _, last = inside.rpartition(",")
    last = last.lstrip()
    head = incomplete[: len(incomplete) - len(last)]
    parameter, sign, value = last.partition("=")
    if sign:
        words = words_for(entry, parameter.strip())
        fitting = [word for word in words if word.startswith(value.strip("'\"").lower())]
        quote = value[:1] if value[:1] in ("'", '"') else "'"
        return [CompletionItem(f"{head}{parameter}={_literal(word, quote, words)}") for word in fitting]
    taken = {part.partition("=")[0].strip() for part in before.split(",")}
    free = [one for one in parameters_of(entry) if one not in taken]
    return [CompletionItem(f"{head}{one}=") for one in free if one.startswith(last)]


def parameters_of(entry: RegistryEntry[Any]) -> list[str]:
    """The parameters that are declared, and those that the runner reads in their place."""
    known = entry.component.known_parameters
    return [*known, *(one for one in _read_by_the_runner(entry) if one not in known)]


def _read_by_the_runner(entry: RegistryEntry[Any]) -> dict[str, str]:
    """Parameters in an optimizer's spec that are not the factory's -> the kind of what they name."""
    if entry.component.kind != "optimizer":
        return {}
    own = {SCHEDULER: "scheduler"} if SCHEDULER not in entry.component.known_parameters else {}
    return own if entry.component.routes == "all" else {**own, REST: "optimizer"}


def _complete_nested(entry: RegistryEntry[Any], incomplete: str, inside: str) -> list[CompletionItem[str]] | None:
    """Completes the component behind `scheduler=`; None where the last argument is another one."""
    depth = start = 0
    for place, sign in enumerate(inside, start=1):
        depth += (sign in "([{") - (sign in ")]}")
        if depth < 0:
            return None
        if sign == "," and depth == 0:
            start = place
    parameter, sign, value = inside[start:].partition("=")
    kind = _read_by_the_runner(entry).get(parameter.strip())
    if not sign or kind is None:
        return None
    head = incomplete[: len(incomplete) - len(value)]
    return [CompletionItem(f"{head}{item.value}", help=item.help) for item in complete_spec(kind, value)]


def complete_groups(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Completes parameter groups: a preset, and behind `PATTERN: ` an optimizer."""
    _, colon, written = incomplete.partition(":")
    if not colon:
        return _beginning((NO_DECAY, LAYER_DECAY), incomplete)
    spec = written.lstrip()
    head = incomplete[: len(incomplete) - len(spec)]
    return [CompletionItem(f"{head}{item.value}", help=item.help) for item in complete_spec("optimizer", spec)]


def complete_value(entry: RegistryEntry[Any], parameter: str, incomplete: str) -> list[CompletionItem[str]]:
    """Completes the value of a dotted option."""
    kind = _read_by_the_runner(entry).get(parameter)
    if kind is not None:
        return complete_spec(kind, incomplete)
    return _beginning(words_for(entry, parameter), incomplete)


def words_for(entry: RegistryEntry[Any], parameter: str) -> list[str]:
    """The few words that a parameter can be, without an import where the factory is a text."""
    if takes_balanced(entry.component, parameter):
        return [BALANCED]
    factory = entry.component.factory
    if isinstance(factory, str):
        from lossreg.cli.source_words import words_in_source

        default = entry.component.defaults.get(parameter)
        return words_in_source(factory, parameter) or (["true", "false"] if isinstance(default, bool) else [])
    from lossreg.registry.annotations import words_of

    known = entry.signature.parameters.get(parameter)
    return [] if known is None else words_of(known.accepted)


def _literal(word: str, quote: str, words: list[str]) -> str:
    """A word as it is written in a spec text; `none` is None beside true and false, and a text beside texts."""
    return word if {"true", "false", BALANCED} & {*words} else f"{quote}{word}{quote}"


def _beginning(words: Iterable[str], incomplete: str) -> list[CompletionItem[str]]:
    return [CompletionItem(word) for word in words if normalize(word).startswith(normalize(incomplete))]
