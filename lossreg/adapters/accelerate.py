"""Accelerate: model, optimizer, schedule and data loaders, prepared together. Tried with accelerate 1.15."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelerate.scheduler import AcceleratedScheduler

from lossreg.embedding.arguments import check_given, check_model, check_parts
from lossreg.embedding.needs import check_closure_settings
from lossreg.embedding.overruled import warn_overruled
from lossreg.errors import ConfigError, StateError

if TYPE_CHECKING:
    from torch import nn
    from torch.utils.data import DataLoader

    from lossreg.embedding.host_parts import HostParts

HOST = "Accelerate"
_CALL = "prepare(accelerator, parts, model, loader, epochs=N)"


def prepare(
    accelerator: Any, parts: HostParts, model: nn.Module, loader: DataLoader[Any], *, epochs: int, fused: bool = False
) -> tuple[Any, Any, Any, Any]:
    """What `accelerator.prepare` gives, with optimizer and schedule of the parts.

    The loop calls `scheduler.step()` after each `optimizer.step()`, as all loops with Accelerate do. It steps once for
    each step of the optimizer, whatever the number of processes and of accumulated batches, and a schedule that counts
    epochs counts them. A schedule that follows a metric is given it after each epoch: `scheduler.step(value)`. What an
    optimizer needs in addition to gradients (`parts.needs`) the loop gives it: `optimizer.step(closure)`,
    `optimizer.train()` and `optimizer.eval()`, `accelerator.backward(loss, create_graph=True)`.

    Args:
        accelerator: An `accelerate.Accelerator`.
        parts: Of `lossreg.parts`; its loss is moved to the device, and weights of its own are in the checkpoints of
            `accelerator.save_state`.
        model: The model.
        loader: Of the training split.
        epochs: How many epochs the loop has.
        fused: As for `HostParts.optimizer`; not together with mixed precision `fp16`.

    Returns:
        Model, optimizer, loader and scheduler, which is None for a constant rate.

    Raises:
        LossregError: If a part cannot be built, or the optimizer needs what the accelerator is not set to.
    """
    is_one = hasattr(accelerator, "prepare_scheduler") and not isinstance(accelerator, type)
    check_given(is_one, accelerator, _CALL, "the accelerator is an accelerate.Accelerator")
    check_parts(parts, _CALL)
    check_model(model, _CALL)
    is_loader = hasattr(loader, "__iter__") and hasattr(loader, "dataset")
    check_given(is_loader, loader, _CALL, "the loader is a DataLoader of the training split")
    accumulated, is_scaled = accelerator.gradient_accumulation_steps, accelerator.scaler is not None
    check_closure_settings(parts, HOST, accumulated=accumulated, scaled=is_scaled)
    if parts.has_loss:
        _prepare_loss(accelerator, parts)
    optimizer = parts.optimizer(model, fused=fused)
    prepared_model, prepared_optimizer, prepared_loader = accelerator.prepare(model, optimizer, loader)
    told = _told(parts, accelerator, prepared_loader, epochs)
    warn_overruled(parts, told, HOST)
    follows = told.monitor is not None
    scheduler = told.scheduler(optimizer, each="epoch" if follows else "step")
    accelerator.register_load_state_pre_hook(
        functools.partial(_check_schedules, accelerator, parts.texts.get("scheduler"))
    )
    if scheduler is None:
        return prepared_model, prepared_optimizer, prepared_loader, None
    # With split_batches=False Accelerate steps a schedule once for each process: it was made for one process.
    wrapped = AcceleratedScheduler(scheduler, prepared_optimizer, step_with_optimizer=not follows, split_batches=True)
    wrapped._is_accelerate_prepared = True
    return prepared_model, prepared_optimizer, prepared_loader, accelerator.prepare_scheduler(wrapped)


def _prepare_loss(accelerator: Any, parts: HostParts) -> None:
    """Moves the loss to the device, and has weights of its own saved and loaded with the states of the accelerator."""
    loss = parts.loss
    loss.to(accelerator.device)
    if not any(True for _ in loss.parameters()):
        return
    if accelerator.num_processes > 1:
        raise ConfigError(
            f"the loss {parts.texts['loss']} has weights of its own, which would differ from process to process; "
            "make them part of the model"
        )
    if all(one is not loss for one in accelerator._custom_objects):  # of an earlier call, or by hand
        accelerator.register_for_checkpointing(loss)


def _told(parts: HostParts, accelerator: Any, loader: Any, epochs: int) -> HostParts:
    """The parts, told how many epochs and steps the loop has.

    Accelerate takes a step at the end of the loader, too, unless it is told to accumulate across epochs.
    """
    batches, accumulated = _batches_of(loader, parts), accelerator.gradient_accumulation_steps
    if batches is None:
        return parts.for_loop(epochs=epochs, steps_per_epoch=None)
    told = parts.for_loop(epochs=epochs, steps_per_epoch=math.ceil(batches / accumulated))
    if accelerator.gradient_state.sync_with_dataloader or batches % accumulated == 0:
        return told
    if parts.schedules_rates and parts.interval == "epoch" and parts.monitor is None:
        raise ConfigError(
            f"an epoch of {batches} batches is no whole number of steps of {accumulated} accumulated ones with "
            f"sync_with_dataloader=False, and the scheduler {parts.texts.get('scheduler', 'of an optimizer')} counts "
            "epochs by their steps: write lossreg.parts(..., scheduler_interval='step'), or leave "
            "sync_with_dataloader out"
        )
    return told.for_loop(steps_per_epoch=None, total_steps=max(epochs * batches // accumulated, 1))


def _batches_of(loader: Any, parts: HostParts) -> int | None:
    """The batches of an epoch; None where nothing goes by them and the loader does not know."""
    try:
        return len(loader)
    except TypeError as error:
        if not parts.schedules_rates:
            return None
        scheduler = parts.texts.get("scheduler", "of an optimizer")
        raise ConfigError(
            f"the loader has no length ({error}), which the scheduler {scheduler} goes by; give its data set a __len__"
        ) from error


def _check_schedules(accelerator: Any, scheduler: str | None, models: list[Any], input_dir: str) -> None:
    """A hook before `load_state`, which passes over the states of schedules that there are not now.

    Raises:
        StateError: If a checkpoint has not as many schedules as the accelerator.
    """
    del models
    saved, now = len([*Path(input_dir).glob("scheduler*.bin")]), len(accelerator._schedulers)
    if saved == now:
        return
    has = f"has {saved or 'no'} schedule{'s' * (saved > 1)}"
    raise StateError(
        f"the checkpoint {input_dir} {has}, and the accelerator has {now or 'none'} (lossreg.parts(scheduler="
        f"{scheduler!r})): name the scheduler of the checkpoint, or begin a new training with the weights alone",
        where="the scheduler",
    )
