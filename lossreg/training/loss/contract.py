"""The contract of a run: one batch shows whether data set, model and loss fit together."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor

from lossreg.errors import ContractError, DataError, describe_error

if TYPE_CHECKING:
    from lossreg.components import Loss
    from lossreg.data import Data
    from lossreg.registry.registry import Registry
    from lossreg.training.data.batch_plan import BatchPlan
    from lossreg.training.data.reader import Batch
    from lossreg.training.data.splits import Split
    from lossreg.training.loss.adapter import LossAdapter
    from lossreg.training.loss.objective import Objective

Mismatch = Callable[[str], ContractError]  # from what does not fit to an error that names all parts


def mismatch_of(labels: Mapping[str, str]) -> Mismatch:
    """Makes errors that name model, loss and data set."""
    model, loss, data = (labels[field] for field in ("model", "loss", "data"))

    def mismatch(what: str) -> ContractError:
        message = f"model {model}, loss {loss} and data set {data} do not fit: {what}"
        return ContractError(message, model=model, loss=loss, data=data)

    return mismatch


@attrs.frozen(eq=False)
class ProbeResult:
    """What a first batch showed.

    Attributes:
        output_shape: Of the model.
        unused: Whether the loss does not depend on some trainable parameter.
        output: Of the model.
        targets: Of the batch.
    """

    output_shape: tuple[int, ...]
    unused: bool
    output: Tensor
    targets: Tensor


def check_contract(
    objective: Objective,
    component: Loss | None,
    data: Data,
    splits: Mapping[str, Split],
    plan: BatchPlan,
    mismatch: Mismatch,
    losses: Registry[Loss, Any],
) -> ProbeResult:
    """Sends one batch through a copy of model and loss, so that what cannot fit is an error before the first step.

    Neither the weights, nor buffers, nor the state of the random generators change.

    Returns:
        What the batch showed.

    Raises:
        ContractError: That names model, loss, data set, the shapes, and a loss that would fit.
        DataError: If the first samples cannot be read.
    """
    fitting = _fitting(data, losses, component)
    if component is not None and data.task == "regression":
        if component.target == "index":
            raise mismatch(f"the loss takes class indices, but the targets are numbers to predict. {fitting}")
        if component.input in ("probabilities", "log_probabilities"):
            raise mismatch(f"the loss takes {component.input}, which a regression does not have. {fitting}")
    inputs, targets = splits["train"].head(plan.largest)
    with torch.random.fork_rng(), torch.enable_grad():
        probe = _copy(objective)
        output = _forward(probe, inputs, mismatch)
        _check_shapes(output, targets, data, mismatch)
        classes = None if data.task == "regression" else output.shape[1]
        for split in splits.values():
            try:
                split.expect(classes, objective.adapter.ignore_index)
            except DataError as error:
                raise mismatch(str(error)) from error
        value = _value(probe.adapter, output, targets, mismatch, fitting)
        if plan.smallest == 1 < len(inputs):
            _forward(probe, inputs[:1], mismatch, " (the last batch of an epoch has one sample)")
        _check_evaluation(probe, inputs, output, splits["test"].head(2), data, mismatch)
    if not value.requires_grad:
        raise mismatch("the loss does not depend on any weight that can be trained")
    parameters = list(probe.trainable().values())
    unused = plan.world_size > 1 and any(
        gradient is None for gradient in torch.autograd.grad(value, parameters, allow_unused=True)
    )
    return ProbeResult(tuple(output.shape), unused, output.detach(), targets)


def _fitting(data: Data, losses: Registry[Loss, Any], failed: Loss | None) -> str:
    """A sentence on the losses for a task, but the one that it is said of."""
    usable = [entry for entry in losses.entries if entry.component.deprecated is None]
    known = [entry for entry in usable if entry.component is not failed]
    if data.task == "regression":
        known = [e for e in known if e.component.target == "dense" and e.component.input in ("any", "logits")]
    else:
        known = [e for e in known if e.component.target == "index"]
    return f"Losses that fit: {', '.join(sorted(map(losses.short_name, known)))}"


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))


def _forward(probe: Objective, inputs: Tensor, mismatch: Mismatch, when: str = "") -> Tensor:
    try:
        output: Any = probe.predict(inputs)
    except Exception as error:
        raise mismatch(
            f"the model failed{when} on a batch of shape {_shape(inputs)} and {inputs.dtype}: {describe_error(error)}"
        ) from error
    if not isinstance(output, Tensor):
        raise mismatch(f"the model returns a {type(output).__name__}{when}; a tensor is needed")
    return output


def _check_evaluation(
    probe: Objective, inputs: Tensor, output: Tensor, test: Batch, data: Data, mismatch: Mismatch
) -> None:
    """Tries evaluation mode, on the training split and on the test split."""
    probe.eval()
    with torch.no_grad():
        evaluated = _forward(probe, inputs, mismatch, " in evaluation mode")
        tested = _forward(probe, test[0], mismatch, " on the test split")
    if evaluated.shape != output.shape or not evaluated.is_floating_point():
        raise mismatch(
            f"the model gives {_shape(output)} in training, and {_shape(evaluated)} of {evaluated.dtype} in evaluation"
        )
    _check_shapes(tested, test[1], data, mismatch, " of the test split")
    if tested.shape[1] != output.shape[1]:
        raise mismatch(f"the model gives {_shape(output)} in training, and {_shape(tested)} on the test split")


def _copy(objective: Objective) -> Objective:
    try:
        probe = copy.deepcopy(objective)
    except Exception:  # some modules hold what cannot be copied
        objective.eval()
        return objective  # in evaluation mode no buffer and no random generator changes
    probe.train()
    return probe


def _check_shapes(output: Tensor, targets: Tensor, data: Data, mismatch: Mismatch, which: str = "") -> None:
    shapes = f"the model gives {_shape(output)} for targets {_shape(targets)}{which}"
    if data.task == "regression":
        if output.shape != targets.shape:  # torch would broadcast (N, 1) and (N,) to (N, N)
            raise mismatch(f"{shapes}; they must be of one shape")
        return
    if output.ndim < 2 or output.shape[:1] + output.shape[2:] != targets.shape:
        raise mismatch(f"{shapes}; for a {data.task} the output is (N, classes, *) where the targets are (N, *)")
    if not output.is_floating_point():
        raise mismatch(f"the model gives {output.dtype}; floating point is needed")


def _value(adapter: LossAdapter, output: Tensor, targets: Tensor, mismatch: Mismatch, fitting: str) -> Tensor:
    shapes = f"output {_shape(output)} and target {_shape(targets)}"
    if adapter.target == "one_hot":
        shapes += f" as one-hot {_shape(output)}"
    try:
        with warnings.catch_warnings():
            # torch only warns before it broadcasts (N, 1) with (N,) to (N, N).
            warnings.filterwarnings("error", "Using a target size", UserWarning)
            value: Any = adapter(output, targets)
    except Exception as error:
        raise mismatch(f"the loss failed on {shapes}: {describe_error(error)}. {fitting}") from error
    if not isinstance(value, Tensor) or value.ndim != 0:
        got = f"shape {_shape(value)}" if isinstance(value, Tensor) else type(value).__name__
        hint = (
            "; reduction='mean' or 'sum' gives one" if getattr(adapter.criterion, "reduction", None) == "none" else ""
        )
        raise mismatch(f"the loss gives {got} for {shapes}, but training needs a single number{hint}")
    if not value.is_floating_point():
        raise mismatch(f"the loss gives {value.dtype}; a real floating-point number is needed")
    return value
