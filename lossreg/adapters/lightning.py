"""Lightning: what `configure_optimizers` of a LightningModule returns. Tried with lightning 2.6."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lossreg.embedding.freezing import not_frozen_in_parallel
from lossreg.embedding.needs import check_needs
from lossreg.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

    from lossreg.embedding.host_parts import HostParts

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
        `optimizer`, and `lr_scheduler` with `scheduler`, `interval`, `frequency`, `monitor` and `reduce_on_plateau`.

    Raises:
        LossregError: If a part cannot be built, or the optimizer needs what Lightning does not do.
    """
    if not hasattr(parts, "needs"):
        raise ConfigError(
            f"configure_optimizers takes the parts, and then the module: write configure_optimizers(parts, self), not "
            f"{type(parts).__name__} first"
        )
    check_needs(parts, HOST, closures=True)
    trainer: Any = getattr(module, "_trainer", None)
    if trainer is None:
        raise ConfigError("configure_optimizers needs the trainer of the LightningModule; call trainer.fit(module)")
    held = {id(parameter) for parameter in module.parameters()}
    if parts.has_loss and any(id(one) not in held for one in parts.loss.parameters()):
        raise ConfigError(
            "the loss has weights of its own that are none of the LightningModule; write self.loss = parts.loss in its "
            "__init__, so that Lightning moves and saves them"
        )
    told = parts.for_loop(**loop_of(trainer)) if parts.schedules_rates else parts
    with not_frozen_in_parallel(getattr(trainer.strategy, "model", None), module, _WAY_OUT):
        optimizer = told.optimizer(module, fused=fused)
    scheduler = told.scheduler(optimizer)
    if scheduler is None:
        return {"optimizer": optimizer}
    return {
        "optimizer": optimizer,
        "lr_scheduler": {
            "scheduler": scheduler,
            "interval": scheduler.interval,
            "frequency": 1,
            "monitor": scheduler.monitor,
            "reduce_on_plateau": scheduler.monitor is not None,
        },
    }


def loop_of(trainer: Any) -> dict[str, int]:
    """What a trainer knows of its loop: its steps, and its epochs where it knows how many batches these have."""
    steps = trainer.estimated_stepping_batches  # sets the data up, so that the number of batches is known
    if trainer.train_dataloader is None:  # but not where there are only steps
        trainer.fit_loop.setup_data()
    batches = trainer.num_training_batches
    if not (math.isfinite(steps) and steps > 0):
        return {}
    if not math.isfinite(batches):
        return {"total_steps": int(steps)}
    per_epoch = math.ceil(batches / trainer.accumulate_grad_batches)
    return {"epochs": math.ceil(steps / per_epoch), "steps_per_epoch": per_epoch, "total_steps": int(steps)}
