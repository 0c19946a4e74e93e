"""Losses, optimizers, schedulers, models, data sets and metrics for PyTorch training, picked by name.

    import lossreg

    lossreg.losses.build("dice", smooth=1.0)
    lossreg.run(loss="dice", optimizer="sgd(lr=0.01)")

Importing this package does not import torch: every public name is resolved when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lossreg.comparison.api import compare
    from lossreg.comparison.results import Comparison
    from lossreg.component_table import ComponentTable
    from lossreg.components import Dataset, Loss, Metric, Model, Observer, Optimizer, Scheduler
    from lossreg.data import Column, Data, Scaling
    from lossreg.embedding.api import parts
    from lossreg.embedding.host_parts import HostParts
    from lossreg.errors import (
        AmbiguousNameError,
        BuildError,
        CheckpointError,
        ComponentError,
        ConfigError,
        ContractError,
        DataError,
        DeviceError,
        ExpressionError,
        InstallationError,
        LossregError,
        MissingLibraryError,
        ParameterError,
        PluginError,
        RunDirectoryError,
        RunFailedError,
        SpecError,
        StateError,
        UnknownNameError,
        UnknownParameterError,
    )
    from lossreg.expression import Expression
    from lossreg.hookspecs import hookimpl
    from lossreg.registry.entry import RegistryEntry
    from lossreg.registry.registries import (
        Registries,
        datasets,
        load_registries,
        losses,
        metrics,
        models,
        observers,
        optimizers,
        schedulers,
    )
    from lossreg.registry.registry import Registry
    from lossreg.resume_check.api import verify_resume
    from lossreg.resume_check.report import ResumeReport
    from lossreg.run_spec import RunSpec
    from lossreg.spec import ComponentSpec
    from lossreg.trained.evaluating import EvaluatedRun
    from lossreg.trained.loading import LoadedRun, load_run
    from lossreg.training.api import plan, run
    from lossreg.training.results import Plan, RunResult
    from lossreg.training.state import Run

__version__ = "0.1.0"

__all__ = [
    "AmbiguousNameError",
    "BuildError",
    "CheckpointError",
    "Column",
    "Comparison",
    "ComponentError",
    "ComponentSpec",
    "ComponentTable",
    "ConfigError",
    "ContractError",
    "Data",
    "DataError",
    "Dataset",
    "DeviceError",
    "EvaluatedRun",
    "Expression",
    "ExpressionError",
    "HostParts",
    "InstallationError",
    "LoadedRun",
    "Loss",
    "LossregError",
    "Metric",
    "MissingLibraryError",
    "Model",
    "Observer",
    "Optimizer",
    "ParameterError",
    "Plan",
    "PluginError",
    "Registries",
    "Registry",
    "RegistryEntry",
    "ResumeReport",
    "Run",
    "RunDirectoryError",
    "RunFailedError",
    "RunResult",
    "RunSpec",
    "Scaling",
    "Scheduler",
    "SpecError",
    "StateError",
    "UnknownNameError",
    "UnknownParameterError",
    "__version__",
    "compare",
    "datasets",
    "hookimpl",
    "load_registries",
    "load_run",
    "losses",
    "metrics",
    "models",
    "observers",
    "optimizers",
    "parts",
    "plan",
    "run",
    "schedulers",
    "verify_resume",
]

_MODULES = {
    "comparison.api": ("compare",),
    "comparison.results": ("Comparison",),
    "component_table": ("ComponentTable",),
    "components": ("Dataset", "Loss", "Metric", "Model", "Observer", "Optimizer", "Scheduler"),
    "data": ("Column", "Data", "Scaling"),
    "embedding.api": ("parts",),
    "embedding.host_parts": ("HostParts",),
    "errors": tuple(name for name in __all__ if name.endswith("Error")),
    "expression": ("Expression",),
    "hookspecs": ("hookimpl",),
    "registry.entry": ("RegistryEntry",),
    "registry.registries": (
        "Registries", "datasets", "load_registries", "losses", "metrics", "models", "observers", "optimizers",
        "schedulers",
    ),
    "registry.registry": ("Registry",),
    "resume_check.api": ("verify_resume",),
    "resume_check.report": ("ResumeReport",),
    "run_spec": ("RunSpec",),
    "spec": ("ComponentSpec",),
    "trained.evaluating": ("EvaluatedRun",),
    "trained.loading": ("LoadedRun", "load_run"),
    "training.api": ("plan", "run"),
    "training.results": ("Plan", "RunResult"),
    "training.state": ("Run",),
}  # fmt: skip
_MODULE_OF = {name: f"lossreg.{module}" for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'lossreg' has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
