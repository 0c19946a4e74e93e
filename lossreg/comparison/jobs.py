"""Jobs in processes that have torch imported already: a server imports it once and forks a process for each job."""

from __future__ import annotations

import collections
import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Mapping
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import attrs

from lossreg.comparison.worker import LAST_WORDS, Conditions, Say, work
from lossreg.errors import LossregError, describe_error
from lossreg.machine import available_cores
from lossreg.registry.registries import default

_WARM = "lossreg.comparison.warm"


@attrs.frozen
class Job:
    """Something for a process to do.

    Attributes:
        name: By which its outcome is found.
        function: What it does, and returns; it can be pickled.
    """

    name: str
    function: Callable[[Say], Any]


@attrs.frozen
class Outcome:
    """How a job ended.

    Attributes:
        value: What it returned, if it did.
        error: What was wrong, or None.
    """

    value: Any = None
    error: LossregError | None = None


@attrs.frozen
class Slots:
    """How many jobs are done at once, and with what each.

    Attributes:
        count: How many.
        threads: That torch uses in each, on the CPU.
        devices: CUDA devices by their number, as strings; jobs take them in turn. Empty leaves the choice to the run.
    """

    count: int
    threads: int
    devices: tuple[str, ...] = ()

    def environment(self, slot: int) -> dict[str, str]:
        """The environment variables of a slot's processes."""
        environment = dict(os.environ)
        if self.devices:
            environment["CUDA_VISIBLE_DEVICES"] = self.devices[slot % len(self.devices)]
        return environment


@attrs.define
class _Running:
    job: Job
    slot: int
    process: BaseProcess
    outcome: Outcome | None = None


def slots_for(runs: int, jobs: int | None, devices: tuple[str, ...] = ()) -> Slots:
    """How many runs at once suit the machine, and how many threads each has.

    Runs that are independent of each other use cores better than the threads of one run: there is one for each core,
    with one thread. On CUDA there is one for each device. `OMP_NUM_THREADS` is the most threads that a run gets.

    Args:
        runs: How many there are.
        jobs: How many at once, if that was said.
        devices: CUDA devices.
    """
    cores = available_cores()
    count = max(1, min(runs, jobs or (len(devices) if devices else cores)))
    return Slots(count, own_threads(max(1, cores // count)), devices)


def own_threads(most: int = 1) -> int:
    """The threads of a run: what is its share, or fewer if `OMP_NUM_THREADS` says so."""
    said = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return min(most, int(said)) if said.isdecimal() and int(said) else most


def warm_up() -> None:
    """Starts the server of workers, which imports torch meanwhile."""
    context = _context()
    if context.get_start_method() == "forkserver":
        from multiprocessing import forkserver

        context.set_forkserver_preload([_WARM])
        forkserver.ensure_running()


def do(jobs: Iterable[Job], slots: Slots, told: Callable[[Job, str, Any], None]) -> dict[str, Outcome]:
    """Does jobs, as many at once as there are slots; an error in one leaves the others alone.

    If this is interrupted, every process is asked to end, as the signal would have asked it, and has time to complete
    its record.

    Args:
        jobs: What to do, in this order.
        slots: Where.
        told: Called with each thing that a job says; also with `started` and, at its end, `ended` and its outcome.

    Returns:
        The outcome of each job.
    """
    warm_up()
    waiting, running = collections.deque(jobs), dict[Connection, _Running]()
    free = list(range(slots.count))
    outcomes: dict[str, Outcome] = {}
    try:
        while waiting or running:
            while waiting and free:
                job, slot = waiting.popleft(), free.pop(0)
                connection, process = _start(job, slot, slots)
                running[connection] = _Running(job, slot, process)
                told(job, "started", None)
            ready = wait(list(running))
            for connection, one in [pair for pair in running.items() if pair[0] in ready]:
                if _hear(connection, one, told):
                    continue
                del running[connection]
                free.append(one.slot)
                outcomes[one.job.name] = _outcome(one)
                told(one.job, "ended", outcomes[one.job.name])
    except BaseException as error:
        _end_all(running, signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM)
        raise
    return outcomes


def _context() -> Any:
    """Forking a server that is warm; Windows has no fork."""
    methods = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")


def _start(job: Job, slot: int, slots: Slots) -> tuple[Connection, BaseProcess]:
    context = _context()
    ours, theirs = context.Pipe(duplex=False)
    conditions = Conditions(slots.environment(slot), default.settings, slots.threads)
    process = context.Process(target=work, args=(theirs, conditions, job.function), name=f"lossreg {job.name}")
    process.start()
    theirs.close()  # the pipe ends with the process
    return ours, process


def _hear(connection: Connection, one: _Running, told: Callable[[Job, str, Any], None]) -> bool:
    """Takes what a process says; False if it has said its last."""
    try:
        kind, value = connection.recv()
    except (EOFError, OSError):
        return False
    except Exception as error:  # what it sent cannot be read here
        kind, value = "failed", describe_error(error)
    if kind == "done":
        one.outcome = Outcome(value)
    elif kind == "refused":
        one.outcome = Outcome(error=value)
    elif kind == "failed":
        one.outcome = Outcome(error=LossregError(value))
    else:
        told(one.job, kind, value)
    return True


def _outcome(one: _Running) -> Outcome:
    one.process.join()
    if one.outcome is not None:
        return one.outcome
    code = one.process.exitcode or 0
    how = f"exit code {code}"
    if code < 0:
        with contextlib.suppress(ValueError):
            how = signal.Signals(-code).name
    hint = ""
    if how == "SIGKILL":
        hint = "; the system may have run out of memory: fewer --jobs need less"
    elif code == 1:  # it never came to its job: it imports the script that was started
        hint = "; stderr says why. A script calls lossreg.compare below `if __name__ == '__main__':`"
    return Outcome(error=LossregError(f"its process ended without a word ({how}){hint}"))


def _end_all(running: Mapping[Connection, _Running], number: int) -> None:
    """Asks every process to end, and waits; those that do not are killed, and so are all at a second signal."""
    for one in running.values():
        if one.process.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.process.pid, number)
    try:
        for connection, one in running.items():
            while connection.poll(LAST_WORDS):
                try:
                    connection.recv()
                except (EOFError, OSError):
                    break
            one.process.join(LAST_WORDS)
    finally:
        for one in running.values():
            one.process.kill()
