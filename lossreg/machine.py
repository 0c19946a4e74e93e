"""What this machine has."""

from __future__ import annotations

import os
from pathlib import Path

UNKNOWN_MEMORY = 4 << 30  # bytes that are counted on where the system does not say


def available_cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_memory() -> int:
    """Bytes of memory that can be used without swapping: what the system says, at most what this process may have."""
    limits = _address_space()
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        limits += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")]
        limits += [int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))]
    except (OSError, ValueError, IndexError):  # another system, or no limit
        pass
    return min(limits, default=UNKNOWN_MEMORY)


def _address_space() -> list[int]:
    """The bytes that `ulimit -v` leaves to this process, where it is set."""
    try:
        import resource  # Windows has none

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    except (ImportError, OSError, ValueError, IndexError):
        return []
    return [] if limit == resource.RLIM_INFINITY else [max(0, limit - used)]
