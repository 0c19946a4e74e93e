"""The spec of a run: its components and the settings of the loop. Immutable, hashable, of plain values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import attrs

from lossreg.errors import ConfigError, SpecError
from lossreg.names import normalize
from lossreg.spec import ComponentSpec, Value, frozen_params, params_text, parse_params
from lossreg.suggestions import did_you_mean

MAX_EPOCHS = 1_000_000  # a typing error beyond that: every epoch has its line in the record

Precision = Literal["auto", "32", "bf16", "16"]
Loader = Literal["auto", "resident", "dataloader"]


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _whole(lowest: int, highest: int | None = None, *, optional: bool = False) -> Any:
    def check(_: RunSpec, attribute: Any, value: object) -> None:
        if optional and value is None:
            return
        within = _is_whole(value) and lowest <= value <= (highest or value)  # type: ignore[operator]  # it is an int
        if not within:
            upto = f" and at most {highest}" if highest else ""
            raise ConfigError(f"{attribute.name} is a whole number of at least {lowest}{upto}, not {value!r}")

    return check


def _boolean(_: RunSpec, attribute: Any, value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigError(f"{attribute.name} is true or false, not {value!r}")


def _text(_: RunSpec, attribute: Any, value: object) -> None:
    if not isinstance(value, str):
        raise ConfigError(f"{attribute.name} is text, not {value!r}")


def _one_of(*words: str | None) -> Any:
    def check(_: RunSpec, attribute: Any, value: object) -> None:
        if not (value is None or isinstance(value, str)) or value not in words:
            *first, last = [repr(word) for word in words if word is not None]
            raise ConfigError(f"{attribute.name} is {', '.join(first)} or {last}, not {value!r}")

    return check


def _positive(_: RunSpec, attribute: Any, value: object) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (is_number and 0 < value < math.inf):  # type: ignore[operator]  # a number by then
        raise ConfigError(f"{attribute.name} is a number greater than 0, not {value!r}")


def _precision(value: object) -> object:
    return str(value) if _is_whole(value) else value  # TOML's `precision = 32`


def _component(value: str | ComponentSpec | None) -> Any:
    return ComponentSpec.parse(value) if isinstance(value, str) else value


def _is_component(_: RunSpec, attribute: Any, value: object) -> None:
    if not isinstance(value, ComponentSpec):
        raise ConfigError(f"{attribute.name} is a spec text such as 'name(key=value)', not {value!r}")


def _is_optional_component(spec: RunSpec, attribute: Any, value: object) -> None:
    if value is not None:
        _is_component(spec, attribute, value)


def _optional_component(value: str | ComponentSpec | None) -> Any:
    return None if isinstance(value, str) and normalize(value) == "none" else _component(value)


@attrs.frozen
class ParamGroup:
    """The parameters whose names match a pattern, and what the optimizer does differently with them.

    Attributes:
        pattern: A glob over the names of `named_parameters()`: `*.bias`; `*` matches dots, too.
        options: Parameters of the optimizer for this group, as pairs sorted by key.
    """

    pattern: str
    options: tuple[tuple[str, Value], ...]


def _param_groups(value: Any) -> tuple[ParamGroup, ...]:
    if value is None:
        return ()
    if isinstance(value, tuple) and all(isinstance(group, ParamGroup) for group in value):
        return value
    if not isinstance(value, Mapping):
        raise ConfigError(
            f"param_groups maps patterns to options, such as {{'*.bias': 'weight_decay=0'}}; it is not {value!r}"
        )
    return tuple(_param_group(pattern, options) for pattern, options in value.items())


def _param_group(pattern: object, options: object) -> ParamGroup:
    if not isinstance(pattern, str) or not pattern.strip():
        raise ConfigError(f"param_groups: {pattern!r} is no pattern over names of parameters, such as '*.bias'")
    if not options or not isinstance(options, str | Mapping):
        raise ConfigError(f"param_groups: {pattern!r} has the options {options!r}; write 'weight_decay=0', for one")
    try:
        params = parse_params(options) if isinstance(options, str) else frozen_params(options)
    except SpecError as error:
        why = f": {error.message}" if "NaN" in error.message else ""
        raise ConfigError(
            f"param_groups: {pattern!r} has the options {options!r}, which are no KEY=VALUE, ... such as "
            f"'weight_decay=0, lr=0.1'{why}"
        ) from error
    return ParamGroup(pattern.strip(), params)


#: Field of a RunSpec -> kind of component. The order is that of building.
COMPONENT_FIELDS: Mapping[str, str] = {
    "data": "dataset",
    "model": "model",
    "loss": "loss",
    "optimizer": "optimizer",
    "scheduler": "scheduler",
}


@attrs.frozen(kw_only=True)
class RunSpec:
    """All that decides a run: five components and the settings of the loop.

    Attributes:
        loss: The loss; None is the task's own (`cross_entropy`, or `mse` for regression).
        optimizer: The optimizer.
        param_groups: Patterns over names of parameters, and the optimizer's options for what they match; given as
            a mapping, `{"*.bias": {"weight_decay": 0}}` or `{"*.bias": "weight_decay=0"}`.
        scheduler: The learning-rate scheduler; None, or the word `none`, is a constant rate.
        model: The model; None is the one that the data set's record names.
        data: The data set.
        epochs: Passes over the training split, 1 to 1,000,000.
        batch_size: Samples of a batch over all processes, at least 1; more than the split holds is one batch of all.
        accumulate: Batches whose gradients make one step, at least 1.
        clip_grad_norm: The greatest Euclidean norm of all gradients together; greater ones are scaled down to it.
        seed: Seeds the initial weights and the order of samples; 0 to 2**63 - 1.
        device: A device request: `auto`, `cpu`, `cuda`, `cuda:N`, `mps`.
        precision: `32`, `bf16` or `16` (automatic mixed precision), or `auto`: what suits device and model.
        compile: Whether model and loss are compiled with `torch.compile`.
        loader: `resident` (the split as one tensor on the device), `dataloader`, or `auto`.
        workers: Processes that read samples for the data loader; None is what suits the machine.
        scheduler_interval: `epoch` or `step`, instead of the scheduler's own.
        limit_train: Train on the first so many samples.
        limit_test: Evaluate on the first so many samples.
        eval_train: Whether to evaluate on the training split too, after each epoch.
        log_every: Steps between two log records.

    Raises:
        ConfigError: If a setting has a wrong type or is out of range.
        SpecError: If a component's text is no spec.
    """

    loss: ComponentSpec | None = attrs.field(default=None, converter=_component, validator=_is_optional_component)
    optimizer: ComponentSpec = attrs.field(default=ComponentSpec("sgd"), converter=_component, validator=_is_component)
    param_groups: tuple[ParamGroup, ...] = attrs.field(default=(), converter=_param_groups)
    scheduler: ComponentSpec | None = attrs.field(
        default=None, converter=_optional_component, validator=_is_optional_component
    )
    model: ComponentSpec | None = attrs.field(default=None, converter=_component, validator=_is_optional_component)
    data: ComponentSpec = attrs.field(default=ComponentSpec("digits"), converter=_component, validator=_is_component)
    epochs: int = attrs.field(default=20, validator=_whole(1, MAX_EPOCHS))
    batch_size: int = attrs.field(default=64, validator=_whole(1))
    accumulate: int = attrs.field(default=1, validator=_whole(1))
    clip_grad_norm: float | None = attrs.field(default=None, validator=_positive)
    seed: int = attrs.field(default=0, validator=_whole(0, 2**63 - 1))
    device: str = attrs.field(default="auto", validator=_text)
    precision: Precision = attrs.field(
        default="auto", converter=_precision, validator=_one_of("auto", "32", "bf16", "16")
    )
    compile: bool = attrs.field(default=False, validator=_boolean)
    loader: Loader = attrs.field(default="auto", validator=_one_of("auto", "resident", "dataloader"))
    workers: int | None = attrs.field(default=None, validator=_whole(0, 1024, optional=True))
    scheduler_interval: Literal["epoch", "step"] | None = attrs.field(
        default=None, validator=_one_of("epoch", "step", None)
    )
    limit_train: int | None = attrs.field(default=None, validator=_whole(1, optional=True))
    limit_test: int | None = attrs.field(default=None, validator=_whole(1, optional=True))
    eval_train: bool = attrs.field(default=False, validator=_boolean)
    log_every: int = attrs.field(default=100, validator=_whole(1))

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any], where: str) -> RunSpec:
        """Makes a spec from the keys and plain values of a file or a past run.

        Args:
            settings: Field name -> value; components are spec texts.
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
            yield field.name, _plain(getattr(self, field.name))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return {group.pattern: params_text(group.options) for group in value}
    return value.text if isinstance(value, ComponentSpec) else value


RUN_KEYS = tuple(field.name for field in attrs.fields(RunSpec))


def check_keys(settings: Mapping[str, Any], where: str) -> None:
    """Checks that every key is a field of RunSpec.

    Raises:
        ConfigError: With the key that was probably meant.
    """
    for key in settings:
        if key not in RUN_KEYS:
            raise ConfigError(
                f"{where}: there is no key {key!r}.{did_you_mean(str(key), RUN_KEYS)} Keys: {', '.join(RUN_KEYS)}"
            )
