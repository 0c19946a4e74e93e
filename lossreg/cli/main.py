"""The command `lossreg`: its subcommands, and how every error becomes a message and an exit code."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import shlex
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from typing import NoReturn

import click

import lossreg
from lossreg.cli.output import resume_command
from lossreg.cli.plugin_options import plugin_options
from lossreg.errors import LossregError, RunFailedError, describe_error
from lossreg.plugins.isolation import keep_stdout
from lossreg.streams import forgiving_standard_streams, warnings_to
from lossreg.suggestions import did_you_mean
from lossreg.training.hardware.launcher import find_launch
from lossreg.training.stops import GOES_ON_FROM, INTERRUPTED, SIGNAL_NAMES
from lossreg.values import bounded, printable, shown

DONE, FAILED, WRONG_USE = 0, 1, 2
COMPLETION = "_LOSSREG_COMPLETE"  # the shell sets it to ask for completions
SPEAKING_TIME = 30  # seconds in which the main process of several should have said what is wrong

#: Command -> what it is for. Each is `lossreg.cli.<command>:<command>_command`, with `_` for `-`, imported when it is
#: called.
COMMANDS = {
    "run": "Train a model and keep the result.",
    "plan": "Show what run would do; train nothing.",
    "verify-resume": "Prove that a run goes on to the same bits.",
    "compare": "Run combinations side by side, and say what is told apart.",
    "noise": "Measure how much the seed alone changes.",
    "runs": "List past runs.",
    "plot": "Draw the curves of runs.",
    "report": "Write a page on past runs: curves, tables, settings.",
    "eval": "Evaluate the model of a run.",
    "predict": "Predict with the model of a run.",
    "export": "Export the model of a run to another format.",
    "list": "List what can be named.",
    "show": "Show one component: parameters, contract, origin.",
    "plugins": "List plugins and how loading them went.",
    "schema": "Print a JSON Schema for files of settings.",
    "convert": "Convert configurations of other programs, both ways.",
    "new": "Write a distribution of your own to begin with.",
}


class LazyGroup(click.Group):
    """A group that imports a command's module only when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, in the order in which one meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"lossreg.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first word names.

        Raises:
            click.UsageError: With the command that was probably meant.
        """
        if args[0] == "help" and not ctx.resilient_parsing:
            args = [*args[1:2], "--help"]
            if len(args) == 1:
                click.echo(ctx.get_help())
                ctx.exit()
        if args[0] not in COMMANDS and not ctx.resilient_parsing:
            hint = did_you_mean(args[0], COMMANDS)
            raise click.UsageError(f"there is no command {shown(args[0])}.{hint} Commands: {', '.join(COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the table of commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@plugin_options
@click.version_option(lossreg.__version__, prog_name="lossreg")
def cli() -> None:
    """Train PyTorch models from parts that are picked by name.

    Losses, optimizers, learning-rate schedulers, models and data sets come from lossreg itself and from every
    installed package that offers some.

    \b
    Examples:
      lossreg run --loss dice --opt sgd                 train on real digits, no download
      lossreg run --loss "dice(smooth=1)" --opt.lr 0.1  parameters, in either form
      lossreg plan --sched lambda_lr --sched.lr_lambda "epoch // 2"
      lossreg list loss                                 what can be named
      lossreg show optimizer sgd                        parameters, defaults, where it comes from

    \b
    Shell completion (put the line into the shell's start file):
      bash  eval "$(_LOSSREG_COMPLETE=bash_source lossreg)"
      zsh   eval "$(_LOSSREG_COMPLETE=zsh_source lossreg)"
      fish  _LOSSREG_COMPLETE=fish_source lossreg | source

    Exit codes: 0 done, 1 the run failed, 2 wrong use; 129, 130, 138 and 143 stopped by a signal.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and ends the process.

    Args:
        arguments: The words after `lossreg`; None is the process's own.
    """
    keep_stdout()
    with forgiving_standard_streams() as (stdout, _):
        code = _run_silently(arguments) if _is_quiet() else _run_aloud(arguments)
        stdout.flush()
        if stdout.lost_content is not None:
            code = _say(f"stdout cannot be written to: {describe_error(stdout.lost_content)}", code or FAILED)
    sys.exit(code)


def _run_aloud(arguments: Sequence[str] | None) -> int:
    with warnings_to(_Warnings()):
        return _run(arguments)


def _run_silently(arguments: Sequence[str] | None) -> int:
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), warnings_to(logging.NullHandler()):  # noqa: PTH123  # no path
        return _run(arguments)


def _is_quiet() -> bool:
    """Whether this process is one of several, and the main one speaks."""
    return _rank() > 0


def _rank() -> int:
    try:
        launch = find_launch()
    except LossregError:  # the command says it
        return 0
    return launch.rank if launch else 0


class _Warnings(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        message = printable(bounded(record.getMessage()))
        click.echo(f"lossreg: {record.levelname.lower()}: {message}", err=True)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = _invoke(arguments)
    except (KeyboardInterrupt, click.Abort) as error:  # the second is click's word for Ctrl-C
        if arguments is None:
            # It is over: a second Ctrl-C would only break off the exit of other libraries, with their tracebacks.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        return _stopped("stopped by Ctrl-C", INTERRUPTED, error)
    except (click.ClickException, LossregError) as error:
        return _refused(error)
    except SystemExit as error:
        if isinstance(error.code, int) and error.code in SIGNAL_NAMES:
            return _stopped(f"stopped by {SIGNAL_NAMES[error.code]}", error.code, error)
        raise
    except Exception as error:
        # The code of a component, or of lossreg itself, broke: its author needs the traceback.
        click.echo(printable(traceback.format_exc()), err=True, nl=False)
        return _say(f"{_speaker()}the run failed: {type(error).__name__}: {error}", FAILED)
    return code if isinstance(code, int) else DONE


def _invoke(arguments: Sequence[str] | None) -> object:
    """Calls the command, as click's own `main` would.

    That one takes every EOFError for Ctrl-C, and every BrokenPipeError for the reader of stdout that went away: both
    may come from a data set.
    """
    if os.environ.get(COMPLETION):
        from lossreg.cli.completion import check_request  # how the shells hand a line over

        check_request(COMPLETION, os.environ)
        return cli.main(args=arguments, prog_name="lossreg", standalone_mode=False)
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        command = shlex.join(["lossreg", *words])
        with cli.make_context("lossreg", words) as context:
            context.meta["lossreg.command"] = command
            return cli.invoke(context)
    except click.exceptions.Exit as done:  # --help and --version end so
        return done.exit_code


def _speaker() -> str:
    return f"rank {_rank()}: " if _is_quiet() else ""


def _refused(error: click.ClickException | LossregError) -> int:
    """Says what is wrong, once where several processes find the same."""
    if isinstance(error, LossregError):
        for note in getattr(error, "__notes__", ()):
            click.echo(printable(note), err=True)
        cause = error.__cause__
        if isinstance(error, RunFailedError) and cause is not None and not isinstance(cause, Exception):
            # What a component raised, such as SystemExit: its author needs the traceback, as of an Exception.
            click.echo(printable("".join(traceback.format_exception(cause))), err=True, nl=False)
        _name_class(error)
        message, code = error.message, FAILED if isinstance(error, RunFailedError) else WRONG_USE
        alone = error.rank is not None
    else:
        message, code, alone = error.format_message(), WRONG_USE, False
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "lossreg"
        message = f"{message}\nTry '{command} --help'."
    if _is_quiet() and not alone:
        _let_main_speak()
    return _say(_speaker() + message, code)


def _name_class(error: LossregError) -> None:
    """Has an error about the path of a class say which name the class has."""
    from lossreg.spec_hints import class_path_error  # only errors need it

    if class_path_error(error) is None:
        return
    from lossreg.conversion.class_names import name_class  # other errors do without the registries
    from lossreg.registry.registries import default

    name_class(error, default)


def _let_main_speak() -> None:
    """Gives the main process time to say what all of them found wrong.

    torchrun ends every process as soon as one has failed, this one too: the one that speaks must be the first. One that
    is still here afterwards is alone with the error, and speaks itself.
    """
    time.sleep(SPEAKING_TIME)


def _say(message: str, code: int) -> int:
    click.echo(f"lossreg: error: {printable(bounded(message))}", err=True)
    return code


def _stopped(message: str, code: int, error: BaseException) -> int:
    # Another Ctrl-C would only make torch's way out complain: there is nothing left to stop.
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not _is_quiet():
        click.echo(f"lossreg: {message}", err=True)
        directory = getattr(error, GOES_ON_FROM, None)
        if directory is not None:
            click.echo(printable(resume_command(directory)), err=True)
    return code
