"""What the worker processes of a comparison do: check cells, train runs."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import attrs

from lossreg.errors import LossregError, RunDirectoryError, RunFailedError, describe_error
from lossreg.plugins.plugin_settings import PluginSettings
from lossreg.run_spec import RunSpec
from lossreg.spec import ComponentSpec
from lossreg.streams import warnings_to

#: What a worker says, with one value: `row` (of an epoch), `warning` (a sentence), `done` (what its job returns),
#: `refused` (a LossregError), `failed` (a line about any other error).
Say = Callable[[str, Any], None]


LAST_WORDS = 60  # seconds that a process which was asked to end has for its record

logger = logging.getLogger("lossreg")


@attrs.frozen
class Conditions:
    """What a worker process finds, whatever the server of workers was started with.

    Attributes:
        environment: All environment variables.
        plugins: Which plugins load.
        threads: How many threads torch uses on the CPU; None is torch's own choice.
    """

    environment: Mapping[str, str]
    plugins: PluginSettings
    threads: int | None = None


def work(channel: Connection, conditions: Conditions, job: Callable[[Say], Any]) -> None:
    """Does one job and ends the process, without the second that Python takes to free the memory of torch."""
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)  # Ctrl-C is for the process that a person started; it passes it on
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    lock = threading.Lock()

    def say(kind: str, value: Any) -> None:
        with lock, contextlib.suppress(OSError):  # nothing listens any more: the record is what counts
            channel.send((kind, value))

    with warnings_to(_Handler(say)):
        _do(say, conditions, job)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # one that is closed, or was replaced by another library's
            stream.flush()
    channel.close()
    os._exit(0)


def _do(say: Say, conditions: Conditions, job: Callable[[Say], Any]) -> None:
    from lossreg.training.stops import signals_as_exits

    try:
        with signals_as_exits():
            _meet(conditions)
            value = job(say)
        say("done", value)
    except LossregError as error:
        cause = error.__cause__
        if cause is not None and not isinstance(cause, Exception):
            sys.stderr.write("".join(traceback.format_exception(cause)))
        _send_error(say, error)
    except Exception as error:  # the code of a component broke: its author needs the traceback
        sys.stderr.write(traceback.format_exc())
        say("failed", describe_error(error))
    except BaseException as error:  # a signal
        say("failed", f"stopped by {describe_error(error)}")


def _send_error(say: Say, error: LossregError) -> None:
    try:
        error.__cause__ = error.__context__ = None
        say("refused", error)
    except Exception:  # what it carries cannot be sent
        say("refused", LossregError(error.message))


def _meet(conditions: Conditions) -> None:
    os.environ.clear()
    os.environ.update(conditions.environment)
    from lossreg.registry.registries import default

    if default.settings != conditions.plugins:
        default.configure(conditions.plugins)
    if conditions.threads is not None:
        import torch

        torch.set_num_threads(conditions.threads)


def _end_with_parent() -> None:
    """Ends this process when the one that it works for is gone, as if it had been asked to."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


class _Handler(logging.Handler):
    def __init__(self, say: Say) -> None:
        super().__init__(logging.WARNING)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say("warning", record.getMessage())


class Reporter:
    """An observer that says each epoch.

    Args:
        say: To whom.
    """

    def __init__(self, say: Say) -> None:
        self._say = say

    def lossreg_epoch_finished(self, run: object, record: Mapping[str, Any]) -> None:
        """Says the row of an epoch."""
        del run
        self._say("row", dict(record))


def train(spec: RunSpec, out: Path, say: Say, *, plots: bool, goes_on: bool = False) -> None:
    """A job: trains one run into its directory, and draws its curves.

    Args:
        spec: Its settings.
        out: Its directory.
        say: Is told each epoch.
        plots: Whether its curves are drawn.
        goes_on: Whether the run in the directory goes on from its newest checkpoint; one that cannot begins anew.
    """
    from lossreg.registry.registries import default
    from lossreg.training.execution import run_request
    from lossreg.training.selection import Request

    run = functools.partial(run_request, Request(spec, {}, default), quiet=True, plots=plots, observers=[Reporter(say)])
    if goes_on:
        try:
            _when_free(functools.partial(run, resume=out))
        except (RunDirectoryError, RunFailedError):
            raise
        except LossregError as error:  # its checkpoints are damaged, or the data has changed
            logger.warning("the run in %s cannot go on, and begins anew: %s", out, " ".join(error.message.split()))
            shutil.rmtree(out)
        else:
            return
    run(out=out)


def _when_free(go_on: Callable[[], object]) -> None:
    """Goes on when the process of a comparison that was killed has written its last checkpoint."""
    until = time.monotonic() + LAST_WORDS
    while True:
        try:
            go_on()
        except RunDirectoryError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return


def plan(specs: Sequence[tuple[int, RunSpec, str | None]], say: Say) -> list[dict[str, Any]]:
    """A job: checks cells.

    Args:
        specs: The number of each cell, its settings, and the target that its runs are timed to, or None.
        say: For warnings.

    Returns:
        For each cell: `number`, `spec` with full ids, `params` (field -> all parameters), `task`, `device`, `validated`
        and `warnings`; or `number` and `error`, which ends the list.
    """
    del say
    planned = []
    for number, spec, target in specs:
        try:
            planned.append({"number": number, **_plan(spec, target)})
        except LossregError as error:
            error.__cause__ = error.__context__ = None
            planned.append({"number": number, "error": error})
            break
    return planned


def _plan(spec: RunSpec, target: str | None) -> dict[str, Any]:
    from lossreg.registry.registries import default
    from lossreg.training.planning import plan_request
    from lossreg.training.selection import Request

    if target is not None:  # whether its runs have the metric
        plan_request(Request(attrs.evolve(spec, target=target), {}, default))
    planned = plan_request(Request(spec, {}, default))
    params = {field: dict(part["params"]) for field, part in planned.components.items()}
    # What the first seed's training split gives is not that of the others: each run computes its own.
    asked: dict[str, Any] = {field: ComponentSpec.parse(text) for field, text in planned.facts["from_data"].items()}
    for field, written in asked.items():
        params[field] |= {key: value.text for key, value in written.params if isinstance(value, ComponentSpec)}
    return {
        "spec": attrs.evolve(planned.spec, **asked),
        "params": params,
        "task": planned.facts["data"]["task"],
        "device": planned.facts["device"],
        "validated": planned.facts["validation"] is not None,
        "warnings": list(planned.warnings),
    }


def devices(say: Say) -> list[str]:
    """A job: the accelerators of this machine, as one would request them."""
    del say
    from lossreg.training.hardware.device import available_devices

    return [device for device in available_devices() if device != "cpu"]


def training(spec: RunSpec, out: Path, *, plots: bool, goes_on: bool) -> Callable[[Say], None]:
    """The job that trains one run; see `train`."""
    return functools.partial(train, spec, out, plots=plots, goes_on=goes_on)
