"""The words of a YAML of hydra: its own, and those for what is a setting of a run."""

from __future__ import annotations

from collections.abc import Mapping

TARGET = "_target_"
ARGUMENTS = "_args_"  # those without names
#: What builds an optimizer that no class equals, from its spec.
BUILD = "lossreg.optimizers.build"
#: Setting -> what a number for it is called.
SETTINGS: Mapping[str, tuple[str, ...]] = {
    "epochs": ("epochs", "max_epochs", "num_epochs", "n_epochs"),
    "batch_size": ("batch_size", "train_batch_size"),
    "accumulate": ("accumulate", "accumulate_grad_batches", "grad_accum_steps", "gradient_accumulation_steps"),
    "clip_grad_norm": ("clip_grad_norm", "gradient_clip_val", "max_grad_norm", "grad_clip"),
    "seed": ("seed",),
    "max_steps": ("max_steps", "max_iters", "max_train_steps"),
}
#: What stands beside a scheduler: when it steps, and which metric it follows.
INTERVAL, FREQUENCY, MONITOR = "interval", "frequency", "monitor"
#: Kind -> what a key is called under which a class of it stands.
KEYS: Mapping[str, tuple[str, ...]] = {
    "optimizer": ("optimizer", "optim", "opt"),
    "scheduler": ("scheduler", "lr_scheduler", "sched"),
    "loss": ("loss", "criterion", "loss_fn", "loss_function"),
}
