"""The numbers in which a model computes: float32, or 16 bits where they are fast and enough."""

from __future__ import annotations

import contextlib
from typing import Literal

import attrs
import torch

from lossreg.errors import ConfigError
from lossreg.run_spec import Precision as Request

_DTYPES = {"bf16": torch.bfloat16, "16": torch.float16}
_CONVOLUTIONS = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)


@attrs.frozen
class Precision:
    """In what a model computes. The loss gets 16-bit outputs of autocast in float32; weights stay as they are.

    Attributes:
        name: `32`, `bf16` or `16`.
        reason: Why.
        device_type: `cpu`, `cuda` or another.
        warning: A sentence about a request that is slow here, or None.
    """

    name: Literal["32", "bf16", "16"]
    reason: str
    device_type: str
    warning: str | None = None

    def autocast(self) -> contextlib.AbstractContextManager[None]:
        """A context in which operators choose between float32 and 16 bits."""
        if self.name == "32":
            return contextlib.nullcontext()
        return torch.autocast(self.device_type, _DTYPES[self.name])

    def scaler(self) -> torch.amp.GradScaler | None:
        """What keeps float16 gradients from vanishing, or None where nothing need."""
        return torch.amp.GradScaler(self.device_type) if self.name == "16" else None


def choose_precision(request: Request, device: torch.device, model: torch.nn.Module, *, closure: bool) -> Precision:
    """Decides in what a model computes.

    `auto` is bfloat16 on a GPU that has it; on a CPU that has it (AMX or AVX512_BF16), only for a model with
    convolutions, since small linear layers are slower in it (docs/performance.md); otherwise float32.

    Args:
        request: `auto`, `32`, `bf16` or `16`.
        device: Where it computes.
        model: What computes.
        closure: Whether the optimizer's step takes a closure, which no gradient scaler can serve.

    Raises:
        ConfigError: If the device or the optimizer does not support it.
    """
    if request == "auto":
        name, reason = _automatic(device, model)
        return Precision(name, reason, device.type)
    if request == "16" and closure:
        raise ConfigError(
            "precision 16 scales gradients, which is not supported for an optimizer with a closure; write bf16 or 32"
        )
    if request == "16" and any(parameter.dtype is torch.float16 for parameter in model.parameters()):
        raise ConfigError(
            "precision 16 keeps weights in float32 and scales their gradients, but the model has float16 weights; "
            "write 32, which leaves them as they are, or give the model in float32"
        )
    precision = Precision(request, "as requested", device.type, _slow(request, device))
    try:
        with precision.autocast():
            pass
    except RuntimeError as error:
        raise ConfigError(f"precision {request} is not supported on {device}: {error}") from error
    return precision


def _slow(request: Literal["32", "bf16", "16"], device: torch.device) -> str | None:
    """A warning about 16 bits on a CPU that has to imitate them."""
    fast = request == "32" or (_has_fast_bf16(device) if request == "bf16" else _has_fast_fp16())
    if device.type != "cpu" or fast:
        return None
    kind = str(_DTYPES[request]).removeprefix("torch.")
    return (
        f"precision (--precision) {request}: this CPU has no fast {kind}, and may take ten times as long in it as in "
        "float32; 32 or auto is faster here"
    )


def _has_fast_fp16() -> bool:
    return bool(getattr(torch.cpu, "_is_amx_fp16_supported", bool)())


def _automatic(device: torch.device, model: torch.nn.Module) -> tuple[Literal["32", "bf16"], str]:
    if not _has_fast_bf16(device):
        return "32", f"{_named(device)} has no fast bfloat16"
    if device.type != "cpu":
        return "bf16", f"{_named(device)} has fast bfloat16"
    if any(isinstance(module, _CONVOLUTIONS) for module in model.modules()):
        return "bf16", "this CPU has fast bfloat16, and the model has convolutions"
    return "32", "without convolutions float32 is as fast on a CPU"


def _named(device: torch.device) -> str:
    return "this CPU" if device.type == "cpu" else str(device)


def _has_fast_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "xpu":
        return bool(torch.xpu.is_bf16_supported())
    if device.type == "cpu":
        # torch tells it by these names alone; where they are missing, nothing is known.
        names = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
        return any(getattr(torch.cpu, name, bool)() for name in names)
    return False
