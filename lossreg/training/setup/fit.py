"""Whether data, model, loss and optimizer fit: what a first batch shows, and the layout in which all of them work."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import attrs
import torch

from lossreg.errors import BuildError, ConfigError, ContractError, LossregError, describe_error
from lossreg.run_spec import RunSpec
from lossreg.training.choice import Choice
from lossreg.training.hardware.distributed import Processes
from lossreg.training.hardware.memory_format import Layout, apply_layout, choose_layout
from lossreg.training.loss.adapter import LossAdapter
from lossreg.training.loss.contract import Mismatch, ProbeResult, check_contract, mismatch_of
from lossreg.training.loss.finite import check_first_loss
from lossreg.training.loss.objective import Objective
from lossreg.training.loss.reduction import Reduction, reduction_of
from lossreg.training.metrics.named import NamedMetric
from lossreg.training.optim.layout import layout_failure
from lossreg.training.optim.optimizer import OptimizerPlan
from lossreg.training.optim.probe import find_needs, make_once
from lossreg.training.optim.support import check_support, why_contiguous
from lossreg.training.parts import Fit, Samples
from lossreg.training.selection import Request
from lossreg.training.setup.metrics import built_metrics
from lossreg.training.setup.samples import Runtime


def fitted(
    request: Request,
    chosen: Mapping[str, Choice],
    device: torch.device,
    processes: Processes,
    samples: Samples,
    objective: Objective,
    plan: OptimizerPlan,
    runtime: Runtime,
    metrics: Sequence[NamedMetric],
) -> tuple[OptimizerPlan, Fit]:
    """Finds what the optimizers need, and a layout in which data, model and loss fit: a first batch shows both."""
    spec = request.spec
    plan, is_known = _needs_of_dense(plan, device)
    check_support(plan, spec, objective.precision, processes)
    mismatch = mismatch_of({field: choice.label for field, choice in chosen.items()})
    check = functools.partial(
        check_contract,
        objective,
        chosen["loss"].component,
        samples.data,
        samples.splits,
        samples.plan,
        mismatch,
        request.registries.losses,
        eval_train=spec.eval_train,
    )
    contiguous = why_contiguous(plan)
    layout = choose_layout(spec.layout, objective.model, samples.splits["train"].head(1)[0], device, contiguous)
    layout, probe = _settle_layout(layout, spec, objective.model, samples, check, plan)
    plan = plan.with_sparse(probe.sparse, objective.trainable())
    if not is_known:
        plan = find_needs(plan, device)
        check_support(plan, spec, objective.precision, processes)
    fit = _fit(chosen, samples, objective, layout, probe, runtime, mismatch)
    built = built_metrics(metrics, samples, objective, probe, runtime, processes)
    return plan, attrs.evolve(fit, metrics=built)


def _needs_of_dense(plan: OptimizerPlan, device: torch.device) -> tuple[OptimizerPlan, bool]:
    """The plan with what the optimizers need where gradients are dense, and whether they can step on such.

    Whether gradients are sparse is shown by the first batch, and that comes later: in a layout which goes by the needs.
    """
    plan = make_once(plan)
    try:
        return find_needs(plan, device), True
    except BuildError:
        return plan, False


def _settle_layout(
    layout: Layout,
    spec: RunSpec,
    model: torch.nn.Module,
    samples: Samples,
    check: Callable[[], ProbeResult],
    plan: OptimizerPlan,
) -> tuple[Layout, ProbeResult]:
    """Lays out weights and images; contiguously, if model, loss or optimizer do not work in what was chosen for them.

    Raises:
        ContractError: If model and loss do not work in any layout, or not in the one that was requested.
        ConfigError: If the optimizer does not work in the layout that was requested.
    """
    apply_layout(layout, model, samples.splits.values())
    if not layout.is_channels_last:
        return layout, check()
    try:
        probe = check()
        failure = layout_failure(plan)
        if failure is None:
            return layout, probe
        why = f"the optimizer {plan.choice.label} cannot step on weights in channels_last: {failure}"
        refused: LossregError = ConfigError(why)
    except ContractError as error:
        refused = error
        why = f"model or loss failed in channels_last: {describe_error(error.__cause__ or error)}"
    if spec.layout != "auto":
        refused.message += "; the layout channels_last was requested (--layout): auto or contiguous may work"
        raise refused
    layout = Layout(torch.contiguous_format, why)
    apply_layout(layout, model, samples.splits.values())
    return layout, check()


def _fit(
    chosen: Mapping[str, Choice],
    samples: Samples,
    objective: Objective,
    layout: Layout,
    probe: ProbeResult,
    runtime: Runtime,
    mismatch: Mismatch,
) -> Fit:
    """Decides from a first batch what the loss divides by."""
    reduction = choose_reduction(objective.adapter, samples, probe)
    check_first_loss(objective, probe, reduction, samples.splits, mismatch)
    if reduction.summed is not None and not samples.plan.is_whole:
        objective = Objective(
            objective.model, objective.adapter, objective.precision, objective.frozen, total=reduction.summed
        )
    lied = f"the loss {chosen['loss'].label} {reduction.warning}" if reduction.warning else None
    return Fit(
        objective,
        layout,
        reduction,
        probe.output_shape,
        probe.unused,
        {field: chosen[field].facts(runtime) for field in ("model", "loss")},
        tuple(filter(None, (objective.precision.warning, lied))),
    )


def choose_reduction(adapter: LossAdapter, samples: Samples, probe: ProbeResult) -> Reduction:
    """What the loss divides by, from the loss of a first batch."""
    ignored = adapter.ignore_index
    may_be_ignored = ignored is not None and any(split.may_hold(ignored) for split in samples.splits.values())
    return reduction_of(adapter, probe.adapter, probe.output, probe.targets, may_be_ignored=may_be_ignored)
