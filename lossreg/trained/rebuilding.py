"""The model and the loss of a past run, built again and given their weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import torch

from lossreg.data import Data
from lossreg.errors import ConfigError, LossregError
from lossreg.past_runs.origins import check_origin, warn_of_other_params
from lossreg.trained.facts import DataFacts
from lossreg.training.choice import Choice
from lossreg.training.data.batch_plan import BatchPlan
from lossreg.training.data.splits import ResidentSplit
from lossreg.training.loss.objective import Objective
from lossreg.training.parts import Samples
from lossreg.training.record.files import to_count
from lossreg.training.record.reading import PastRun
from lossreg.training.record.run_json import NAME
from lossreg.training.record.saved import KeptWeights
from lossreg.training.selection import TASK_LOSS, Request, select_field
from lossreg.training.setup.objective import rebuild
from lossreg.training.state_dicts import load_state
from lossreg.values import one_line


def choose(
    past: PastRun, facts: DataFacts, request: Request, place: str
) -> tuple[dict[str, Choice], LossregError | None]:
    """Model and loss, and why the latter cannot be had: a model can be used without its loss."""
    model = _component("model", past, request, place)
    try:
        return {"model": model, "loss": _component("loss", past, request, place)}, None
    except LossregError as error:
        stand_in = attrs.evolve(request, spec=attrs.evolve(request.spec, loss=TASK_LOSS[facts.task]), objects={})
        loss = select_field("loss", stand_in)
        assert loss is not None  # noqa: S101  # the spec has it
        return {"model": model, "loss": loss}, error


def _component(field: str, past: PastRun, request: Request, place: str) -> Choice:
    """What fills a field: what was given, or what the run was made of."""
    if field not in request.objects and field in past.objects:
        raise ConfigError(
            f"{place} cannot be rebuilt: its {field} was a Python object ({past.components[field]}), which has no "
            f"text; from Python, give it: lossreg.load_run(..., {field}=my_{field})"
        )
    origin = past.built.get(field)
    if field not in request.objects and origin is not None:
        check_origin(field, origin, place, request.registries)
    choice = select_field(field, request)
    if choice is None:
        raise ConfigError(f"{place} cannot be rebuilt: {NAME} does not tell its {field}")
    return choice


def rebuild_past(
    past: PastRun, facts: DataFacts, chosen: Mapping[str, Choice], request: Request, device: torch.device
) -> Objective:
    """Model and loss, built as the run built them, but without its data set."""
    spec = request.spec
    runtime = facts.runtime(spec.epochs, to_count(past.facts.get("steps_per_epoch")) or 0)
    for field, choice in chosen.items():
        origin = past.built.get(field)
        now = choice.facts(runtime)
        if origin is not None and now is not None:
            warn_of_other_params(field, origin.get("params"), now["params"], one_line(str(past.directory)))
    dtype = getattr(torch, facts.in_dtype or "float32", torch.float32)
    inputs = torch.zeros((2, *facts.in_shape), dtype=dtype, device=device)
    split = ResidentSplit(inputs, torch.zeros(2, dtype=torch.int64), "what stands for the data set", "two samples")
    both = inputs, split.targets
    data = Data(both, both, facts.task, facts.in_shape, num_classes=facts.outputs, out_features=facts.outputs)
    samples = Samples(data, {"train": split}, BatchPlan(2, 2), {})
    return rebuild(chosen, spec, device, samples, runtime, request.registries)


def load_weights(objective: Objective, kept: KeptWeights, chosen: Mapping[str, Choice], has_loss: bool) -> None:
    """Gives model and loss what was kept of them."""
    advice = f"; the model is {chosen['model'].label}"
    load_state(objective.model, kept.model.state, one_line(str(kept.model.file)), advice=advice)
    if kept.loss is not None and has_loss:
        load_loss_state(objective, kept.loss.state, one_line(str(kept.loss.file)))


def load_loss_state(objective: Objective, state: Mapping[str, Any], where: str) -> None:
    """Gives a loss what was kept of it; what it shares with the model is not in that."""
    shared = {id(one) for one in objective.model.state_dict(keep_vars=True).values()}
    own = objective.loss.state_dict(keep_vars=True)
    load_state(objective.loss, {name: one for name, one in own.items() if id(one) in shared} | dict(state), where)
