"""Model and loss of a host: parameters go by the names that the model itself has, whatever is wrapped around it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch.distributed as dist
from torch import nn

from lossreg.errors import ConfigError
from lossreg.training.hardware.precision import Precision
from lossreg.training.loss.objective import Objective
from lossreg.training.optim.sharded import is_sharded

if TYPE_CHECKING:
    from lossreg.training.loss.adapter import LossAdapter

FLOAT32 = Precision("32", "the loop of the host decides", "cpu")

_PARALLEL = (nn.parallel.DistributedDataParallel, nn.DataParallel)
_FLAT = "_fsdp_wrapped_module"
#: Where wrappers hold a module: torch.compile, activation checkpointing and offloading, FullyShardedDataParallel.
_HELD = ("_orig_mod", "_checkpoint_wrapped_module", _FLAT)
_ANY_HELD = frozenset(_HELD)


class HostObjective(Objective):
    """Model and loss of a host as one module.

    Args:
        model: The model; what is wrapped around it or around modules in it is no part of a name.
        adapter: The loss, and what is done before it.
    """

    def __init__(self, model: nn.Module, adapter: LossAdapter) -> None:
        super().__init__(unwrapped(model), adapter, FLOAT32)
        self._named: dict[bool, dict[str, nn.Parameter]] = {}

    def of_model(self, *, remove_duplicate: bool = True) -> dict[str, nn.Parameter]:
        """The parameters of the model, by the names that they have without wrappers; looked for once."""
        known = self._named.get(remove_duplicate)
        if known is None:
            known = self._named[remove_duplicate] = self._find(remove_duplicate=remove_duplicate)
        return {**known}

    def _find(self, *, remove_duplicate: bool) -> dict[str, nn.Parameter]:
        inside = {
            f"{path}.{held}".lstrip(".")
            for path, module in self.model.named_modules(remove_duplicate=remove_duplicate)
            if (held := held_by(module)) is not None
        }
        named = self.model.named_parameters(remove_duplicate=remove_duplicate)
        return {_own_name(name, inside): parameter for name, parameter in named} if inside else dict(named)

    def itself(self, module: nn.Module) -> nn.Module:
        """A module of the model without what is wrapped around it."""
        return unwrapped(module)


def held_by(module: nn.Module) -> str | None:
    """The name of the attribute in which a wrapper holds a module; None of a module that wraps none."""
    if isinstance(module, _PARALLEL):
        return "module"
    if _ANY_HELD.isdisjoint(module._modules.keys()):  # those of a scripted module are a list
        return None
    return next((name for name in _HELD if isinstance(module._modules.get(name), nn.Module)), None)


def unwrapped(module: nn.Module) -> nn.Module:
    """The module itself, below what is wrapped around it."""
    while (held := held_by(module)) is not None:
        inner = module._modules[held]
        assert inner is not None  # noqa: S101  # it was seen
        module = inner
    return module


def _own_name(name: str, inside: set[str]) -> str:
    """A name without the attributes in which wrappers hold modules.

    Args:
        name: Of a parameter.
        inside: The paths of the modules that wrappers hold.
    """
    words = name.split(".")
    paths = (".".join(words[: place + 1]) for place in range(len(words)))
    return ".".join(word for word, path in zip(words, paths, strict=True) if path not in inside)


def reshard(model: nn.Module) -> None:
    """Has modules of `fully_shard` hold shards, which an optimizer is built for.

    A forward pass without a backward pass leaves whole parameters in some, which are gone with the next pass.
    """
    fsdp = sys.modules.get("torch.distributed.fsdp")
    if fsdp is None or not fsdp.FSDPModule.__subclasses__():  # it makes one for each class of modules that it cuts
        return
    if not (dist.is_available() and dist.is_initialized()):
        return
    for module in model.modules():
        if isinstance(module, fsdp.FSDPModule):
            module.reshard()


def check_is_whole(model: nn.Module, label: str) -> None:
    """Checks that a model can be copied, and the copy used by one process alone.

    Args:
        model: The model, with what is wrapped around it.
        label: The model in an error message.

    Raises:
        ConfigError: If its parameters are cut over processes.
    """
    cut = next((name for name, one in model.named_parameters() if is_sharded(one)), None)
    if cut is not None:
        what = f"of {cut} each process has a shard"
    elif _has_sharded_modules(model):  # a forward pass has left whole ones in it for a while
        what = "fully_shard has cut them"
    elif _is_flat(model):
        what = "FullyShardedDataParallel has cut them"
    else:
        return
    raise ConfigError(
        f"parts.check sends the batch through a copy of the model, and there can be none of {label}, whose parameters "
        f"are spread over several processes ({what}): call parts.check before fully_shard"
    )


def _has_sharded_modules(model: nn.Module) -> bool:
    fsdp = sys.modules.get("torch.distributed.fsdp")
    return fsdp is not None and any(isinstance(module, fsdp.FSDPModule) for module in model.modules())


def _is_flat(model: nn.Module) -> bool:
    """Whether FullyShardedDataParallel has made rows of numbers of parameters, of which each process has a part."""
    return any(held_by(module) == _FLAT for module in model.modules())


def check_shapes(model: nn.Module, going_by_shape: Iterable[str]) -> None:
    """Checks that the shapes of parameters are those of the model where something goes by them.

    Args:
        model: The model, with what is wrapped around it.
        going_by_shape: What does, as an error message names it.

    Raises:
        ConfigError: If they are not.
    """
    first = next(iter(going_by_shape), None)
    if first is not None and _is_flat(model):
        raise ConfigError(
            f"{first} goes by the shapes of parameters, of which FullyShardedDataParallel has made rows of numbers: "
            "use torch.distributed.fsdp.fully_shard, which leaves them as they are"
        )
