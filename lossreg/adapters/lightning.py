"""Lightning: what `configure_optimizers` of a LightningModule returns. Tried with lightning 2.6."""

from __future__ import annotations

import functools
import math
import sys
from typing import TYPE_CHECKING, Any

from lossreg.embedding.arguments import check_model
from lossreg.embedding.followed import no_such_metric
from lossreg.embedding.freezing import not_frozen_in_parallel
from lossreg.embedding.host_parts import HostParts
from lossreg.embedding.needs import check_closure_settings, check_needs
from lossreg.embedding.overruled import warn_overruled
from lossreg.errors import ConfigError, StateError

if TYPE_CHECKING:
    from torch import nn

    from lossreg.embedding.host_scheduler import HostScheduler

HOST = "Lightning"
_WAY_OUT = "write Trainer(strategy='ddp_find_unused_parameters_true'), or freeze in the __init__ of the LightningModule"


def configure_optimizers(parts: HostParts, module: nn.Module, *, fused: bool = False) -> dict[str, Any]:
    """Optimizer and schedule as a LightningModule returns them from its method of this name.

    Epochs and steps are those of the trainer, gradient accumulation included.

    Args:
        parts: Of `lossreg.parts`. A loss with weights of its own has to be an attribute of the module.
        module: The LightningModule.
        fused: As for `HostParts.optimizer`; not together with precision `16-mixed`.

    Returns:
        `optimizer`, and `lr_scheduler` with `scheduler`, `interval`, `frequency`, `monitor` and `reduce_on_plateau`, or
        with `scheduler` alone where `automatic_optimization` is False.

    Raises:
        LossregError: If a part cannot be built, or the optimizer needs what Lightning does not do.
    """
    if not isinstance(parts, HostParts):
        raise ConfigError(
            f"configure_optimizers takes the parts, and then the module: write configure_optimizers(parts, self), not "
            f"{type(parts).__name__} first"
        )
    check_model(module, "configure_optimizers(parts, self)", "the module, which is given second,")
    _check_whole(module)
    automatic = getattr(module, "automatic_optimization", True)  # else the steps are those of the module
    if automatic:
        check_needs(parts, HOST, closures=True)
    trainer: Any = getattr(module, "_trainer", None)
    if trainer is None:
        raise ConfigError("configure_optimizers needs the trainer of the LightningModule; call trainer.fit(module)")
    scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
    accumulating = _accumulating(trainer)
    accumulated = trainer.accumulate_grad_batches if accumulating is None else max(accumulating.scheduling.values())
    check_closure_settings(parts, HOST, accumulated=accumulated, scaled=scaled)
    if automatic:
        _check_monitor(parts)
    held = {id(parameter) for parameter in module.parameters()}
    if parts.has_loss and any(id(one) not in held for one in parts.loss.parameters()):
        raise ConfigError(
            "the loss has weights of its own that are none of the LightningModule; write self.loss = parts.loss in its "
            "__init__, so that Lightning moves and saves them"
        )
    told = parts.for_loop(**loop_of(trainer)) if parts.schedules_rates else parts
    warn_overruled(parts, told, HOST)
    with not_frozen_in_parallel(getattr(trainer.strategy, "model", None), module, _WAY_OUT):
        optimizer = told.optimizer(module, fused=fused)
    scheduler = told.scheduler(optimizer)
    if trainer.ckpt_path is not None:
        _add_callback(trainer, "on_fit_start", functools.partial(_check_schedules, parts.texts.get("scheduler")))
    if scheduler is None:
        return {"optimizer": optimizer}
    scheduler.goes_on_by = "epoch" if trainer.max_steps == -1 else "step"
    if not automatic:
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler}}
    return {"optimizer": optimizer, "lr_scheduler": _stepped_by(trainer, scheduler)}


def _check_whole(module: nn.Module) -> None:
    """Checks that it is no single net of a LightningModule: that does not know its trainer, nor the steps of others."""
    if not hasattr(module, "_trainer"):
        raise ConfigError(
            f"configure_optimizers takes the LightningModule itself, and {type(module).__name__} is none: write "
            "configure_optimizers(parts, self); to train nets in it with parts of their own, build for each told = "
            "parts.for_loop(epochs=self.trainer.max_epochs), optimizer = told.optimizer(self.net) and "
            "told.scheduler(optimizer)"
        )


def _stepped_by(trainer: Any, scheduler: HostScheduler) -> dict[str, Any]:
    """A schedule with what tells Lightning how it is stepped."""
    counts_on = trainer.ckpt_path is None and trainer.current_epoch  # fit() once more, for more epochs
    if counts_on and scheduler.monitor is None:
        scheduler.begin_after(trainer.current_epoch if scheduler.interval == "epoch" else trainer.global_step)
    if scheduler.monitor is not None:
        _explain_monitor(trainer, scheduler)
    return {
        "scheduler": scheduler,
        "interval": scheduler.interval,
        "frequency": 1,
        "monitor": scheduler.monitor,
        "reduce_on_plateau": scheduler.monitor is not None,
    }


def loop_of(trainer: Any) -> dict[str, int]:
    """What a trainer knows of its loop: its steps, and its epochs where it knows how many batches these have."""
    steps = trainer.estimated_stepping_batches  # sets the data up, so that the number of batches is known
    if trainer.train_dataloader is None:  # but not where there are only steps
        trainer.fit_loop.setup_data()
    batches = trainer.num_training_batches
    if not (math.isfinite(steps) and steps > 0):  # the loader does not tell its length
        return {"epochs": trainer.max_epochs} if (trainer.max_epochs or 0) > 0 else {}
    if not math.isfinite(batches):
        return {"total_steps": int(steps)}
    accumulating = _accumulating(trainer)
    if accumulating is not None:
        return _accumulated_loop(trainer, accumulating)
    per_epoch = math.ceil(batches / trainer.accumulate_grad_batches)
    return {"epochs": math.ceil(steps / per_epoch), "steps_per_epoch": per_epoch, "total_steps": int(steps)}


def _accumulated_loop(trainer: Any, accumulating: Any) -> dict[str, int]:
    """The loop of a trainer whose callback sets for each epoch how many batches are accumulated."""
    most = math.inf if trainer.max_steps == -1 else trainer.max_steps
    last = math.inf if trainer.max_epochs == -1 else max(trainer.max_epochs, 1)
    epochs: list[int] = []
    while len(epochs) < last and sum(epochs) < most:
        accumulated = accumulating.get_accumulate_grad_batches(len(epochs))
        epochs.append(math.ceil(trainer.num_training_batches / accumulated))
    alike = {"steps_per_epoch": epochs[0]} if len(set(epochs)) == 1 else {}
    return {"epochs": len(epochs), "total_steps": int(min(sum(epochs), most)), **alike}


def _accumulating(trainer: Any) -> Any:
    """The callback that accumulates batches, or None; it sets the trainer's number when an epoch begins."""
    return _callback(trainer, "GradientAccumulationScheduler")


def _callback(trainer: Any, name: str) -> Any:
    """The callback of this class, of lightning.pytorch or of pytorch_lightning, or None."""
    found = (one for one in trainer.callbacks if any(base.__name__ == name for base in type(one).__mro__))
    return next(found, None)


def _check_monitor(parts: HostParts) -> None:
    """Checks that a metric that is followed was named: Lightning does not log the default metric of a run."""
    if parts.monitor is None or parts.names_monitor:
        return
    scheduler = parts.texts.get("scheduler", "of an optimizer")
    raise ConfigError(
        f"the scheduler {scheduler} follows {parts.monitor}, which is a metric of a run of lossreg; Lightning has "
        "those that the module logs: name one in the text, such as reduce_lr_on_plateau(monitor='val_loss')",
        setting="scheduler",
    )


def _explain_monitor(trainer: Any, scheduler: HostScheduler) -> None:
    """Has Lightning's error of a metric that the module does not log say where it is named."""
    _add_callback(trainer, "on_exception", functools.partial(_say_which_metric, scheduler))


def _add_callback(trainer: Any, hook: str, call: functools.partial[None]) -> None:
    """Has a trainer call something, in place of what it has called in an earlier training."""
    base = next((one for one in type(trainer).__mro__ if one.__name__ == "Trainer"), type(trainer))
    # It is lightning.pytorch or pytorch_lightning, whichever the module is one of.
    host: Any = sys.modules.get(base.__module__.partition(".trainer")[0])
    if not hasattr(host, "Callback"):
        return
    callback = host.Callback()
    setattr(callback, hook, call)
    _remove_callbacks(trainer, hook, call.func)  # of the training before, whose scheduler is gone
    trainer.callbacks.append(callback)


def _remove_callbacks(trainer: Any, hook: str, func: Any) -> None:
    kept = [one for one in trainer.callbacks if getattr(vars(one).get(hook), "func", None) is not func]
    if len(kept) < len(trainer.callbacks):
        trainer.callbacks = kept  # another list: Lightning may be going through the old one


def _check_schedules(scheduler: str | None, trainer: Any, module: Any) -> None:
    """Checks, before Lightning loads states, that there is one for each schedule: it passes over what is left."""
    del module
    _remove_callbacks(trainer, "on_fit_start", _check_schedules)
    checkpoint = getattr(getattr(trainer, "_checkpoint_connector", None), "_loaded_checkpoint", None) or {}
    if "lr_schedulers" not in checkpoint:  # of weights alone, of which Lightning says so; or loaded later
        return
    if _callback(trainer, "StochasticWeightAveraging") is not None:  # it has a schedule of its own, from an epoch on
        return
    saved, now = len(checkpoint["lr_schedulers"]), len(trainer.lr_scheduler_configs)
    if saved != now:
        raise StateError(
            f"the checkpoint {trainer.ckpt_path} has {saved or 'no'} schedule{'s' * (saved > 1)}, and the training has "
            f"{now or 'none'} (lossreg.parts(scheduler={scheduler!r})): name the scheduler of the checkpoint, or begin "
            "a new training with the weights alone",
            where="the scheduler",
        )


def _say_which_metric(scheduler: HostScheduler, trainer: Any, module: Any, exception: BaseException) -> None:
    """When a training fails for want of the metric: what is wrong, in place of Lightning's words.

    Lightning ends the training in good order with its own exception alone, and calls nothing between finding that the
    metric is missing and raising it.
    """
    del module
    if type(exception).__name__ == "MisconfigurationException" and f"metric {scheduler.monitor} " in str(exception):
        wrong = no_such_metric(scheduler, trainer.callback_metrics, "after the epoch the module had logged")
        in_each = f"or log it in each epoch: self.log({scheduler.monitor!r}, value)"
        exception.args = (f"{wrong}, {in_each}{_say_how_often(trainer)}",)


def _say_how_often(trainer: Any) -> str:
    """How a metric of a validation is followed that there is not after each epoch: which ones are, is not known."""
    every = trainer.check_val_every_n_epoch or 1
    if every == 1:
        return ""
    return (
        f"; one that is logged in validation, which there is every {every} epochs, is followed with d = "
        f"configure_optimizers(parts, self); d['lr_scheduler']['frequency'] = {every}; return d"
    )
