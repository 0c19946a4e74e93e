"""The walk over a model's modules and parameters: what torch's own walk finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import MethodType
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.nn.utils import parametrizations

import lossreg
from lossreg.embedding.members import Members, has_own_way, trained_parameters
from tests.table import for_each


def tied() -> nn.Module:
    """Two layers with one weight, one layer in two places, and a layer without bias."""
    twice = nn.Linear(3, 3)
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3, bias=False), twice, nn.Sequential(twice, nn.LayerNorm(3)))
    model[1].weight = model[0].weight
    model.register_module("nothing", None)
    return model


class Selective(nn.Sequential):
    """A model that shows only what is trained."""

    def named_parameters(self, *arguments: Any, **keywords: Any) -> Iterator[tuple[str, nn.Parameter]]:
        """The biases."""
        return ((name, one) for name, one in super().named_parameters(*arguments, **keywords) if one.ndim == 1)


class Hidden(nn.Linear):
    """A module that torch's walk does not enter."""

    def named_modules(self, *arguments: Any, **keywords: Any) -> Iterator[tuple[str, nn.Module]]:
        """None."""
        del arguments, keywords
        return iter(())


def selective_object() -> nn.Module:
    """A model that a program has told to show its biases alone."""
    model = nn.Sequential(nn.Linear(2, 2))
    model.named_parameters = MethodType(Selective.named_parameters, Selective(*model))  # type: ignore[method-assign]  # as programs do
    return model


MODELS: dict[str, Callable[[], nn.Module]] = {
    "none": nn.Identity,
    "tied": tied,
    "nested": lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 4), 2, enable_nested_tensor=False),
    "recurrent": lambda: nn.LSTM(3, 2, num_layers=2),
    "parametrized": lambda: nn.Sequential(parametrizations.weight_norm(nn.Linear(3, 2))),
    "scripted": lambda: torch.jit.trace(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), torch.ones(1, 2)),
    "checkpointed": lambda: nn.Sequential(checkpoint_wrapper(nn.Linear(2, 2))),
    "checkpointed as a whole": lambda: checkpoint_wrapper(nn.Linear(2, 2)),
    "shows some": lambda: Selective(nn.Linear(2, 2)),
    "told to show some": selective_object,
    "hides a module": lambda: nn.Sequential(nn.Linear(2, 2), Hidden(2, 2)),
}


@for_each("what", [*MODELS])
@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_what_is_found_is_what_torch_finds(what: str) -> None:
    """The same modules and parameters in the same order, also where a class finds them in a way of its own."""
    model = MODELS[what]()
    expected = [id(one) for _, one in model.named_parameters()]
    assert [id(one) for one in Members(model).parameters] == expected
    trained = trained_parameters(model)
    if trained is None:
        assert has_own_way(model) or any(type(one).named_modules is not nn.Module.named_modules for one in own(model))
    else:
        assert [id(one) for one in trained] == expected


def own(model: nn.Module) -> list[nn.Module]:
    """A model and its children."""
    return [model, *model.children()]


def put(model: Any, *modules: nn.Module | None) -> None:
    """Other modules in the places that there are."""
    model._modules = dict(zip(model._modules, modules, strict=True))


def rename(model: Any) -> None:
    """Another name for the last parameter of the first module."""
    held = model[0]._parameters
    held["renamed"] = held.pop("bias")


def embed(model: nn.Sequential) -> None:
    """Another class of the same shape."""
    replacement = nn.Embedding(4, 4)
    replacement.register_parameter("bias", nn.Parameter(torch.ones(4)))
    model[0] = replacement


CHANGES: dict[str, Callable[[Any], object]] = {
    "frozen": lambda model: model[0].bias.requires_grad_(False),
    "another dtype": lambda model: model.double(),
    "another device": lambda model: model.to("meta"),
    "another shape": lambda model: setattr(model[0].weight, "data", torch.ones(4, 3)),
    "other strides": lambda model: setattr(model[0].weight, "data", model[0].weight.data.t()),
    "a sparse weight": lambda model: setattr(model[0], "weight", nn.Parameter(torch.ones(4, 4).to_sparse())),
    "a parameter less": lambda model: setattr(model[0], "bias", None),
    "a parameter more": lambda model: model.register_parameter("more", nn.Parameter(torch.ones(4))),
    "a parameter tied": lambda model: setattr(model[2], "weight", model[0].weight),
    "a parameter renamed": rename,
    "a module more": lambda model: model.append(nn.ReLU()),
    "a module less": lambda model: model.pop(1),
    "another class": embed,
    "a module in two places": lambda model: model._modules.__setitem__("2", model[0]),
    "a module renamed": lambda model: model.register_module("three", model._modules.pop("2")),
    "the order": lambda model: model.register_module("0", model._modules.pop("0")),
}


@for_each("what", [*CHANGES])
def test_a_change_of_what_patterns_and_trials_go_by_is_seen(what: str) -> None:
    """Names, classes, shapes, strides, types, devices, what is trained, and what is in several places."""
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    before = Members(model).facts
    assert Members(model).facts == before
    CHANGES[what](model)
    assert Members(model).facts != before


def test_new_values_are_no_change() -> None:
    """A step, loaded weights, or other parameters of the same kind: patterns and trials say the same."""
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    before = Members(model).facts
    model.load_state_dict({name: value + 1 for name, value in model.state_dict().items()})
    model[0].weight = nn.Parameter(torch.ones(4, 4))
    assert Members(model).facts == before


def test_a_parameter_without_a_shape_is_refused() -> None:
    """A lazy module gets its shapes with the first batch; until then the error says so."""
    model = nn.Sequential(nn.LazyLinear(2))
    parts = lossreg.parts(optimizer="sgd")
    with pytest.raises(lossreg.ConfigError, match=r"of a lazy module has no shape yet.*send a batch through"):
        parts.optimizer(model)
    model(torch.ones(1, 3))
    assert parts.optimizer(model).param_groups[0]["params"][0] is model[0].weight


@for_each("one, other", [((0, None, 1), (0, 1, None)), ((0, 0, 1), (0, 1, 0))])
def test_the_places_of_modules_are_seen(one: tuple[int | None, ...], other: tuple[int | None, ...]) -> None:
    """Which name is that of a module goes by where it is first; names may be kept for none."""
    model, layers = nn.Sequential(*(nn.ReLU() for _ in range(3))), [nn.Linear(4, 4), nn.Linear(4, 4)]
    facts = []
    for places in (one, other):
        put(model, *(None if place is None else layers[place] for place in places))
        facts.append(Members(model).facts)
    assert facts[0] != facts[1]
