"""Options that say which plugins load; they work before and after the subcommand."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

F = TypeVar("F", bound=Callable[..., Any])


def plugin_options(function: F) -> F:
    """Adds `-p`, `--no-plugins` and `--strict`.

    Their callbacks change the settings of the module-level registries, so that a command need not know of them; shell
    completion calls them, too.
    """
    options = (
        click.option(
            "-p",
            "--plugin",
            "extra_plugins",
            multiple=True,
            metavar="PLUGIN",
            expose_value=False,
            callback=_plugin,
            shell_complete=_complete_source,
            help="Load a further file (./my_losses.py) or module; no:NAME blocks an installed plugin.",
        ),
        click.option(
            "--no-plugins",
            is_flag=True,
            expose_value=False,
            callback=_no_plugins,
            help="Load no plugin but the built-ins.",
        ),
        click.option(
            "--strict",
            is_flag=True,
            expose_value=False,
            callback=_strict,
            help="Make a plugin that fails an error instead of a warning.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _complete_source(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    from lossreg.cli.completion import complete_source  # only completion needs it

    return complete_source(ctx, param, incomplete)


def _change(**changes: Any) -> None:
    import attrs

    from lossreg.registry.registries import default

    default.configure(attrs.evolve(default.settings, **changes))


def _plugin(ctx: click.Context, param: click.Parameter, words: tuple[str, ...]) -> None:
    if not words:
        return
    from lossreg.registry.registries import default

    for word in words:
        if not word.removeprefix("no:").strip():
            raise click.BadParameter(f"{word!r} names nothing; write a file, a module or no:NAME", ctx, param)
    settings = default.settings
    blocked = {word[3:] for word in words if word.startswith("no:")}
    files = [word for word in words if not word.startswith("no:")]
    _change(
        block=settings.block | blocked,
        required_block=settings.required_block | blocked,
        local=(*settings.local, *files),
    )


def _no_plugins(ctx: click.Context, param: click.Parameter, given: bool) -> None:
    if given:
        _change(allow=frozenset())


def _strict(ctx: click.Context, param: click.Parameter, given: bool) -> None:
    if given:
        _change(strict=True)
