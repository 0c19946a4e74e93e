"""The keyword arguments of `run` and `plan`: the settings of a run, where a component may also be a Python object."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

import attrs

from lossreg.component import Component
from lossreg.conversion.class_names import naming_classes
from lossreg.errors import ConfigError
from lossreg.registry.guesses import guess_parameter
from lossreg.registry.registries import Registries
from lossreg.run_spec import (
    COMPONENT_FIELDS,
    METRICS,
    OBSERVE,
    RUN_KEYS,
    FrozenMode,
    Interval,
    Layout,
    Loader,
    Nan,
    Precision,
    RunSpec,
    key_hint,
)
from lossreg.spec import ComponentSpec
from lossreg.values import shown

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import Tensor, nn
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from lossreg.components import Loss
    from lossreg.data import Data

F = TypeVar("F", bound=Callable[..., Any])


class RunArguments(TypedDict, total=False):
    """The settings of a run, as Python gives them; `RunSpec` says what each means and which values it takes."""

    loss: str | ComponentSpec | Loss | nn.Module | Callable[[Tensor, Tensor], Tensor] | None
    optimizer: str | ComponentSpec | Optimizer | Callable[[Iterable[nn.Parameter]], Optimizer]
    scheduler: str | ComponentSpec | LRScheduler | Callable[[Optimizer], LRScheduler] | None
    model: str | ComponentSpec | nn.Module | None
    data: str | ComponentSpec | Data
    epochs: int
    batch_size: int
    accumulate: int
    clip_grad_norm: float | None
    param_groups: Mapping[str, str | bool | Mapping[str, Any]] | None
    freeze: str | Iterable[str] | None
    unfreeze: str | Iterable[str] | None
    frozen_mode: FrozenMode
    init_from: str | Path | None
    init_partial: bool
    seed: int
    device: str | torch.device
    precision: Precision
    layout: Layout
    compile: bool
    deterministic: bool
    loader: Loader
    workers: int | None
    scheduler_interval: Interval | None
    limit_train: int | None
    limit_test: int | None
    validate: float | str | None
    patience: int | None
    metrics: str | ComponentSpec | Iterable[object] | None
    monitor: str | None
    target: str | None
    max_steps: int | None
    max_time: str | float | None
    eval_train: bool
    weights: str
    checkpoint_every: str | int | None
    keep: int
    best: str | None
    log_every: int
    nan: Nan
    observe: str | ComponentSpec | Iterable[object] | None


def split_arguments(
    arguments: Mapping[str, Any], function: str, registries: Registries
) -> tuple[RunSpec, dict[str, Any]]:
    """Separates what a spec can say from Python objects.

    Args:
        arguments: The settings that were given.
        function: `run` or `plan`, for error messages.
        registries: Where names are looked up.

    Returns:
        The spec, and field -> object.

    Raises:
        ConfigError: If a setting is unknown or wrong.
        SpecError: If the text of a component is not a spec.
    """
    for name in arguments:
        if name not in RUN_KEYS:
            raise ConfigError(
                f"{function} has no argument {shown(name)}.{key_hint(name, _guess(arguments, registries))}"
            )
    objects = {
        field: arguments[field]
        for field in COMPONENT_FIELDS
        if not isinstance(arguments.get(field), str | ComponentSpec | None)
    }
    for field, given in objects.items():
        _check_instance(field, given)
    settings = {name: value for name, value in arguments.items() if name not in objects}
    if "device" in settings:
        settings["device"] = _device(settings["device"])
    with naming_classes(registries):
        return RunSpec(**settings), objects


def split_observers(settings: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[object, ...]]:
    """Separates the observers that are Python objects from those that a spec can name.

    Returns:
        The settings without the objects, and the objects.
    """
    return _split_listed(settings, OBSERVE)


def split_metrics(settings: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[object, ...]]:
    """Separates the metrics that are Python objects from those that a spec can name.

    Returns:
        The settings without the objects, and the objects.
    """
    given = settings.get(METRICS)
    if callable(getattr(given, "update", None)) and callable(getattr(given, "compute", None)):  # one by itself
        settings = {**settings, METRICS: [given]}
    return _split_listed(settings, METRICS)


def _split_listed(settings: Mapping[str, Any], field: str) -> tuple[dict[str, Any], tuple[object, ...]]:
    given = settings.get(field)
    if isinstance(given, str | ComponentSpec | Mapping | None) or not isinstance(given, Iterable):
        return dict(settings), ()
    listed = list(given)
    named = [one for one in listed if isinstance(one, str | ComponentSpec)]
    objects = tuple(one for one in listed if not isinstance(one, str | ComponentSpec))
    return {**settings, field: named}, objects


def _guess(arguments: Mapping[str, Any], registries: Registries) -> Callable[[str], str]:
    """What an argument that does not exist may mean."""

    def guess(word: str) -> str:
        known = {name: value for name, value in arguments.items() if name in COMPONENT_FIELDS}
        texts: dict[str, Any] = {name: value for name, value in known.items() if isinstance(value, str | ComponentSpec)}
        spec = RunSpec(**texts)
        return guess_parameter(word, {name: getattr(spec, name) for name in COMPONENT_FIELDS}, registries)

    return guess


_ONE_OF: Mapping[str, str] = {
    "optimizer": "several optimizers are named by optimizer= and param_groups=, such as optimizer='adam', "
    "param_groups={'ndim>=2': 'sgd(lr=0.02)'}",
    "scheduler": "several schedulers are one spec, such as 'sequential(linear(), cosine(), milestones=[5])'",
    "loss": "give one, such as a function that adds the others up",
    "model": "give one, such as torch.nn.Sequential(*layers)",
    "data": "give one lossreg.Data",
}
#: What an object is not that can neither be called nor has the method step, and what to write.
_NO_PART: Mapping[str, str] = {
    "loss": "cannot be called; write a name, such as 'dice', or give a function or module of output and target",
    "optimizer": "is neither a torch.optim.Optimizer nor makes one; write a name, such as 'adam(lr=0.001)', or give a "
    "function of the parameters that makes one",
    "scheduler": "has no step(), and makes nothing that has; write a name, such as 'cosine', or give a function of the "
    "optimizer that makes one",
}


def _check_instance(field: str, given: object) -> None:
    """Checks that what is given for a part is an object that can be one, and not its class or the table of a file."""
    if isinstance(given, type) and field in ("model", "data", "loss"):
        raise ConfigError(f"the {field} {given.__module__}.{given.__qualname__} is a class; give an instance of it")
    if isinstance(given, list | tuple | set):
        raise ConfigError(f"{field} is a {type(given).__name__}; {_ONE_OF[field]}")
    if isinstance(given, Mapping):
        raise ConfigError(f"the {field} {shown(given)} is a mapping; write a text such as 'name(key=value, ...)'")
    could_be = isinstance(given, Component) if field == "loss" else hasattr(given, "step")
    if field in _NO_PART and not callable(given) and not could_be:
        raise ConfigError(f"{field}={shown(given)} {_NO_PART[field]}")


def _device(given: object) -> object:
    """A torch.device as its text; anything else for RunSpec to judge."""
    is_device = (type(given).__module__, type(given).__name__) == ("torch", "device")
    return str(given) if is_device else given


def check_call(
    registries: object, out: object = None, quiet: object = False, observers: object = (), plots: object = False
) -> None:
    """Checks the types of the arguments that are no settings of a run.

    Raises:
        ConfigError: That names the argument.
    """
    if registries is not None and not isinstance(registries, Registries):
        raise ConfigError(f"registries is what lossreg.load_registries gives, or None, not {shown(registries)}")
    if out is not None and not (isinstance(out, str | os.PathLike) and isinstance(os.fspath(out), str)):
        raise ConfigError(f"out is the path of a directory, or None, not {shown(out)}")
    if out is not None and (not os.fspath(out) or "\0" in os.fspath(out)):
        what = "is empty" if not os.fspath(out) else f"has a null byte: {shown(os.fspath(out))}"
        raise ConfigError(f"out (--out) {what}; name a directory, or leave it out")
    for name, switch in (("quiet", quiet), ("plots", plots)):
        if not isinstance(switch, bool):
            raise ConfigError(f"{name} is True or False, not {shown(switch)}")
    if isinstance(observers, str | Mapping) or not isinstance(observers, Iterable):
        raise ConfigError(f"observers is a list of objects, not {shown(observers)}; write observers=[...]")


def check_resuming(resume: object, out: object, override: object) -> None:
    """Checks the arguments of a run that goes on.

    Raises:
        ConfigError: That names the argument.
    """
    if not isinstance(override, bool):
        raise ConfigError(f"override is True or False, not {shown(override)}")
    if resume is None:
        if override:
            raise ConfigError("override (--override) has no effect without resume (--resume)")
        return
    if not (isinstance(resume, str | os.PathLike) and isinstance(os.fspath(resume), str) and os.fspath(resume)):
        raise ConfigError(f"resume (--resume) is the directory of a run that goes on, not {shown(resume)}")
    if out is not None:
        raise ConfigError(
            "out (--out) and resume (--resume) are given: a run goes on in its own directory; leave out out"
        )


def shows_settings(function: F) -> F:
    """Lists the settings in a function's signature, which `**settings` would hide from `help` and completion."""
    own = inspect.signature(function)
    defaults = {field.name: field.default for field in attrs.fields(RunSpec)}
    settings = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=default.text if isinstance(default, ComponentSpec) else default,
            annotation=RunArguments.__annotations__[name].__forward_arg__,  # its text, as in the class
        )
        for name, default in defaults.items()
    ]
    others = [parameter for parameter in own.parameters.values() if parameter.kind is not parameter.VAR_KEYWORD]
    function.__signature__ = own.replace(parameters=[*settings, *others])  # type: ignore[attr-defined]  # inspect reads it
    return function
