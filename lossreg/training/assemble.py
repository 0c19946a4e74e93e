"""The parts of a run: built from specs or taken as objects, in a fixed order."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import torch

from lossreg.building import build_for_runner, check, qualified
from lossreg.components import Loss
from lossreg.data import Data
from lossreg.errors import BuildError, ConfigError
from lossreg.plugins import LOCAL, Provenance, describe_error
from lossreg.registered import Registered
from lossreg.registry import Registries, Registry
from lossreg.spec import COMPONENT_FIELDS, ComponentSpec, RunSpec
from lossreg.training.assembly import Assembly, metric_names, plain, steps_in
from lossreg.training.batches import Samples, load_samples
from lossreg.training.contract import AdaptedLoss, Parties, adapt, check_contract
from lossreg.training.schedule import preview_rates, zero_rate_warning

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

#: The loss of a task, unless one is named.
TASK_LOSS: Mapping[str, str] = {"classification": "cross_entropy", "segmentation": "cross_entropy", "regression": "mse"}


class Assembler:
    """Builds the parts of one run, one after the other.

    Args:
        spec: What to build by name.
        objects: Field -> a Python object to use instead.
        registries: Where names are looked up.
        device: Where the parts shall be.
    """

    def __init__(self, spec: RunSpec, objects: Mapping[str, Any], registries: Registries, device: torch.device) -> None:
        self.spec = spec
        self.objects = dict(objects)
        self.registries = registries
        self.device = device
        self.labels: dict[str, str] = {}
        self.components: dict[str, Any] = {}
        self.runtime: dict[str, Any] = {"epochs": spec.epochs}
        self.warnings: list[str] = []

    def assemble(self) -> Assembly:
        """Builds everything and checks that it fits.

        Raises:
            LossregError: If a part cannot be built, or the parts do not fit.
        """
        spec = self.spec
        if spec.scheduler_interval and spec.scheduler is None and "scheduler" not in self.objects:
            raise ConfigError("scheduler_interval (--sched-interval) has no effect without a scheduler")
        self._check_specs()
        data = self._data()
        splits = self._splits(data)
        steps = steps_in(len(splits["train"]), spec.batch_size)
        self.runtime |= {**data.facts(), "steps_per_epoch": steps, "total_steps": steps * spec.epochs}

        torch.manual_seed(spec.seed)  # decides the weights of model and loss, in this order
        model = self._model()
        loss, record = self._loss(data)
        _initialise_lazy(model, splits["train"])
        memory_format, splits = self._lay_out(model, splits)
        labels = self.labels
        parties = Parties(labels["model"], labels["loss"], labels["data"])
        adapted = adapt(loss, record, data)
        output_shape = check_contract(model, adapted, record, data, splits, spec.batch_size, parties, self.registries)
        return self._with_schedule(data, splits, model, memory_format, adapted, output_shape, steps)

    def _with_schedule(
        self,
        data: Data,
        splits: dict[str, Samples],
        model: torch.nn.Module,
        memory_format: torch.memory_format,
        loss: AdaptedLoss,
        output_shape: tuple[int, ...],
        steps: int,
    ) -> Assembly:
        self._try_optimizer()
        interval, monitor = self._scheduler_contract(data)
        self.runtime["interval"] = interval
        rates = None
        if not {"optimizer", "scheduler"} & self.objects.keys() and monitor is None:
            build = self._build_scheduler if self.spec.scheduler else None
            rates = preview_rates(self._build_optimizer, build, interval, self.spec.epochs, steps)
            highest = max((max(rate.first, rate.last) for rate in rates or []), default=0.0)
            if highest > torch.finfo(torch.float32).max:
                raise ConfigError(f"the learning rate reaches {highest:g}, which no float32 weight can be moved by")
        trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = self._build_optimizer(trainable)
        scheduler = self._build_scheduler(optimizer) if self.spec.scheduler or "scheduler" in self.objects else None
        warning = zero_rate_warning(rates)
        return Assembly(
            spec=self.spec,
            labels=self.labels,
            components=self.components,
            objects={field: _class_name(part) for field, part in self.objects.items()},
            device=self.device,
            data=data,
            splits=splits,
            model=model,
            memory_format=memory_format,
            loss=loss,
            optimizer=optimizer,
            closure=self._closure(),
            scheduler=scheduler,
            interval=interval,
            monitor=monitor,
            output_shape=output_shape,
            rates=rates,
            warnings=[*self.warnings, *([warning] if warning else [])],
        )

    def _check_specs(self) -> None:
        """Looks every name and parameter up before anything is loaded: a typing error is found at second 0."""
        for field, kind in COMPONENT_FIELDS.items():
            spec: ComponentSpec | None = getattr(self.spec, field)
            if field in self.objects or spec is None:
                continue
            registry = self.registries.of(kind)
            check(registry, spec)
            self._note_rivals(registry, spec)
            self._replace(field, qualified(registry, spec))
        chosen = self.spec.data
        if self.spec.model is None and not {"model", "data"} & self.objects.keys():
            model = self.registries.datasets[chosen.name].record.model
            self._replace("model", qualified(self.registries.models, ComponentSpec(model)))

    def _note_rivals(self, registry: Registry[Any, Any], spec: ComponentSpec) -> None:
        registered = registry[spec.name]
        rivals = registry.rivals(registered)
        if rivals and "." not in spec.name:
            others = " and ".join(f"{other.id} ({other.provenance})" for other in rivals)
            self.warnings.append(f"{spec.name} is {registered.id}, not {others}; a full id says which")

    def _replace(self, field: str, spec: ComponentSpec) -> None:
        changes: dict[str, Any] = {field: spec}
        self.spec = attrs.evolve(self.spec, **changes)

    def _build(self, field: str, leading: tuple[Any, ...] = ()) -> Any:
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

    def _object(self, field: str) -> Any:
        self.labels[field] = _class_name(self.objects[field])
        return self.objects[field]

    def _data(self) -> Data:
        data = self._object("data") if "data" in self.objects else self._build("data")
        if not isinstance(data, Data):
            raise ConfigError(f"the data set {self.labels['data']} is a {type(data).__name__}, not a lossreg.Data")
        if "data" in self.objects and self.spec.model is None and "model" not in self.objects:
            raise ConfigError("data is an object, which names no model of its own; give model=")
        return data

    def _splits(self, data: Data) -> dict[str, Samples]:
        limits = {"train": self.spec.limit_train, "test": self.spec.limit_test}
        return {
            name: load_samples(
                getattr(data, name), data.task, limit, self.device, f"data set {self.labels['data']}, split {name}"
            )
            for name, limit in limits.items()
        }

    def _model(self) -> torch.nn.Module:
        model = self._object("model") if "model" in self.objects else self._build("model")
        if not isinstance(model, torch.nn.Module):
            raise ConfigError(f"the model {self.labels['model']} is no torch.nn.Module")
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise ConfigError(f"the model {self.labels['model']} has no weight that can be trained")
        return model.to(self.device)

    def _lay_out(
        self, model: torch.nn.Module, splits: dict[str, Samples]
    ) -> tuple[torch.memory_format, dict[str, Samples]]:
        """Puts convolutions' weights and images into the layout in which they are fastest."""
        images = splits["train"].inputs.ndim == 4
        if self._closure():  # LBFGS takes views of gradients that only the usual layout has
            return torch.contiguous_format, splits
        if not images or not any(isinstance(module, torch.nn.Conv2d) for module in model.modules()):
            return torch.contiguous_format, splits
        model.to(memory_format=torch.channels_last)
        return torch.channels_last, {name: samples.laid_out(torch.channels_last) for name, samples in splits.items()}

    def _loss(self, data: Data) -> tuple[Callable[..., Any], Loss | None]:
        given = self.objects.get("loss")
        if isinstance(given, Loss):
            registered = Registered(given, Provenance(LOCAL))
            self.labels["loss"] = given.name
            loss = registered.construct((), registered.arguments({}, self.runtime))
            record: Loss | None = given
        elif given is not None:
            loss, record = self._object("loss"), None
        else:
            if self.spec.loss is None:
                self._replace("loss", qualified(self.registries.losses, ComponentSpec(TASK_LOSS[data.task])))
            loss = self._build("loss")
            record = self.registries.losses[self.spec.loss.name].record  # type: ignore[union-attr]  # set above
        if isinstance(loss, type):
            raise ConfigError(f"the loss {self.labels['loss']} is a class; give an instance of it")
        if not callable(loss):
            raise ConfigError(f"the loss {loss!r} cannot be called")
        if isinstance(loss, torch.nn.Module):
            loss = loss.to(self.device)
        self._note_loss_weights(loss)
        return loss, record

    def _scheduler_contract(self, data: Data) -> tuple[str, str | None]:
        override = self.spec.scheduler_interval
        if self.spec.scheduler is None or "scheduler" in self.objects:
            return override or "epoch", None
        record = self.registries.schedulers[self.spec.scheduler.name].record
        for name, _ in self.spec.scheduler.params:
            if record.runtime_args.get(name) == "interval":
                raise ConfigError(
                    f"{name} of {record.name} follows the loop; set both with scheduler_interval (--sched-interval)"
                )
        metrics = metric_names(data, self.spec.eval_train)
        if record.monitor is not None and record.monitor not in metrics:
            raise ConfigError(
                f"scheduler {record.name} follows the metric {record.monitor!r}, which this run does not have; "
                f"it has {', '.join(metrics)}"
            )
        if record.monitor is not None and override == "step":
            raise ConfigError(f"scheduler {record.name} follows {record.monitor}, which there is once an epoch")
        return override or record.interval, record.monitor

    def _build_optimizer(self, parameters: list[torch.nn.Parameter]) -> Optimizer:
        self.runtime["params"] = parameters
        if "optimizer" not in self.objects:
            optimizer = self._build("optimizer", (parameters,))
        else:
            given = self._object("optimizer")
            optimizer = given(parameters) if _is_maker(given, torch.optim.Optimizer) else given
            if isinstance(optimizer, torch.optim.Optimizer):
                self._check_optimizer_object(optimizer, parameters)
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise ConfigError(f"the optimizer {optimizer!r} is neither a torch.optim.Optimizer nor makes one")
        return optimizer

    def _check_optimizer_object(self, optimizer: Optimizer, parameters: list[torch.nn.Parameter]) -> None:
        label = self.labels["optimizer"]
        held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        left_out = sum(id(parameter) not in held for parameter in parameters)
        if left_out == len(parameters):
            raise ConfigError(f"the optimizer {label} holds no weight of the model {self.labels['model']}")
        if left_out:
            count = f"{left_out} of the model's {len(parameters)} weight tensors"
            self.warnings.append(f"the optimizer {label} leaves {count} as they are")
        _check_step(optimizer, label, "closure=True")

    def _note_loss_weights(self, loss: object) -> None:
        if isinstance(loss, torch.nn.Module) and any(weight.requires_grad for weight in loss.parameters()):
            self.warnings.append(f"the loss {self.labels['loss']} has weights of its own, which are not trained")

    def _try_optimizer(self) -> None:
        """Takes one step with throw-away weights: some optimizers refuse their parameters only then."""
        if "optimizer" in self.objects:
            return
        parameter = torch.nn.Parameter(torch.zeros(2, 2, device=self.device))
        parameter.grad = torch.zeros_like(parameter)
        optimizer = self._build_optimizer([parameter])
        try:
            with torch.random.fork_rng():
                optimizer.step(lambda: 0.0) if self._closure() else optimizer.step()
        except Exception as error:
            raise BuildError(
                f"optimizer {self.labels['optimizer']} cannot step on {self.device}: {describe_error(error)}",
                component=self.labels["optimizer"],
            ) from error

    def _closure(self) -> bool:
        if "optimizer" in self.objects:
            return False
        return self.registries.optimizers[self.spec.optimizer.name].record.closure

    def _build_scheduler(self, optimizer: Optimizer) -> LRScheduler:
        self.runtime["optimizer"] = optimizer
        if "scheduler" not in self.objects:
            scheduler = self._build("scheduler", (optimizer,))
        else:
            given = self._object("scheduler")
            is_made = not callable(given) or (hasattr(given, "step") and not isinstance(given, type))
            scheduler = given if is_made else given(optimizer)
            if not hasattr(scheduler, "step"):
                raise ConfigError(f"the scheduler {scheduler!r} has no step(), and makes nothing that has")
            _check_step(scheduler, self.labels["scheduler"], "monitor=")
        if getattr(scheduler, "optimizer", optimizer) is not optimizer:
            raise ConfigError(f"the scheduler {self.labels['scheduler']} is one of another optimizer")
        return scheduler  # type: ignore[no-any-return]  # it has what the loop calls


def _initialise_lazy(model: torch.nn.Module, samples: Samples) -> None:
    """Gives lazy modules (`nn.LazyLinear`) their weights, from the generator that the seed has set."""
    if any(isinstance(p, torch.nn.parameter.UninitializedParameter) for p in model.parameters()):
        try:
            with torch.no_grad():
                model.eval()(samples.inputs[:2])
        except Exception as error:
            raise ConfigError(f"the model's lazy modules cannot be initialised: {describe_error(error)}") from error


def _is_maker(given: object, made: type) -> bool:
    """Whether an object is a function or class that makes the part, not the part."""
    return callable(given) and not isinstance(given, made)


def _check_step(part: Any, label: str, field: str) -> None:
    """Checks that an object's `step` can be called as the loop calls what has no record."""
    needed = [p.name for p in inspect.signature(part.step).parameters.values() if p.default is p.empty and p.kind < 2]
    if needed:
        raise ConfigError(
            f"{label}: its step() needs {', '.join(needed)}; register it with {field} and name it, so that it gets that"
        )


def _class_name(part: object) -> str:
    if isinstance(part, Loss):
        return f"lossreg.Loss({part.name!r})"
    named = part if callable(part) and hasattr(part, "__qualname__") else type(part)
    return f"{named.__module__}.{named.__qualname__}"
