"""Throw-away weights on which optimizers are tried, with gradients like those that the model makes."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import Parameter

from lossreg.errors import BuildError, describe_error
from lossreg.plugins.isolation import is_from_outside
from lossreg.training.loss.gradients import SparseGradient
from lossreg.training.optim.needs import set_gradients

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from lossreg.training.optim.optimizer import OptimizerPlan

Sparse = Mapping[int, SparseGradient]  # id of a parameter -> its gradient


def stand_ins_of(plan: OptimizerPlan, device: torch.device) -> StandIns:
    """Throw-away weights for a plan: small ones, or a copy of the model where an optimizer takes that."""
    return ModelCopy(plan, device) if plan.takes_model else StandIns(device, plan.sparse)


class StandIns:
    """Makes small parameters in place of those of a group, and gradients as the model would make them.

    There is one for each type of number, number of dimensions, layout and kind of gradient: optimizers treat these
    differently.

    Args:
        device: Where they are.
        sparse: Ids of parameters -> their gradients, where these are sparse.
    """

    def __init__(self, device: torch.device, sparse: Sparse) -> None:
        self._device = device
        self._sparse = sparse
        self._made: list[tuple[Parameter, int]] = []  # with the number of dimensions that are sparse in its gradient

    def __call__(self, parameters: list[Parameter]) -> list[Parameter]:
        """The stand-ins of a group's parameters."""
        kinds = dict.fromkeys(
            (parameter.dtype, parameter.ndim, _memory_format(parameter), self._dimensions(parameter))
            for parameter in parameters
        )
        made = [(self._make(dtype, ndim, layout), sparse) for dtype, ndim, layout, sparse in kinds]
        self._made += made
        return [parameter for parameter, _ in made]

    def twin(self, optimizer: Optimizer, parameters: Sequence[Parameter]) -> Optimizer:
        """A copy of an optimizer as it is before its first step, of stand-ins in the place of these parameters."""
        memo: dict[int, Any] = {id(parameter): self([parameter])[0] for parameter in parameters}
        memo |= {id(made): made for made, _ in self._made}  # what it was built from already
        memo[id(optimizer.state)] = defaultdict(dict)
        return copy_optimizer(optimizer, memo)

    def _dimensions(self, parameter: Parameter) -> int:
        gradient = self._sparse.get(id(parameter))
        return 0 if gradient is None else gradient.dimensions

    def _make(self, dtype: torch.dtype, ndim: int, layout: torch.memory_format) -> Parameter:
        values = torch.linspace(-1, 1, 2**ndim).reshape((2,) * ndim)
        return Parameter(values.to(self._device, dtype).contiguous(memory_format=layout))

    @property
    def parameters(self) -> list[Parameter]:
        """All of them."""
        return [parameter for parameter, _ in self._made]

    def backward(self, *, create_graph: bool = False) -> Tensor:
        """Gives them new gradients, those of the sum of their squares, and returns it; a closure, as the loop's."""
        total = torch.zeros((), device=self._device)
        for parameter in self.parameters:
            parameter.grad = None
            total = total + parameter.abs().square().sum()
        if create_graph:
            set_gradients(total, self.parameters)
        else:
            total.backward()
        for parameter, dimensions in self._made:
            if dimensions and parameter.grad is not None:
                parameter.grad = as_sparse(parameter.grad, dimensions)
        return total.detach()


class ModelCopy(StandIns):
    """The parameters of a copy of the model, in place of the model's own; those of the loss are copied beside it.

    Args:
        plan: The optimizer.
        device: Where they are.

    Raises:
        BuildError: If the model cannot be copied.
    """

    def __init__(self, plan: OptimizerPlan, device: torch.device) -> None:
        super().__init__(device, plan.sparse)
        model = plan.runtime["model"]
        try:
            self.model = copy.deepcopy(model)
        except BaseException as error:
            if is_from_outside(error):
                raise
            label = plan.choice.label
            raise BuildError(
                f"optimizer {label} takes the model, which cannot be copied for a trial: {describe_error(error)}",
                component=label,
            ) from error
        own = dict(self.model.named_parameters())
        self._copies = {id(parameter): own[name] for name, parameter in model.named_parameters()}

    def __call__(self, parameters: list[Parameter]) -> list[Parameter]:
        """The copies of a group's parameters."""
        made = [
            self._copies[id(one)] if id(one) in self._copies else Parameter(one.detach().clone()) for one in parameters
        ]
        self._made += [(one, self._dimensions(old)) for one, old in zip(made, parameters, strict=True)]
        return made


def as_sparse(gradient: Tensor, dimensions: int) -> Tensor:
    """A gradient in the form that embeddings give: sparse and not coalesced."""
    made = gradient.to_sparse(dimensions)
    return torch.sparse_coo_tensor(made.indices(), made.values(), made.shape, check_invariants=False)


def _memory_format(parameter: Parameter) -> torch.memory_format:
    is_plain = parameter.ndim != 4 or parameter.is_contiguous()
    is_last = not is_plain and parameter.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if is_last else torch.contiguous_format


def copy_optimizer(optimizer: Optimizer, memo: Mapping[int, Any] = MappingProxyType({})) -> Optimizer:
    """A copy with weights of its own, and without hooks.

    Not `copy.deepcopy` of the object, for which torch leaves out the attributes that it does not know. A scheduler has
    put a function in the place of `step` that steps the original.

    Args:
        optimizer: What is copied.
        memo: The id of an object -> what has its place in the copy.
    """
    twin: Optimizer = object.__new__(type(optimizer))
    own = {name: value for name, value in vars(optimizer).items() if name != "step"}
    vars(twin).update(copy.deepcopy(own, {**memo, id(optimizer): twin}))
    for hooks in ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks"):
        getattr(twin, hooks, {}).clear()
    return twin
