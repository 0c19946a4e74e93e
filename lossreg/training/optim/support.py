"""What does not go together with what an optimizer needs: said before the run."""

from __future__ import annotations

from lossreg.errors import ConfigError
from lossreg.run_spec import RunSpec
from lossreg.training.hardware.distributed import Processes
from lossreg.training.hardware.precision import Precision
from lossreg.training.optim.optimizer import OptimizerPlan
from lossreg.training.optimizer_choice import must_be_alone


def check_support(plan: OptimizerPlan, spec: RunSpec, precision: Precision, processes: Processes) -> None:
    """Checks that the settings of a run allow what its optimizers need.

    Raises:
        ConfigError: If they do not.
    """
    for number, member in enumerate(plan.members):
        _check_together(member, number, alone=not plan.others)
        _check_settings(member, spec, precision, processes)


def _check_together(plan: OptimizerPlan, number: int, *, alone: bool) -> None:
    """Checks that an optimizer may step together with others."""
    if alone or not plan.needs.closure:
        return
    error = must_be_alone(plan.choice)
    error.setting = "param_groups" if number else "optimizer"
    raise error


def _check_settings(plan: OptimizerPlan, spec: RunSpec, precision: Precision, processes: Processes) -> None:
    needs, label = plan.needs, plan.choice.label
    if precision.name == "16" and (needs.closure or needs.create_graph):
        what = "with a closure" if needs.closure else "that differentiates gradients"
        raise ConfigError(
            f"precision 16 scales gradients, which is not supported for an optimizer {what} ({label}); write bf16 or 32"
        )
    if needs.create_graph and spec.compile:
        raise ConfigError(
            f"optimizer {label} differentiates gradients, which torch.compile does not support; write "
            "compile=False (--no-compile)"
        )
    if needs.create_graph and processes.world_size > 1:
        raise ConfigError(
            f"optimizer {label} differentiates gradients, which several processes cannot exchange; use one process"
        )


def why_contiguous(plan: OptimizerPlan) -> str | None:
    """Why weights stay contiguous for these optimizers, or None."""
    if any(member.needs.layout == "contiguous" for member in plan.members):
        return "the optimizer declares that it needs contiguous weights"
    return "the optimizer takes a closure" if plan.all_needs.closure else None  # LBFGS takes views of gradients


def needs_warnings(plan: OptimizerPlan) -> list[str]:
    """Sentences about states that are hard to keep."""
    return [
        f"the state of the optimizer {member.choice.label} cannot be kept in a checkpoint: {member.needs.unreadable}; "
        "checkpoints of this run hold its weights, and it cannot be resumed"
        for member in plan.members
        if member.needs.unreadable is not None
    ]
