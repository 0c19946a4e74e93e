"""Builds components by name or takes objects, and keeps what each was built with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import torch

from lossreg.building import build_for_runner, check, qualified
from lossreg.components import Loss
from lossreg.data import Data
from lossreg.errors import ConfigError
from lossreg.plugins import LOCAL, Provenance
from lossreg.registered import Registered
from lossreg.registry import Registries, Registry
from lossreg.run_spec import COMPONENT_FIELDS, RunSpec
from lossreg.spec import ComponentSpec
from lossreg.training.assembly import plain

#: The loss of a task, unless one is named.
TASK_LOSS: Mapping[str, str] = {"classification": "cross_entropy", "segmentation": "cross_entropy", "regression": "mse"}


class Builder:
    """Turns what a run names into objects.

    Args:
        spec: What to build by name.
        objects: Field -> a Python object to use instead.
        registries: Where names are looked up.

    Attributes:
        spec: The spec, with full ids and defaults as they become known.
        labels: Field -> the component as a person would name it.
        components: Field -> all parameters and provenance of what was built by name.
        runtime: Runtime name -> what factories that ask for it get.
        warnings: Sentences to show before the run starts.
    """

    def __init__(self, spec: RunSpec, objects: Mapping[str, Any], registries: Registries) -> None:
        self.spec = spec
        self.objects = dict(objects)
        self.registries = registries
        self.labels: dict[str, str] = {}
        self.components: dict[str, Any] = {}
        self.runtime: dict[str, Any] = {"epochs": spec.epochs}
        self.warnings: list[str] = []

    def check_specs(self) -> None:
        """Looks every name and parameter up before anything is loaded: a typing error is found at second 0.

        Raises:
            LossregError: If a name or a parameter is wrong.
        """
        for field, kind in COMPONENT_FIELDS.items():
            spec: ComponentSpec | None = getattr(self.spec, field)
            if field in self.objects or spec is None:
                continue
            registry = self.registries.of(kind)
            check(registry, spec)
            self._note_rivals(registry, spec)
            self.replace(field, qualified(registry, spec))
        chosen = self.spec.data
        if self.spec.model is None and not {"model", "data"} & self.objects.keys():
            model = self.registries.datasets[chosen.name].record.model
            self.replace("model", qualified(self.registries.models, ComponentSpec(model)))

    def _note_rivals(self, registry: Registry[Any, Any], spec: ComponentSpec) -> None:
        registered = registry[spec.name]
        rivals = registry.rivals(registered)
        if rivals and "." not in spec.name:
            others = " and ".join(f"{other.id} ({other.provenance})" for other in rivals)
            self.warnings.append(f"{spec.name} is {registered.id}, not {others}; a full id says which")

    def replace(self, field: str, spec: ComponentSpec) -> None:
        """Puts another component into the spec."""
        changes: dict[str, Any] = {field: spec}
        self.spec = attrs.evolve(self.spec, **changes)

    def registered(self, field: str) -> Registered[Any] | None:
        """The component that a field names; None where it is an object."""
        if field in self.objects:
            return None
        return self.registries.of(COMPONENT_FIELDS[field])[getattr(self.spec, field).name]

    def build(self, field: str, leading: tuple[Any, ...] = ()) -> Any:
        """Builds a component by name, and keeps what it was built with."""
        spec: ComponentSpec = getattr(self.spec, field)
        registry = self.registries.of(COMPONENT_FIELDS[field])
        registered = registry[spec.name]
        built, params = build_for_runner(registry, spec, leading, self.runtime)
        self.labels[field] = spec.with_name(registry.short_name(registered)).text
        self.components[field] = {
            "id": registered.id,
            "params": {key: plain(value) for key, value in params.items()},
            **registered.provenance.to_json(),
        }
        return built

    def take(self, field: str) -> Any:
        """The object of a field."""
        self.labels[field] = class_name(self.objects[field])
        return self.objects[field]

    def data(self) -> Data:
        """The data set.

        Raises:
            ConfigError: If it is none, or is an object without a model besides.
        """
        data = self.take("data") if "data" in self.objects else self.build("data")
        if not isinstance(data, Data):
            raise ConfigError(f"the data set {self.labels['data']} is a {type(data).__name__}, not a lossreg.Data")
        if "data" in self.objects and self.spec.model is None and "model" not in self.objects:
            raise ConfigError("data is an object, which names no model of its own; give model=")
        return data

    def model(self) -> torch.nn.Module:
        """The model.

        Raises:
            ConfigError: If it is none, or has nothing to train.
        """
        model = self.take("model") if "model" in self.objects else self.build("model")
        if not isinstance(model, torch.nn.Module):
            raise ConfigError(f"the model {self.labels['model']} is no torch.nn.Module")
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise ConfigError(f"the model {self.labels['model']} has no weight that can be trained")
        return model

    def loss(self, data: Data) -> tuple[Any, Loss | None]:
        """The loss and its record, which an object does not have.

        Raises:
            ConfigError: If it cannot be called.
        """
        given = self.objects.get("loss")
        if isinstance(given, Loss):
            registered = Registered(given, Provenance(LOCAL))
            self.labels["loss"] = given.name
            loss = registered.construct((), registered.arguments({}, self.runtime))
            record: Loss | None = given
        elif given is not None:
            loss, record = self.take("loss"), None
        else:
            if self.spec.loss is None:
                self.replace("loss", qualified(self.registries.losses, ComponentSpec(TASK_LOSS[data.task])))
            loss = self.build("loss")
            record = self.registries.losses[self.spec.loss.name].record  # type: ignore[union-attr]  # set above
        if isinstance(loss, type):
            raise ConfigError(f"the loss {self.labels['loss']} is a class; give an instance of it")
        if not callable(loss):
            raise ConfigError(f"the loss {loss!r} cannot be called")
        return loss, record


def class_name(part: object) -> str:
    """The class of an object, or the function that it is, for a person."""
    if isinstance(part, Loss):
        return f"lossreg.Loss({part.name!r})"
    named = part if callable(part) and hasattr(part, "__qualname__") else type(part)
    return f"{named.__module__}.{named.__qualname__}"
