"""skorch: nets whose criterion, optimizer and schedule are texts, also in a GridSearchCV. Tried with skorch 1.4."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from skorch import NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import LRScheduler

from lossreg.embedding.api import parts
from lossreg.embedding.arguments import check_given
from lossreg.embedding.counted import begin_rates
from lossreg.embedding.followed import followed_value
from lossreg.embedding.needs import check_needs
from lossreg.errors import ConfigError

if TYPE_CHECKING:
    from lossreg.data import Task
    from lossreg.embedding.host_parts import HostParts
    from lossreg.embedding.host_scheduler import HostScheduler

HOST = "skorch"

LR = 0.01  # skorch's default of `lr`, which every net has


class PartsNet:
    """What nets with parts by name have in common; it stands before a class of skorch.

    Attributes:
        task: What the targets are.
        parts_: Of `lossreg.parts`, once the net is initialised.
    """

    task: ClassVar[Task]
    criterion: Any
    optimizer: Any
    scheduler: Any
    param_groups: Any
    freeze: Any
    module_: torch.nn.Module
    criterion_: Any
    optimizer_: Any
    scheduler_: HostScheduler | None
    parts_: HostParts
    history: Any
    callbacks_: list[tuple[str, Any]]
    lr: float
    max_epochs: int
    get_params_for: Callable[[str], dict[str, Any]]
    get_iterator: Callable[..., Any]

    def initialize_criterion(self) -> Any:
        """Builds the loss."""
        self._check_in_text("criterion", self.criterion)
        self.criterion_ = parts(loss=self.criterion, task=self.task).loss
        return self

    def initialize_optimizer(self) -> Any:
        """Builds the optimizer of module and criterion."""
        self._check_in_text("optimizer", self.optimizer)
        if self.lr != LR:
            raise _no_effect(f"lr={self.lr}", "optimizer", self.optimizer, "lr", self.lr)
        built = parts(
            loss=self.criterion_, optimizer=self.optimizer, scheduler=self.scheduler, param_groups=self.param_groups,
            freeze=self.freeze,
        )  # fmt: skip
        check_needs(built, HOST, closures=True)
        self.parts_, self.scheduler_ = built, None
        self.optimizer_ = built.optimizer(self.module_)
        return self

    def _check_in_text(self, name: str, text: object) -> None:
        """Checks that a part is named, and has no parameters outside of its text."""
        given = self.get_params_for(name)
        if given:
            key, value = next(iter(given.items()))
            raise _no_effect(f"{name}__{key}", name, text, key, value)

    def on_epoch_begin(self, net: Any, dataset_train: Any = None, dataset_valid: Any = None, **kwargs: Any) -> None:
        """Steps the schedule between epochs, when the metrics of the last one are known."""
        past = len(self.history)
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)  # type: ignore[misc]  # of the class behind
        if not self.parts_.schedules_rates:
            return
        if self.scheduler_ is None:
            self.scheduler_ = self._scheduler_after(past, dataset_train)
        elif self.scheduler_.interval == "epoch":
            self._step_after(self.scheduler_, past - 1)

    def _scheduler_after(self, past: int, dataset: Any) -> HostScheduler | None:
        """The schedule of all epochs so far and of those that come, where it stands now."""
        if any(isinstance(callback, LRScheduler) for _, callback in self.callbacks_):
            raise ConfigError(
                f"the callback LRScheduler and scheduler={self.scheduler!r} would both set the rates; leave one out"
            )
        steps = len(self.get_iterator(dataset, training=True))
        told = self.parts_.for_loop(epochs=past + self.max_epochs, steps_per_epoch=steps)
        begin_rates(self.optimizer_)
        scheduler = told.scheduler(self.optimizer_)
        if scheduler is not None:
            scheduler.checks_order = False  # epochs that are past are stepped over
        for epoch in range(past if scheduler is not None else 0):
            for _ in range(steps if scheduler is not None and scheduler.interval == "step" else 1):
                self._step_after(scheduler, epoch)
        return scheduler

    def _step_after(self, scheduler: Any, epoch: int) -> None:
        """One step, with the metric of an epoch where the schedule follows one."""
        if scheduler.monitor is None:
            scheduler.step()
            return
        row = {name: value for name, value in self.history[epoch].items() if isinstance(value, float)}
        scheduler.step(followed_value(scheduler, row, "the history of this net has"))

    def on_batch_end(self, net: Any, batch: Any = None, training: bool = False, **kwargs: Any) -> None:
        """Steps a schedule that counts steps."""
        super().on_batch_end(net, batch=batch, training=training, **kwargs)  # type: ignore[misc]  # see above
        if training and self.scheduler_ is not None and self.scheduler_.interval == "step":
            self.scheduler_.step()

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:  # noqa: N803  # as skorch
        """The schedule is made anew where training goes on, for the new number of epochs."""
        super().on_train_end(net, X=X, y=y, **kwargs)  # type: ignore[misc]  # see above
        self.scheduler_ = None


def _no_effect(given: str, name: str, text: object, key: str, value: object) -> ConfigError:
    """The error of a parameter that stands outside of its text."""
    word, bracket, _ = (text if isinstance(text, str) else "NAME").partition("(")
    written = f"{word}({'..., ' if bracket else ''}{key}={value!r})"
    return ConfigError(f"{given} has no effect: write it into the text, {name}='{written}'")


def _check_arguments(name: str, module: Any, **texts: Any) -> None:
    """Checks what skorch has an error of its own for, or none: it knows neither schedules nor groups by text."""
    call = f"{name}(module, ...)"
    check_given(callable(module), module, call, "the module is a torch.nn.Module or its class")
    for field, value in texts.items():
        is_torch = isinstance(value, torch.nn.Module | torch.optim.Optimizer)
        check_given(not is_torch, value, call, f"{field} is text")


class PartsClassifier(PartsNet, NeuralNetClassifier):  # type: ignore[misc]  # skorch may be missing here
    """A `NeuralNetClassifier` whose module gives logits.

    Args:
        module: The module, or its class.
        criterion: The text of a loss.
        optimizer: The text of an optimizer.
        scheduler: The text of a scheduler, or None.
        param_groups: As for `lossreg.parts`.
        freeze: As for `lossreg.parts`.
        settings: As for `skorch.NeuralNetClassifier`.
    """

    task: ClassVar[Task] = "classification"

    def __init__(
        self,
        module: Any,
        *,
        criterion: str = "cross_entropy",
        optimizer: str = "sgd",
        scheduler: str | None = None,
        param_groups: Mapping[str, Any] | None = None,
        freeze: str | Iterable[str] | None = None,
        **settings: Any,
    ) -> None:
        _check_arguments(type(self).__name__, module, scheduler=scheduler, param_groups=param_groups)
        super().__init__(module, criterion=criterion, optimizer=optimizer, **settings)
        self.scheduler = scheduler
        self.param_groups = param_groups
        self.freeze = freeze

    def _get_predict_nonlinearity(self) -> Callable[[Any], Any]:
        """Softmax, unless the loss takes what the module gives as it is, such as l1."""
        if self.predict_nonlinearity == "auto" and self.criterion_.takes != "any":
            return functools.partial(torch.softmax, dim=1)
        found: Callable[[Any], Any] = super()._get_predict_nonlinearity()
        return found


class PartsRegressor(PartsNet, NeuralNetRegressor):  # type: ignore[misc]  # see above
    """A `NeuralNetRegressor`.

    Args:
        module: The module, or its class.
        criterion: The text of a loss.
        optimizer: The text of an optimizer.
        scheduler: The text of a scheduler, or None.
        param_groups: As for `lossreg.parts`.
        freeze: As for `lossreg.parts`.
        settings: As for `skorch.NeuralNetRegressor`.
    """

    task: ClassVar[Task] = "regression"

    def __init__(
        self,
        module: Any,
        *,
        criterion: str = "mse",
        optimizer: str = "sgd",
        scheduler: str | None = None,
        param_groups: Mapping[str, Any] | None = None,
        freeze: str | Iterable[str] | None = None,
        **settings: Any,
    ) -> None:
        _check_arguments(type(self).__name__, module, scheduler=scheduler, param_groups=param_groups)
        super().__init__(module, criterion=criterion, optimizer=optimizer, **settings)
        self.scheduler = scheduler
        self.param_groups = param_groups
        self.freeze = freeze
