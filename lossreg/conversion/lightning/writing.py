"""Settings as a YAML of LightningCLI."""

from __future__ import annotations

from typing import Any

from lossreg.conversion.followed import TORCH_PLATEAU
from lossreg.conversion.result import WRITTEN_PRECISIONS, unwritten
from lossreg.conversion.torch_classes import class_of_spec, for_class
from lossreg.conversion.yaml_text import write_yaml
from lossreg.errors import ConfigError, LossregError
from lossreg.registry.build import resolve
from lossreg.registry.registries import Registries
from lossreg.run_spec import RunSpec
from lossreg.spec import ComponentSpec, holds_spec

#: Lightning's own class, which has the metric as an argument, and the one that it is made of.
_PLATEAU = "lightning.pytorch.cli.ReduceLROnPlateau"
#: Settings of a run that are written; of all others that are not the default it is said that they are not.
_WRITTEN = (
    "loss", "optimizer", "scheduler", "scheduler_interval", "epochs", "max_steps", "batch_size", "accumulate",
    "clip_grad_norm", "seed", "deterministic", "precision",
)  # fmt: skip


def write(spec: RunSpec, registries: Registries) -> tuple[str, tuple[str, ...]]:
    """Writes settings as a YAML of LightningCLI; see `lossreg.conversion.formats.FormatModule`."""
    notes: list[str] = []
    content: dict[str, Any] = {"seed_everything": spec.seed, "trainer": _trainer(spec)}
    loss = _written("loss", spec.loss, registries, notes)
    if loss is not None:
        content["model"] = {"init_args": {"criterion": loss}}
        notes.append("model.init_args.criterion is the loss; write the class_path of a module that takes one")
    if spec.batch_size != RunSpec().batch_size:
        content["data"] = {"init_args": {"batch_size": spec.batch_size}}
        notes.append(
            "data.init_args.batch_size is that of all processes; write the class_path of a module that takes one"
        )
    optimizer = _written("optimizer", spec.optimizer, registries, notes)
    if optimizer is not None:
        content["optimizer"] = optimizer
    scheduler = _scheduler(spec, registries, notes)
    if scheduler is not None:
        content["lr_scheduler"] = scheduler
    notes += unwritten(spec, _WRITTEN, "a YAML of LightningCLI")
    return write_yaml(content), tuple(notes)


def _trainer(spec: RunSpec) -> dict[str, Any]:
    trainer: dict[str, Any] = {"max_epochs": spec.epochs}
    if spec.max_steps is not None:
        trainer["max_steps"] = spec.max_steps
    if spec.clip_grad_norm is not None:
        trainer["gradient_clip_val"] = spec.clip_grad_norm
    if spec.accumulate > 1:
        trainer["accumulate_grad_batches"] = spec.accumulate
    if spec.precision in WRITTEN_PRECISIONS:
        trainer["precision"] = WRITTEN_PRECISIONS[spec.precision]
    if spec.deterministic:
        trainer["deterministic"] = True
    return trainer


def _written(
    kind: str, spec: ComponentSpec | None, registries: Registries, notes: list[str], span: int | None = None
) -> dict[str, Any] | None:
    """A component as a class with arguments; None if there is none, which is said."""
    if spec is None:
        return None
    try:
        bare, _ = for_class(spec, kind)
        if bare.nested or any(holds_spec(value) for _, value in bare.params):
            raise ConfigError(f"{spec.text}: LightningCLI makes one class of it, without others in it")
        call = class_of_spec(spec, kind, registries, span=span)
    except LossregError as error:
        notes.append(f"{kind}: {error.message}; it is left out")
        return None
    notes += call.notes
    return {"class_path": call.path, "init_args": call.arguments}


def _scheduler(spec: RunSpec, registries: Registries, notes: list[str]) -> dict[str, Any] | None:
    if spec.scheduler is None:
        return None
    try:
        own = resolve(registries.schedulers, spec.scheduler)
    except LossregError as error:
        notes.append(f"scheduler: {error.message}; it is left out")
        return None
    by_step = (spec.scheduler_interval or own.entry.component.interval) == "step"
    found = _written("scheduler", spec.scheduler, registries, notes, None if by_step else spec.epochs)
    if found is None:
        return None
    if found["class_path"] == TORCH_PLATEAU:
        monitor = own.written.get("monitor", own.entry.component.defaults["monitor"])
        found = {"class_path": _PLATEAU, "init_args": {"monitor": monitor, **found["init_args"]}}
        notes.append(f"lr_scheduler: monitor={monitor!r} has to be the name under which your module logs it")
    if by_step:
        notes.append(
            "lr_scheduler: it counts steps, but LightningCLI steps it after each epoch; override its "
            "configure_optimizers and return {'scheduler': ..., 'interval': 'step'}"
        )
    return found
