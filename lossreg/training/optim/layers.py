"""What patterns and presets may know of parameters: the modules that hold them, and the order of the layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

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
        embeddings: The names of those that are the table of an embedding, also where another module has them, too.
        output: The names of those of the layer that gives the output.
    """

    facts: dict[str, ParameterFacts]
    layers: dict[str, int]
    of_loss: frozenset[str]
    embeddings: frozenset[str]
    output: frozenset[str]

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
        tables = _held(one for one in objective.modules() if _is_embedding(one))
        embeddings = frozenset(name for name, one in named.items() if id(one) in tables)
        output = _held(output_layers(objective.model))
        of_output = frozenset(name for name, one in of_model.items() if id(one) in output)
        return cls(facts, _layers(objective, of_model, of_loss), of_loss, embeddings, of_output)


def _types(module: nn.Module) -> tuple[str, ...]:
    return tuple(one.__name__ for one in type(module).__mro__ if issubclass(one, nn.Module) and one is not nn.Module)


def _is_embedding(module: nn.Module) -> bool:
    return any("embedding" in name.lower() for name in _types(module))


def _held(modules: Iterable[nn.Module]) -> set[int]:
    """The parameters that modules hold themselves, each by its id."""
    return {id(parameter) for module in modules for parameter in module.parameters(recurse=False)}


#: What models of transformers and timm say of their output; it may be None, a layer, a head of several, or two of them.
_SAID_BY = ("get_output_embeddings", "get_classifier")


def output_layers(model: nn.Module) -> list[nn.Module]:
    """The layers that give the output: those that the model says, else the last one that holds a matrix.

    That is the last in the order in which modules are defined, without a forward pass, and no embedding.

    Example:
        >>> output_layers(nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1), nn.BatchNorm1d(1)))
        [Linear(in_features=2, out_features=1, bias=True)]
    """
    for word in _SAID_BY:
        said = _asked(model, word)
        heads = [head for head in (said if isinstance(said, tuple | list) else (said,)) if isinstance(head, nn.Module)]
        if heads:
            return [layer for head in heads for layer in _last_matrix(head)]
    return _last_matrix(model)


def _asked(model: nn.Module, word: str) -> Any:
    """What a method of a model gives; None of one that does not have it, or has no such layer."""
    try:
        return getattr(model, word)()
    except Exception:  # foreign code may raise anything, and what it is asked for is a help
        return None


def _last_matrix(model: nn.Module) -> list[nn.Module]:
    """The last module that holds a matrix, and is no embedding; nothing of a model without any."""
    holding = [
        module
        for module in model.modules()
        if not _is_embedding(module) and any(one.ndim >= 2 for one in module.parameters(recurse=False))
    ]
    return holding[-1:]


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
