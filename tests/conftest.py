"""What tests share."""

from __future__ import annotations

import contextlib
import gc
import logging
import multiprocessing.spawn
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import attrs
import pytest
from filelock import FileLock

from lossreg.cli.main import main
from lossreg.registry.registries import default
from tests import temporary, warm_ask
from tests.warm import FEW_COLLECTIONS, held, start

# What the tests train is too small for several threads, and threads that wait for each other make a run on a machine
# that has other work several times as slow. Read when torch is imported, by this process and its children.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# trio, where it is installed, makes hypothesis warn as soon as that is imported.
os.environ.setdefault("HYPOTHESIS_NO_PLUGINS", "1")

# A shell has what it starts in the background ignore SIGINT, and nohup SIGHUP; children inherit that. Tests send both.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (getattr(signal, "SIGHUP", None), signal.SIG_DFL)):
    if number is not None and signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)


gc.disable()  # while tests are collected: nothing of that is garbage

FOLDER = pytest.StashKey[temporary.SessionFolder]()


def pytest_configure(config: pytest.Config) -> None:
    """Has temporary files in memory."""
    if not temporary.is_chosen() and (folder := temporary.session_folder()) is not None:
        config.stash[FOLDER] = folder
        os.environ[temporary.VARIABLE] = str(folder.path)


def pytest_xdist_auto_num_workers() -> int:
    """As many workers as this process may use cores, whatever of them shares one."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Frees the memory; what a test that failed has left stays until the next session."""
    gc.collect()
    gc.freeze()  # pytest collects garbage five times at its end
    if (folder := session.config.stash.get(FOLDER, None)) is not None:
        folder.close(keep=exitstatus == pytest.ExitCode.TESTS_FAILED)
        del session.config.stash[FOLDER], os.environ[temporary.VARIABLE]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Leaves the words that `-k` looks for out of the reports of what passed.

    They are half of a report, which xdist writes and reads in Python three times for each test.
    """
    report = yield
    if report.passed:
        report.keywords = {}
    return report


def pytest_collection_finish() -> None:
    """Has what was imported and collected cost the tests less.

    It is left out of garbage collections, and these are fewer. The loggers of torch propagate: pytest would put its
    handlers on each, six times in each test.
    """
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger) and logger.name.startswith("torch"):
            logger.propagate = True
    gc.freeze()
    gc.set_threshold(*FEW_COLLECTIONS)
    gc.enable()


@attrs.frozen
class Outcome:
    """How a command ended.

    Attributes:
        code: The exit code.
        out: What it wrote to stdout.
        err: What it wrote to stderr.
    """

    code: int
    out: str
    err: str


#: Distributions of their own, installed by the tests of discovery.
collect_ignore = ["packages"]

Command = Callable[..., Outcome]


@pytest.fixture
def lossreg_command(drawing_command: Command) -> Command:
    """`drawing_command` without the curves of runs: hundreds of pictures that no test looks at take a minute."""

    def run(*arguments: str) -> Outcome:
        if arguments[:1] == ("run",):
            arguments = ("run", "--no-plots", *arguments[1:])
        return drawing_command(*arguments)

    return run


@pytest.fixture
def drawing_command(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs `lossreg` in this process, in an empty working directory; returns exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_info:
            main(arguments)
        captured = capsys.readouterr()
        code = exit_info.value.code
        return Outcome(code if isinstance(code, int) else 0, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def warm_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What to write in place of `sys.executable` for a child process that finds torch imported (warm.py)."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of all workers
    executable, address = folder / "python", str(folder / "warm")
    with contextlib.ExitStack() as until_the_end:
        with FileLock(folder / "warm.lock"):
            if not until_the_end.enter_context(held(address)):
                ask = shlex.join([sys.executable, "-I", "-S", warm_ask.__file__, address, str(executable)])
                executable.write_text(f'#!/bin/sh\nexec {ask} "$@"\n')
                executable.chmod(0o700)
                start(address)
                assert until_the_end.enter_context(held(address))
        yield str(executable)


@pytest.fixture(scope="module")
def warm_workers(warm_python: str) -> Iterator[None]:
    """Processes that `multiprocessing` spawns find torch imported (warm.py)."""
    executable = multiprocessing.spawn.get_executable()
    multiprocessing.set_executable(warm_python)
    yield
    multiprocessing.set_executable(executable)


@pytest.fixture(scope="module", autouse=True)
def names_end_with_their_module() -> Iterator[None]:
    """What tests register in this process is unknown to the tests of other files."""

    def registered() -> set[tuple[str, str]]:
        return {(entry.component.kind, entry.id) for entry in default._local()}

    before = registered()
    yield
    for kind, full_id in registered() - before:
        default.of(kind)._remove(full_id)


Once = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Makes a scratch folder of a name and has it filled, once in a session, however many workers of xdist share it."""

    def make(name: str, fill: Callable[[Path], object]) -> Path:
        if "PYTEST_XDIST_WORKER" not in os.environ:
            folder = tmp_path_factory.mktemp(name)
            fill(folder)
            return folder
        root = tmp_path_factory.getbasetemp().parent  # of all workers
        folder = root / name
        with FileLock(root / f"{name}.lock"):
            if not (root / f"{name}.filled").exists():
                shutil.rmtree(folder, ignore_errors=True)  # another worker may have failed half-way
                folder.mkdir()
                fill(folder)
                (root / f"{name}.filled").touch()
        return folder

    return make


@pytest.fixture(scope="session")
def mnist_root() -> Path:
    """The folder that holds the real MNIST."""
    folder = os.environ.get("LOSSREG_DATA")
    if not folder or not Path(folder, "MNIST", "raw").is_dir():
        pytest.skip("LOSSREG_DATA does not name a folder with the real MNIST (MNIST/raw)")
    return Path(folder)
