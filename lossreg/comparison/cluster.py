"""The same runs as tasks of Ray, on one machine or on many; their directories come back here. Needs the extra `ray`."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from lossreg.comparison.jobs import Job, Outcome
from lossreg.comparison.worker import train
from lossreg.errors import ConfigError, LossregError, RunFailedError, describe_error
from lossreg.plugins.plugin_settings import PluginSettings
from lossreg.registry.registries import default
from lossreg.run_spec import RunSpec

PATIENCE = 10  # seconds in which a cluster should answer
RETRIES = 3  # of a run whose node died
_PASSED_ON = "LOSSREG_"  # environment variables that begin so are set on every node

#: The name of each file of a run directory, and what is in it.
Files = Mapping[str, bytes]


@attrs.frozen
class Task:
    """A run for another process, maybe on another machine.

    Attributes:
        name: By which its outcome is found.
        spec: Its settings.
        out: Its directory, here.
        plots: Whether its curves are drawn.
    """

    name: str
    spec: RunSpec
    out: Path
    plots: bool = False


@attrs.frozen
class Surroundings:
    """What a run needs of this process.

    Attributes:
        environment: Variables to set.
        folder: The working directory; used where there is one of this name.
        plugins: Which plugins load.
        threads: That torch uses on the CPU.
    """

    environment: Mapping[str, str]
    folder: str
    plugins: PluginSettings
    threads: int


@contextlib.contextmanager
def connected(address: str) -> Iterator[Any]:
    """Within the block Ray is there: the cluster at an address, or one of this machine alone.

    Args:
        address: Of a cluster, as `ray.init` takes it; empty starts one on this machine.

    Raises:
        ConfigError: If Ray is not installed, or there is no cluster.
    """
    try:
        import ray
    except ImportError as error:
        raise ConfigError("--ray needs Ray, which is not installed: pip install 'lossreg[ray]'") from error
    _check_reachable(address)
    was_there = ray.is_initialized()
    try:
        if not was_there:
            ray.init(address=address or "local", log_to_driver=False, logging_level="warning", include_dashboard=False)
    except Exception as error:  # of Ray's own kinds, by what is wrong with the address
        raise ConfigError(f"--ray {address or '(local)'}: no cluster can be used: {describe_error(error)}") from error
    try:
        yield ray
    finally:
        if not was_there:
            ray.shutdown()


def _check_reachable(address: str) -> None:
    """Checks that something answers at an address: Ray itself waits for minutes.

    Raises:
        ConfigError: If nothing does.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        return  # a word of Ray's own, such as auto
    try:
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()
    except (OSError, ValueError, OverflowError) as error:  # no such port is the last
        raise ConfigError(f"--ray {address}: no cluster can be used: {describe_error(error)}") from error


def do_on_cluster(
    ray: Any, tasks: Sequence[Task], *, threads: int, on_gpu: bool, told: Callable[[Job, str, Any], None]
) -> dict[str, Outcome]:
    """Does runs as tasks of Ray, which waits until each has its cores and its GPU, and repeats those whose node dies.

    Args:
        ray: The module, connected.
        tasks: The runs.
        threads: Cores of each.
        on_gpu: Whether each needs a GPU.
        told: As for `jobs.do`; `started` comes when a run is handed over.

    Returns:
        The outcome of each.
    """
    environment = {key: value for key, value in os.environ.items() if key.startswith(_PASSED_ON)}
    surroundings = Surroundings(environment, str(Path.cwd()), _whole_paths(default.settings), threads)
    remote = ray.remote(num_cpus=threads, num_gpus=1 if on_gpu else 0, max_retries=RETRIES)(run_away)
    waiting: dict[Any, tuple[Task, Job]] = {}
    outcomes: dict[str, Outcome] = {}
    try:
        for task in tasks:
            job = Job(task.name, functools.partial(train, task.spec, task.out, plots=task.plots))
            waiting[remote.remote(task.spec, surroundings, task.plots)] = (task, job)
            told(job, "started", None)
        while waiting:
            (done, *_), _ = ray.wait(list(waiting), num_returns=1)
            task, job = waiting.pop(done)
            outcomes[task.name] = _take(ray, done, task)
            told(job, "ended", outcomes[task.name])
    except BaseException:
        for one in waiting:
            with contextlib.suppress(Exception):  # the cluster may be what failed
                ray.cancel(one, force=False)
        raise
    return outcomes


def run_away(spec: RunSpec, surroundings: Surroundings, plots: bool) -> tuple[Files, str | None]:
    """What a node does: trains in a folder of its own.

    Returns:
        The files of the run directory, and what was wrong, or None.
    """
    import torch

    os.environ.update(surroundings.environment)
    if Path(surroundings.folder).is_dir():
        os.chdir(surroundings.folder)
    if default.settings != surroundings.plugins:
        default.configure(surroundings.plugins)
    torch.set_num_threads(surroundings.threads)
    error = None
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "run"
        try:
            train(spec, place, lambda kind, value: None, plots=plots)  # noqa: ARG005  # nothing listens on the way
        except LossregError as failure:
            error = failure.message
        except Exception as failure:  # the code of a component
            error = describe_error(failure)
        found = [file for file in place.rglob("*") if file.is_file()]  # an observer may have made folders
        files = {file.relative_to(place).as_posix(): file.read_bytes() for file in found}
    return files, error


def _take(ray: Any, done: Any, task: Task) -> Outcome:
    """Puts what came back where it belongs; the directory is whole, or not there."""
    try:
        files, error = ray.get(done)
    except Exception as failure:  # the node died more often than is retried, or Ray itself failed
        return Outcome(error=LossregError(f"Ray gave it up: {describe_error(failure)}"))
    try:
        _keep(files, task.out)
    except OSError as failure:
        raise RunFailedError(
            f"{task.out} cannot be written to: {describe_error(failure)}", epoch=0, step=0
        ) from failure
    return Outcome(error=None if error is None else LossregError(error))


def _keep(files: Files, out: Path) -> None:
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        if files:
            partial.mkdir()
            for name, content in files.items():
                place = partial / name
                if not place.resolve().is_relative_to(partial.resolve()):
                    raise OSError(f"a node sent a file named {name!r}, which is outside of the run directory")
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
            partial.replace(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _whole_paths(settings: PluginSettings) -> PluginSettings:
    """The settings with whole paths of the files that `-p` names: a node may have another working directory."""
    local = tuple(str(Path(one).resolve()) if one.endswith(".py") or "/" in one else one for one in settings.local)
    return attrs.evolve(settings, local=local)
