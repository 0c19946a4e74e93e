"""Other words for a setting."""

from __future__ import annotations

from collections.abc import Mapping

from lossreg.names import normalize

#: Other words for a setting -> the setting: its flag, and what other trainers call it.
SYNONYMS: Mapping[str, str] = {
    "opt": "optimizer",
    "optim": "optimizer",
    "sched": "scheduler",
    "lr_scheduler": "scheduler",
    "dataset": "data",
    "criterion": "loss",
    "loss_fn": "loss",
    "net": "model",
    "network": "model",
    "max_epochs": "epochs",
    "num_epochs": "epochs",
    "n_epochs": "epochs",
    "max_iters": "max_steps",
    "max_iterations": "max_steps",
    "num_steps": "max_steps",
    "max_duration": "max_time",
    "time_limit": "max_time",
    "bs": "batch_size",
    "train_batch_size": "batch_size",
    "num_workers": "workers",
    "accumulate_grad_batches": "accumulate",
    "gradient_accumulation_steps": "accumulate",
    "gradient_clip_val": "clip_grad_norm",
    "max_grad_norm": "clip_grad_norm",
    "grad_clip": "clip_grad_norm",
    "sched_interval": "scheduler_interval",
    "random_state": "seed",
    "use_deterministic_algorithms": "deterministic",
    "ema": "weights",
    "ema_decay": "weights",
    "model_ema": "weights",
    "swa": "weights",
    "validation_split": "validate",
    "val_split": "validate",
    "val_size": "validate",
    "validation_fraction": "validate",
    "early_stopping_patience": "patience",
    "n_iter_no_change": "patience",
    "metric": "metrics",
    "scoring": "metrics",
    "logger": "observe",
    "loggers": "observe",
    "tracker": "observe",
    "report_to": "observe",
    "log_with": "observe",
}


def meant_setting(word: str) -> str | None:
    """The setting that another trainer, or a flag, calls by this word; None if there is none.

    Example:
        >>> meant_setting("opt"), meant_setting("max-epochs"), meant_setting("lr")
        ('optimizer', 'epochs', None)
    """
    return SYNONYMS.get(normalize(word))
