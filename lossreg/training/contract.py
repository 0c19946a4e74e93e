"""Targets meet losses: what a loss declares decides how output and target reach it, and whether they can."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor
from torch.nn import functional

from lossreg.errors import ContractError
from lossreg.plugins import describe_error

if TYPE_CHECKING:
    from lossreg.components import Loss
    from lossreg.data import Data
    from lossreg.registry import Registries
    from lossreg.training.batches import Samples


@attrs.frozen(eq=False)
class AdaptedLoss:
    """A loss with what is done to output and target before they reach it.

    Attributes:
        loss: The loss itself.
        input_as: `"as it is"`, `"softmax"` or `"log_softmax"` (over dimension 1).
        target_as: `"as it is"` or `"one_hot"` (of the output's shape and dtype).
        averages: What its value is a mean over, as its record says.
    """

    loss: Callable[[Tensor, Tensor], Tensor]
    input_as: str
    target_as: str
    averages: str | None = None

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of a batch: output `(N, C, *)`, target as the data set has it."""
        if self.target_as == "one_hot":
            target = one_hot_like(target, output)
        if self.input_as == "softmax":
            output = output.softmax(dim=1)
        elif self.input_as == "log_softmax":
            output = output.log_softmax(dim=1)
        return self.loss(output, target)


def one_hot_like(target: Tensor, output: Tensor) -> Tensor:
    """Class indices `(N, *)` as one-hot vectors of the output's shape `(N, C, *)` and dtype."""
    return functional.one_hot(target, output.shape[1]).movedim(-1, 1).to(output.dtype)


def adapt(loss: Callable[[Tensor, Tensor], Tensor], record: Loss | None, data: Data) -> AdaptedLoss:
    """Decides from the loss's contract how output and target reach it.

    Args:
        loss: The loss.
        record: Its record; None, for a Python object without one, takes everything as it is.
        data: The data set.
    """
    if record is None:
        return AdaptedLoss(loss, "as it is", "as it is")
    input_as = {"probabilities": "softmax", "log_probabilities": "log_softmax"}.get(record.input, "as it is")
    one_hot = record.target == "dense" and data.task != "regression"
    return AdaptedLoss(loss, input_as, "one_hot" if one_hot else "as it is", record.averages)


@attrs.frozen(eq=False)
class Parties:
    """Who is named when something does not fit.

    Attributes:
        model: The model, as written.
        loss: The loss, as written.
        data: The data set, as written.
    """

    model: str
    loss: str
    data: str

    def error(self, what: str) -> ContractError:
        """An error that names all three."""
        message = f"model {self.model}, loss {self.loss} and data set {self.data} do not fit: {what}"
        return ContractError(message, model=self.model, loss=self.loss, data=self.data)


def check_contract(
    model: torch.nn.Module,
    loss: AdaptedLoss,
    record: Loss | None,
    data: Data,
    splits: dict[str, Samples],
    batch_size: int,
    parties: Parties,
    registries: Registries,
) -> tuple[int, ...]:
    """Sends one batch through copies of model and loss, so that what cannot fit is an error before the first step.

    Neither the weights, nor buffers, nor the state of the random generators change.

    Returns:
        The shape of the model's output for that batch.

    Raises:
        ContractError: That names model, loss, data set, the shapes, and a loss that would fit.
    """
    fitting = _fitting(data, registries)
    if record is not None and data.task == "regression":
        if record.target == "index":
            raise parties.error(f"the loss takes class indices, but the targets are numbers to predict. {fitting}")
        if record.input in ("probabilities", "log_probabilities"):
            raise parties.error(f"the loss takes {record.input}, which a regression has none of. {fitting}")
    train = splits["train"]
    inputs, targets = train.inputs[:batch_size], train.targets[:batch_size]
    with torch.random.fork_rng(), torch.enable_grad():
        probe, criterion = _copies(model, loss)
        output = _forward(probe, inputs, parties)
        _check_shapes(output, targets, data, parties)
        for name, samples in splits.items():
            _check_classes(samples.targets, output, loss, data, f"split {name}", parties)
        value = _value(criterion, output, targets, parties, fitting)
        if len(train) % batch_size == 1 and len(train) > 1:
            _forward(probe, train.inputs[:1], parties, " (the last batch of an epoch has one sample)")
        _check_evaluation(probe, inputs, output, parties)
    if not value.requires_grad:
        raise parties.error("the loss does not depend on any weight that can be trained")
    return tuple(output.shape)


def _fitting(data: Data, registries: Registries) -> str:
    losses = [r for r in registries.losses.registered if r.record.deprecated is None]
    if data.task == "regression":
        fitting = [r for r in losses if r.record.target == "dense" and r.record.input in ("any", "logits")]
    else:
        fitting = [r for r in losses if r.record.target == "index"]
    names = sorted(map(registries.losses.short_name, fitting))
    return f"Losses that fit: {', '.join(names)}"


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))


def _forward(model: torch.nn.Module, inputs: Tensor, parties: Parties, when: str = "") -> Tensor:
    try:
        output: Any = model(inputs)
    except Exception as error:
        raise parties.error(
            f"the model failed{when} on a batch of shape {_shape(inputs)} and {inputs.dtype}: {describe_error(error)}"
        ) from error
    if not isinstance(output, Tensor):
        raise parties.error(f"the model returns a {type(output).__name__}{when}; a tensor is needed")
    return output


def _check_evaluation(probe: torch.nn.Module, inputs: Tensor, output: Tensor, parties: Parties) -> None:
    with torch.no_grad():
        evaluated = _forward(probe.eval(), inputs, parties, " in evaluation mode")
    if evaluated.shape != output.shape or not evaluated.is_floating_point():
        raise parties.error(
            f"the model gives {_shape(output)} in training, and {_shape(evaluated)} of {evaluated.dtype} in evaluation"
        )


def _copies(model: torch.nn.Module, loss: AdaptedLoss) -> tuple[torch.nn.Module, AdaptedLoss]:
    try:
        probe, criterion = copy.deepcopy((model, loss))
    except Exception:  # some modules hold what cannot be copied
        return model.eval(), loss  # in evaluation mode no buffer and no random generator changes
    return probe.train(), criterion


def _check_shapes(output: Tensor, targets: Tensor, data: Data, parties: Parties) -> None:
    shapes = f"the model gives {_shape(output)} for targets {_shape(targets)}"
    if data.task == "regression":
        if output.shape != targets.shape:  # torch would broadcast (N, 1) and (N,) to (N, N)
            raise parties.error(f"{shapes}; they must be of one shape")
        return
    if output.ndim < 2 or output.shape[:1] + output.shape[2:] != targets.shape:
        raise parties.error(f"{shapes}; for a {data.task} the output is (N, classes, *) where the targets are (N, *)")
    if not output.is_floating_point():
        raise parties.error(f"the model gives {output.dtype}; floating point is needed")


def _check_classes(
    targets: Tensor, output: Tensor, loss: AdaptedLoss, data: Data, where: str, parties: Parties
) -> None:
    """A class index out of range would be torch's own message, or an assertion inside a CUDA kernel."""
    if data.task == "regression":
        return
    ignored = getattr(loss.loss, "ignore_index", None) if loss.target_as == "as it is" else None
    counted = targets if ignored is None else targets[targets != ignored]
    if counted.numel() == 0:
        raise parties.error(f"in {where} every target is the ignored index {ignored}")
    classes = output.shape[1]
    lowest, highest = (int(bound) for bound in torch.aminmax(counted))
    if lowest < 0 or highest >= classes:
        wrong = lowest if lowest < 0 else highest
        raise parties.error(f"{where} has the class index {wrong}, but the model's classes are 0 to {classes - 1}")


def _value(loss: AdaptedLoss, output: Tensor, targets: Tensor, parties: Parties, fitting: str) -> Tensor:
    shapes = f"output {_shape(output)} and target {_shape(targets)}"
    if loss.target_as == "one_hot":
        shapes += f" as one-hot {_shape(output)}"
    try:
        with warnings.catch_warnings():
            # torch only warns before it broadcasts (N, 1) with (N,) to (N, N).
            warnings.filterwarnings("error", "Using a target size", UserWarning)
            value: Any = loss(output, targets)
    except Exception as error:
        raise parties.error(f"the loss failed on {shapes}: {describe_error(error)}. {fitting}") from error
    if not isinstance(value, Tensor) or value.ndim != 0:
        got = f"shape {_shape(value)}" if isinstance(value, Tensor) else type(value).__name__
        hint = "; reduction='mean' or 'sum' gives one" if getattr(loss.loss, "reduction", None) == "none" else ""
        raise parties.error(f"the loss gives {got} for {shapes}, but training needs a single number{hint}")
    if not value.is_floating_point():
        raise parties.error(f"the loss gives {value.dtype}; a real floating-point number is needed")
    return value
