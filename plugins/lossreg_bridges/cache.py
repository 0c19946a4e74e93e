"""The index of another version than the one that lossreg was released with: made once, in a process of its own.

It is kept in the user's cache folder by package, version and version of lossreg.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from lossreg import __version__
from lossreg_bridges.index import Index, IndexFileError, read_index

if TYPE_CHECKING:
    from lossreg_bridges.bridge import Bridge

TIMEOUT = 900  # seconds; most of it is the import of the package, and trials of what is new in it
_COMPLETION = "_LOSSREG_COMPLETE"  # set while a shell waits for completions
_REASON = 300  # characters of what a failed process said last


def index_of_other_version(bridge: Bridge, version: str, snapshot: Index) -> Index:
    """The index of a version: the cached one, else one made now; the snapshot, with a note, where that is not possible.

    Args:
        bridge: The bridge.
        version: The installed version.
        snapshot: The index that comes with lossreg.
    """
    file = cache_file(bridge, version)
    cached = _cached(file, bridge, version)
    if cached is not None:
        return cached
    if os.environ.get(_COMPLETION):  # a shell does not wait
        return snapshot
    problem = _failed_before(file) or _not_writable(file.parent) or _make(bridge, version, file)
    made = None if problem else _cached(file, bridge, version)
    if made is not None:
        return made
    logging.getLogger("lossreg").warning(
        "%s %s is installed; what is listed of it is that of %s, with which lossreg was released: %s",
        bridge.package, version, snapshot.version, problem or f"{file} was removed",
    )  # fmt: skip
    return snapshot


def cache_file(bridge: Bridge, version: str) -> Path:
    """Where the index of a version is kept."""
    safe = re.sub(r"[^\w.+-]", "_", f"{bridge.name}-{version}-lossreg-{__version__}")
    return platformdirs.user_cache_path("lossreg", appauthor=False) / "indexes" / f"{safe}.json"


def _cached(file: Path, bridge: Bridge, version: str) -> Index | None:
    """The index in the cache; None if there is none, or it cannot be used, and is to be made again."""
    try:
        index = read_index(file, bridge.package)
    except IndexFileError:
        return None
    return index if (index.version, index.made_by) == (version, __version__) else None


def _not_writable(folder: Path) -> str | None:
    """Why nothing can be kept in a folder, or None; it is made if it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"{folder} cannot be made: {error.strerror or error}"
    return None if os.access(folder, os.W_OK) else f"{folder} cannot be written to"


def _failure_file(file: Path) -> Path:
    return file.with_suffix(".failed.json")


def _failed_before(file: Path) -> str | None:
    """Why an earlier attempt failed, which is not repeated at every start; or None."""
    try:
        found = json.loads(_failure_file(file).read_text(encoding="utf-8"))
        return f"{found['problem']} (remove {_failure_file(file)} to try again)"
    except (OSError, ValueError, KeyError, TypeError):  # there is none, or it cannot be read
        return None


def _make(bridge: Bridge, version: str, file: Path) -> str | None:
    """Makes the index of the installed version in a process of its own.

    Returns:
        Why that failed, or None.
    """
    sys.stderr.write(f"lossreg: reading what {bridge.package} {version} offers; this is done once, and imports it\n")
    sys.stderr.flush()
    # -P: nothing in the working directory takes the place of a module.
    command = [sys.executable, "-P", "-m", "lossreg_bridges", "index", bridge.name, "--out", str(file), "--quiet"]
    try:
        result = subprocess.run(  # noqa: S603  # our own module, and the name of one of our bridges
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True, errors="replace", timeout=TIMEOUT, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        problem = f"reading it took more than {TIMEOUT} s"
    except OSError as error:
        return f"no process can be started: {error.strerror or error}"
    else:
        if result.returncode == 0:
            return None
        last = (result.stderr.strip().splitlines() or ["it said nothing"])[-1][:_REASON]
        problem = f"reading it ended with exit code {result.returncode}: {last}"
    with contextlib.suppress(OSError):  # then it is tried again at the next start
        _failure_file(file).write_text(json.dumps({"problem": problem}), encoding="utf-8")
    return problem
