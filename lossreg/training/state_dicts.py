"""Giving a module the weights of a file: whether names and shapes fit, and what differs if they do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from torch import Tensor, nn

from lossreg.checkpoints.tensors import why_not_written
from lossreg.checkpoints.tree import why_not_plain
from lossreg.errors import ConfigError, describe_error

SHOWN = 4  # names of each kind in a message


@attrs.frozen
class StateDifference:
    """How a state differs from what a module takes.

    Attributes:
        missing: What the module has and the state has not.
        unexpected: What the state has and the module has not.
        reshaped: What both have, with other shapes or kinds of numbers: name -> the two, for a person.
        fitting: What fits.
    """

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: Mapping[str, str]
    fitting: tuple[str, ...]

    @classmethod
    def of(cls, module: nn.Module, state: Mapping[str, Any]) -> StateDifference:
        """Compares names, shapes, and whether numbers are real, whole or complex."""
        own = module.state_dict()
        both = [name for name in own if name in state]
        reshaped = {name: why for name in both if (why := _why_not(own[name], state[name]))}
        return cls(
            tuple(name for name in own if name not in state),
            tuple(name for name in state if name not in own),
            reshaped,
            tuple(name for name in both if name not in reshaped),
        )

    @property
    def is_none(self) -> bool:
        """Whether all fits."""
        return not (self.missing or self.unexpected or self.reshaped)

    def __str__(self) -> str:
        parts = []
        if self.reshaped:
            parts.append(_some([f"{name} is {why}" for name, why in self.reshaped.items()]))
        if self.missing:
            parts.append(f"it lacks {_some(self.missing)}")
        if self.unexpected:
            parts.append(f"the model does not have {_some(self.unexpected)}")
        return "; ".join(parts)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"


def _why_not(own: Any, given: Any) -> str | None:
    if not isinstance(own, Tensor) or not isinstance(given, Tensor):
        return None if isinstance(own, Tensor) == isinstance(given, Tensor) else f"a {type(given).__name__} there"
    if own.shape != given.shape:
        return f"{tuple(given.shape)} there and {tuple(own.shape)} in the model"
    if (own.is_floating_point(), own.is_complex()) != (given.is_floating_point(), given.is_complex()):
        return f"of {given.dtype} there and of {own.dtype} in the model"
    return None


def check_kept(state: Mapping[str, Any], what: str) -> None:
    """Checks before a run that its weights can be written at its end.

    Args:
        state: A `state_dict()`.
        what: What it is of, for the message: `the model mlp`.

    Raises:
        ConfigError: That names the first entry that cannot be.
    """
    for name, value in state.items():
        why = why_not_written(value) if isinstance(value, Tensor) else why_not_plain(value, name)
        if why is not None:
            raise ConfigError(
                f"the weights of {what} cannot be kept: {f'{name} is {why}' if isinstance(value, Tensor) else why}. A "
                "buffer that is registered with persistent=False is no weight"
            )


def load_state(module: nn.Module, state: Mapping[str, Any], where: str, *, advice: str = "") -> None:
    """Gives a module a state that fits it in every name and shape.

    Args:
        module: What gets the weights.
        state: Of a file.
        where: The file in an error message.
        advice: What to do, for the end of that message.

    Raises:
        ConfigError: That lists the first differences; the module is as it was.
    """
    difference = StateDifference.of(module, state)
    if not difference.is_none:
        raise ConfigError(f"the weights in {where} do not fit the model: {difference}{advice}")
    _load(module, state, where)


def load_fitting(module: nn.Module, state: Mapping[str, Any], where: str) -> StateDifference:
    """Gives a module what fits of a state.

    Returns:
        What was taken, and what was left.

    Raises:
        ConfigError: If nothing fits.
    """
    difference = StateDifference.of(module, state)
    if not difference.fitting:
        raise ConfigError(f"nothing of the weights in {where} fits the model: {difference}")
    _load(module, {name: state[name] for name in difference.fitting}, where)
    return difference


def _load(module: nn.Module, state: Mapping[str, Any], where: str) -> None:
    try:
        module.load_state_dict(state, strict=False)
    except Exception as error:  # of a module's own hooks
        raise ConfigError(f"the weights in {where} cannot be given to the model: {describe_error(error)}") from error
