"""Targets meet losses: what a loss declares decides how output and target reach it, and whether they can."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor
from torch.nn import functional

from lossreg.errors import ContractError, DataError
from lossreg.plugins import describe_error

if TYPE_CHECKING:
    from lossreg.components import Loss
    from lossreg.data import Data
    from lossreg.registry import Registries
    from lossreg.training.cuts import Cuts
    from lossreg.training.objective import Objective
    from lossreg.training.reading import Batch
    from lossreg.training.splits import Split


@attrs.frozen(eq=False)
class AdaptedLoss:
    """A loss with what is done to output and target before they reach it.

    Attributes:
        loss: The loss itself.
        input_as: `"as it is"`, `"softmax"` or `"log_softmax"` (over dimension 1).
        target_as: `"as it is"` or `"one_hot"` (of the output's shape and dtype).
        averages: What its value is a mean over, as its record says.
        takes_index: Whether it takes class indices, as its record says.
    """

    loss: Callable[[Tensor, Tensor], Tensor]
    input_as: str
    target_as: str
    averages: str | None = None
    takes_index: bool = False

    @property
    def ignore_index(self) -> int | None:
        """The target that does not count, or None."""
        ignored = getattr(self.loss, "ignore_index", None)
        return ignored if isinstance(ignored, int) and self.target_as == "as it is" else None

    def shortest(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The loss itself if nothing is done before it."""
        return self.loss if self.input_as == self.target_as == "as it is" else self

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
    target_as = "one_hot" if one_hot else "as it is"
    return AdaptedLoss(loss, input_as, target_as, record.averages, record.target == "index")


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


@attrs.frozen(eq=False)
class Probe:
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
    record: Loss | None,
    data: Data,
    splits: Mapping[str, Split],
    cuts: Cuts,
    parties: Parties,
    registries: Registries,
) -> Probe:
    """Sends one batch through a copy of model and loss, so that what cannot fit is an error before the first step.

    Neither the weights, nor buffers, nor the state of the random generators change.

    Returns:
        What the batch showed.

    Raises:
        ContractError: That names model, loss, data set, the shapes, and a loss that would fit.
        DataError: If the first samples cannot be read.
    """
    fitting = _fitting(data, registries)
    if record is not None and data.task == "regression":
        if record.target == "index":
            raise parties.error(f"the loss takes class indices, but the targets are numbers to predict. {fitting}")
        if record.input in ("probabilities", "log_probabilities"):
            raise parties.error(f"the loss takes {record.input}, which a regression has none of. {fitting}")
    inputs, targets = splits["train"].head(cuts.largest)
    with torch.random.fork_rng(), torch.enable_grad():
        probe = _copy(objective)
        output = _forward(probe, inputs, parties)
        _check_shapes(output, targets, data, parties)
        classes = None if data.task == "regression" else output.shape[1]
        for split in splits.values():
            try:
                split.expect(classes, objective.adapted.ignore_index)
            except DataError as error:
                raise parties.error(str(error)) from error
        value = _value(probe.adapted, output, targets, parties, fitting)
        if cuts.smallest == 1 < len(inputs):
            _forward(probe, inputs[:1], parties, " (the last batch of an epoch has one sample)")
        _check_evaluation(probe, inputs, output, splits["test"].head(2), data, parties)
    if not value.requires_grad:
        raise parties.error("the loss does not depend on any weight that can be trained")
    parameters = list(probe.trainable().values())
    unused = cuts.processes > 1 and any(
        gradient is None for gradient in torch.autograd.grad(value, parameters, allow_unused=True)
    )
    return Probe(tuple(output.shape), unused, output.detach(), targets)


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


def _forward(probe: Objective, inputs: Tensor, parties: Parties, when: str = "") -> Tensor:
    try:
        output: Any = probe.predict(inputs)
    except Exception as error:
        raise parties.error(
            f"the model failed{when} on a batch of shape {_shape(inputs)} and {inputs.dtype}: {describe_error(error)}"
        ) from error
    if not isinstance(output, Tensor):
        raise parties.error(f"the model returns a {type(output).__name__}{when}; a tensor is needed")
    return output


def _check_evaluation(
    probe: Objective, inputs: Tensor, output: Tensor, test: Batch, data: Data, parties: Parties
) -> None:
    """Tries evaluation mode, on the training split and on the test split."""
    probe.eval()
    with torch.no_grad():
        evaluated = _forward(probe, inputs, parties, " in evaluation mode")
        tested = _forward(probe, test[0], parties, " on the test split")
    if evaluated.shape != output.shape or not evaluated.is_floating_point():
        raise parties.error(
            f"the model gives {_shape(output)} in training, and {_shape(evaluated)} of {evaluated.dtype} in evaluation"
        )
    _check_shapes(tested, test[1], data, parties, " of the test split")
    if tested.shape[1] != output.shape[1]:
        raise parties.error(f"the model gives {_shape(output)} in training, and {_shape(tested)} on the test split")


def _copy(objective: Objective) -> Objective:
    try:
        probe = copy.deepcopy(objective)
    except Exception:  # some modules hold what cannot be copied
        objective.eval()
        return objective  # in evaluation mode no buffer and no random generator changes
    probe.train()
    return probe


def _check_shapes(output: Tensor, targets: Tensor, data: Data, parties: Parties, which: str = "") -> None:
    shapes = f"the model gives {_shape(output)} for targets {_shape(targets)}{which}"
    if data.task == "regression":
        if output.shape != targets.shape:  # torch would broadcast (N, 1) and (N,) to (N, N)
            raise parties.error(f"{shapes}; they must be of one shape")
        return
    if output.ndim < 2 or output.shape[:1] + output.shape[2:] != targets.shape:
        raise parties.error(f"{shapes}; for a {data.task} the output is (N, classes, *) where the targets are (N, *)")
    if not output.is_floating_point():
        raise parties.error(f"the model gives {output.dtype}; floating point is needed")


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
