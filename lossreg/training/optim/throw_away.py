"""Throw-away optimizers: built on throw-away weights, or copied from an object that holds the weights of a run."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor

from lossreg.plugins.isolation import is_from_outside
from lossreg.training.optim.needs import Backward, set_gradients
from lossreg.training.optim.optimizer import OptimizerPlan
from lossreg.training.optim.sharded import whole_in_place_of
from lossreg.training.optim.stand_ins import as_sparse, copy_optimizer, stand_ins_of
from lossreg.training.seeds import forked_generators

if TYPE_CHECKING:
    from torch.optim import Optimizer


@attrs.frozen(eq=False)
class Subject:
    """A throw-away optimizer with what gives its weights gradients."""

    optimizer: Optimizer
    backward: Any

    def backward_of(self, step: int) -> Backward:
        """The same with a loss that goes up and down from step to step: what goes by the loss shows it."""

        def backward(*, create_graph: bool = False) -> Tensor:
            loss: Tensor = self.backward(create_graph=create_graph)
            return loss + 10.0 * (step % 4)

        return backward


def maker(plan: OptimizerPlan, device: torch.device) -> Callable[[], Subject] | None:
    """What makes throw-away optimizers; None for an object that cannot be copied.

    Raises:
        LossregError: If the optimizer cannot be built.
    """
    given = plan.choice.given if plan.made is None else plan.made
    if isinstance(given, torch.optim.Optimizer):
        return _copier(given, plan)

    def make() -> Subject:
        stand_ins = stand_ins_of(plan, device)
        return Subject(plan.build(stand_ins), stand_ins.backward)

    with forked_generators(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the optimizer of the run gives them
        make()
    return make


def _copier(optimizer: Optimizer, plan: OptimizerPlan) -> Callable[[], Subject] | None:
    """Copies of an object, which holds the weights of the run."""
    held = [one for group in optimizer.param_groups for one in group["params"]]
    states = [one for values in optimizer.state.values() if isinstance(values, dict) for one in values.values()]
    tensors = [*held, *(one for one in states if isinstance(one, Tensor))]
    try:
        copy_optimizer(optimizer, whole_in_place_of(tensors))
    except BaseException as error:  # whatever an object of foreign code refuses
        if is_from_outside(error):
            raise
        return None
    sparse = [plan.sparse[id(one)].dimensions if id(one) in plan.sparse else 0 for one in held]

    def make() -> Subject:
        twin = copy_optimizer(optimizer, whole_in_place_of(tensors))
        weights = [one for group in twin.param_groups for one in group["params"]]

        def backward(*, create_graph: bool = False) -> Tensor:
            total = torch.stack([0.5 * one.abs().square().sum() for one in weights]).sum()
            for one in weights:
                one.grad = None
            if create_graph:
                set_gradients(total, weights)
            else:
                total.backward()
            for one, dimensions in zip(weights, sparse, strict=True):
                if dimensions and one.grad is not None:
                    one.grad = as_sparse(one.grad, dimensions)
            return total.detach()

        return Subject(twin, backward)

    return make
