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


class _Nothing(nn.Module):
    """Stands where a walk finds a child that is None, or a module that it has found before."""


_NOTHING = _Nothing()


def walk(model: nn.Module) -> list[nn.Module] | None:
    """All modules, as `named_modules` has them; a class may find them, or its parameters, in a way of its own.

    Returns:
        Each module where it is found first; an empty one in each further place, and for a child that is None. Or None
        for a model that has a way of its own.

    Example:
        >>> relu = nn.ReLU()
        >>> walk(nn.Sequential(relu, nn.Linear(1, 1), relu))[1:]
        [ReLU(), Linear(in_features=1, out_features=1, bias=True), _Nothing()]
    """
    own = getattr(model.named_parameters, "__func__", None)  # a program may have put a function in its place
    if own is not _PARAMETERS or type(model)._named_members is not _MEMBERS:
        return None
    found = [model]
    seen: set[nn.Module | None] = {None}
    for behind, module in enumerate(found, start=1):  # it grows by the children of each, behind that
        if module in seen:
            found[behind - 1] = _NOTHING
        elif type(module).named_modules is not _MODULES:
            return None
        else:
            seen.add(module)
            if module._modules:
                found[behind:behind] = module._modules.values()  # type: ignore[assignment]  # None is replaced above
    return found


def trained_parameters(model: nn.Module) -> list[Parameter] | None:
    """The parameters that are trained, each once, as `parameters` has them.

    Returns:
        None if any is not a usual one, but a shard, or one without values; or for a model that finds them in a way of
        its own.

    Example:
        >>> [one.numel() for one in trained_parameters(nn.Linear(3, 2))]
        [6, 2]
    """
    modules = walk(model)
    if modules is None:
        return None
    found = {}
    for module in modules:
        if module._parameters:
            for one in module._parameters.values():
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
        facts: list[Any] = []
        found: list[Parameter] = []
        _collect(model, facts, found)
        if loss is not None:
            _collect(loss, facts, found)
        self.parameters = found
        self.facts = facts
        if len(set(map(id, found))) < len(found):  # some are in several places
            last = {id(one): place for place, one in enumerate(found)}
            facts.append([last[id(one)] for one in found])
            self.parameters = [*{id(one): one for one in found}.values()]
        try:
            for one in found:
                if by_names and type(one) is Parameter:
                    facts += (one.requires_grad, one.is_meta)
                else:
                    facts += (type(one), one.requires_grad, one.shape, one.stride(), one.dtype, one.device)
        except RuntimeError:  # a sparse one has no strides, one of a lazy module no shape
            facts += map(_unusual, found)


def _collect(root: nn.Module, facts: list[Any], found: list[Parameter]) -> None:
    """Adds the names and types of modules to facts, with the names of the parameters that are found."""
    modules = walk(root)
    if modules is None:
        facts.append(weakref.ref(root))  # what it shows may go by more than this
        facts += [(name, type(module)) for name, module in root.named_modules()]
        for name, one in root.named_parameters():
            facts.append(name)
            found.append(one)
        return
    for module in modules:
        facts.append(type(module))
        if module._modules:
            facts += module._modules.keys()
        if module._parameters:
            facts.append(None)  # what follows is no module
            for name, parameter in module._parameters.items():
                if parameter is not None:
                    facts.append(name)
                    found.append(parameter)


def _unusual(one: Parameter) -> tuple[Any, ...]:
    """What there is to know of any parameter."""
    if is_lazy(one):
        raise ConfigError(
            "a parameter of a lazy module has no shape yet, and gets one with the first batch: send a batch through "
            "the model before parts.optimizer"
        )
    stride = one.stride() if one.layout is torch.strided else None
    return (type(one), one.requires_grad, one.shape, stride, one.layout, one.dtype, one.device)
