"""Child processes that need not import torch, which takes seconds: each is a fork of a process that has imported it.

The fixture `warm_python` is a command that stands for `sys.executable`. It runs this file, which hands its arguments,
environment, working directory and standard streams to a server; the server has imported torch and nothing of lossreg,
and forks. The command passes signals on, and ends as the fork does. Tests of how Python starts, of what is imported, or
of process ids use `sys.executable` itself.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STREAMS = [0, 1, 2]


def ask(address: str, executable: str, arguments: list[str]) -> int:
    """Has the server at a socket run a command in a child of its own, and waits for its end.

    Returns:
        The exit code, or the negative number of the signal that ended it.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        process, answers = begin(connection, address, executable, arguments)
        for number in FORWARDED:
            signal.signal(number, lambda received, _: pass_on(received, process))
        return int(answers.readline())


def begin(
    connection: socket.socket,
    address: str,
    executable: str,
    arguments: list[str],
    streams: Sequence[int] = STREAMS,
    environment: Mapping[str, str] = os.environ,
) -> tuple[int, TextIO]:
    """Has the server at a socket run a command in a child of its own.

    Args:
        connection: Not connected yet; closing it kills the child.
        address: Of the server.
        executable: What the child takes for Python.
        arguments: Of it.
        streams: The child's standard streams.
        environment: The child's.

    Returns:
        The number of the process, and a file whose next line is the exit code, or the negative number of the signal.
    """
    connection.connect(address)
    socket.send_fds(connection, [b"\n"], streams)
    request = {
        "executable": executable,
        "arguments": arguments,
        "environment": dict(environment),
        "cwd": str(Path.cwd()),
    }
    connection.sendall(json.dumps(request).encode() + b"\n")
    answers = connection.makefile()
    return int(answers.readline()), answers


def pass_on(received: int, process: int) -> None:
    """Sends a signal to a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, received)


def serve(address: str) -> dict[str, Any] | None:
    """Answers until stdin ends.

    Returns:
        In the server, nothing; in each of its children, what it shall become.
    """
    importlib.import_module("torch._dynamo")  # by what an optimizer imports, after torch itself
    importlib.import_module("matplotlib.backends.backend_agg")  # by what a run of the command line draws at its end
    gc.collect()
    gc.freeze()  # a child that collects garbage would copy all memory of torch
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the keepers are not waited for
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            ready, _, _ = select.select([listener.fileno(), sys.stdin.fileno()], [], [])
            if listener.fileno() not in ready:
                return None
            connection, _ = listener.accept()
            if os.fork() == 0:
                break
            connection.close()
    return keep(connection)


def keep(connection: socket.socket) -> dict[str, Any]:
    """Forks a child for a request, waits for it, and answers; who asked and went away takes it along.

    Returns:
        In the child, the request.
    """
    _, streams, _, _ = socket.recv_fds(connection, 1, len(STREAMS))
    request: dict[str, Any] = json.loads(connection.makefile().readline())
    signal.signal(signal.SIGCHLD, lambda *_: None)  # so that the end of the child writes to `woken`
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    process = os.fork()
    if process == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for target, source in zip(STREAMS, streams, strict=True):
            os.dup2(source, target)
        for descriptor in (woken, waker, connection.detach(), *streams):
            os.close(descriptor)
        return request
    for descriptor in (*STREAMS, *streams):
        os.close(descriptor)  # a pipe ends with the child
    connection.sendall(f"{process}\n".encode())
    ended, _, _ = select.select([connection.fileno(), woken], [], [])
    if connection.fileno() in ended:
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    with contextlib.suppress(OSError):
        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def become(request: dict[str, Any]) -> None:
    """Runs what `python ARGUMENTS` would run, with `-P`, `-u`, `-c`, `-m` or a script."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", buffering=1 if os.isatty(1) else -1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    vars(sys).update(__stdin__=sys.stdin, __stdout__=sys.stdout, __stderr__=sys.stderr)  # as Python itself sets them
    sys.executable = request["executable"]  # the child's own children are warm, too
    sys.dont_write_bytecode = "PYTHONDONTWRITEBYTECODE" in os.environ
    arguments = list(request["arguments"])
    safe = False
    while arguments[0] in ("-P", "-u"):
        safe |= arguments.pop(0) == "-P"
    what = arguments.pop(0)
    folders = [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    sys.path[:1] = folders if safe else [str(Path(what).parent) if what[0] != "-" else str(Path.cwd()), *folders]
    importlib.invalidate_caches()
    if what == "-m":
        sys.argv = arguments
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    elif what == "-c":
        sys.argv = ["-c", *arguments[1:]]
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(arguments[0], "<string>", "exec"), main.__dict__)  # noqa: S102
    else:
        sys.argv = [what, *arguments]
        runpy.run_path(what, run_name="__main__")


class End:
    """The end of a child, without the second that Python takes to free the memory of torch."""

    code: object = 1

    @classmethod
    def come(cls) -> None:
        """Ends the process; the last function that `atexit` calls."""
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(ValueError, OSError):  # another library may have closed it
                stream.flush()
        os._exit(cls.code if isinstance(cls.code, int) else 1)


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        atexit.register(End.come)
        asked = serve(sys.argv[2])
        try:
            if asked is not None:
                become(asked)
            End.code = 0
        except SystemExit as error:
            End.code = error.code or 0
            raise
    else:
        code = ask(sys.argv[1], sys.argv[2], sys.argv[3:])
        if code < 0:
            if -code != signal.SIGKILL:
                signal.signal(-code, signal.SIG_DFL)
            os.kill(os.getpid(), -code)
        sys.exit(code)
