"""What does not go together with what an optimizer needs: said before the run."""

from __future__ import annotations

from lossreg.errors import ConfigError
from lossreg.run_spec import RunSpec
from lossreg.training.hardware.distributed import Processes
from lossreg.training.hardware.precision import Precision
from lossreg.training.optim.needs import Needs
from lossreg.training.optim.optimizer import OptimizerPlan


def check_support(plan: OptimizerPlan, spec: RunSpec, precision: Precision, processes: Processes) -> None:
    """Checks that the settings of a run allow what its optimizer needs.

    Raises:
        ConfigError: If they do not.
    """
    needs, label = plan.needs, plan.choice.label
    if precision.name == "16" and (needs.closure or needs.create_graph):
        what = "with a closure" if needs.closure else "that differentiates gradients"
        raise ConfigError(
            f"precision 16 scales gradients, which is not supported for an optimizer {what} ({label}); write bf16 or 32"
        )
    if needs.create_graph and spec.compile:
        raise ConfigError(
            f"optimizer {label} differentiates gradients, which torch.compile does not support; write --no-compile"
        )
    if needs.create_graph and processes.world_size > 1:
        raise ConfigError(
            f"optimizer {label} differentiates gradients, which several processes cannot exchange; use one process"
        )


def why_contiguous(needs: Needs) -> str | None:
    """Why weights stay contiguous for this optimizer, or None."""
    if needs.layout == "contiguous":
        return "the optimizer declares that it needs contiguous weights"
    return "the optimizer takes a closure" if needs.closure else None  # LBFGS takes views of gradients


def needs_warning(needs: Needs, label: str) -> str | None:
    """A sentence about a state that is hard to keep, or None."""
    if needs.unreadable is None:
        return None
    return (
        f"the state of the optimizer {label} cannot be read again by torch.load(weights_only=True): {needs.unreadable}"
    )
