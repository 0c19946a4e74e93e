"""The command `lossreg`: its subcommands, and how every error becomes a message and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

import lossreg
from lossreg.cli.list import list_command
from lossreg.cli.plan import plan_command
from lossreg.cli.plugins import plugins_command
from lossreg.cli.run import run_command
from lossreg.cli.show import show_command
from lossreg.errors import LossregError, RunFailedError

DONE, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
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

    Exit codes: 0 done, 1 the run failed, 2 wrong use, 130 and 143 stopped by a signal.
    """


for command in (run_command, plan_command, list_command, show_command, plugins_command):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and ends the process.

    Args:
        arguments: The words after `lossreg`; None is the process's own.
    """
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = cli.main(args=arguments, prog_name="lossreg", standalone_mode=False)
        sys.stdout.flush()
    except click.Abort:  # click's word for Ctrl-C
        return _stopped("stopped by Ctrl-C", INTERRUPTED)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "lossreg"
        return _say(f"{error.format_message()}\nTry '{command} --help'.", WRONG_USE)
    except click.ClickException as error:
        return _say(error.format_message(), WRONG_USE)
    except LossregError as error:
        return _say(error.message, FAILED if isinstance(error, RunFailedError) else WRONG_USE)
    except BrokenPipeError:
        # The reader of stdout (`| head`) went away; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        # Somebody's code (a model, a loss, lossreg itself) broke: its author needs the traceback.
        import traceback

        traceback.print_exc()
        return _say(f"the run failed: {type(error).__name__}: {error}", FAILED)
    return code if isinstance(code, int) else DONE


def _say(message: str, code: int) -> int:
    click.echo(f"lossreg: error: {message}", err=True)
    return code


def _stopped(message: str, code: int) -> int:
    click.echo(f"lossreg: {message}", err=True)
    return code
