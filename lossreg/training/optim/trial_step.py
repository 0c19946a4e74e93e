"""A step with throw-away weights: whether an optimizer can step on parameters like those of the run, and fused."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import attrs
import torch

from lossreg.errors import BuildError, describe_error
from lossreg.plugins.isolation import is_from_outside
from lossreg.training.optim.loading import why_not_kept
from lossreg.training.optim.modes import set_training_mode
from lossreg.training.optim.needs import asks_for, take_step
from lossreg.training.optim.optimizer import OptimizerPlan, check_step
from lossreg.training.optim.stand_ins import stand_ins_of
from lossreg.training.seeds import forked_generators

if TYPE_CHECKING:
    from torch.optim import Optimizer


def try_step(plan: OptimizerPlan, device: torch.device, *, unfused: bool) -> OptimizerPlan:
    """Takes one step with throw-away weights: some optimizers refuse their parameters only then.

    An optimizer that asks for `fused` is built so, if it can step so on these parameters. One kernel for all
    parameters is faster than several for each, on every device that has it (docs/performance.md). Not behind a
    gradient scaler: torch's fused SGD moves its momentum in steps that the scaler leaves out, and the weights are NaN
    soon after.

    Args:
        plan: The optimizer.
        device: Where it steps.
        unfused: Whether it shall not be fused: a gradient scaler comes before it, or some gradients come later.

    Returns:
        The plan that works: fused, or as it was.

    Raises:
        BuildError: If the optimizer cannot step at all.
    """
    if plan.others:
        first, *others = [try_step(member, device, unfused=unfused) for member in plan.members]
        return attrs.evolve(first, others=tuple(others))
    if plan.choice.resolved is None:
        _check_sparse(plan, device)
        return plan
    # Nor with a closure: what is not fused is found in the gradients of the first step, which only come in it.
    if not unfused and not plan.needs.closure and asks_for(plan.choice.resolved, "fused"):
        fused = attrs.evolve(plan, runtime={**plan.runtime, "fused": True})
        with contextlib.suppress(BuildError):  # some refuse to be built so
            stepped = _step(fused, device)
            if not isinstance(stepped, BaseException):  # else it does without, or the second trial says why it cannot
                return _with_state(fused, stepped, device)
    stepped = _step(plan, device)
    if isinstance(stepped, BaseException):
        raise cannot_step(plan, device, stepped) from stepped
    return _with_state(plan, stepped, device)


def _with_state(plan: OptimizerPlan, stepped: Optimizer | None, device: torch.device) -> OptimizerPlan:
    """The plan with why the state cannot be kept, if that is so."""
    why = None if stepped is None else why_not_kept(stepped, lambda: plan.build(stand_ins_of(plan, device)))
    return plan if why is None else attrs.evolve(plan, needs=attrs.evolve(plan.needs, unreadable=why))


def _check_sparse(plan: OptimizerPlan, device: torch.device) -> None:
    """Tries an optimizer that is not a component, where gradients are sparse: it is refused if dense ones would do."""
    if not plan.sparse:
        return
    failure = _step(plan, device)
    dense = attrs.evolve(plan, sparse={})
    if isinstance(failure, BaseException) and not isinstance(_step(dense, device), BaseException):
        raise cannot_step(plan, device, failure) from failure


def cannot_step(plan: OptimizerPlan, device: torch.device, failure: BaseException) -> BuildError:
    """The error of an optimizer that fails in a trial.

    Args:
        plan: The optimizer.
        device: Where it was tried.
        failure: What it raised.
    """
    label = plan.choice.label
    message = f"optimizer {label} cannot step on {device}: {describe_error(failure)}"
    if plan.sparse:
        names = [gradient.name for gradient in plan.sparse.values()]
        which = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        said = "The gradients" if len(names) == len(plan.parameters) else "Only the gradients"
        message += (
            f". {said} of {which} are sparse: sgd without weight_decay and torch.optim.Adagrad take sparse and dense "
            "ones, torch.optim.SparseAdam takes sparse ones alone; with sparse=False in the model they are dense"
        )
    return BuildError(message, component=label)


def _step(plan: OptimizerPlan, device: torch.device) -> Optimizer | BaseException | None:
    """The optimizer after a step on stand-ins of the parameters, or why it cannot take one; None if it is not tried.

    Errors of building it are raised.
    """
    stand_ins = stand_ins_of(plan, device)
    optimizer = plan.build(stand_ins)
    if plan.choice.component is None:
        if not plan.needs.closure:
            check_step(optimizer, plan.choice.label, "closure=True")
        try:
            optimizer = stand_ins.twin(optimizer, plan.parameters)
        except Exception:  # what holds something that cannot be copied is not tried
            return None
    set_training_mode(optimizer)
    try:
        with forked_generators(), torch.enable_grad():
            take_step(optimizer, plan.needs, stand_ins.backward)
    except BaseException as error:
        if is_from_outside(error):
            raise
        return error
    return optimizer
