"""The spec of a run: its components and the settings of the loop. Immutable, hashable, of plain values."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import attrs

from lossreg.checkpointing import EveryText, read_every
from lossreg.component_settings import Groups, OneSpec, SeveralSpecs, all_parsed, parsed, parsed_or_none
from lossreg.durations import Duration, read_duration
from lossreg.errors import ConfigError, SpecError
from lossreg.freezing import freezing_text
from lossreg.groups import ParamGroup, parse_groups
from lossreg.settings import (
    OneOf,
    PathText,
    Positive,
    Setting,
    Switch,
    Text,
    Whole,
    describe_settings,
    described,
    is_whole,
    plain_or_none,
    settings_of,
)
from lossreg.spec import ComponentSpec
from lossreg.suggestions import did_you_mean
from lossreg.synonyms import meant_setting
from lossreg.validation import MetricName, TargetText, Validate, read_target, read_validate
from lossreg.values import plain, shown
from lossreg.weights import WeightsText, canonical_weights

MAX_EPOCHS = 1_000_000  # more is a typing error: every epoch has its line in metrics.jsonl

Precision = Literal["auto", "32", "bf16", "16"]
Layout = Literal["auto", "contiguous", "channels_last"]
Loader = Literal["auto", "resident", "dataloader"]
Interval = Literal["epoch", "step"]
FrozenMode = Literal["eval", "train"]
Nan = Literal["log", "strict"]

#: Field of a RunSpec -> kind of component. The order is that of building.
COMPONENT_FIELDS: Mapping[str, str] = {
    "data": "dataset",
    "model": "model",
    "loss": "loss",
    "optimizer": "optimizer",
    "scheduler": "scheduler",
}


#: Where the settings name metrics and observers, of which there may be several.
METRICS, OBSERVE = "metrics", "observe"

#: Field of a RunSpec that names several components -> their kind.
LISTED_FIELDS: Mapping[str, str] = {METRICS: "metric", OBSERVE: "observer"}

#: What a resumed run may set anew: it changes neither the steps that are left nor the rows of past ones.
CHANGEABLE = ("epochs", "max_steps", "max_time", "checkpoint_every", "keep", "best", "nan", "observe")

KEEP = 2  # checkpoints that are kept

#: What decides which checkpoints are written and kept, and nothing of the run itself.
CHECKPOINTING = ("checkpoint_every", "keep", "best")


def _path(value: object) -> Any:
    """The text of a path; None for the word `none`."""
    return plain_or_none(os.fspath(value) if isinstance(value, os.PathLike) else value)


def _metrics(value: Any) -> Any:
    return all_parsed(value, METRICS)


def _observe(value: Any) -> Any:
    return all_parsed(value, OBSERVE)


def _freeze(value: Any) -> Any:
    return freezing_text(plain_or_none(value), "freeze")


def _unfreeze(value: Any) -> Any:
    return freezing_text(plain_or_none(value), "unfreeze")


def _precision(value: Precision | int) -> Any:
    value = plain(value)  # type: ignore[assignment]  # whatever was given; the validator looks at it
    return str(value) if is_whole(value) else value  # TOML's `precision = 32`


@attrs.frozen(kw_only=True, cache_hash=True)
class RunSpec:
    """All that decides a run: its components and the settings of the loop.

    Raises:
        ConfigError: If a setting has a wrong type or is out of range.
        SpecError: If the text of a component is not a spec.
    """

    loss: ComponentSpec | None = attrs.field(
        default=None,
        converter=parsed_or_none,
        validator=OneSpec(optional=True),
        metadata=described("The loss.", default="the task's own: cross_entropy, or mse for a regression"),
    )
    optimizer: ComponentSpec = attrs.field(
        default=ComponentSpec("sgd"),
        converter=parsed,
        validator=OneSpec(),
        metadata=described("The optimizer.", "--opt", "--optimizer"),
    )
    scheduler: ComponentSpec | None = attrs.field(
        default=None,
        converter=parsed_or_none,
        validator=OneSpec(optional=True),
        metadata=described(
            "The learning-rate scheduler; none is a constant rate.", "--sched", "--scheduler", default="none"
        ),
    )
    model: ComponentSpec | None = attrs.field(
        default=None,
        converter=parsed_or_none,
        validator=OneSpec(optional=True),
        metadata=described("The model.", default="the data set's own"),
    )
    data: ComponentSpec = attrs.field(
        default=ComponentSpec("digits"),
        converter=parsed,
        validator=OneSpec(),
        metadata=described("The data set.", "--data", "--dataset"),
    )
    epochs: int = attrs.field(
        default=20,
        converter=plain,
        validator=Whole(1, MAX_EPOCHS),
        metadata=described("Passes over the training split, 1 to 1,000,000."),
    )
    batch_size: int = attrs.field(
        default=64,
        converter=plain,
        validator=Whole(1),
        metadata=described("Samples of a batch, over all processes; the last batch of an epoch may be smaller."),
    )
    accumulate: int = attrs.field(
        default=1, converter=plain, validator=Whole(1), metadata=described("Batches whose gradients make one step.")
    )
    clip_grad_norm: float | None = attrs.field(
        default=None,
        converter=plain_or_none,
        validator=Positive(),
        metadata=described(
            "The greatest Euclidean norm of all gradients together; greater ones are scaled down to it.",
            default="no limit",
        ),
    )
    param_groups: tuple[ParamGroup, ...] = attrs.field(
        default=None,
        converter=parse_groups,
        validator=Groups(),
        metadata=described(
            "What is different for the parameters that match a pattern: options, or an optimizer of their own.",
            default="none",
        ),
    )
    freeze: str | None = attrs.field(
        default=None,
        converter=_freeze,
        validator=Text("PATTERNS", optional=True, several=True),
        metadata=described("The parameters that are not trained, as patterns separated by commas.", default="none"),
    )
    unfreeze: str | None = attrs.field(
        default=None,
        converter=_unfreeze,
        validator=Text("PATTERNS", optional=True, several=True),
        metadata=described(
            "Frozen parameters that are trained from an epoch on: `PATTERN@EPOCH`, separated by commas.",
            default="none",
        ),
    )
    frozen_mode: FrozenMode = attrs.field(
        default="eval",
        validator=OneOf(("eval", "train")),
        metadata=described(
            "The mode of modules whose parameters are all frozen: in eval, batch normalisation keeps its statistics "
            "and dropout drops nothing."
        ),
    )
    init_from: str | None = attrs.field(
        default=None,
        converter=_path,
        validator=PathText("DIR", optional=True),
        metadata=described(
            "Start from the model's weights of a past run, or of a .safetensors file, in place of new ones.",
            default="none",
        ),
    )
    init_partial: bool = attrs.field(
        default=False,
        converter=plain,
        validator=Switch(),
        metadata=described("Take those weights of `init_from` that fit, and leave the others new.", default="no"),
    )
    seed: int = attrs.field(
        default=0,
        converter=plain,
        validator=Whole(0, 2**63 - 1),
        metadata=described("For the initial weights and the order of samples; 0 to 2**63 - 1."),
    )
    device: str = attrs.field(
        default="auto",
        validator=Text("DEVICE"),
        metadata=described("The device: auto, cpu, cuda, cuda:N, mps or xpu."),
    )
    precision: Precision = attrs.field(
        default="auto",
        converter=_precision,
        validator=OneOf(("auto", "32", "bf16", "16")),
        metadata=described(
            "What the model computes in: float32, or mixed with 16 bits.", default="auto: what suits device and model"
        ),
    )
    layout: Layout = attrs.field(
        default="auto",
        validator=OneOf(("auto", "contiguous", "channels_last")),
        metadata=described(
            "How images and the weights of convolutions lie in memory.", default="auto: the fastest that works"
        ),
    )
    compile: bool = attrs.field(
        default=False,
        converter=plain,
        validator=Switch(),
        metadata=described("Compile model and loss with torch.compile.", default="no"),
    )
    deterministic: bool = attrs.field(
        default=False,
        converter=plain,
        validator=Switch(),
        metadata=described(
            "Use deterministic algorithms alone, which a GPU needs for the same bits each time; some are slower.",
            default="no",
        ),
    )
    loader: Loader = attrs.field(
        default="auto",
        validator=OneOf(("auto", "resident", "dataloader")),
        metadata=described(
            "Keep the samples on the device, or read them batch by batch.", default="auto: resident where they fit"
        ),
    )
    workers: int | None = attrs.field(
        default=None,
        converter=plain_or_none,
        validator=Whole(0, 1024, optional=True),
        metadata=described("Processes that read samples for a data loader.", default="what suits the machine"),
    )
    scheduler_interval: Interval | None = attrs.field(
        default=None,
        converter=plain_or_none,
        validator=OneOf(("epoch", "step"), optional=True),
        metadata=described("What the scheduler counts.", "--sched-interval", default="the scheduler's own"),
    )
    limit_train: int | None = attrs.field(
        default=None,
        converter=plain_or_none,
        validator=Whole(1, optional=True),
        metadata=described("Train on the first N samples of the training split.", default="all"),
    )
    limit_test: int | None = attrs.field(
        default=None,
        converter=plain_or_none,
        validator=Whole(1, optional=True),
        metadata=described("Evaluate on the first N samples of the test split.", default="all"),
    )
    validate: float | str | None = attrs.field(
        default=None,
        converter=read_validate,
        validator=Validate(),
        metadata=described(
            "Hold out a share of the training split for validation, such as 0.1, or fold K of N of it: fold(2/5).",
            default="none",
        ),
    )
    patience: int | None = attrs.field(
        default=None,
        converter=plain_or_none,
        validator=Whole(1, optional=True),
        metadata=described(
            "End after N epochs in a row without a better value of `monitor`, and keep the weights of the best epoch.",
            default="none",
        ),
    )
    metrics: tuple[ComponentSpec, ...] = attrs.field(
        default=(),
        converter=_metrics,
        validator=SeveralSpecs(),
        metadata=described("What is measured of the model beside the loss.", "--metric", default="none"),
    )
    monitor: str | None = attrs.field(
        default=None,
        converter=plain_or_none,
        validator=MetricName(),
        metadata=described(
            "The metric that `patience` watches.", default="validation_loss; test_loss without a validation split"
        ),
    )
    target: str | None = attrs.field(
        default=None,
        converter=read_target,
        validator=TargetText(),
        metadata=described(
            "End when a metric reaches a value: METRIC>=VALUE or METRIC<=VALUE, such as validation_accuracy>=0.99.",
            default="none",
        ),
    )
    max_steps: int | None = attrs.field(
        default=None,
        converter=plain_or_none,
        validator=Whole(1, optional=True),
        metadata=described(
            "End after N steps in all, in the middle of an epoch too; the schedule spans `epochs` all the same.",
            default="none",
        ),
    )
    max_time: str | None = attrs.field(
        default=None,
        converter=read_duration,
        validator=Duration(),
        metadata=described(
            "End after so much time in all: 90s, 30m, 1h30m, or a number of seconds.",
            default="none",
        ),
    )
    eval_train: bool = attrs.field(
        default=False,
        converter=plain,
        validator=Switch(),
        metadata=described("Evaluate on the training split too, after each epoch.", default="no"),
    )
    weights: str = attrs.field(
        default="auto",
        converter=canonical_weights,
        validator=WeightsText(),
        metadata=described(
            "Which weights are evaluated, saved and returned: raw, ema(DECAY), swa(start=START) or optimizer.",
            default="auto: the optimizer's own for evaluation where it has them, otherwise raw",
        ),
    )
    checkpoint_every: str | None = attrs.field(
        default="1",
        converter=read_every,
        validator=EveryText(),
        metadata=described(
            "Write a checkpoint after every N epochs, N steps (500steps, or 500s: s is for steps, not seconds) or N "
            "minutes (10m), and at the end; none writes none."
        ),
    )
    keep: int = attrs.field(
        default=KEEP,
        converter=plain,
        validator=Whole(1, 1000),
        metadata=described(
            "How many checkpoints are kept, the newest ones, at most 1000; that of `best` is kept in addition."
        ),
    )
    best: str | None = attrs.field(
        default=None,
        converter=plain_or_none,
        validator=MetricName(),
        metadata=described(
            "Keep a checkpoint of the epoch with the best value of a metric, such as validation_loss.", default="none"
        ),
    )
    log_every: int = attrs.field(
        default=100, converter=plain, validator=Whole(1), metadata=described("Steps between two log rows.")
    )
    nan: Nan = attrs.field(
        default="log",
        validator=OneOf(("log", "strict")),
        metadata=described(
            "When a loss that is not finite is found: at the next log row, or before every update of the weights, for "
            "which each step waits for the device."
        ),
    )
    observe: tuple[ComponentSpec, ...] = attrs.field(
        default=(),
        converter=_observe,
        validator=SeveralSpecs(),
        metadata=described("What watches the run, such as a tracker.", default="none"),
    )

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any], where: str) -> RunSpec:
        """Makes a spec from keys and values of a file, of options or of a past run.

        Args:
            settings: Field name -> value; components are spec texts or specs.
            where: What the settings came from, for error messages.

        Raises:
            ConfigError: If a key is unknown, or a value wrong.
        """
        check_keys(settings, where)
        try:
            return cls(**settings)
        except (ConfigError, SpecError) as error:
            error.message = f"{where}: {error.message}" if where else error.message
            raise

    def items(self) -> Iterator[tuple[str, Any]]:
        """The fields and their plain values: components as canonical text, as JSON and TOML hold them."""
        for field in attrs.fields(type(self)):
            value = getattr(self, field.name)
            yield field.name, [spec.text for spec in value] if field.name in LISTED_FIELDS else _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return {group.pattern: group.value for group in value}
    return value.text if isinstance(value, ComponentSpec) else value


#: Field of a RunSpec -> what a person reads of it.
SETTINGS: Mapping[str, Setting] = settings_of(RunSpec)
RUN_KEYS = tuple(SETTINGS)

RunSpec.__doc__ = f"{inspect.getdoc(RunSpec)}\n\n{describe_settings(SETTINGS)}"


def check_keys(settings: Mapping[str, Any], where: str, guess: Callable[[str], str] = lambda _: "") -> None:
    """Checks that every key is a field of RunSpec.

    Args:
        settings: Keys and values.
        where: What they came from.
        guess: What a key that is no setting may mean instead, as a sentence with a blank before it, or nothing.

    Raises:
        ConfigError: With the key that was probably meant.
    """
    for key in settings:
        if key not in RUN_KEYS:
            hint = key_hint(str(key), guess)
            raise ConfigError(f"{where}: there is no key {shown(key)}.{hint} Keys: {', '.join(RUN_KEYS)}")


def key_hint(key: str, guess: Callable[[str], str]) -> str:
    """What was probably meant by a setting that does not exist, as a sentence with a blank before it, or nothing."""
    meant = meant_setting(key)
    return f" Did you mean {meant!r}?" if meant else guess(key) or did_you_mean(key, RUN_KEYS)
