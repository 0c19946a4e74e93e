"""`lossreg.parts`: loss, optimizer, parameter groups and schedule by name, without the runner."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from lossreg.conversion.class_names import naming_classes
from lossreg.embedding.host_loss import check_task
from lossreg.embedding.host_parts import HostParts
from lossreg.embedding.loop_facts import LoopFacts
from lossreg.embedding.prepared import MOST
from lossreg.embedding.sources import PART_KEYS, read_source
from lossreg.errors import ConfigError
from lossreg.registry.registries import Registries, default
from lossreg.run_spec import RUN_KEYS, FrozenMode, Interval, RunSpec
from lossreg.training.arguments import check_call, split_arguments
from lossreg.training.selection import Request

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from lossreg.components import Loss
    from lossreg.data import Task
    from lossreg.spec import ComponentSpec

    Texts = tuple[tuple[str, Any], ...]  # name and text; of parameter groups pattern and text of each


def parts(
    source: str | os.PathLike[str] | Mapping[str, Any] | RunSpec | None = None,
    /,
    *,
    loss: str | ComponentSpec | Loss | nn.Module | Callable[[Tensor, Tensor], Tensor] | None = None,
    optimizer: str | ComponentSpec | Optimizer | Callable[[Iterable[nn.Parameter]], Optimizer] | None = None,
    scheduler: str | ComponentSpec | LRScheduler | Callable[[Optimizer], LRScheduler] | None = None,
    param_groups: Mapping[str, str | bool | Mapping[str, Any]] | None = None,
    freeze: str | Iterable[str] | None = None,
    frozen_mode: FrozenMode | None = None,
    scheduler_interval: Interval | None = None,
    task: Task | None = None,
    epochs: int | None = None,
    steps_per_epoch: int | None = None,
    total_steps: int | None = None,
    num_samples: int | None = None,
    num_classes: int | None = None,
    registries: Registries | None = None,
    **unknown: Any,
) -> HostParts:
    """Loss, optimizer, parameter groups and schedule by name, for a training loop that is not lossreg's.

    The texts mean what they mean in `lossreg.run`, which builds its parts by the same functions.

    Args:
        source: Where texts come from that are no arguments: a TOML file of settings, a run directory, a mapping or a
            RunSpec. Settings of the loop in it are not obeyed; `describe()["left_to_the_loop"]` names them.
        loss: As for `lossreg.run`; None is the loss of the task, if one is named.
        optimizer: As for `lossreg.run`; `sgd` if none is named.
        scheduler: As for `lossreg.run`.
        param_groups: As for `lossreg.run`.
        freeze: As for `lossreg.run`.
        frozen_mode: As for `lossreg.run`.
        scheduler_interval: As for `lossreg.run`.
        task: What the targets are: `classification`, `segmentation`, `multilabel` or `regression`. Needed where what is
            done to output and target depends on it.
        epochs: How many epochs the loop has; a schedule that ends needs it.
        steps_per_epoch: Steps of the optimizer in each epoch.
        total_steps: All steps, where there are no epochs.
        num_samples: Of the training split.
        num_classes: How many classes there are.
        registries: Where names are looked up; None is `lossreg.losses` and its siblings.
        unknown: Refused.

    Raises:
        LossregError: If a name, a parameter or a setting is wrong.

    Example:
        >>> import lossreg, torch
        >>> parts = lossreg.parts(loss="dice", optimizer="adamw(lr=0.01)", scheduler="cosine", epochs=2)
        >>> model = torch.nn.Linear(4, 3)
        >>> optimizer = parts.optimizer(model)
        >>> scheduler = parts.scheduler(optimizer)
        >>> for epoch in range(2):
        ...     parts.loss(model(torch.ones(2, 4)), torch.tensor([0, 2])).backward()
        ...     optimizer.step()
        ...     scheduler.step()
        >>> scheduler.interval, parts.monitor
        ('epoch', None)
    """
    check_call(registries)
    check_task(task)
    _check_unknown(unknown)
    arguments = {
        "loss": loss,
        "optimizer": optimizer,
        "scheduler": scheduler,
        "param_groups": param_groups,
        "freeze": freeze,
        "frozen_mode": frozen_mode,
        "scheduler_interval": scheduler_interval,
    }
    given = {**{name: value for name, value in arguments.items() if value is not None}, **unknown}
    chosen = default if registries is None else registries
    with naming_classes(chosen):
        texts = read_source(source, given)
    are_read = epochs is None and total_steps is None and texts.epochs is not None
    facts = LoopFacts(
        epochs=texts.epochs if are_read else epochs,
        steps_per_epoch=steps_per_epoch,
        total_steps=total_steps,
        num_samples=num_samples,
        num_classes=num_classes,
    )
    request = _request({**texts.settings, **given}, chosen)
    return HostParts(task or texts.task, facts, texts.left, request, epochs_are_read=are_read)  # type: ignore[arg-type]  # of a record it is checked next


def _check_unknown(unknown: Iterable[str]) -> None:
    """Checks that no keyword is a setting of a run that is not a part; what else is unknown is refused with those."""
    for name in unknown:
        if name in RUN_KEYS and name not in PART_KEYS:
            raise ConfigError(f"parts has no argument {name!r}: what it sets is the business of your own loop")


def _request(settings: dict[str, Any], registries: Registries) -> Request:
    """The settings as a run would be asked for with them."""
    texts = _texts(settings)
    if registries is default and texts is not None:
        return Request(_spec_of(texts), {}, default)
    spec, objects = split_arguments(settings, "parts", registries)
    return Request(spec, objects, registries)


def _texts(settings: Mapping[str, Any]) -> Texts | None:
    """Settings that are texts alone, those of parameter groups included; None of others, such as objects."""
    texts = []
    for name, value in settings.items():
        items = tuple(value.items()) if type(value) is dict else ((name, value),)
        if not all(type(one) is str for pair in items for one in pair):
            return None
        texts.append((name, value if type(value) is str else items))
    return tuple(texts)


@functools.lru_cache(maxsize=MOST)
def _spec_of(texts: Texts) -> RunSpec:
    """The spec of such settings, checked once: it has all settings of a run, and checking them takes time."""
    settings = {name: value if isinstance(value, str) else dict(value) for name, value in texts}
    spec, _ = split_arguments(settings, "parts", default)
    return spec
