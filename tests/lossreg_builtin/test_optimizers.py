"""All of torch's optimizers and schedulers have a row, with torch's own defaults."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler

import lossreg
from lossreg import RegistryEntry
from lossreg.registry.registries import default
from tests.table import for_each

#: What torch has for its own use: tensors in place of numbers, several kernels, gradients of the step itself.
INTERNAL = {"foreach", "capturable", "differentiable", "fused", "decoupled_weight_decay", "last_epoch"}
#: Parameters without a row, and why: AdamW is Adam with it; functions and counters that no text can say.
LEFT_OUT = {"adam": {"decoupled_weight_decay"}, "cyclic_lr": {"scale_fn", "scale_mode"}}
OPTIMIZERS = [entry for entry in default.optimizers.values() if entry.provenance.plugin == "builtin"]
SCHEDULERS = [entry for entry in default.schedulers.values() if entry.provenance.plugin == "builtin"]


def classes(module: Any, base: type) -> list[type]:
    """The public classes of a module that derive from another one."""
    found = [value for name, value in vars(module).items() if isinstance(value, type) and not name.startswith("_")]
    return [value for value in found if issubclass(value, base) and value is not base]


@for_each("kind", classes(torch.optim, torch.optim.Optimizer), ids=lambda kind: kind.__name__)
def test_every_optimizer_of_torch_has_a_row(kind: type) -> None:
    """The installed torch has no optimizer that cannot be named; LBFGS is a class derived from torch's."""
    made = [entry for entry in OPTIMIZERS if isinstance(entry.factory, type)]
    assert [entry.name for entry in made if issubclass(entry.factory, kind)]  # type: ignore[arg-type]  # see above


@for_each("kind", classes(torch.optim.lr_scheduler, LRScheduler), ids=lambda kind: kind.__name__)
def test_every_scheduler_of_torch_has_a_row(kind: type) -> None:
    """The installed torch has no scheduler that cannot be named; some rows are a class derived from torch's."""
    made = [entry for entry in SCHEDULERS if isinstance(entry.factory, type)]
    assert [entry.name for entry in made if issubclass(entry.factory, kind)]  # type: ignore[arg-type]  # see above


@for_each("entry", [*OPTIMIZERS, *SCHEDULERS], ids=lambda entry: entry.id)
def test_a_row_has_every_parameter_that_a_user_may_set(entry: RegistryEntry[Any]) -> None:
    """What a row leaves out is what torch has for its own use."""
    known = {*entry.component.known_parameters, *INTERNAL, *LEFT_OUT.get(entry.name, ())}
    if entry.name == "one_cycle_lr":  # total_steps says what these two say
        known |= {"epochs", "steps_per_epoch"}
    assert set(entry.signature.parameters) <= known


def test_the_plateau_s_defaults_are_torch_s() -> None:
    """ReduceLROnPlateau with a metric has torch's defaults, and its mode is torch's for a loss."""
    own = inspect.signature(torch.optim.lr_scheduler.ReduceLROnPlateau).parameters
    entry = default.schedulers["plateau"]
    assert {name: own[name].default for name in entry.component.defaults if name not in ("monitor", "mode")} == {
        name: value for name, value in entry.component.defaults.items() if name not in ("monitor", "mode")
    }
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    modes = [
        vars(lossreg.schedulers.build("plateau", optimizer, monitor=monitor))["mode"]
        for monitor in ("test_loss", "test_accuracy", "test_mean_absolute_error")
    ]
    assert modes == ["min", "max", "min"]


WRAPPERS = ("lookahead", "sam", "cautious")  # they have tests of their own
WORKING = [entry.name for entry in OPTIMIZERS if entry.name not in ("sparse_adam", "muon", *WRAPPERS)]


@for_each("name", WORKING)
def test_a_named_optimizer_steps_as_torch_s_own(name: str) -> None:
    """Three steps on a quadratic in float64 give the weights of torch's class with the row's numbers."""
    entry = default.optimizers[name]
    ours, theirs = (torch.nn.Parameter(torch.tensor([[1.0, -2.0], [0.5, 3.0]], dtype=torch.float64)) for _ in range(2))
    made: Any = entry.factory
    plain = {**{n: p.default for n, p in entry.signature.parameters.items()}, **entry.component.defaults}
    for weight, optimizer in (
        (ours, lossreg.optimizers.build(name, [ours])),
        (theirs, made([theirs], **plain)),
    ):

        def closure(weight: torch.nn.Parameter = weight) -> torch.Tensor:
            weight.grad = None
            loss = weight.square().sum() + weight.sum()
            loss.backward()
            return loss.detach()

        for _ in range(3):
            if entry.component.closure:
                optimizer.step(closure)  # type: ignore[arg-type]  # torch's own take the tensor
            else:
                closure()
                optimizer.step()
    assert torch.equal(ours, theirs)
    assert not torch.equal(ours.detach(), torch.tensor([[1.0, -2.0], [0.5, 3.0]], dtype=torch.float64))


def test_listing_does_without_torch() -> None:
    """The tables of optimizers and schedulers are read without importing torch."""
    code = "import sys; from lossreg_builtin import plugin; plugin.lossreg_schedulers(); print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"
