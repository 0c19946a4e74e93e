"""The schedules of transformers, and its optimizer; this imports them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import transformers
from transformers import optimization

from lossreg_bridges.candidates import Candidate, candidate

DISTRIBUTION = "transformers"

_LEFT_OUT = {"scheduler": "it picks one of the others by its name"}

#: Those whose step takes a metric, after each epoch.
_MONITOR = frozenset({"greedy", "reduce_on_plateau"})


def candidates() -> Iterator[Candidate]:
    """The functions that make a schedule, by their names without `get_` and `_schedule`; and Adafactor."""
    yield candidate("optimizer", "adafactor", "transformers:Adafactor", transformers.Adafactor, positional=1)
    for attribute, found in sorted(vars(optimization).items()):
        is_maker = attribute.startswith("get_") and attribute.endswith(("_schedule", "_scheduler", "_warmup"))
        if not (inspect.isfunction(found) and found.__module__ == optimization.__name__ and is_maker):
            continue
        name = attribute.removeprefix("get_").replace("_schedule_", "_").removesuffix("_schedule")
        target = f"transformers.optimization:{attribute}"
        if name in _LEFT_OUT:
            yield Candidate("scheduler", name, target, {}, _LEFT_OUT[name])
            continue
        parameters = inspect.signature(found).parameters
        yield candidate(
            "scheduler",
            name,
            target,
            found,
            positional=1,
            defaults={"num_warmup_steps": 0} if "num_warmup_steps" in parameters else None,
            supplied={"num_training_steps": "span"},
            hidden=("last_epoch", "scheduler_specific_kwargs"),
            example=_EXAMPLES.get(name),
            **({"monitor": "test_loss"} if name in _MONITOR else {"interval": "step"}),
        )


_EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "cosine_with_min_lr_with_warmup": {"min_lr": 1e-3},
    "cosine_with_min_lr_with_warmup_lr_rate": {"min_lr": 1e-3},
    "inverse_sqrt": {"num_warmup_steps": 2},
    "wsd": {"num_decay_steps": 2},
}
