"""From a past run's model and loss to their evaluation on a data set."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import torch

from lossreg.data import Data
from lossreg.registry.registries import Registries
from lossreg.run_spec import RunSpec
from lossreg.training.choice import Choice
from lossreg.training.hardware.distributed import Processes
from lossreg.training.hardware.memory_format import apply_layout, choose_layout
from lossreg.training.loss.contract import check_contract, mismatch_of
from lossreg.training.loss.objective import Objective
from lossreg.training.parts import Evaluation, Fit
from lossreg.training.seeds import forked_generators
from lossreg.training.setup.fit import choose_reduction
from lossreg.training.setup.metrics import built_metrics, named_metrics
from lossreg.training.setup.samples import load_samples, runtime_facts


def set_up_evaluation(
    objective: Objective,
    chosen: Mapping[str, Choice],
    spec: RunSpec,
    device: torch.device,
    of: Registries,
    adapted: Callable[[Data], Data],
    measuring: Sequence[Choice] = (),
) -> Evaluation:
    """Loads a data set, and checks that model and loss fit it; the generators stay as they were.

    Args:
        objective: Model and loss, with their weights, on the device.
        chosen: `data`, `model` and `loss`.
        spec: How samples are loaded, cut and laid out.
        device: Where it all is.
        of: Where names are looked up.
        adapted: Makes of the data set what the model was trained for.
        measuring: The metrics.

    Raises:
        LossregError: If the data set cannot be loaded, or does not fit.
    """
    processes = Processes()
    with forked_generators(device):
        samples = load_samples(chosen["data"], spec, device, processes, quiet=True, adapted=adapted)
        mismatch = mismatch_of({field: choice.label for field, choice in chosen.items()})
        declared, data, splits = chosen["loss"].component, samples.data, samples.splits
        check = functools.partial(
            check_contract, objective, declared, data, splits, samples.plan, mismatch, of.losses, eval_train=True
        )
        layout = choose_layout(spec.layout, objective.model, splits["train"].head(1)[0], device, None)
        apply_layout(layout, objective.model, splits.values())
        probe = check()
        reduction = choose_reduction(objective.adapter, samples, probe)
        named = named_metrics(measuring, chosen, data, of)
        metrics = built_metrics(named, samples, objective, probe, runtime_facts(spec, samples), processes)
    fit = Fit(objective, layout, reduction, probe.output_shape, probe.unused, {}, metrics=metrics)
    return Evaluation(spec, device, processes, samples, fit)
