"""The modules and parameters of a model: in the order of torch, which takes longer as it makes up a name for each."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import nn
from torch.nn import Parameter
from torch.nn.parameter import is_lazy

from lossreg.errors import ConfigError

#: How torch finds modules and parameters.
_PARAMETERS = nn.Module.named_parameters
_MEMBERS = nn.Module._named_members
_MODULES = nn.Module.named_modules

_AGAIN = object()  # stands where a module is met that was met before, and for a child that is None


def has_own_way(model: nn.Module) -> bool:
    """Whether a model finds its parameters in a way of its own; that of each module below it may be its own, too."""
    own = getattr(model.named_parameters, "__func__", None)  # a program may have put a function in its place
    return own is not _PARAMETERS or type(model)._named_members is not _MEMBERS


def trained_parameters(model: nn.Module) -> list[Parameter] | None:
    """The parameters that are trained, each once, as `parameters` has them.

    Returns:
        None if any is not a usual one, but a shard, or one without values; or for a model that finds them in a way of
        its own.

    Example:
        >>> [one.numel() for one in trained_parameters(nn.Linear(3, 2))]
        [6, 2]
    """
    if has_own_way(model):
        return None
    # The modules are walked here and in `_collected`: a list of them that both go by takes a seventh longer.
    modules: list[Any] = [model]
    seen = {None}
    found = {}
    for behind, module in enumerate(modules, start=1):  # it grows by the children of each, behind that
        if module in seen:
            continue
        if type(module).named_modules is not _MODULES:
            return None
        seen.add(module)
        children, own = module._modules, module._parameters
        if children:
            modules[behind:behind] = children.values()
        if own:
            for one in own.values():
                if one is None:
                    continue
                if type(one) is not Parameter or one.is_meta:
                    return None
                if one.requires_grad:
                    found[id(one)] = one  # a tensor's own hash takes longer
    return [*found.values()]


class Members:
    """The parameters of some modules, and all that patterns and trials go by.

    Args:
        model: The model.
        loss: The loss where that may have parameters; else None.
        by_names: Whether patterns and trials go neither by shapes, types nor devices of usual parameters, which take
            time to ask for.

    Attributes:
        parameters: All of them, each once.
        facts: Types and names of modules; names of parameters, and shapes, types and devices; which of these are in
            several places. Two lists are equal where all of this is, or as much of it as was asked for.

    Raises:
        ConfigError: If a parameter has no shape yet.
    """

    __slots__ = ("facts", "parameters")

    def __init__(self, model: nn.Module, loss: nn.Module | None = None, *, by_names: bool = False) -> None:
        facts, found = _collected(model)
        if loss is not None:
            of_loss = _collected(loss)
            facts += of_loss[0]
            found += of_loss[1]
        self.parameters = found
        self.facts = facts
        if len(set(map(id, found))) < len(found):  # some are in several places
            last = {id(one): place for place, one in enumerate(found)}
            facts.append([last[id(one)] for one in found])
            self.parameters = [*{id(one): one for one in found}.values()]
        try:
            for one in found:
                facts.append(one.requires_grad)
                if not by_names or type(one) is not Parameter or one.is_meta:
                    facts += (type(one), one.shape, one.stride(), one.dtype, one.device)
        except RuntimeError:  # a sparse one has no strides, one of a lazy module no shape
            facts += map(_unusual, found)


def _collected(root: nn.Module) -> tuple[list[Any], list[Parameter]]:
    """The names and types of modules with the names of parameters, and the parameters."""
    facts: list[Any] = []
    found: list[Parameter] = []
    if has_own_way(root):
        return _listed(root)
    modules: list[Any] = [root]
    seen = {None}
    for behind, module in enumerate(modules, start=1):  # it grows by the children of each, behind that
        if module in seen:
            facts.append(_AGAIN)
            continue
        kind = type(module)
        if kind.named_modules is not _MODULES:
            return _listed(root)
        seen.add(module)
        facts.append(kind)
        children, own = module._modules, module._parameters
        if children:
            facts += children.keys()  # those of a scripted module are no dictionary
            modules[behind:behind] = children.values()
        if own:
            facts.append(None)  # what follows is no module
            for name, one in own.items():
                if one is not None:
                    facts.append(name)
                    found.append(one)
    return facts, found


def _listed(root: nn.Module) -> tuple[list[Any], list[Parameter]]:
    """The same of a model that finds them in a way of its own: what it shows may go by more than these facts."""
    named = dict(root.named_parameters())
    types = [(name, type(module)) for name, module in root.named_modules()]
    return [weakref.ref(root), *types, *named], [*named.values()]


def _unusual(one: Parameter) -> tuple[Any, ...]:
    """What there is to know of any parameter."""
    if is_lazy(one):
        raise ConfigError(
            "a parameter of a lazy module has no shape yet, and gets one with the first batch: send a batch through "
            "the model before parts.optimizer"
        )
    stride = one.stride() if one.layout is torch.strided else None
    return (type(one), one.requires_grad, one.shape, stride, one.layout, one.dtype, one.device)
