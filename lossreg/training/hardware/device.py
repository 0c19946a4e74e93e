"""Device requests (`auto`, `cuda`, `cuda:1`) become devices."""

from __future__ import annotations

import platform
import re
import socket
from collections.abc import Sequence
from pathlib import Path

import torch

from lossreg.errors import DeviceError

_REQUEST = re.compile(r"(auto|cpu|cuda|mps|xpu)(?::(\d+))?", re.ASCII)


def available_devices() -> tuple[str, ...]:
    """The devices that this machine has, as one would request them."""
    # Without the check, a CUDA build says cuda on a machine that has none.
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None:
        return ("cpu",)
    count = torch.accelerator.device_count()
    return ("cpu", *(f"{accelerator.type}:{index}" for index in range(count)))


def resolve_device(request: str, local_rank: int = 0, local_world_size: int = 1) -> torch.device:
    """The device for a request.

    Args:
        request: `auto` (the accelerator if there is one, else the CPU), `cpu`, `cuda`, `cuda:N`, `mps` or `xpu`.
        local_rank: Which of the processes on this machine asks; see `own_index`.
        local_world_size: How many processes there are on this machine.

    Raises:
        DeviceError: If the request is not understood, or the device does not exist.

    Example:
        >>> resolve_device("cpu")
        device(type='cpu')
    """
    available = available_devices()
    match = _REQUEST.fullmatch(request.strip().lower())
    if match is None:
        raise DeviceError(
            f"device {request!r} is not understood; write auto, cpu, cuda, cuda:N, mps or xpu. "
            f"This machine has {', '.join(available)}",
            request=request,
            available=available,
        )
    kind, index = match.groups()
    if kind == "auto" and index is None:
        kind = available[-1].partition(":")[0]
    if local_world_size > 1 and kind != "cpu" and index is not None:
        raise DeviceError(
            f"device {request!r} is one device, but {local_world_size} processes of this machine train together; "
            f"write {kind}, and each takes its own",
            request=request,
            available=available,
        )
    # torch.device("cuda:3") succeeds anywhere and fails at the first tensor.
    wanted = (
        kind
        if kind == "cpu"
        else f"{kind}:{own_index(local_rank, len(available) - 1) if index is None else int(index)}"
    )
    if wanted not in available or (kind == "cpu" and index not in (None, "0")):
        shared = f" for process {local_rank} of the {local_world_size} on this machine" if local_world_size > 1 else ""
        raise DeviceError(
            f"device {request!r} does not exist{shared}; this machine has {', '.join(available)}",
            request=request,
            available=available,
        )
    return torch.device(wanted)


def own_index(local_rank: int, visible: int) -> int:
    """The accelerator of one of several processes on a machine, among those that it sees.

    A launcher shows either all of them to each process, or to each its own (`srun --gpus-per-task=1`), which is
    `cuda:0` in every process then.

    Args:
        local_rank: Which of the machine's processes this is.
        visible: How many accelerators this process sees.

    Example:
        >>> [own_index(local_rank, visible=4) for local_rank in range(4)]
        [0, 1, 2, 3]
        >>> [own_index(local_rank, visible=1) for local_rank in range(4)]
        [0, 0, 0, 0]
    """
    return local_rank % visible if visible else local_rank


def hardware_id(device: torch.device) -> str | None:
    """What tells an accelerator from all others, however processes number those that they see; None for a CPU."""
    if device.type == "cpu":
        return None
    properties = getattr(torch.get_device_module(device), "get_device_properties", None)
    uuid = None if properties is None else getattr(properties(device), "uuid", None)
    return f"{device if uuid is None else f'{device.type} {uuid}'} of {socket.gethostname()}"


def check_not_shared(ids: Sequence[str | None]) -> None:
    """Checks that no two processes have the same accelerator, with which they cannot train together.

    Args:
        ids: The `hardware_id` of each process.

    Raises:
        DeviceError: If two have.
    """
    for rank, one in enumerate(ids):
        if one is not None and one in ids[:rank]:
            raise DeviceError(
                f"processes {ids.index(one)} and {rank} have the same device ({one}); start no more processes on a "
                "machine than it has accelerators, have the launcher show each its own, or write device='cpu' "
                "(--device cpu)",
                request="auto",
                available=(),
            )


def describe_machine(device: torch.device) -> dict[str, str | None]:
    """What of the machine decides in which bits a run computes.

    Returns:
        `system`, `architecture`, `cpu` (its model), `capability` (which instructions torch uses on it), and
        `accelerator` (the device's model, or None).
    """
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cpu": _cpu_model(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "accelerator": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # only Linux has it
        return platform.processor()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor())
