"""Settings as YAML for `hydra.utils.instantiate`."""

from __future__ import annotations

from typing import Any

from lossreg.conversion.followed import PLATEAU
from lossreg.conversion.hydra.keys import ARGUMENTS, BUILD, INTERVAL, MONITOR, SETTINGS, TARGET
from lossreg.conversion.result import WRITTEN_PRECISIONS, unwritten
from lossreg.conversion.torch_classes import NoClassError, class_of_spec, for_class
from lossreg.conversion.yaml_text import write_yaml
from lossreg.registry.registries import Registries
from lossreg.run_spec import RunSpec
from lossreg.spec import ComponentSpec, holds_spec
from lossreg.values import shown


def write(spec: RunSpec, registries: Registries) -> tuple[str, tuple[str, ...]]:
    """Writes settings as YAML for `hydra.utils.instantiate`; see `lossreg.conversion.formats.FormatModule`.

    Optimizer and scheduler are partial: what they make is called with the parameters, or the optimizer.
    """
    notes: list[str] = []
    content: dict[str, Any] = {}
    for kind in ("loss", "optimizer", "scheduler"):
        component: ComponentSpec | None = getattr(spec, kind)
        if component is not None:
            table = _table(component, kind, spec, registries, notes)
            if table is not None:
                content[kind] = table
    if spec.param_groups:
        notes.append(
            f"param_groups: a class has none, so that all parameters have the options of {spec.optimizer.name}"
        )
    if "scheduler" in content and spec.scheduler is not None:
        content |= _beside(spec.scheduler, spec, registries, notes)
    for key in SETTINGS:
        if getattr(spec, key) is not None and (key != "accumulate" or spec.accumulate > 1):
            content[key] = getattr(spec, key)
    if spec.precision in WRITTEN_PRECISIONS:
        content["precision"] = WRITTEN_PRECISIONS[spec.precision]
    if spec.deterministic:
        content["deterministic"] = True
    written = (
        "loss", "optimizer", "scheduler", "scheduler_interval", "param_groups", "precision", "deterministic", *SETTINGS,
    )  # fmt: skip
    notes += unwritten(spec, written, "a YAML for instantiate")
    return write_yaml(content), tuple(notes)


def _beside(scheduler: ComponentSpec, spec: RunSpec, registries: Registries, notes: list[str]) -> dict[str, Any]:
    """What is said beside a scheduler: when to step it, where that is not as usual, and the metric that it follows."""
    entry = registries.schedulers[scheduler.name]
    own = entry.component.interval
    interval = spec.scheduler_interval or own
    if interval == "step":
        notes.append("scheduler: step it after each step of the optimizer, not after each epoch")
    elif own == "step":
        notes.append(f"scheduler: step it after each epoch, though {scheduler.name} counts steps as a rule")
    said: dict[str, Any] = {} if interval == own else {INTERVAL: interval}
    if entry.id == PLATEAU:
        said[MONITOR] = dict(scheduler.params).get(MONITOR, entry.component.defaults[MONITOR])
        notes.append(
            f"{MONITOR}={shown(said[MONITOR])} is what to step the scheduler with, by its name in your program"
        )
    return said


def _table(
    component: ComponentSpec, kind: str, spec: RunSpec, registries: Registries, notes: list[str]
) -> dict[str, Any] | None:
    """A component as a table with `_target_`; None, with a note, where there is no class."""
    partial = {"_partial_": True} if kind != "loss" else {}
    own = registries.schedulers[component.name].component.interval if kind == "scheduler" else None
    counts_steps = (spec.scheduler_interval or own) == "step"
    span = spec.epochs if kind == "scheduler" and not counts_steps else None
    try:
        call = class_of_spec(component, kind, registries, span=span)
    except NoClassError as error:
        if kind == "optimizer":
            bare, left_out = for_class(component, kind)
            notes += [f"optimizer: {one}" for one in left_out]
            notes.append(f"optimizer: {bare.text} is built by lossreg, which is needed where the file is used")
            return {TARGET: BUILD, **partial, ARGUMENTS: [bare.text]}
        notes.append(f"{kind}: {error.message.partition(chr(10))[0]}, so that it is left out")
        return None
    if any(isinstance(one, ComponentSpec) or holds_spec(one) for one in call.arguments.values()):
        notes.append(f"{kind}: {component.text} holds others, which hydra cannot give the optimizer, so it is left out")
        return None
    notes += [f"{kind}: {one}" for one in call.notes]
    return {TARGET: call.path, **partial, **call.arguments}
