"""What the commands have in common that come back to a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from lossreg.cli.completion import complete_device

F = TypeVar("F", bound=Callable[..., Any])


def trained_options(*, batch: bool, device: bool = True) -> Callable[[F], F]:
    """Adds the run directory, and which of its weights to use where.

    Args:
        batch: Whether inputs are computed in batches.
        device: Whether the device can be chosen.
    """

    def add(function: F) -> F:
        if batch:
            function = click.option(
                "--batch-size",
                type=click.IntRange(min=1),
                metavar="N",
                help="Samples that are computed together. [default: as in the run]",
            )(function)
        if device:
            function = click.option(
                "--device",
                default="auto",
                metavar="DEVICE",
                help="The device: auto, cpu, cuda, cuda:N, mps or xpu. [default: auto]",
                shell_complete=complete_device,
            )(function)
        function = click.option(
            "--checkpoint",
            metavar="NAME",
            help="last, best or the name of a checkpoint. [default: the weights at the end of the run]",
        )(function)
        return click.argument("directory", metavar="DIR", type=click.Path())(function)

    return add
