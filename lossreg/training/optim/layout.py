"""Whether an optimizer can step on weights that are laid out channels-last."""

from __future__ import annotations

import functools
import warnings

import torch
from torch.nn import Parameter
from torch.optim import Optimizer

from lossreg.errors import describe_error
from lossreg.plugins.isolation import is_from_outside
from lossreg.training.optim.modes import set_training_mode
from lossreg.training.optim.needs import set_gradients, take_step
from lossreg.training.optim.optimizer import OptimizerPlan
from lossreg.training.optim.stand_ins import copy_optimizer
from lossreg.training.seeds import forked_generators

STEPS = 2  # some look at the weights only when they have a state


def layout_failure(plan: OptimizerPlan) -> str | None:
    """Why an optimizer cannot step on the weights in the layout that they have, or None.

    It steps on copies of the smallest weights of each number of dimensions. An optimizer that cannot step on contiguous
    copies either fails for another reason, which is not told here.

    Args:
        plan: The optimizer, and the parameters in the layout in question.
    """
    return next(filter(None, map(_member_failure, plan.members)), None)


def _member_failure(plan: OptimizerPlan) -> str | None:
    component = plan.choice.component
    if component is not None and component.layout == "any":
        return None
    if all(parameter.is_contiguous() for parameter in plan.parameters):
        return None
    failure = _step(plan, torch.preserve_format)
    return None if failure is None or _step(plan, torch.contiguous_format) is not None else describe_error(failure)


def _step(plan: OptimizerPlan, memory_format: torch.memory_format) -> BaseException | None:
    """Steps on copies of parameters, and returns what went wrong."""
    copied: dict[int, Parameter] = {}

    def replace(parameters: list[Parameter]) -> list[Parameter]:
        chosen = [_copied(parameter, memory_format) for parameter in _smallest(parameters)]
        copied.update((id(parameter), parameter) for parameter in chosen)
        return chosen

    try:
        with forked_generators(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the optimizer of the run gives them
            optimizer = plan.build(replace)
            held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            if not all(id(parameter) in copied for parameter in held):  # an object, or made of the model's own weights
                optimizer = _copied_optimizer(optimizer, memory_format)
                held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            set_training_mode(optimizer)
            for _ in range(STEPS):
                take_step(optimizer, plan.needs, functools.partial(_backward, held))
    except BaseException as error:
        if is_from_outside(error):
            raise
        return error
    return None


def _backward(held: list[Parameter], *, create_graph: bool = False) -> torch.Tensor:
    if create_graph:
        set_gradients(torch.stack([0.01 * parameter.square().sum() for parameter in held]).sum(), held)
    else:
        for parameter in held:
            parameter.grad = torch.full_like(parameter, 0.01)
    return torch.zeros(())


def _smallest(parameters: list[Parameter]) -> list[Parameter]:
    """The smallest parameter of each number of dimensions, and of those that are laid out in a way of their own."""
    found: dict[tuple[int, bool, torch.dtype], Parameter] = {}
    for parameter in sorted(parameters, key=torch.numel, reverse=True):
        found[parameter.ndim, parameter.is_contiguous(), parameter.dtype] = parameter
    return list(found.values())


def _copied(parameter: Parameter, memory_format: torch.memory_format) -> Parameter:
    return Parameter(parameter.detach().clone(memory_format=memory_format))


def _copied_optimizer(optimizer: Optimizer, memory_format: torch.memory_format) -> Optimizer:
    """An optimizer with copies of its parameters."""
    twin = copy_optimizer(optimizer)
    for group in twin.param_groups:
        for parameter in group["params"]:
            parameter.data = parameter.data.clone(memory_format=memory_format)
    return twin
