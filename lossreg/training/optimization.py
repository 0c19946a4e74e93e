"""The optimizer and the scheduler of a run, tried out before they are built."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch

from lossreg.data import Data
from lossreg.errors import BuildError, ConfigError
from lossreg.plugins import describe_error
from lossreg.training.assembly import metric_names
from lossreg.training.builder import Builder
from lossreg.training.groups import checked_options, group_names
from lossreg.training.schedule import EpochRates, preview_rates

if TYPE_CHECKING:
    from torch.nn import Parameter
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


class Optimization:
    """Builds optimizer and scheduler.

    Args:
        builder: Builds by name.
        parameters: What is trained, by name.
        device: Where it is.

    Attributes:
        interval: What a step of the scheduler counts.
        monitor: The metric that the scheduler's step takes, or None.

    Raises:
        LossregError: If a pattern of the parameter groups or its options are wrong.
    """

    def __init__(self, builder: Builder, parameters: Mapping[str, Parameter], device: torch.device) -> None:
        self._builder = builder
        self._parameters = list(parameters.values())
        self._device = device
        self._registered = builder.registered("optimizer")
        self._groups: list[tuple[dict[str, Any], list[Parameter]]] = []
        self.interval = "epoch"
        self.monitor: str | None = None
        if builder.spec.param_groups:
            self._group(parameters)

    def _group(self, parameters: Mapping[str, Parameter]) -> None:
        groups = self._builder.spec.param_groups
        if self._registered is not None:
            options = checked_options(groups, self._registered)
        elif _is_maker(self._builder.objects["optimizer"], torch.optim.Optimizer):
            options = [dict(group.options) for group in groups]
        else:
            raise ConfigError("param_groups has no effect on an optimizer that is an object; it has groups already")
        if self._registered is not None:
            self._try_options(options)
        rest, *matched = group_names(parameters, groups, self._builder.labels["model"])
        self._groups = list(zip(options, matched, strict=True))
        if rest:
            self._groups.insert(0, ({}, rest))

    def _try_options(self, options: list[dict[str, Any]]) -> None:
        """Builds an optimizer with the options of each group for its own: torch does not look at those of groups."""
        builder, registered = self._builder, self._registered
        assert registered is not None  # noqa: S101  # the caller has one
        for group, of_group in zip(builder.spec.param_groups, options, strict=True):
            rate = of_group.get("lr")
            if isinstance(rate, int | float) and abs(rate) > torch.finfo(torch.float32).max:
                raise ConfigError(
                    f"param_groups: {group.pattern!r}: lr={rate:g}, which no float32 weight can be moved by"
                )
            params = {**dict(builder.spec.optimizer.params), **of_group}
            parameter = torch.nn.Parameter(torch.zeros(1))
            try:
                registered.construct(([parameter],), registered.arguments(params, builder.runtime))
            except BuildError as error:
                error.message = f"param_groups: {group.pattern!r}: {error.message}"
                raise

    def check_scheduler(self, data: Data) -> None:
        """Reads what the scheduler's record asks for.

        Raises:
            ConfigError: If the run does not have that.
        """
        spec = self._builder.spec
        override = spec.scheduler_interval
        self.interval = override or "epoch"
        registered = self._builder.registered("scheduler") if spec.scheduler else None
        if registered is not None:
            record = registered.record
            for name, _ in spec.scheduler.params:  # type: ignore[union-attr]  # it has a record
                if record.runtime_args.get(name) == "interval":
                    raise ConfigError(
                        f"{name} of {record.name} follows the loop; set both with scheduler_interval (--sched-interval)"
                    )
            metrics = metric_names(data, spec.eval_train)
            if record.monitor is not None and record.monitor not in metrics:
                raise ConfigError(
                    f"scheduler {record.name} follows the metric {record.monitor!r}, which this run does not have; "
                    f"it has {', '.join(metrics)}"
                )
            if record.monitor is not None and override == "step":
                raise ConfigError(f"scheduler {record.name} follows {record.monitor}, which there is once an epoch")
            self.interval, self.monitor = override or record.interval, record.monitor
        self._builder.runtime["interval"] = self.interval

    def choose_fused(self, *, scaled: bool) -> None:
        """Has an optimizer that asks for `fused` built so, if it can step so on these parameters.

        One kernel for all parameters is faster than several for each, on every device that has it
        (docs/performance.md). Not behind a gradient scaler: torch's fused SGD moves its momentum in steps that the
        scaler leaves out, and the weights are NaN soon after.

        Args:
            scaled: Whether a gradient scaler comes before the optimizer.

        Raises:
            BuildError: If the optimizer cannot step at all.
        """
        if self._registered is None:
            return
        if not scaled and "fused" in self._registered.record.runtime_args.values():
            self._builder.runtime["fused"] = True
            try:
                self._try_step()
            except BuildError:
                del self._builder.runtime["fused"]
            else:
                return
        self._try_step()

    def _try_step(self) -> None:
        """Takes one step with throw-away weights: some optimizers refuse their parameters only then."""
        closure = self._registered is not None and self._registered.record.closure
        optimizer = self._built(self._stand_ins)
        try:
            with torch.random.fork_rng():
                optimizer.step(lambda: 0.0) if closure else optimizer.step()
        except Exception as error:
            label = self._builder.labels["optimizer"]
            raise BuildError(
                f"optimizer {label} cannot step on {self._device}: {describe_error(error)}", component=label
            ) from error

    def _stand_ins(self, parameters: list[Parameter]) -> list[Parameter]:
        """One small parameter with a gradient for each type of number."""
        made = []
        for dtype in dict.fromkeys(parameter.dtype for parameter in parameters):
            parameter = torch.nn.Parameter(torch.zeros(2, 2, dtype=dtype, device=self._device))
            parameter.grad = torch.zeros_like(parameter)
            made.append(parameter)
        return made

    def preview(self, epochs: int, steps_per_epoch: int) -> list[EpochRates] | None:
        """The learning rates to come, or None if they cannot be known.

        Raises:
            LossregError: If a rate is of no use, or the scheduler fails on its way.
        """
        builder = self._builder
        if {"optimizer", "scheduler"} & builder.objects.keys() or self.monitor is not None:
            return None
        rates = preview_rates(
            self._built(self._stand_ins),
            self.scheduler if builder.spec.scheduler else None,
            self.interval,
            epochs,
            steps_per_epoch,
        )
        highest = max((max(rate.first, rate.last) for rate in rates or []), default=0.0)
        if highest > torch.finfo(torch.float32).max:
            raise ConfigError(f"the learning rate reaches {highest:g}, which no float32 weight can be moved by")
        return rates

    def optimizer(self) -> Optimizer:
        """The optimizer.

        Raises:
            LossregError: If it cannot be built, or an object is none of these parameters.
        """
        optimizer = self._built(lambda parameters: parameters)
        if "optimizer" in self._builder.objects:
            self._check_object(optimizer)
            for group in self._builder.spec.param_groups:
                unknown = [name for name, _ in group.options if name not in optimizer.defaults]
                if unknown:
                    raise ConfigError(
                        f"param_groups: {group.pattern!r}: {type(optimizer).__name__} has no option {unknown[0]!r}; it "
                        f"has {', '.join(optimizer.defaults)}"
                    )
        return optimizer

    def _built(self, chosen: Callable[[list[Parameter]], list[Parameter]]) -> Optimizer:
        """The optimizer of what is chosen instead of each group's parameters."""
        params: list[Any] = [{"params": chosen(of_group), **options} for options, of_group in self._groups]
        params = params or chosen(self._parameters)
        self._builder.runtime["params"] = params
        if self._registered is not None:
            optimizer = self._builder.build("optimizer", (params,))
        else:
            given = self._builder.take("optimizer")
            optimizer = given(params) if _is_maker(given, torch.optim.Optimizer) else given
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise ConfigError(f"the optimizer {optimizer!r} is neither a torch.optim.Optimizer nor makes one")
        return optimizer

    def _check_object(self, optimizer: Optimizer) -> None:
        labels = self._builder.labels
        held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        left_out = sum(id(parameter) not in held for parameter in self._parameters)
        if left_out == len(self._parameters):
            raise ConfigError(f"the optimizer {labels['optimizer']} holds no weight of the model {labels['model']}")
        if left_out:
            count = f"{left_out} of the {len(self._parameters)} weight tensors of model and loss"
            self._builder.warnings.append(f"the optimizer {labels['optimizer']} leaves {count} as they are")
        _check_step(optimizer, labels["optimizer"], "closure=True")

    def scheduler(self, optimizer: Optimizer) -> LRScheduler:
        """The scheduler of an optimizer.

        Raises:
            LossregError: If it cannot be built, or an object is none, or another optimizer's.
        """
        builder = self._builder
        builder.runtime["optimizer"] = optimizer
        if "scheduler" not in builder.objects:
            scheduler = builder.build("scheduler", (optimizer,))
        else:
            given = builder.take("scheduler")
            is_made = not callable(given) or (hasattr(given, "step") and not isinstance(given, type))
            scheduler = given if is_made else given(optimizer)
            if not hasattr(scheduler, "step"):
                raise ConfigError(f"the scheduler {scheduler!r} has no step(), and makes nothing that has")
            _check_step(scheduler, builder.labels["scheduler"], "monitor=")
        if getattr(scheduler, "optimizer", optimizer) is not optimizer:
            raise ConfigError(f"the scheduler {builder.labels['scheduler']} is one of another optimizer")
        return scheduler  # type: ignore[no-any-return]  # it has what the loop calls


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
