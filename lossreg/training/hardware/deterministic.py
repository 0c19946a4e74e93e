"""Algorithms that give the same bits each time, for as long as a run takes."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator

import torch

from lossreg.errors import ConfigError, RunFailedError

#: What cuBLAS reads when CUDA starts, and the values with which it is deterministic.
WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
DETERMINISTIC_WORKSPACES = (":4096:8", ":16:8")

_NO_FORM = re.compile(r"(\S+) does not have a deterministic implementation")


@contextlib.contextmanager
def deterministic_algorithms(*, wanted: bool) -> Iterator[None]:
    """Within the block torch uses deterministic algorithms alone, and raises where there is none.

    Everything is put back after it; only the variable that cuBLAS reads stays, if CUDA has started with it: a later run
    of this process needs it again.

    Args:
        wanted: Whether to do anything.
    """
    if not wanted:
        yield
        return
    enabled, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn
    benchmark, deterministic = cudnn.benchmark, cudnn.deterministic
    sets_workspace = WORKSPACE not in os.environ and not torch.cuda.is_initialized()
    if sets_workspace:
        os.environ[WORKSPACE] = DETERMINISTIC_WORKSPACES[0]
    torch.use_deterministic_algorithms(True)
    cudnn.benchmark, cudnn.deterministic = False, True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warns)
        cudnn.benchmark, cudnn.deterministic = benchmark, deterministic
        if sets_workspace and not torch.cuda.is_initialized():
            os.environ.pop(WORKSPACE, None)


def check_workspace(device: torch.device) -> None:
    """Checks that cuBLAS is deterministic, which is decided when CUDA starts.

    Raises:
        ConfigError: If it is not.
    """
    given = os.environ.get(WORKSPACE)
    if device.type != "cuda" or given in DETERMINISTIC_WORKSPACES:
        return
    why = "CUDA has started in this process without it" if given is None else f"it is {given!r}"
    raise ConfigError(
        f"deterministic (--deterministic) on {device} needs the environment variable "
        f"{WORKSPACE}={DETERMINISTIC_WORKSPACES[0]} (or {DETERMINISTIC_WORKSPACES[1]}) when CUDA starts, and {why}; "
        "set it before the program starts",
        setting="deterministic",
    )


@contextlib.contextmanager
def naming_operations(*, wanted: bool, position: Callable[[], tuple[int, int]] | None = None) -> Iterator[None]:
    """Within the block torch's error about an operation without a deterministic form says what to do.

    Args:
        wanted: Whether the run asks for deterministic algorithms.
        position: Gives epoch and step; None is before the first step.

    Raises:
        ConfigError: Before the first step.
        RunFailedError: Later.
    """
    try:
        yield
    except Exception as error:
        operation = _operation_of(error) if wanted else None
        if operation is None:
            raise
        what = (
            f"deterministic (--deterministic): the operation {operation} has no deterministic form on this device; "
            "leave the setting out, or use another operation"
        )
        if position is None:
            raise ConfigError(what, setting="deterministic") from error
        epoch, step = position()
        raise RunFailedError(f"{what} (at epoch {epoch}, step {step})", epoch=epoch, step=step) from error


def _operation_of(error: BaseException | None) -> str | None:
    """The operation that an error, or one that it came from, is about; None if it is about something else."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        found = _NO_FORM.search(str(error)) if isinstance(error, RuntimeError) else None
        if found is not None:
            return found[1]
        error = error.__cause__
    return None
