"""`load_run`: a past run with its model, rebuilt from the spec and the saved weights."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import torch

from lossreg.components import Loss
from lossreg.data import Data
from lossreg.errors import ConfigError, ContractError, LossregError, describe_error
from lossreg.past_runs.origins import check_origin, warn_of_other_params
from lossreg.plugins.isolation import is_from_outside
from lossreg.registry.registries import Registries, default
from lossreg.run_spec import RunSpec
from lossreg.trained.facts import DataFacts
from lossreg.trained.inputs import to_batch
from lossreg.training.choice import Choice
from lossreg.training.data.batch_plan import BatchPlan
from lossreg.training.data.splits import ResidentSplit
from lossreg.training.hardware.device import resolve_device
from lossreg.training.loss.objective import Objective
from lossreg.training.parts import Samples
from lossreg.training.record.files import to_count
from lossreg.training.record.reading import PastRun, RunSummary, read_run
from lossreg.training.record.run_json import NAME
from lossreg.training.record.saved import KeptWeights, read_kept
from lossreg.training.selection import TASK_LOSS, Request, select_field
from lossreg.training.setup.objective import rebuild
from lossreg.training.state_dicts import load_state
from lossreg.values import one_line, shown

if TYPE_CHECKING:
    import numpy.typing as npt

    from lossreg.spec import ComponentSpec
    from lossreg.trained.evaluating import EvaluatedRun, EvaluatedSplit
    from lossreg.training.loss.adapter import Criterion


@attrs.define(eq=False)
class LoadedRun:
    """A past run that one has come back to.

    Attributes:
        directory: The run directory.
        spec: What decided the run; a component that was a Python object has its default there (see `objects`).
        objects: Component -> the class of what was a Python object.
        metrics: The row of each epoch, as in metrics.jsonl.
        summary: What run.json tells: status, device, the metrics of the kept weights (`final`), versions and so on.
        facts: All of run.json as plain values.
        model: The model, with the weights of the run, in evaluation mode.
        data: The data set's facts: task, shape of an input, classes or numbers to predict, scaling.
        weights: Which weights these are: `raw`, `optimizer`, or an average such as `ema(0.999)`; None if that is not
            known.
        epoch: The epoch that they are of, from 0; None if that is not known.
        step: Steps of the optimizer until then; None if that is not known.
        file: Where they were read from.
        device: Where the model is.
        objective: Model and loss as one module.
        chosen: `model` and `loss`, by name or as objects.
        registries: Where names are looked up.
    """

    directory: Path
    spec: RunSpec = attrs.field(repr=False)
    objects: Mapping[str, str]
    metrics: list[dict[str, Any]] = attrs.field(repr=False)
    summary: RunSummary = attrs.field(repr=False)
    facts: Mapping[str, Any] = attrs.field(repr=False)
    model: torch.nn.Module = attrs.field(repr=False)
    data: DataFacts
    weights: str | None
    epoch: int | None
    step: int | None
    file: Path
    device: torch.device
    objective: Objective = attrs.field(repr=False)
    chosen: Mapping[str, Choice] = attrs.field(repr=False)
    registries: Registries = attrs.field(repr=False)
    _no_loss: LossregError | None = attrs.field(repr=False)

    @property
    def loss(self) -> Criterion:
        """The loss, with its weights if it was trained.

        Raises:
            LossregError: If it cannot be rebuilt, as one that was a Python object; `load_run` takes it as `loss=`.
        """
        self.check_loss()
        return self.objective.adapter.criterion

    def check_loss(self) -> None:
        """Checks that the loss is there.

        Raises:
            LossregError: If it is not.
        """
        if self._no_loss is not None:
            raise self._no_loss

    @torch.inference_mode()
    def predict(self, inputs: torch.Tensor | npt.ArrayLike) -> torch.Tensor:
        """The model's output for a batch, computed in the precision of the run.

        Args:
            inputs: `(N, *in_shape)` or one of `in_shape`, as the data set has them: a tensor, an array or lists of
                numbers. Of 8 bits without sign they are the pixels of pictures, and scaled as the data set scaled them.

        Returns:
            `(N, outputs, *)`, in float32 where the model computes in 16 bits.

        Raises:
            DataError: If they are no such numbers.
            ContractError: If the model fails on them.
        """
        self.objective.eval()
        batch = to_batch(inputs, self.data, self.in_dtype)
        try:
            return self.objective.predict(batch.to(self.device))
        except BaseException as error:
            if is_from_outside(error):
                raise
            raise ContractError(
                f"the model of {one_line(str(self.directory))} failed on a batch of shape {tuple(batch.shape)} (an "
                f"input has {self.data.in_shape}): {describe_error(error)}"
            ) from error

    def evaluate(
        self,
        data: str | ComponentSpec | Data | None = None,
        *,
        split: EvaluatedSplit = "test",
        batch_size: int | None = None,
    ) -> EvaluatedRun:
        """Evaluates the model; on the run's own data set as the run did, so that the metrics are the run's own.

        Args:
            data: Another data set of the same task, of which all samples are used; None is that of the run.
            split: `test`, `validation` or `train`.
            batch_size: None is that of the run; a loss such as Dice depends on it.

        Raises:
            LossregError: If the data set cannot be loaded, or the model does not fit it.
        """
        from lossreg.trained.evaluating import evaluate_run  # it imports this module

        return evaluate_run(self, data=data, split=split, batch_size=batch_size)

    @functools.cached_property
    def in_dtype(self) -> torch.dtype:
        """The type of the inputs."""
        found = getattr(torch, self.data.in_dtype or "float32", None)
        return found if isinstance(found, torch.dtype) else torch.float32


def load_run(
    directory: str | Path,
    checkpoint: str | None = None,
    *,
    device: str | torch.device = "auto",
    model: torch.nn.Module | None = None,
    loss: Loss | Criterion | None = None,
    registries: Registries | None = None,
) -> LoadedRun:
    """Comes back to a past run: its settings and metrics, and its model with the weights.

    The data set is not read.

    Args:
        directory: The run directory.
        checkpoint: None for the weights at the end of the run; `"last"`, `"best"` or a name for a checkpoint.
        device: Where the model shall be: `auto`, `cpu`, `cuda` and so on.
        model: The model, for a run whose model was a Python object: an object of the same shape, which gets the
            weights.
        loss: The loss, for a run whose loss was a Python object.
        registries: Where names are looked up; None is `lossreg.models` and its siblings.

    Raises:
        ConfigError: If it is not a run directory, has no weights, was made of what is missing here, or the weights do
            not fit the model.
        LossregError: If the model cannot be built, or a file is damaged.

    Example:
        >>> import lossreg, tempfile
        >>> result = lossreg.run(loss="dice", epochs=1, limit_train=128, out=tempfile.mkdtemp(), quiet=True)
        >>> run = lossreg.load_run(result.directory, device="cpu")
        >>> run.weights, run.data.task, run.data.in_shape
        ('raw', 'classification', (1, 28, 28))
    """
    _check_arguments(directory, checkpoint, model, registries)
    found = default if registries is None else registries
    past = read_run(directory)
    place = one_line(str(past.directory))
    facts = DataFacts.of(past)
    kept = read_kept(directory, checkpoint)
    given = {field: one for field, one in (("model", model), ("loss", loss)) if one is not None}
    request = Request(_spec(past), given, found)
    on = resolve_device(str(device))
    chosen, no_loss = _choose(past, facts, request, place)
    objective = _rebuild(past, facts, chosen, request, on)
    _load_weights(objective, kept, chosen, no_loss is None)
    objective.eval()
    return LoadedRun(
        directory=past.directory,
        spec=request.spec,
        objects={field: past.components[field] for field in past.objects},
        metrics=past.rows["epoch"],
        summary=past,
        facts=past.facts,
        model=objective.model,
        data=facts,
        weights=kept.model.held,
        epoch=kept.model.epoch,
        step=kept.model.step,
        file=kept.model.file,
        device=on,
        objective=objective,
        chosen=chosen,
        registries=found,
        no_loss=no_loss,
    )


def _check_arguments(directory: object, checkpoint: object, model: object, registries: object) -> None:
    if not isinstance(directory, str | os.PathLike) or not os.fspath(directory):
        raise ConfigError(f"a run is named by its directory, not by {shown(directory)}")
    if checkpoint is not None and (not isinstance(checkpoint, str) or not checkpoint):
        raise ConfigError(f"checkpoint is 'last', 'best', a name, or None, not {shown(checkpoint)}")
    if model is not None and not isinstance(model, torch.nn.Module):
        raise ConfigError(f"model is a torch.nn.Module, which gets the weights, not {shown(model)}")
    if registries is not None and not isinstance(registries, Registries):
        raise ConfigError(f"registries is what lossreg.load_registries gives, or None, not {shown(registries)}")


def _spec(past: PastRun) -> RunSpec:
    """The settings of the run; what was an object has its default."""
    written = past.facts["spec"]
    settings = {key: value for key, value in written.items() if key not in past.objects}
    return RunSpec.from_mapping(settings, one_line(str(past.directory / NAME)))


def _choose(
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


def _rebuild(
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


def _load_weights(objective: Objective, kept: KeptWeights, chosen: Mapping[str, Choice], has_loss: bool) -> None:
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
