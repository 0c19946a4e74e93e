"""The process that keeps a run directory, and whether it is still there: sudden death leaves no last words."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PROC = Path("/proc")
_STATE, _STARTED = 0, 19  # fields of /proc/PID/stat behind the name of the program
_DEAD = ("Z", "X")  # its parent has not asked yet how it ended


def this_process() -> dict[str, Any]:
    """What run.json says of the process, so that it is not taken for a later one of the same number.

    Returns:
        `pid`; `host`; and where the system tells, `boot` (the system's own start), `namespace` (what the number counts
        in) and `started` (clock ticks from the boot to the start of the process), else null.
    """
    return {"pid": os.getpid(), **_here(), "started": _state_and_start(os.getpid())[1]}


def is_gone(process: Any) -> bool | None:
    """Whether a process that `this_process` described has ended; None if that cannot be told from here."""
    pid = process.get("pid") if isinstance(process, Mapping) else None
    here = _here()
    if type(pid) is not int or pid < 1 or process.get("host") != here["host"]:
        return None
    if process.get("boot") != here["boot"]:
        return True  # the machine has been started anew
    if process.get("namespace") != here["namespace"]:
        return None  # a container's numbers are not ours
    if not _PROC.is_dir():
        return _is_gone_by_signal(pid)
    state, started = _state_and_start(pid)
    return state is None or state in _DEAD or started != process.get("started")


def describe_unfinished(content: Mapping[str, Any]) -> str | None:
    """What there is to say of a run.json with the status `running`, or None for another.

    Example:
        >>> describe_unfinished({"status": "finished"})
        >>> describe_unfinished({"status": "running"})
        'its run did not end, or is still running'
    """
    if content.get("status") != "running":
        return None
    process = content.get("process")
    gone = is_gone(process)
    if not isinstance(process, Mapping):
        return "its run did not end, or is still running"
    named = f"process {process.get('pid')} on {process.get('host')}"
    if gone is None:
        return f"its run did not end, or is still running ({named}, which cannot be seen from here)"
    return f"its run did not end: {named} is gone" if gone else f"its run is still running ({named})"


def _here() -> dict[str, Any]:
    return {
        "host": platform.node(),
        "boot": _text(_PROC / "sys/kernel/random/boot_id"),
        "namespace": _link(_PROC / "self/ns/pid"),
    }


def _text(path: Path) -> str | None:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").strip()
    return None


def _link(path: Path) -> str | None:
    with contextlib.suppress(OSError):
        return str(path.readlink())
    return None


def _state_and_start(pid: int) -> tuple[str | None, int | None]:
    """The state of a process and when it started, in clock ticks from the boot; None where there is none."""
    text = _text(_PROC / str(pid) / "stat")
    if text is None:
        return None, None
    fields = text.rpartition(")")[2].split()  # the name of the program may hold anything
    return fields[_STATE], int(fields[_STARTED])


def _is_gone_by_signal(pid: int) -> bool | None:
    """On a Unix without /proc; Windows would end the process instead of asking."""
    if sys.platform == "win32":
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False  # another user's
    return False
