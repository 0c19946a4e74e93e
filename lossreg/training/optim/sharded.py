"""Parameters of which each process has a shard (DTensor): whether an optimizer steps on them as on whole ones.

Other trials step on small whole weights, which no other process takes part in. Only here an optimizer is given shards,
of a size that is the same in each process, so that all of them find the same, and all make the same exchanges, if the
optimizer makes any. Those that go element by element make none.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor
from torch.nn import Parameter

from lossreg.errors import BuildError, describe_error
from lossreg.plugins.isolation import is_from_outside
from lossreg.training.optim.modes import set_training_mode
from lossreg.training.optim.needs import set_gradients, take_step
from lossreg.training.optim.stand_ins import StandIns
from lossreg.training.seeds import forked_generators, seed_construction

if TYPE_CHECKING:
    from lossreg.training.optim.optimizer import OptimizerPlan

STEPS = 2  # the second finds the state of the first

#: By how much of the greatest change of a weight the steps may differ: exchanges add up in another order, and Muon does
#: so in bfloat16 (0.01 with 2 processes, 0.12 with 256). The norm of half a parameter is off by 0.4.
TOLERANCE = 0.2

_ELEMENT_BY_ELEMENT = "name one that goes element by element, such as adamw or sgd, or give these parameters to one"


def is_sharded(tensor: Tensor) -> bool:
    """Whether each process has a shard of a tensor."""
    module = sys.modules.get("torch.distributed.tensor")  # as long as nothing has imported it there is none
    return module is not None and isinstance(tensor, module.DTensor)


def try_sharded(plan: OptimizerPlan, device: torch.device) -> OptimizerPlan:
    """Takes steps with throw-away shards, where parameters are sharded, and the same steps with whole weights.

    Each process calls it, as each builds the optimizer.

    Args:
        plan: The optimizer, and those that step together with it.
        device: Where they step.

    Returns:
        The plan that works: an optimizer that cannot step on shards if it is fused is not.

    Raises:
        BuildError: If an optimizer cannot step on shards, or takes each for a whole parameter.
    """
    first, *others = [_tried(member, device) for member in plan.members]
    return attrs.evolve(first, others=tuple(others))


def _tried(plan: OptimizerPlan, device: torch.device) -> OptimizerPlan:
    """The plan of one optimizer that works."""
    if plan.takes_model or not any(map(is_sharded, plan.parameters)):
        return plan
    error = _why_not(plan, device)
    if error is not None and plan.runtime.get("fused"):
        runtime = {name: value for name, value in plan.runtime.items() if name != "fused"}
        plan = attrs.evolve(plan, runtime=runtime)
        error = _why_not(plan, device)
    if error is not None:
        raise error
    return plan


def _why_not(plan: OptimizerPlan, device: torch.device) -> BuildError | None:
    """Why an optimizer cannot be used for shards; None if it can, or cannot be used for whole weights either."""
    label = plan.choice.label
    shards = _stepped(plan, Shards(device))
    if shards is None:
        return None
    whole = _stepped(plan, Shards(device, whole=True))
    if whole is None or isinstance(whole, BaseException):
        return None  # whatever it is that it does not take, it is not that they are shards
    if isinstance(shards, BaseException):
        error = BuildError(
            f"optimizer {label} cannot step on parameters of which each process has a shard (DTensor): "
            f"{describe_error(shards).rstrip('.!')}; {_way_out(plan, shards)}",
            component=label,
        )
        error.__cause__ = shards
        return error
    if _agree(shards, whole):
        return None
    again = _stepped(plan, Shards(device, whole=True), seed=1)
    if not isinstance(again, list) or not _agree(again, whole):
        return None  # it draws random numbers
    return BuildError(
        f"optimizer {label} takes the shard that a process has of a parameter (DTensor) for the whole of it: its "
        f"steps are not those of one process; {_ELEMENT_BY_ELEMENT}",
        component=label,
    )


def _way_out(plan: OptimizerPlan, failure: BaseException) -> str:
    """What to do about an optimizer that fails, as the end of a message."""
    if "_foreach_" in str(failure) and not all(map(is_sharded, plan.parameters)):
        return (
            "it steps on all of its parameters at once, and some are sharded and some are not: write foreach=False in "
            "its text, or shard the rest, too"
        )
    return _ELEMENT_BY_ELEMENT


#: This process's part of each stand-in before and after some steps.
Steps = list[tuple[Tensor, Tensor]]


def _stepped(plan: OptimizerPlan, stand_ins: Shards, seed: int = 0) -> Steps | BaseException | None:
    """Takes the steps.

    Returns:
        What they changed, or what went wrong; None for an object that cannot be copied.
    """
    with forked_generators(), torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the optimizer of the loop gives them
        seed_construction(seed)
        try:
            optimizer = plan.build(stand_ins)
            if plan.choice.component is None:
                try:
                    optimizer = stand_ins.twin(optimizer, plan.parameters)
                except Exception:  # what holds something that cannot be copied is not tried
                    return None
            set_training_mode(optimizer)
            before = stand_ins.values()
            stand_ins.tells_loss = plan.needs.closure
            for _ in range(STEPS):
                take_step(optimizer, plan.needs, stand_ins.backward)
            return list(zip(before, stand_ins.values(), strict=True))
        except BaseException as error:
            if is_from_outside(error):
                raise
            return error


def _agree(some: Steps, others: Steps) -> bool:
    """Whether steps led to the same values, but for rounding."""
    for (before, mine), (_, theirs) in zip(some, others, strict=True):
        if not before.numel():
            continue
        change, greatest = (theirs - before).abs().max().item(), before.abs().max().item()
        bound = TOLERANCE * change + 4 * torch.finfo(before.dtype).eps * greatest
        if not torch.allclose(mine, theirs, rtol=0, atol=bound, equal_nan=True):
            return False
    return True


class Shards(StandIns):
    """Stand-ins of sharded parameters that are sharded alike; others have stand-ins as everywhere.

    Args:
        device: Where they are.
        whole: Whether each process has the whole of them instead, for a comparison.

    Attributes:
        tells_loss: Whether the loss that an optimizer is told is that of whole weights, which takes an exchange.
    """

    def __init__(self, device: torch.device, *, whole: bool = False) -> None:
        super().__init__(device, {})
        self._whole = whole
        self._cuts: list[tuple[Parameter, Any]] = []  # with what it stands for
        self.tells_loss = False

    def __call__(self, parameters: list[Parameter]) -> list[Parameter]:
        """The stand-ins of a group's parameters."""
        kinds: dict[Any, Parameter] = {}
        for one in parameters:
            if is_sharded(one):
                kinds.setdefault((one.dtype, one.ndim, one.device_mesh, _placements(one)), one)  # type: ignore[attr-defined]  # a DTensor has one
        made = super().__call__([one for one in parameters if not is_sharded(one)])
        self._cuts += [(one, one) for one in made]
        for one in kinds.values():
            stand_in = self._cut(one)
            self._made.append((stand_in, 0))
            self._cuts.append((stand_in, one))
            made.append(stand_in)
        return made

    def _cut(self, parameter: Any) -> Parameter:
        """A small parameter that is sharded as another one is."""
        from torch.distributed.tensor import DTensor

        sizes = _shards(parameter)
        shape = [2 * math.prod(some) for some in sizes]
        values = torch.linspace(-1, 1, math.prod(shape)).reshape(shape).to(self._device, parameter.dtype)
        if self._whole:
            return Parameter(values)
        mesh, placements = parameter.device_mesh, _placements(parameter)
        return Parameter(DTensor.from_local(_own(values, parameter).clone(), mesh, placements, run_check=False))

    def values(self) -> list[Tensor]:
        """This process's part of each stand-in."""
        return [
            (_own(made.detach(), of) if self._whole and is_sharded(of) else local(made.detach())).clone()
            for made, of in self._cuts
        ]

    def backward(self, *, create_graph: bool = False) -> Tensor:
        """Gives them new gradients, those of the sum of their squares, and returns it; a closure, as the loop's."""
        parts = []
        for parameter in self.parameters:
            parameter.grad = None
            parts.append(local(parameter).abs().square().sum().float())
        total = torch.stack(parts).sum()
        if create_graph:
            set_gradients(total, self.parameters)
        else:
            total.backward()
        if not self.tells_loss:
            return total.detach()
        squares = (parameter.detach().abs().square().sum().float() for parameter in self.parameters)
        whole = [one.full_tensor() if is_sharded(one) else one for one in squares]  # type: ignore[attr-defined]  # a DTensor has it
        return torch.stack(whole).sum()


def local(tensor: Tensor) -> Tensor:
    """What this process has of a tensor."""
    return tensor.to_local() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]  # a DTensor has it


def _placements(parameter: Any) -> tuple[Any, ...]:
    """How a parameter is placed on the mesh; where shards are cut again (by FSDP with tensor parallelism), in order."""
    from torch.distributed.tensor import Replicate, Shard

    return tuple(Shard(one.dim) if hasattr(one, "dim") else Replicate() for one in parameter.placements)


def _shards(parameter: Any) -> list[list[int]]:
    """By how many each dimension is divided, mesh dimension by mesh dimension."""
    sizes: list[list[int]] = [[] for _ in range(parameter.ndim)]
    for place, placement in enumerate(_placements(parameter)):
        if placement.is_shard():
            sizes[placement.dim].append(parameter.device_mesh.size(place))
    return sizes


def _own(values: Tensor, parameter: Any) -> Tensor:
    """This process's part of whole values that are placed as a parameter is."""
    coordinate = parameter.device_mesh.get_coordinate()
    for place, placement in enumerate(_placements(parameter)):
        if placement.is_shard():
            values = values.chunk(parameter.device_mesh.size(place), placement.dim)[coordinate[place]]
    return values


def whole_in_place_of(tensors: Sequence[Tensor]) -> dict[int, Tensor]:
    """Throw-away tensors for trials of one process alone, in the place of those that are sharded, by id.

    They have the size of the largest shard, so that all processes find the same.
    """
    found: dict[int, Tensor] = {}
    for one in tensors:
        if not is_sharded(one):
            continue
        pairs = zip(one.shape, _shards(one), strict=True)
        shape = [math.ceil(size / math.prod(some)) for size, some in pairs]
        values = torch.linspace(-1, 1, math.prod(shape), device=one.device).reshape(shape).to(one.dtype)
        found[id(one)] = Parameter(values) if isinstance(one, Parameter) else values.abs()
    return found
