"""What patterns and presets may know of parameters: the modules that hold them, and the order of the layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import attrs
from torch import nn

from lossreg.pattern_terms import ParameterFacts

if TYPE_CHECKING:
    from lossreg.training.loss.objective import Objective

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@attrs.frozen
class Parameters:
    """The parameters of model and loss, by name.

    Attributes:
        facts: Name -> what patterns may ask of it.
        layers: Name -> the number of its layer, from 0 at the input.
        of_loss: The names of those that only the loss has.
        last: The names of those of the last module that holds a matrix.
    """

    facts: dict[str, ParameterFacts]
    layers: dict[str, int]
    of_loss: frozenset[str]
    last: frozenset[str]

    @classmethod
    def of(cls, objective: Objective) -> Parameters:
        """Looks at model and loss; frozen parameters are among them."""
        owners = {
            id(parameter): module
            for module in reversed(list(objective.modules()))
            for parameter in module.parameters(recurse=False)
        }
        named = objective.named()
        facts = {
            name: ParameterFacts(name, tuple(parameter.shape), _types(owners[id(parameter)]))
            for name, parameter in named.items()
        }
        of_model = objective.of_model()
        of_loss = frozenset(name for name in named if name not in of_model)
        matrices = [name for name in of_model if len(facts[name].shape) >= 2 and not is_embedding(facts[name])]
        owner = owners[id(named[matrices[-1]])] if matrices else None
        last = frozenset(name for name in of_model if owners[id(of_model[name])] is owner)
        return cls(facts, _layers(objective, of_model, of_loss), of_loss, last)


def _types(module: nn.Module) -> tuple[str, ...]:
    return tuple(one.__name__ for one in type(module).__mro__ if issubclass(one, nn.Module) and one is not nn.Module)


def is_embedding(facts: ParameterFacts) -> bool:
    """Whether a parameter is the table of an embedding."""
    return any("embedding" in name.lower() for name in facts.types)


def without_decay(facts: ParameterFacts) -> bool:
    """Whether a parameter is usually trained without weight decay: a bias, or one of a normalisation, or no matrix."""
    is_bias = facts.name.rpartition(".")[2] == "bias"
    return len(facts.shape) <= 1 or is_bias or any("norm" in name.lower() for name in facts.types)


def _layers(objective: Objective, of_model: dict[str, nn.Parameter], of_loss: frozenset[str]) -> dict[str, int]:
    """The layer of each parameter.

    A layer that holds normalisations alone belongs to the one before it (timm's rule), and the loss is above all.
    """
    prefixes: list[list[str]] = []
    for prefix, layer in _blocks("", objective.model, objective.itself):
        if prefixes and not any(parameter.ndim >= 2 for parameter in layer.parameters()):
            prefixes[-1].append(prefix)
        else:
            prefixes.append([prefix])
    found = {}
    for name in of_model:
        inside = [number for number, some in enumerate(prefixes) for one in some if name.startswith(f"{one}.")]
        if inside:
            found[name] = inside[0]
            continue
        # A parameter of a module around layers, such as the embedding of positions, comes before the first of them.
        around = name.rpartition(".")[0]
        within = [number for number, some in enumerate(prefixes) for one in some if f"{one}.".startswith(f"{around}.")]
        found[name] = min(within, default=0) if around else 0
    return {**found, **dict.fromkeys(of_loss, max(len(prefixes) - 1, 0))}


def _blocks(
    prefix: str, module: nn.Module, itself: Callable[[nn.Module], nn.Module]
) -> Iterator[tuple[str, nn.Module]]:
    """The layers of a module that has several, with their names, in the order of definition."""
    for name, held in module.named_children():
        child, inner = itself(held), f"{prefix}{name}"
        if next(child.parameters(), None) is None:
            continue
        is_element = isinstance(module, _CONTAINERS)
        if isinstance(child, _CONTAINERS) or (not is_element and _is_stack(child)):
            yield from _blocks(f"{inner}.", child, itself)
        else:
            yield inner, child


def _is_stack(module: nn.Module) -> bool:
    """Whether a module holds a list of layers somewhere."""
    return any(
        isinstance(part, _CONTAINERS) and sum(next(one.parameters(), None) is not None for one in part.children()) > 1
        for part in module.modules()
    )
