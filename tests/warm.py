"""Child processes that need not import torch, which takes seconds: each is a fork of a process that has imported it.

The fixture `warm_python` is a command that stands for `sys.executable`. It runs warm_ask.py, which hands its arguments,
environment, working directory and open files to a server, this file; the server has imported torch and lossreg, has
loaded no plugin, and forks. All workers of xdist share one server, which ends after the last of them and of its
children. Tests of how Python starts, of what is imported, or of process ids use `sys.executable` itself.
"""

from __future__ import annotations

import array
import ast
import atexit
import contextlib
import ctypes
import fcntl
import gc
import importlib
import inspect
import multiprocessing
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import types
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MOST_FILES = 64  # that a process is started with
UNUSED = 512  # a number that no open file has
LARGE_PAGE = 2 << 20
MADV_COLLAPSE = 25  # of linux/mman.h
FEW_COLLECTIONS = 10_000, 50, 20  # tests leave little garbage, and looking for it took a sixteenth of their time


@contextlib.contextmanager
def held(address: str) -> Iterator[bool]:
    """Keeps the server at a socket from ending.

    Yields:
        Whether there is one.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(address)
            connection.sendall(b"hold")
            there = connection.recv(4) == b"held"
        except OSError:  # nothing was ever there, or it is about to end
            there = False
        yield there


def start(address: str) -> None:
    """Starts the server, and returns when it answers. It ends if nothing holds it any more and no child is left."""
    Path(address).unlink(missing_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment["OMP_NUM_THREADS"] = "1"  # a child would wait for threads that a fork does not have
    subprocess.run([sys.executable, __file__, address], env=environment, check=True)


class Server:
    """Forks processes for those who ask, and tells them how they ended.

    Args:
        address: The path of its socket.
    """

    def __init__(self, address: str) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(address)
        self.listener.listen()
        self.holders: set[socket.socket] = set()
        self.children: dict[int, socket.socket] = {}

    def serve(self) -> dict[str, Any] | None:
        """Answers until the last who holds it has gone, and the last child.

        Returns:
            In the server, nothing; in each of its children, what it shall become.
        """
        signal.signal(signal.SIGCHLD, lambda *_: None)  # so that the end of a child writes to `woken`
        self.woken, self.waker = os.pipe()
        os.set_blocking(self.woken, False)
        os.set_blocking(self.waker, False)
        signal.set_wakeup_fd(self.waker)
        self.selector = selectors.DefaultSelector()
        for source in (self.listener, self.woken):
            self.selector.register(source, selectors.EVENT_READ)
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.listener:
                    request = self.hear(self.listener.accept()[0])
                    if request is not None:
                        return request
                elif isinstance(key.fileobj, socket.socket):
                    self.leave(key.fileobj)
                else:
                    self.reap()
            if not (self.holders or self.children):
                return None

    def hear(self, connection: socket.socket) -> dict[str, Any] | None:
        """Notes who holds the server, or forks for a request.

        Returns:
            In the child, the request.
        """
        self.selector.register(connection, selectors.EVENT_READ)
        head, rights, _, _ = connection.recvmsg(4, socket.CMSG_SPACE(4 * MOST_FILES))
        if head == b"hold":
            self.holders.add(connection)
            connection.sendall(b"held")
            return None
        files = array.array("i", b"".join(data for _, _, data in rights))
        size, text = int.from_bytes(head, sys.byteorder), b""
        while part := connection.recv(size - len(text)):  # in parts, where the end of a child interrupts it
            text += part
        process = os.fork() if head and len(text) == size else None  # else who asked has gone
        if process == 0:
            request: dict[str, Any] = ast.literal_eval(text.decode())
            connection.close()  # later it would close the file that has taken its number
            self.become_child(dict(zip(request["files"], files, strict=True)))
            return request
        for file in files:
            os.close(file)  # a pipe ends with the child
        if process is not None:
            self.children[process] = connection
            self.tell(connection, process)
        return None

    def become_child(self, files: dict[int, int]) -> None:
        """In a child: gives up what is the server's, and takes the files of who asked, at their numbers."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        moved = {target: fcntl.fcntl(file, fcntl.F_DUPFD, UNUSED) for target, file in files.items()}
        self.selector.close()
        for connection in (self.listener, *self.holders, *self.children.values()):
            connection.close()
        for file in (0, 1, 2, self.woken, self.waker, *files.values()):
            os.close(file)
        for target, file in moved.items():
            os.dup2(file, target)
            os.close(file)

    def leave(self, connection: socket.socket) -> None:
        """Lets go who held the server; who asked for a process and went away takes it along."""
        if connection.fileno() == -1:  # its process has just ended by itself
            return
        self.selector.unregister(connection)
        connection.close()
        self.holders.discard(connection)
        for process, asked in self.children.items():
            if asked is connection:
                os.kill(process, signal.SIGKILL)

    def reap(self) -> None:
        """Tells those who asked how their processes ended."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.woken, 4096):
                pass
        while self.children:
            process, status = os.waitpid(-1, os.WNOHANG)
            if process == 0:
                break
            connection = self.children.pop(process)
            if connection.fileno() != -1:
                self.tell(connection, os.waitstatus_to_exitcode(status))
                self.selector.unregister(connection)
                connection.close()

    def tell(self, connection: socket.socket, number: int) -> None:
        """Sends a number to who may have gone."""
        with contextlib.suppress(OSError):
            connection.sendall(number.to_bytes(4, sys.byteorder, signed=True))


def import_all(package: types.ModuleType) -> None:
    """Imports the modules of a package, without what needs another trainer or runs when it is imported."""
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.startswith("lossreg.adapters.") and not module.name.endswith(".__main__"):
            importlib.import_module(module.name)


def use_large_pages() -> None:
    """Has the kernel keep what this process has allocated in pages of 2 MB, where it can (Linux 6.1).

    A fork copies the table of all pages, and its end goes through it: 400 MB in pages of 4 kB take three times as long.
    """
    if sys.platform != "linux":
        return
    advise = ctypes.CDLL(None).madvise
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        span, mode, _, _, inode, *_ = line.split()
        start, end = (int(address, 16) for address in span.split("-"))
        start, end = -(-start // LARGE_PAGE) * LARGE_PAGE, end // LARGE_PAGE * LARGE_PAGE
        if mode == "rw-p" and inode == "0" and start < end:
            advise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), MADV_COLLAPSE)


def serve(address: str) -> dict[str, Any] | None:
    """Imports what takes long, and has a child that belongs to no terminal go on as the server.

    Returns:
        As `Server.serve`.
    """
    importlib.import_module("torch._dynamo")  # by what an optimizer imports, after torch itself
    for module in ("matplotlib.figure", "matplotlib.backends.backend_agg"):  # by what a run of the command line draws
        importlib.import_module(module)
    importlib.import_module("pytest")  # by the tests of distributions that `lossreg new` writes
    import_all(importlib.import_module("lossreg"))
    importlib.import_module("lossreg_builtin.digits").load()  # which keeps what it reads
    # torchrun asks for the whole stack at each of its events, and looks a file that no module has up in all modules.
    inspect.modulesbyfile.update({__file__: __name__, "<frozen runpy>": "runpy"})
    for one in [*weakref.finalize._registry]:  # type: ignore[attr-defined]  # it has no public list of them
        one.atexit = False  # a child would take the operators of torch back one by one at its end, for 50 ms
    gc.collect()
    gc.freeze()  # a child that collects garbage would copy all memory of torch
    gc.set_threshold(*FEW_COLLECTIONS)
    use_large_pages()
    server = Server(address)
    if os.fork():
        os._exit(0)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):
        os.dup2(nothing, stream)
    os.close(nothing)
    return server.serve()


def standard_stream(number: int, mode: str, **options: Any) -> Any:
    """A standard stream as Python makes it: None where its file is closed."""
    try:
        os.fstat(number)
    except OSError:
        return None
    return open(number, mode, closefd=False, **options)  # open until the process ends


def become(request: dict[str, Any]) -> None:
    """Runs what `python ARGUMENTS` would run, with `-P`, `-u`, `-B`, `-c`, `-m` or a script."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.stdin = standard_stream(0, "r")
    sys.stdout = standard_stream(1, "w", buffering=1 if os.isatty(1) else -1)
    sys.stderr = standard_stream(2, "w", buffering=1, errors="backslashreplace")
    vars(sys).update(__stdin__=sys.stdin, __stdout__=sys.stdout, __stderr__=sys.stderr)  # as Python itself sets them
    sys.executable = request["executable"]  # the child's own children are warm, too
    multiprocessing.set_executable(sys.executable)
    vars(multiprocessing.process)["ORIGINAL_DIR"] = request["cwd"]  # which is where a script's path starts
    sys.dont_write_bytecode = "PYTHONDONTWRITEBYTECODE" in os.environ
    arguments = list(request["arguments"])
    safe = False
    while arguments[0] in ("-P", "-u", "-B"):
        flag = arguments.pop(0)
        safe |= flag == "-P"
        sys.dont_write_bytecode |= flag == "-B"  # which a worker is given where the variable is set
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
                if stream is not None:
                    stream.flush()
        os._exit(cls.code if isinstance(cls.code, int) else 1)


if __name__ == "__main__":
    atexit.register(End.come)
    asked = serve(sys.argv[1])
    try:
        if asked is not None:
            become(asked)
        End.code = 0
    except SystemExit as error:
        End.code = error.code or 0
        raise
