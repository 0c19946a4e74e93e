"""The classes by which plugins declare what they offer. A component is data: no factory is imported to make one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

import attrs

from lossreg.component import Component, as_names, copied, is_a, one_of, words_only
from lossreg.errors import ComponentError
from lossreg.values import shown

LossTarget = Literal["index", "dense", "multilabel", "signs", "label_lists", "probabilities", "any"] | None
LossInput = Literal["any", "logits", "log_probabilities", "probabilities", "label_probabilities"]
MetricTarget = Literal["index", "dense", "multilabel", "any"]
MetricInput = Literal["any", "logits", "log_probabilities", "probabilities", "labels"]
Routes = Literal["all", "matrices", "weights", "hidden_matrices", "hidden_weights"]


#: What a run calls a loss with: what the model gives, and the target of the data set.
FED = ("input", "target")

#: What a run can compute from its training split, for a user who writes `balanced`.
DATA_VALUES: Mapping[str, str] = {
    "class_weights": "a weight for each class, the less frequent it is the greater: n / (classes * n of the class)",
    "pos_weights": "a weight for what has a class: of each class, the number without it divided by that with it",
}


def _check_takes(component: Component, attribute: Any, value: tuple[str, ...]) -> None:
    if not value or len({*value}) < len(value) or not all(word.isidentifier() for word in value):
        raise ComponentError(
            f"{component.what} has {attribute.name}={shown(value)}; it names each thing that the loss is called with, "
            f"once: {FED!r}"
        )


def _check_data_values(component: Component, attribute: Any, value: Mapping[str, str]) -> None:
    for parameter, word in value.items():
        if word not in DATA_VALUES:
            raise ComponentError(
                f"{component.what} has {attribute.name}[{parameter!r}]={word!r}; it is one of {' | '.join(DATA_VALUES)}"
            )


@attrs.frozen
class Loss(Component):
    """A loss. Its factory returns a module or a function that gives a 0-d tensor for `(input, target)`.

    In place of a factory it may name a plain function `f(input, target, **parameters)`, which is the loss itself.

    Attributes:
        target: What it compares with: `"index"`, class indices `(N, *)`; `"dense"`, numbers of the input's shape; of
            that shape, too, `"multilabel"`, a 0 or 1 for each class, `"signs"`, a -1 or 1, and `"probabilities"`, one
            for each class; `"label_lists"`, `(N, C)`, the indices of a sample's classes and then -1; `"any"`, the
            targets of the data set as they are; None where it takes no target.
        input: What it takes of the model's output: `"any"` or `"logits"` as it is, `"log_probabilities"` or
            `"probabilities"` after a (log-)softmax over dimension 1 that the runner applies, `"label_probabilities"`
            after a sigmoid.
        averages: What its value is a mean over: `"sample"`, `"element"`, or None when the value of a batch is not
            the mean over its parts (Dice over a batch).
        takes: What it is called with, in order. A run has `("input", "target")`, what the model gives and what the data
            set has; a loss that takes anything else is built and called by a program of its own.
        data_values: The parameters for which a run can compute numbers from its training split, with what they are: a
            word of `DATA_VALUES`. A user writes `balanced` for them.

    Example:
        >>> focal = Loss("focal", "lossreg_focal.loss:FocalLoss", "Focal loss", input="logits", target="index")
        >>> {name: value for name, value in focal.contract().items() if name not in ("takes", "data_values")}
        {'target': 'index', 'input': 'logits', 'averages': None}
    """

    kind: ClassVar[str] = "loss"
    registered_fields: ClassVar[Mapping[str, Any]] = {"target": "any"}

    target: LossTarget = attrs.field(
        kw_only=True,
        validator=one_of("index", "dense", "multilabel", "signs", "label_lists", "probabilities", "any", None),
    )
    input: LossInput = attrs.field(
        default="any",
        kw_only=True,
        validator=one_of("any", "logits", "log_probabilities", "probabilities", "label_probabilities"),
    )
    averages: Literal["sample", "element"] | None = attrs.field(
        default=None, kw_only=True, validator=one_of("sample", "element", None)
    )
    takes: tuple[str, ...] = attrs.field(
        default=FED, kw_only=True, converter=as_names, validator=[words_only, _check_takes]
    )
    data_values: Mapping[str, str] = attrs.field(
        factory=dict, kw_only=True, converter=copied,
        validator=[is_a(Mapping, what="a mapping from parameters to what they are"), _check_data_values],
    )  # fmt: skip

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if (self.target is None) != ("target" not in self.takes):
            raise ComponentError(
                f"{self.what} has target={self.target!r} and takes={self.takes!r}; target is None for a loss that is "
                "called without a target, and for no other"
            )

    @property
    def is_fed(self) -> bool:
        """Whether a run has what it takes."""
        return self.takes == FED


def _needs(names: Iterable[str] | None) -> Any:
    return None if names is None else as_names(names)


def _check_needs(component: Component, attribute: Any, value: object) -> None:
    if value is None:
        return
    words_only(component, attribute, value)
    words: Any = value
    for word in words:
        if word not in NEEDS:
            raise ComponentError(f"{component.what} has needs={word!r}; it is one of {' | '.join(NEEDS)}")
    firsts = [word for word in words if word != "gradients"]
    if len(firsts) > 1:
        raise ComponentError(
            f"{component.what} has needs={firsts!r}; its factory takes one of these first, the others by runtime_args"
        )


def _check_wrapped(component: Component, attribute: Any, value: Any) -> None:
    for field, supported in value.items():
        if field not in ("closure", "modes", "create_graph") or not isinstance(supported, bool):
            raise ComponentError(
                f"{component.what} has {attribute.name}={shown(value)}; it maps closure, modes or create_graph to True "
                "or False"
            )


#: What an optimizer can need beside parameters and their gradients.
NEEDS: Mapping[str, str] = {
    "named_params": "its factory takes pairs of name and parameter in place of the parameters",
    "model": "its factory takes the model in place of the parameters",
    "optimizer": "its factory takes the optimizer that it wraps in place of the parameters",
    "gradients": "its step takes a closure, and the gradients are there before it",
}


@attrs.frozen
class Optimizer(Component):
    """An optimizer. Its factory is called as `factory(params, **parameters)`.

    What a field leaves unsaid (None) is found out before a run, with throw-away weights.

    Attributes:
        closure: Whether its `step` needs a closure that computes the loss again (LBFGS).
        modes: Whether it has `train()` and `eval()`, which switch the weights between those that it trains and those
            that are evaluated and kept (the schedule-free ones).
        needs: What it needs beside parameters and gradients: words of `NEEDS`, or an empty list.
        create_graph: Whether gradients must be differentiable themselves (AdaHessian).
        layout: `"contiguous"` if it cannot step on weights in channels_last, `"any"` if it can.
        wrapped: What the optimizers that it wraps must declare, or be found to be: `{"closure": False}`.
        routes: Which parameters it is for: `"all"`; `"matrices"`, those of two dimensions, or `"weights"`, of two or
            more; `"hidden_matrices"` or `"hidden_weights"`, the same without embeddings, the last layer, and the
            parameters of a loss (Muon). Another optimizer trains the rest, which `rest=` in a run's spec names.

    Example:
        >>> Optimizer("sam", "my_optim:SAM", needs="gradients", closure=True).contract()["needs"]
        ('gradients',)
    """

    kind: ClassVar[str] = "optimizer"
    positional_args: ClassVar[int] = 1

    closure: bool | None = attrs.field(default=None, kw_only=True, validator=one_of(True, False, None))
    modes: bool | None = attrs.field(default=None, kw_only=True, validator=one_of(True, False, None))
    needs: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=_needs, validator=_check_needs)
    create_graph: bool | None = attrs.field(default=None, kw_only=True, validator=one_of(True, False, None))
    layout: Literal["any", "contiguous"] | None = attrs.field(
        default=None, kw_only=True, validator=one_of("any", "contiguous", None)
    )
    wrapped: Mapping[str, bool] = attrs.field(
        factory=dict, kw_only=True, converter=copied,
        validator=[is_a(Mapping, what="a mapping from fields to values"), _check_wrapped],
    )  # fmt: skip
    routes: Routes = attrs.field(
        default="all",
        kw_only=True,
        validator=one_of("all", "matrices", "weights", "hidden_matrices", "hidden_weights"),
    )

    def first_arguments(self, given: tuple[Any, ...], runtime: Mapping[str, Any]) -> tuple[Any, ...]:
        """The parameters, or what takes their place; outside of a run what is given."""
        for word in self.needs or ():
            if word == "optimizer":
                return ()
            if word in runtime:
                return (runtime[word],)
        return given

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.needs and "gradients" in self.needs and self.closure is False:
            raise ComponentError(f"{self.what} has needs='gradients' and closure=False; such a step takes a closure")


@attrs.frozen
class Scheduler(Component):
    """A learning-rate scheduler. Its factory is called as `factory(optimizer, **parameters)`.

    Attributes:
        interval: When it steps: after each `"epoch"` or after each `"step"` of the optimizer.
        monitor: The metric that its `step` takes (`"test_loss"` for ReduceLROnPlateau), or None. A parameter of the
            factory that is called `monitor` may name another one.
        composes: Whether it decides how long each nested scheduler runs. Its factory is given a function in place of
            each of them, which builds it for a span: `schedule(span)`.
    """

    kind: ClassVar[str] = "scheduler"
    positional_args: ClassVar[int] = 1

    interval: Literal["epoch", "step"] = attrs.field(default="epoch", kw_only=True, validator=one_of("epoch", "step"))
    monitor: str | None = attrs.field(default=None, kw_only=True)
    composes: bool = attrs.field(default=False, kw_only=True, validator=one_of(True, False))


@attrs.frozen
class Model(Component):
    """A model. Its factory returns a `torch.nn.Module`."""

    kind: ClassVar[str] = "model"


@attrs.frozen
class Dataset(Component):
    """A data set. Its factory returns a `lossreg.Data`.

    Attributes:
        model: The name of the model that is trained on it unless the user names one.
    """

    kind: ClassVar[str] = "dataset"

    model: str = attrs.field(kw_only=True)


def _check_bounds(component: Component, attribute: Any, value: Any) -> None:
    is_pair = isinstance(value, tuple) and len(value) == 2
    numbers: list[Any] = [one for one in value if one is not None] if is_pair else [None]
    is_right = all(isinstance(one, int | float) and not isinstance(one, bool) for one in numbers)
    if not is_right or (len(numbers) == 2 and not numbers[0] < numbers[1]):
        raise ComponentError(
            f"{component.what} has {attribute.name}={shown(value)}; it is the least and the greatest value, each a "
            "number or None"
        )


def _pair(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@attrs.frozen
class Metric(Component):
    """A measure of how good a model is on a split. Its factory returns an object that sums up a split in parts.

    The object has `update(input, target)`, which takes a batch; `compute()`, which gives one number for all batches
    since the last `reset()`, a 0-d tensor or a Python number; and `reset()`. The value must be that of the whole split,
    however it is cut into batches. Where several processes evaluate together, each is given every batch, in order. One
    whose state adds up may spare them that: it has `sums`, a mapping from names to tensors that are the sums over the
    batches so far; each process updates it with batches of its own then, and before `compute()` the sums are those of
    all.

    Attributes:
        better: Whether `"higher"` or `"lower"` values are better; None if neither is, so that nothing goes by it.
        target: What it compares with: `"index"`, class indices `(N, *)`; `"dense"`, numbers of the input's shape;
            `"multilabel"`, a 0 or 1 for each class, `(N, C)`, int64; or `"any"`, the targets of the data set as they
            are. Class indices become one-hot for a dense one that takes logits or probabilities.
        input: What it takes of the model's output: `"any"` or `"logits"` as it is; `"log_probabilities"` or
            `"probabilities"` after a (log-)softmax over dimension 1; or `"labels"`, the index of the greatest output
            of each position, `(N, *)`. Where a sample has any number of classes, a sigmoid takes the place of the
            softmax, and the label of each class is 0 or 1.
        bounds: The least and the greatest value that it can have; None is no bound.

    Example:
        >>> Metric("f1", "my_metrics:F1", better="higher", target="index", input="labels", bounds=(0, 1)).contract()
        {'better': 'higher', 'target': 'index', 'input': 'labels', 'bounds': (0, 1)}
    """

    kind: ClassVar[str] = "metric"
    registered_fields: ClassVar[Mapping[str, Any]] = {"target": "any"}

    better: Literal["higher", "lower"] | None = attrs.field(kw_only=True, validator=one_of("higher", "lower", None))
    target: MetricTarget = attrs.field(kw_only=True, validator=one_of("index", "dense", "multilabel", "any"))
    input: MetricInput = attrs.field(
        default="any", kw_only=True, validator=one_of("any", "logits", "log_probabilities", "probabilities", "labels")
    )
    bounds: tuple[float | None, float | None] = attrs.field(
        default=(None, None), kw_only=True, converter=_pair, validator=_check_bounds
    )


def _check_seconds(component: Component, attribute: Any, value: object) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number and 0 <= value < float("inf")):  # type: ignore[operator]  # it is a number
        raise ComponentError(
            f"{component.what} has {attribute.name}={shown(value)}; it is a finite number of seconds, 0 or more"
        )


@attrs.frozen
class Observer(Component):
    """What watches a run, such as a tracker. Its factory returns an object with methods named like the run hooks.

    The factory is called before the run and writes nothing: the run directory is known when `lossreg_run_started(run)`
    is called. An error in one of the methods is one warning; the observer is not called again, and the run goes on.

    Attributes:
        blocking: False if its methods are called in a thread of their own, in order, while the training goes on; True
            if the training waits for each: for one that reads the weights, or stops the run at a certain step.
        wait: How many seconds the end of a run waits for such a thread; what is not done by then is left out.
    """

    kind: ClassVar[str] = "observer"

    blocking: bool = attrs.field(default=False, kw_only=True, validator=one_of(True, False))
    wait: float = attrs.field(default=30.0, kw_only=True, validator=_check_seconds)
