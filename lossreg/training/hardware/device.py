"""Device requests (`auto`, `cuda`, `cuda:1`) become devices."""

from __future__ import annotations

import re

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
        local_rank: Which of the processes on this machine asks; each gets an accelerator of its own.
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
    wanted = kind if kind == "cpu" else f"{kind}:{int(index or local_rank)}"
    if wanted not in available or (kind == "cpu" and index not in (None, "0")):
        shared = f" for process {local_rank} of the {local_world_size} on this machine" if local_world_size > 1 else ""
        raise DeviceError(
            f"device {request!r} does not exist{shared}; this machine has {', '.join(available)}",
            request=request,
            available=available,
        )
    return torch.device(wanted)
