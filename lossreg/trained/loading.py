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
from lossreg.plugins.isolation import is_from_outside
from lossreg.registry.registries import Registries, default
from lossreg.run_spec import RunSpec
from lossreg.trained.facts import DataFacts
from lossreg.trained.inputs import to_batch
from lossreg.trained.rebuilding import choose, load_weights, rebuild_past
from lossreg.training.choice import Choice
from lossreg.training.hardware.device import resolve_device
from lossreg.training.loss.objective import Objective
from lossreg.training.record.reading import PastRun, RunSummary, read_run
from lossreg.training.record.run_json import NAME
from lossreg.training.record.saved import read_kept
from lossreg.training.selection import Request
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
    chosen, no_loss = choose(past, facts, request, place)
    objective = rebuild_past(past, facts, chosen, request, on)
    load_weights(objective, kept, chosen, no_loss is None)
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
