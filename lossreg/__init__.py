"""Losses, optimizers, schedulers, models and data sets for PyTorch training, picked by name.

    import lossreg

    lossreg.losses.build("dice", smooth=1.0)
    lossreg.run(loss="dice", optimizer="sgd(lr=0.01)")

Importing this package does not import torch: every public name is resolved when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lossreg.components import Dataset, Loss, Model, Optimizer, Scheduler
    from lossreg.data import Data
    from lossreg.errors import (
        AmbiguousNameError,
        BuildError,
        ComponentError,
        ConfigError,
        ContractError,
        DataError,
        DeviceError,
        ExpressionError,
        InstallationError,
        LossregError,
        ParameterError,
        PluginError,
        RunDirectoryError,
        RunFailedError,
        SpecError,
        UnknownNameError,
        UnknownParameterError,
    )
    from lossreg.expression import Expression
    from lossreg.hookspecs import hookimpl
    from lossreg.registered import Registered
    from lossreg.registry import (
        Registries,
        Registry,
        datasets,
        load_registries,
        losses,
        models,
        optimizers,
        schedulers,
    )
    from lossreg.run_spec import RunSpec
    from lossreg.spec import ComponentSpec
    from lossreg.training import Plan, Run, RunResult, plan, run

__version__ = "0.1.0"

__all__ = [
    "AmbiguousNameError",
    "BuildError",
    "ComponentError",
    "ComponentSpec",
    "ConfigError",
    "ContractError",
    "Data",
    "DataError",
    "Dataset",
    "DeviceError",
    "Expression",
    "ExpressionError",
    "InstallationError",
    "Loss",
    "LossregError",
    "Model",
    "Optimizer",
    "ParameterError",
    "Plan",
    "PluginError",
    "Registered",
    "Registries",
    "Registry",
    "Run",
    "RunDirectoryError",
    "RunFailedError",
    "RunResult",
    "RunSpec",
    "Scheduler",
    "SpecError",
    "UnknownNameError",
    "UnknownParameterError",
    "__version__",
    "datasets",
    "hookimpl",
    "load_registries",
    "losses",
    "models",
    "optimizers",
    "plan",
    "run",
    "schedulers",
]

_HOMES = {
    "components": ("Dataset", "Loss", "Model", "Optimizer", "Scheduler"),
    "data": ("Data",),
    "errors": tuple(name for name in __all__ if name.endswith("Error")),
    "expression": ("Expression",),
    "hookspecs": ("hookimpl",),
    "registered": ("Registered",),
    "registry": (
        "Registries", "Registry", "datasets", "load_registries", "losses", "models", "optimizers",
        "schedulers",
    ),
    "run_spec": ("RunSpec",),
    "spec": ("ComponentSpec",),
    "training": ("Plan", "Run", "RunResult", "plan", "run"),
}  # fmt: skip
_HOME = {name: f"lossreg.{module}" for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'lossreg' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
