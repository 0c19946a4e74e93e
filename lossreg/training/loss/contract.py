"""The contract of a run: one batch shows whether data set, model and loss fit together."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor

from lossreg.data import has_indices
from lossreg.errors import ContractError, DataError, describe_error
from lossreg.plugins.isolation import is_from_outside
from lossreg.training.data.batch_plan import BatchPlan
from lossreg.training.loss.blame import check_own_parameters
from lossreg.training.loss.fitting import is_for, misfit, shape_misfit, value_misfit
from lossreg.training.loss.gradients import SparseGradient, sparse_gradients
from lossreg.training.seeds import forked_generators

if TYPE_CHECKING:
    from lossreg.components import Loss
    from lossreg.data import Data, Task
    from lossreg.registry.registry import Registry
    from lossreg.training.data.reader import Batch
    from lossreg.training.data.splits import Split
    from lossreg.training.loss.adapter import LossAdapter
    from lossreg.training.loss.objective import Objective

_LAST = " (the last batch of an epoch has one sample)"

Mismatch = Callable[[str], ContractError]  # from what does not fit to an error that names all parts


def mismatch_of(labels: Mapping[str, str], kind: str = "data set ") -> Mismatch:
    """Makes errors that name model, loss and data set.

    Args:
        labels: `model`, `loss` and `data` as a person would write them.
        kind: What stands before the last of these in a message.
    """
    model, loss, data = (labels[field] for field in ("model", "loss", "data"))

    def mismatch(what: str) -> ContractError:
        message = f"model {model}, loss {loss} and {kind}{data} do not fit: {what}"
        return ContractError(message, model=model, loss=loss, data=data)

    return mismatch


@attrs.frozen(eq=False)
class ProbeResult:
    """What a first batch showed.

    Attributes:
        output_shape: Of the model.
        unused: Whether the loss does not depend on some trainable parameter.
        sparse: The parameters whose gradients are sparse.
        adapter: A copy of the loss, in evaluation mode, of which further values can be taken.
        value: Of the loss for the batch, 0-d.
        output: Of the model; of two samples where a batch has one.
        targets: Of the same samples.
    """

    output_shape: tuple[int, ...]
    unused: bool
    sparse: tuple[SparseGradient, ...]
    adapter: LossAdapter
    value: Tensor
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
    *,
    eval_train: bool = False,
) -> ProbeResult:
    """Sends one batch through a copy of model and loss and back, so that what cannot fit is an error before the run.

    Batches of one sample, where one will come, are tried too: a `squeeze()` takes their first dimension away. Neither
    the weights, nor buffers, nor the state of the random generators change.

    Returns:
        What the batch showed.

    Raises:
        ContractError: That names model, loss, data set, the shapes, and a loss that would fit.
        DataError: If the first samples cannot be read.
    """
    fitting = f"Losses that fit: {', '.join(losses_for(data.task, losses, component))}"
    unfit = None if component is None else misfit(component, data.task)
    if unfit is not None:
        raise mismatch(f"{unfit}. {fitting}")
    if objective.adapter.target == "one_hot" and getattr(objective.adapter.criterion, "log_target", False):
        raise mismatch("the loss takes logarithms (log_target=True), which the zeros of one-hot targets do not have")
    inputs, targets = splits["train"].head(plan.largest)
    with forked_generators(), torch.enable_grad():
        probe, is_copy = _copy(objective)
        output = _forward(probe, inputs, mismatch)
        _check_shapes(output, targets, data, mismatch)
        classes = output.shape[1] if has_indices(data.task) else None
        for split in splits.values():
            try:
                split.expect(classes, objective.adapter.ignore_index)
            except DataError as error:
                raise mismatch(str(error)) from error
        value = _value(probe.adapter, output, targets, mismatch, fitting)
        if not value.requires_grad:
            raise mismatch("the loss does not depend on any weight that can be trained")
        # Without a copy the weights would get gradients; that one has none is assumed then, which is only slower.
        unused = _go_back(probe, value, _dtypes(output, targets), mismatch) if is_copy else plan.world_size > 1
        sparse = sparse_gradients(probe, None if is_copy else value)
        if plan.smallest == 1 < len(inputs):
            one = _forward(probe, inputs[:1], mismatch, _LAST)
            _check_shapes(one, targets[:1], data, mismatch, _LAST)
            _value(probe.adapter, one, targets[:1], mismatch, fitting)
        _check_evaluation(probe, inputs, output, mismatch)
        _check_made(probe, objective, mismatch)
        for name, split in splits.items():
            if name != "train" or eval_train:
                smallest = BatchPlan(len(split), plan.batch_size).smallest
                _check_evaluated(probe, split.head(2), name, output, data, mismatch, smallest=smallest)
        shape = tuple(output.shape)
        output, targets = _of_several(probe, output, targets, splits["train"])
    return ProbeResult(shape, unused, sparse, probe.adapter, value.detach(), output.detach(), targets)


def _check_made(probe: Objective, objective: Objective, mismatch: Mismatch) -> None:
    """Checks that the forward pass of a copy makes no parameters: the optimizer would not have them."""
    before = {name for name, _ in objective.named_parameters()}
    made = [name for name, _ in probe.named_parameters() if name not in before]
    if made:
        names = ", ".join(name.removeprefix("model.") for name in made[:5]) + (", ..." if len(made) > 5 else "")
        raise mismatch(
            f"the forward pass makes parameters ({names}), which no optimizer would train: make them in __init__; "
            "torch.nn's lazy modules, such as LazyLinear, find their sizes with the first batch"
        )


def _go_back(probe: Objective, value: Tensor, dtypes: str, mismatch: Mismatch) -> bool:
    """Computes the gradients, and returns whether a parameter has none."""
    try:
        value.backward()
    except BaseException as error:
        if is_from_outside(error):
            raise
        raise mismatch(f"the gradients cannot be computed: {describe_error(error)}{dtypes}") from error
    return any(parameter.grad is None for parameter in probe.trainable().values())


def _of_several(probe: Objective, output: Tensor, targets: Tensor, split: Split) -> Batch:
    """Output and targets of more than one sample, where there are more: a batch of one has no parts."""
    if len(targets) > 1 or len(split) == 1:
        return output, targets
    inputs, targets = split.head(2)
    with torch.no_grad():
        return torch.cat([probe.predict(one) for one in inputs.split(1)]), targets


def losses_for(task: Task, losses: Registry[Loss, Any], failed: Loss | None) -> list[str]:
    """The names of the losses for a task, but the one that failed."""
    usable = [entry for entry in losses.declared if entry.component.deprecated is None]
    known = [entry for entry in usable if entry.component is not failed and is_for(entry.component, task)]
    return sorted(map(losses.short_name, known))


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))


def _forward(probe: Objective, inputs: Tensor, mismatch: Mismatch, when: str = "") -> Tensor:
    try:
        output: Any = probe.predict(inputs)
    except BaseException as error:
        if is_from_outside(error):
            raise
        weights = next((one.dtype for one in probe.model.parameters() if one.is_floating_point()), inputs.dtype)
        hint = f"; its weights are {weights}, so the inputs may have to be so, too" if weights != inputs.dtype else ""
        if inputs.ndim < 4 and any(isinstance(one, torch.nn.Conv2d) for one in probe.model.modules()):
            hint += (
                "; it has convolutions over pictures (channels, height, width): without model (--model) a run trains "
                "the data set's own"
            )
        hint += "; with another batch_size (--batch-size) no batch has one sample" if when == _LAST else ""
        raise mismatch(
            f"the model failed{when} on a batch of shape {_shape(inputs)} and {inputs.dtype}: "
            f"{describe_error(error)}{hint}"
        ) from error
    if not isinstance(output, Tensor):
        raise mismatch(f"the model returns a {type(output).__name__}{when}; a tensor is needed")
    return output


def _check_evaluation(probe: Objective, inputs: Tensor, output: Tensor, mismatch: Mismatch) -> None:
    """Tries evaluation mode on the first samples of the batch of training."""
    few = inputs[:2]
    probe.eval()
    with torch.no_grad():
        evaluated = _forward(probe, few, mismatch, " in evaluation mode")
    if evaluated.shape != (len(few), *output.shape[1:]) or not evaluated.is_floating_point():
        raise mismatch(
            f"the model gives {_shape(output)} in training, and {_shape(evaluated)} of {evaluated.dtype} in evaluation "
            f"for the first {len(few)} of these samples"
        )


def _check_evaluated(
    probe: Objective, batch: Batch, name: str, output: Tensor, data: Data, mismatch: Mismatch, *, smallest: int
) -> None:
    """Tries the first samples of a split as they will be evaluated."""
    inputs, targets = batch
    counts = {len(inputs): "", 1: " (its last batch has one sample)"} if smallest == 1 else {len(inputs): ""}
    for count, which in counts.items():
        with torch.no_grad():
            tested = _forward(probe, inputs[:count], mismatch, f" on the {name} split{which}")
        _check_shapes(tested, targets[:count], data, mismatch, f" of the {name} split{which}")
        if tested.shape[1:2] != output.shape[1:2]:
            raise mismatch(f"the model gives {_shape(output)} in training, and {_shape(tested)} on the {name} split")


def _copy(objective: Objective) -> tuple[Objective, bool]:
    """A copy that may be changed; the objective itself, and False, where there can be none."""
    try:
        probe = copy.deepcopy(objective)
    except BaseException as error:  # some modules hold what cannot be copied
        if is_from_outside(error):
            raise
        objective.eval()
        return objective, False  # in evaluation mode no buffer and no random generator changes
    probe.train()
    return probe, True


def _check_shapes(output: Tensor, targets: Tensor, data: Data, mismatch: Mismatch, which: str = "") -> None:
    why = shape_misfit(tuple(output.shape), tuple(targets.shape), data.task, which)
    if why is not None:
        raise mismatch(why)
    if has_indices(data.task) and not output.is_floating_point():
        raise mismatch(f"the model gives {output.dtype}; floating point is needed")


def _dtypes(output: Tensor, targets: Tensor) -> str:
    """A hint where numbers of several types meet."""
    if targets.is_floating_point() and targets.dtype != output.dtype:
        return f"; the targets are {targets.dtype}, and the model gives {output.dtype}: both may have to be of one type"
    if targets.dtype == torch.bool:
        return "; the targets are torch.bool: targets.float() makes numbers of them"
    return ""


def _value(adapter: LossAdapter, output: Tensor, targets: Tensor, mismatch: Mismatch, fitting: str) -> Tensor:
    shapes = f"output {_shape(output)} and target {_shape(targets)}"
    if adapter.target != "unchanged":
        shapes += f" as {adapter.target.replace('_', '-')} {_shape(output)}"
    try:
        with warnings.catch_warnings():
            # torch only warns before it broadcasts (N, 1) with (N,) to (N, N).
            warnings.filterwarnings("error", "Using a target size", UserWarning)
            value: Any = adapter(output, targets)
    except BaseException as error:
        if is_from_outside(error):
            raise
        refused = mismatch(f"the loss failed on {shapes}: {describe_error(error)}{_dtypes(output, targets)}. {fitting}")
        if isinstance(error, Exception):
            check_own_parameters(adapter.criterion, error, refused.loss)
        raise refused from error
    if not isinstance(value, Tensor) or value.ndim != 0:
        got = f"shape {_shape(value)}" if isinstance(value, Tensor) else type(value).__name__
        reduction = getattr(adapter.criterion, "reduction", None)
        raise mismatch(f"the loss gives {value_misfit(got, f' for {shapes}', reduction)}")
    if not value.is_floating_point():
        raise mismatch(f"the loss gives {value.dtype}; a real floating-point number is needed")
    return value
