"""skorch: nets whose criterion, optimizer and schedule are texts, also in a GridSearchCV. Tried with skorch 1.4."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from skorch import NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import LRScheduler

from lossreg.adapters.skorch_arguments import OF_OPTIMIZER, check_outside, is_of_skorch, no_argument
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


class PartsNet:
    """What nets with parts by name have in common; it stands before a class of skorch.

    Attributes:
        task: What the targets are.
        parts_: Of `lossreg.parts`, once the net is initialised.
        scheduler_: The schedule within a training, if there is one.
        frozen_: The names of the parameters that `freeze` has frozen.
        epochs_: How many epochs there have been at the end of the training of now, or of the last one.
        within_epoch_: Whether an epoch has begun, and has not ended.
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
    frozen_: tuple[str, ...] = ()
    epochs_: int
    within_epoch_: bool = False
    initialized_: bool
    history: Any
    callbacks_: list[tuple[str, Any]]
    prefixes_: list[str]
    max_epochs: int
    get_params: Callable[..., dict[str, Any]]
    get_iterator: Callable[..., Any]
    check_training_readiness: Callable[[], None]
    _params_to_validate: set[str]
    _initialize_optimizer: Callable[[str], Any]
    _format_reinit_msg: Callable[..., str]

    def initialize_module(self) -> Any:
        """Builds the module, or takes the one that is given, without what was frozen in it."""
        self._unfreeze()
        super().initialize_module()  # type: ignore[misc]  # of the class behind
        return self

    def initialize_criterion(self) -> Any:
        """Builds the loss."""
        check_outside(vars(self), vars(self))
        self.criterion_ = parts(loss=self.criterion, task=self.task).loss
        return self

    def initialize_optimizer(self) -> Any:
        """Builds the optimizer of module and criterion."""
        check_outside(vars(self), vars(self))
        built = parts(
            loss=self.criterion_, optimizer=self.optimizer, scheduler=self.scheduler, param_groups=self.param_groups,
            freeze=self.freeze,
        )  # fmt: skip
        check_needs(built, HOST, closures=True)
        if self.within_epoch_ and built.schedules_rates:
            raise ConfigError(
                "the optimizer would be built anew within an epoch, and its schedule begins with one: call set_params "
                "in on_epoch_end of a callback, or between trainings"
            )
        self._unfreeze()
        trained = {name for name, one in self.module_.named_parameters() if one.requires_grad}
        self.optimizer_ = built.optimizer(self.module_)
        self.parts_, self.scheduler_ = built, None
        frozen = (name for name, one in self.module_.named_parameters() if not one.requires_grad)
        self.frozen_ = tuple(name for name in frozen if name in trained)
        return self

    def _unfreeze(self) -> None:
        """Has trained again what `freeze` has frozen so far: the next text may name less."""
        for name, one in self.module_.named_parameters() if self.frozen_ else ():
            if name in self.frozen_:
                one.requires_grad_(True)
        self.frozen_ = ()

    def set_params(self, **given: Any) -> Any:
        """Sets arguments. In a net that is initialised, what was built from one is built anew, and what goes by that.

        With another text of the optimizer, the scheduler, parameter groups or what is frozen that is the optimizer; the
        module keeps its weights.

        Args:
            given: Names and values.

        Returns:
            The net.

        Raises:
            LossregError: If there is no such argument, or it has no effect or a wrong text; the net is as it was.
        """
        self._check_names(given)
        check_outside(given, {**vars(self), **given})
        texts = {name: given.pop(name) for name in OF_OPTIMIZER if name in given}
        _check_texts(f"{type(self).__name__}.set_params(...)", texts)
        with _as_it_was(self):
            before = vars(self).get("optimizer_")
            vars(self).update(texts)
            super().set_params(**given)  # type: ignore[misc]  # of the class behind
            if texts and self.initialized_ and self.optimizer_ is before:
                self.check_training_readiness()
                self._initialize_optimizer(self._format_reinit_msg("optimizer", texts))
        return self

    def _check_names(self, given: Iterable[str]) -> None:
        """Checks that there are arguments of these names; those with two underscores wait until the net is built."""
        known = self.get_params(deep=False)
        for name in given:
            if "__" not in name and name not in known and not is_of_skorch(name, self.prefixes_):
                raise no_argument(self, name, known)

    def _validate_params(self) -> None:
        """Checks the names of arguments that skorch looks at once the net is built."""
        known = self.get_params(deep=False).keys() - self._params_to_validate
        for name in sorted(self._params_to_validate):
            if not is_of_skorch(name, self.prefixes_):
                raise no_argument(self, name, known)
        super()._validate_params()  # type: ignore[misc]  # of the class behind

    def fit_loop(self, X: Any, y: Any = None, epochs: int | None = None, **kwargs: Any) -> Any:  # noqa: N803  # as skorch
        """Trains for some epochs, with a schedule of all epochs so far and of these."""
        self.scheduler_ = None
        self.epochs_ = len(self.history) + (self.max_epochs if epochs is None else epochs)
        try:
            return super().fit_loop(X, y, epochs, **kwargs)  # type: ignore[misc]  # of the class behind
        finally:
            self.scheduler_, self.within_epoch_ = None, False

    def on_epoch_begin(self, net: Any, dataset_train: Any = None, dataset_valid: Any = None, **kwargs: Any) -> None:
        """Steps the schedule between epochs, when the metrics of the last one are known."""
        past = len(self.history)
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)  # type: ignore[misc]  # of the class behind
        self.within_epoch_ = True
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
        told = self.parts_.for_loop(epochs=self.epochs_, steps_per_epoch=steps)
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

    def on_epoch_end(self, net: Any, dataset_train: Any = None, dataset_valid: Any = None, **kwargs: Any) -> None:
        """Lets callbacks, which are called next, set texts."""
        self.within_epoch_ = False
        super().on_epoch_end(net, dataset_train, dataset_valid, **kwargs)  # type: ignore[misc]  # of the class behind


@contextlib.contextmanager
def _as_it_was(net: PartsNet) -> Iterator[None]:
    """Leaves a net as it was where a block raises: its arguments, what was built from them, and what is frozen."""
    before = {**vars(net), "_params_to_validate": {*net._params_to_validate}}
    trained = [(one, one.requires_grad) for one in net.module_.parameters()] if net.initialized_ else []
    try:
        yield
    except BaseException:
        vars(net).clear()
        vars(net).update(before)
        for one, is_trained in trained:
            one.requires_grad_(is_trained)
        raise


def _check_arguments(name: str, module: Any, **texts: Any) -> None:
    """Checks what skorch has an error of its own for, or none: it knows neither schedules nor groups by text."""
    call = f"{name}(module, ...)"
    check_given(callable(module), module, call, "the module is a torch.nn.Module or its class")
    _check_texts(call, texts)


def _check_texts(call: str, texts: Mapping[str, Any]) -> None:
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
