"""Keeping frozen modules in evaluation mode in a loop that calls `model.train()`, as long as they are frozen."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn

from lossreg.embedding.members import trained_parameters


class KeptEvaluated:
    """A hook before the forward pass of a frozen module, which has it and all that is in it in evaluation mode.

    Once a parameter of the module is trained again, it is in the mode that the loop gives it. Modules without
    parameters, such as dropout, go by the modules around them.

    Args:
        around: Of a module without parameters, the nearest modules around it that have some; else none.
    """

    __slots__ = ("_around",)

    def __init__(self, *around: nn.Module) -> None:
        # A module that knew what is around it would be freed late, and have it in files that are to hold it alone.
        self._around = tuple(map(weakref.ref, around))

    def __call__(self, module: nn.Module, inputs: Any) -> None:
        """Before the forward pass: looks at parameters only after a call of `train()`."""
        del inputs
        # What is compiled must not go by the mode, which is another one in the second step: it would be compiled again.
        if (torch.compiler.is_compiling() or module.training) and self._is_frozen(module):
            for part in module.modules():
                part.training = False

    def _is_frozen(self, module: nn.Module) -> bool:
        return any(map(_trains_nothing, self.around if self._around else (module,)))

    @property
    def around(self) -> list[nn.Module]:
        """The modules that a module without parameters goes by, as far as there still are any."""
        return [module for module in (one() for one in self._around) if module is not None]

    def __deepcopy__(self, memo: dict[int, Any]) -> KeptEvaluated:
        return KeptEvaluated(*(memo.get(id(module), module) for module in self.around))

    def __reduce__(self) -> tuple[Any, ...]:
        return KeptEvaluated, tuple(self.around)

    def __getattr__(self, name: str) -> Any:
        if name == "__name__":  # torch.jit.script goes by it, and compiles hooks of a signature of its own
            raise AttributeError(
                "torch.jit.script cannot compile what keeps a frozen module in evaluation mode: script a new model "
                "that has loaded model.state_dict(), or freeze with frozen_mode='train'; torch.jit.trace, "
                "torch.compile and torch.export take the model as it is"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def keep_evaluated(frozen: Iterable[nn.Module]) -> None:
    """Has modules stay in evaluation mode while they are frozen: loops call `model.train()` before each epoch.

    Args:
        frozen: Modules whose parameters are all frozen, with all modules in them.
    """
    around: dict[nn.Module, list[nn.Module]] = {}
    for module in frozen:
        if _has_parameters(module):
            around.setdefault(module, [])
            for part in _without_parameters(module):
                around.setdefault(part, []).append(module)
    for module, some in around.items():
        known = [one for hook in _hooks(module) for one in hook.around]
        leave_modes([module])
        module.register_forward_pre_hook(KeptEvaluated(*known, *(one for one in some if one not in known)))


def leave_modes(modules: Iterable[nn.Module]) -> None:
    """Has modules be in the mode that the loop gives them, also those that were frozen before."""
    for module in modules:
        hooks = module._forward_pre_hooks
        for key in [key for key, hook in hooks.items() if isinstance(hook, KeptEvaluated)]:
            del hooks[key]


def _hooks(module: nn.Module) -> Sequence[KeptEvaluated]:
    return [hook for hook in module._forward_pre_hooks.values() if isinstance(hook, KeptEvaluated)]


def _has_parameters(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None


def _without_parameters(module: nn.Module) -> Iterable[nn.Module]:
    """The modules in one that have no parameters, and nothing around them in it that has some."""
    ahead = [*module.children()]
    while ahead:
        child = ahead.pop()
        if not _has_parameters(child):
            yield child
            ahead += child.children()


def _trains_nothing(module: nn.Module) -> bool:
    """Whether no parameter of a module is trained; replicas of DataParallel have theirs in another place."""
    if getattr(module, "_is_replica", False):
        former: list[dict[str, torch.Tensor]] = [vars(one).get("_former_parameters", {}) for one in module.modules()]
        return not any(one.requires_grad for some in former for one in some.values())
    trained = None if torch.compiler.is_compiling() else trained_parameters(module)  # which takes less time
    return not (any(one.requires_grad for one in module.parameters()) if trained is None else trained)
