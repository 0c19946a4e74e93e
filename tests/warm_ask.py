"""What stands for Python where a test uses the fixture `warm_python`: has the server of warm.py run a command.

`warm_ask.py ADDRESS EXECUTABLE ARGUMENTS...` hands arguments, environment, working directory and open files to the
server, passes signals on, and ends as the command does. It runs hundreds of times, so it imports nothing that is
written in Python: `socket`, `signal` and `json` take twice the time of all else here.
"""

import _signal  # type: ignore[import-not-found]  # typeshed leaves it out
import _socket
import os
import sys

FORWARDED = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP)


def open_files() -> list[int]:
    """The files that a process which this one starts would find open: the standard streams, and what is passed on."""
    files = []
    for name in os.listdir("/dev/fd"):  # noqa: PTH208  # pathlib takes time
        try:
            if os.get_inheritable(int(name)):
                files.append(int(name))
        except OSError:
            pass  # of the listing itself
    return files


def ask(address: str, executable: str, arguments: list[str]) -> int:
    """Has the server at a socket run a command in a child of its own, and waits for its end.

    Returns:
        The exit code, or the negative number of the signal that ended it.
    """
    files = open_files()
    connection, process = begin(address, executable, arguments, {file: file for file in files}, dict(os.environ))
    for number in FORWARDED:
        _signal.signal(number, lambda received, _: pass_on(received, process))
    return answer(connection)


def begin(
    address: str, executable: str, arguments: list[str], files: dict[int, int], environment: dict[str, str]
) -> tuple[_socket.socket, int]:
    """Has the server at a socket run a command in a child of its own.

    Args:
        address: Of the server.
        executable: What the child takes for Python.
        arguments: Of it.
        files: The number of a file in the child -> its number here.
        environment: The child's.

    Returns:
        The connection, whose next answer is the exit code or the negative number of the signal that ended the child;
        closing it kills the child. And the number of the process.
    """
    connection = _socket.socket(_socket.AF_UNIX)
    connection.connect(address)
    request = ascii(
        {
            "executable": executable,
            "arguments": arguments,
            "environment": environment,
            "cwd": os.getcwd(),  # noqa: PTH109  # as above
            "files": list(files),
        }
    ).encode()
    rights = b"".join(file.to_bytes(4, sys.byteorder) for file in files.values())
    connection.sendmsg(
        [len(request).to_bytes(4, sys.byteorder)], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)] if files else []
    )
    connection.sendall(request)
    return connection, answer(connection)


def answer(connection: _socket.socket) -> int:
    """A number from the server."""
    received = b""
    while len(received) < 4:
        part = connection.recv(4 - len(received))
        if not part:
            raise EOFError("the server of warm.py has ended")
        received += part
    return int.from_bytes(received, sys.byteorder, signed=True)


def pass_on(received: int, process: int) -> None:
    """Sends a signal to a process that may have ended."""
    try:  # noqa: SIM105  # contextlib takes time
        os.kill(process, received)
    except ProcessLookupError:
        pass


if __name__ == "__main__":
    code = ask(sys.argv[1], sys.argv[2], sys.argv[3:])
    if code < 0:
        if -code != _signal.SIGKILL:
            _signal.signal(-code, _signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)
