"""fastai: loss, optimizer and schedule of a Learner by name. Tried with fastai 2.8.

A Learner sets the rate of all parameter groups to its own at the beginning of each `fit`, gives losses its own classes
of tensors, and asks them for predictions: none of it goes well with plain parts, or says so.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import torch
from fastai.callback.core import Callback
from fastai.callback.tracker import ReduceLROnPlateau
from fastai.learner import defaults
from fastai.optimizer import OptimWrapper
from torch import Tensor, nn

from lossreg.embedding.arguments import check_given, check_model, check_parts
from lossreg.embedding.counted import begin_rates
from lossreg.embedding.followed import followed_value
from lossreg.embedding.needs import check_needs
from lossreg.embedding.overruled import warn_overruled
from lossreg.errors import ConfigError
from lossreg.values import shown

if TYPE_CHECKING:
    from fastai.learner import Learner

    from lossreg.embedding.host_parts import HostParts
    from lossreg.embedding.host_scheduler import HostScheduler

HOST = "fastai"


def use_parts(learn: Learner, parts: HostParts) -> Learner:
    """Has a Learner train with parts, whatever has made it: `Learner(...)`, `vision_learner(...)`.

    Each `learn.fit(N)` has a schedule of its own, over its N epochs.

    Args:
        learn: The Learner.
        parts: Of `lossreg.parts`; its loss takes the place of the Learner's if one is named.

    Returns:
        The same Learner.

    Raises:
        ConfigError: If the Learner has a rate or a weight decay of its own, or the optimizer needs what fastai does not
            do.
    """
    call = "use_parts(learn, parts)"
    is_one = hasattr(learn, "loss_func") and hasattr(learn, "add_cb") and not isinstance(learn, type)
    check_given(is_one, learn, call, "learn is a Learner of fastai")
    check_parts(parts, call)
    check_needs(parts, HOST, closures=False)
    for name, usual in (("lr", defaults.lr), ("wd", None)):
        if getattr(learn, name) != usual:
            raise _no_effect(name, getattr(learn, name))
    if parts.has_loss:
        learn.loss_func = PartsLoss(parts)
    learn.opt_func, learn.opt = functools.partial(_optimizer_of, parts, learn), None
    learn.remove_cbs([one for one in learn.cbs if isinstance(one, PartsSchedule)])  # of parts that were used before
    learn.add_cb(PartsSchedule(parts))
    return learn


class PartsLoss(nn.Module):
    """The loss of parts as a Learner takes it: for its classes of tensors, and with what makes predictions of outputs.

    Args:
        parts: Of `lossreg.parts`.
    """

    def __init__(self, parts: HostParts) -> None:
        check_parts(parts, "PartsLoss(parts)")
        super().__init__()
        self.loss, self.task = parts.loss, parts.task
        self.reduction = "mean"  # fastai sets it where it wants the loss of each sample

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of a batch, or that of each sample."""
        output, target = output.as_subclass(Tensor), target.as_subclass(Tensor)
        if self.reduction == "none":
            return torch.stack([self.loss(one[None], its[None]) for one, its in zip(output, target, strict=True)])
        value: Tensor = self.loss(output, target)
        return value

    def activation(self, output: Tensor) -> Tensor:
        """Probabilities from the outputs, as the loss takes them."""
        if self.loss.takes == "any" or self.task == "regression":
            return output
        return output.sigmoid() if self.task == "multilabel" else output.softmax(1)

    def decodes(self, output: Tensor) -> Tensor:
        """Classes from probabilities."""
        if self.task == "regression":
            return output
        return output > 0.5 if self.task == "multilabel" else output.argmax(1)


def _optimizer_of(parts: HostParts, learn: Learner, params: Any, lr: float) -> PartsOptimizer:
    del params  # groups are those of the parts
    return PartsOptimizer(parts, learn.model, lr)


class PartsOptimizer(OptimWrapper):  # type: ignore[misc]  # fastai may be missing where types are checked
    """The optimizer of parts, whose rates are those of its text.

    Args:
        parts: Of `lossreg.parts`.
        model: The model.
        lr: What the Learner sets the rate to where nothing else is said, which is passed over.
    """

    def __init__(self, parts: HostParts, model: nn.Module, lr: float) -> None:
        check_parts(parts, "PartsOptimizer(parts, model, lr)")
        check_model(model, "PartsOptimizer(parts, model, lr)")
        self._usual, self._model = lr, model
        super().__init__(opt=parts.optimizer(model))

    def set_hyper(self, k: str, v: Any) -> None:
        """Refuses all but the Learner's usual rate.

        Raises:
            ConfigError: If a rate, a momentum or a weight decay would be set.
        """
        if k != "lr" or not isinstance(v, float) or v != self._usual:
            raise _no_effect(k, v)

    def freeze_to(self, n: int) -> None:
        """Refuses to freeze groups, which are not the Learner's own, and to train what the optimizer does not have.

        Raises:
            ConfigError: If groups would be frozen, or parameters are.
        """
        if n:
            raise ConfigError("freeze() goes by the groups of fastai; write lossreg.parts(..., freeze='PATTERNS')")
        if not all(one.requires_grad for one in self._model.parameters()):
            raise ConfigError(
                "the optimizer was built without the parameters that are frozen; call unfreeze() before use_parts"
            )


def _no_effect(name: str, value: object) -> ConfigError:
    return ConfigError(
        f"fastai sets {name}={shown(value)}, but optimizer and schedule are those of the parts: write it into the "
        "text, such as optimizer='adamw(lr=0.01)', scheduler='one_cycle(max_lr=0.1)', and call learn.fit(N)"
    )


class PartsSchedule(Callback):  # type: ignore[misc]  # as above
    """Steps the schedule of parts.

    Args:
        parts: Of `lossreg.parts`.
    """

    order = 60  # behind the Recorder, which has the metrics
    _scheduler: HostScheduler | None = None
    _has_stepped = False

    def __init__(self, parts: HostParts) -> None:
        check_parts(parts, "PartsSchedule(parts)")
        self._parts = parts

    def before_fit(self) -> None:
        """Builds the schedule of this fit."""
        learn = self.learn
        self._scheduler = None
        if any(isinstance(one, ReduceLROnPlateau) for one in learn.cbs):
            raise ConfigError(
                "the callback ReduceLROnPlateau has no effect on the rates of a torch optimizer; write "
                "scheduler=\"plateau(monitor='valid_loss')\""
            )
        if not self._parts.schedules_rates or hasattr(learn, "lr_finder") or hasattr(learn, "gather_preds"):
            return
        if self._parts.interval == "step" and any(type(one).__name__ == "GradientAccumulation" for one in learn.cbs):
            raise ConfigError(
                "a schedule that counts steps does not know those of GradientAccumulation, which counts samples; write "
                "lossreg.parts(..., scheduler_interval='epoch')"
            )
        optimizer = learn.opt.opt
        begin_rates(optimizer)
        told = self._parts.for_loop(epochs=learn.n_epoch, steps_per_epoch=len(learn.dls.train))
        warn_overruled(self._parts, told, HOST)
        self._scheduler = told.scheduler(optimizer)

    def after_step(self) -> None:
        """Notes that the optimizer has stepped, which it does not after each batch that is accumulated."""
        self._has_stepped = True

    def after_batch(self) -> None:
        """Steps a schedule that counts steps, behind the Recorder, which notes the rate of the step."""
        if self._has_stepped and self._scheduler is not None and self._scheduler.interval == "step":
            self._scheduler.step()
        self._has_stepped = False

    def after_epoch(self) -> None:
        """Steps a schedule that counts epochs, with the metric that it follows."""
        scheduler = self._scheduler
        if scheduler is None or scheduler.interval != "epoch":
            return
        if scheduler.monitor is None:
            scheduler.step()
            return
        recorder = self.learn.recorder
        row = dict(zip(recorder.metric_names[1:], recorder.log[1:], strict=False))
        row.pop("time", None)
        scheduler.step(float(followed_value(scheduler, row, "the Recorder has")))
