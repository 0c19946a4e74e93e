"""What a net of skorch with parts by name is given beside their texts: what has no effect, and what there is not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from lossreg.errors import ConfigError, LossregError, UnknownParameterError
from lossreg.groups import REST, SCHEDULER
from lossreg.registry.build import resolve
from lossreg.registry.guesses import guess_parameter
from lossreg.registry.registries import default
from lossreg.run_spec import COMPONENT_FIELDS, RUN_KEYS
from lossreg.spec import ComponentSpec
from lossreg.suggestions import did_you_mean
from lossreg.synonyms import meant_setting

LR = 0.01  # skorch's default of `lr`, which every net has

#: The texts that name a component, whose parameters stand in them.
NAMING = ("criterion", "optimizer", "scheduler")
#: All texts but the criterion, of which skorch knows itself: those that an optimizer and its schedule are made of.
OF_OPTIMIZER = ("optimizer", "scheduler", "param_groups", "freeze")

_OF_SKORCH = {"loss": "criterion", "model": "module", "epochs": "max_epochs"}  # setting of lossreg -> what skorch has
_OF_LOSSREG = {name: setting for setting, name in _OF_SKORCH.items()}
_LONGEST = 80  # characters of a value that a message repeats


def check_outside(given: Mapping[str, Any], texts: Mapping[str, Any]) -> None:
    """Checks that no parameter of a part is given outside of its text.

    Args:
        given: Arguments of a net.
        texts: The texts, by name; other arguments may be among them.

    Raises:
        ConfigError: That says what to write.

    Example:
        >>> check_outside({"optimizer__lr": 0.1}, {"optimizer": "sgd"})
        Traceback (most recent call last):
        ...
        lossreg.errors.ConfigError: optimizer__lr has no effect: write it into the text, optimizer='sgd(lr=0.1)'
    """
    for name, value in given.items():
        field, is_inside, key = name.partition("__")
        if name == "lr" and value != LR:
            raise _no_effect(f"lr={value}", "optimizer", texts.get("optimizer"), "lr", value)
        if not is_inside or field not in NAMING:
            continue
        if key.partition("__")[0] == "param_groups":
            raise ConfigError(f"{name} has no effect: write param_groups={{'PATTERN': 'OPTION=VALUE'}}")
        raise _no_effect(name, field, texts.get(field), key, value)


def _no_effect(given: str, name: str, text: object, key: str, value: object) -> ConfigError:
    """The error of a parameter that stands outside of its text."""
    unknown = _unknown_parameter(_OF_LOSSREG.get(name, name), text, key)
    if unknown is not None:
        return ConfigError(f"{given} has no effect: parameters of {name} stand in its text. {unknown}")
    word, bracket, _ = (text if isinstance(text, str) else "NAME").partition("(")
    written = f"{word}({'..., ' if bracket else ''}{key}={_literal(value)})"
    return ConfigError(f"{given} has no effect: write it into the text, {name}={written!r}")


def _unknown_parameter(field: str, text: object, key: str) -> str | None:
    """That a component has no such parameter; None if it has, or the text does not name a component."""
    spec = _spec(text)
    if spec is None or key in (REST, SCHEDULER):  # which every optimizer has in its text
        return None
    try:
        resolve(default.of(COMPONENT_FIELDS[field]), ComponentSpec(spec.name, {key: None}))
    except UnknownParameterError as error:
        return str(error)
    except LossregError:  # of the text, which is another error, or of the value, which is not the one that was given
        return None
    return None


def _literal(value: object) -> str:
    """A value as a text has it: of a tensor or an array a list."""
    to_list = getattr(value, "tolist", None)
    literal = repr(to_list() if callable(to_list) else value)
    return literal if len(literal) <= _LONGEST else "..."


def is_of_skorch(name: str, prefixes: Iterable[str]) -> bool:
    """Whether skorch knows an argument, or says better than lossreg what is wrong with it.

    Args:
        name: The argument.
        prefixes: `prefixes_` of the net.

    Example:
        >>> is_of_skorch("iterator_train_shuffle", ["iterator_train"]), is_of_skorch("optimizer_lr", ["optimizer"])
        (True, False)
    """
    if name.endswith("_"):
        return True
    return any(name == prefix or name.startswith(f"{prefix}__" if prefix in NAMING else prefix) for prefix in prefixes)


def no_argument(net: object, name: str, known: Collection[str]) -> ConfigError:
    """The error of an argument that a net does not have.

    Args:
        net: The net.
        name: The argument.
        known: The arguments that it has.
    """
    return ConfigError(f"{type(net).__name__} has no argument {name!r}.{_hint(net, name, known)}")


def _hint(net: object, name: str, known: Collection[str]) -> str:
    """What was meant, as a sentence with a blank before it."""
    setting = meant_setting(name) or name
    meant = _OF_SKORCH.get(setting, setting)
    if meant in known:
        return f" Did you mean {meant!r}?"
    if name == "unfreeze":
        return (
            " To train more than before, call net.set_params(freeze=...) between trainings, or in on_epoch_end of a "
            "callback."
        )
    specs = {field: _spec(getattr(net, field, None)) for field in ("optimizer", "scheduler")}
    hint = guess_parameter(name.removeprefix("optimizer_"), specs, default) or did_you_mean(name, known)
    if hint and setting not in RUN_KEYS:
        return hint
    return f" Its texts are {', '.join(('criterion', *OF_OPTIMIZER))}; what else it takes is of skorch."


def _spec(text: object) -> ComponentSpec | None:
    """What a text names; None if it does not say."""
    try:
        return ComponentSpec.parse(text) if isinstance(text, str) else None
    except LossregError:  # this is about another error
        return None
