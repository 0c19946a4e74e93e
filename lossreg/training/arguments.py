"""The keyword arguments of `run` and `plan`: the settings of a run, where a component may also be a Python object."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

import attrs

from lossreg.errors import ConfigError
from lossreg.run_spec import COMPONENT_FIELDS, RUN_KEYS, Interval, Layout, Loader, Precision, RunSpec
from lossreg.spec import ComponentSpec
from lossreg.suggestions import did_you_mean

if TYPE_CHECKING:
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
    param_groups: Mapping[str, str | Mapping[str, Any]] | None
    seed: int
    device: str | torch.device
    precision: Precision
    layout: Layout
    compile: bool
    loader: Loader
    workers: int | None
    scheduler_interval: Interval | None
    limit_train: int | None
    limit_test: int | None
    eval_train: bool
    log_every: int


def split_arguments(arguments: Mapping[str, Any], function: str) -> tuple[RunSpec, dict[str, Any]]:
    """Separates what a spec can say from Python objects.

    Args:
        arguments: The settings that were given.
        function: `run` or `plan`, for error messages.

    Returns:
        The spec, and field -> object.

    Raises:
        ConfigError: If a setting is unknown or wrong.
        SpecError: If the text of a component is not a spec.
    """
    for name in arguments:
        if name not in RUN_KEYS:
            raise ConfigError(f"{function} has no argument {name!r}.{did_you_mean(name, RUN_KEYS)}")
    objects = {
        field: arguments[field]
        for field in COMPONENT_FIELDS
        if not isinstance(arguments.get(field), str | ComponentSpec | None)
    }
    settings = {name: value for name, value in arguments.items() if name not in objects}
    if "device" in settings:
        settings["device"] = str(settings["device"])
    return RunSpec(**settings), objects


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
