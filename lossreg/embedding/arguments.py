"""What functions for hosts are given, checked: parts, models and optimizers are easily put in each other's place."""

from __future__ import annotations

from typing import Any

from torch import nn

from lossreg.errors import ConfigError
from lossreg.values import shown


def check_parts(given: object, call: str) -> None:
    """Checks that parts are parts.

    Args:
        given: What was given as such.
        call: How the function is called, in an error message.

    Raises:
        ConfigError: If they are something else.

    Example:
        >>> check_parts("adamw", "use_parts(learn, parts)")
        Traceback (most recent call last):
        ...
        lossreg.errors.ConfigError: use_parts(learn, parts): parts are what lossreg.parts(...) returns, not 'adamw'
    """
    from lossreg.embedding.host_parts import HostParts  # it has what it is given checked here, too

    check_given(isinstance(given, HostParts), given, call, "parts are what lossreg.parts(...) returns")


def check_optimizer(given: object, call: str) -> None:
    """Checks that an optimizer is one; classes that leave out torch's constructor count.

    Args:
        given: What was given as such.
        call: How the function is called, in an error message.

    Raises:
        ConfigError: If it is something else.
    """
    if isinstance(given, type) or not hasattr(given, "param_groups"):
        raise _wrong(given, call, "the optimizer is what parts.optimizer(model) returns")


def check_model(given: object, call: str, name: str = "the model") -> None:
    """Checks that a model is a module.

    Args:
        given: What was given as such.
        call: How the function is called, in an error message.
        name: What the module is.

    Raises:
        ConfigError: If it is something else.
    """
    check_given(isinstance(given, nn.Module), given, call, f"{name} is a torch.nn.Module")


def check_given(is_right: bool, given: Any, call: str, what: str) -> None:
    """Raises where something else was given.

    Args:
        is_right: Whether it was not.
        given: What was given.
        call: How the function is called.
        what: What is wanted.

    Raises:
        ConfigError: That says it.
    """
    if not is_right:
        raise _wrong(given, call, what)


def _wrong(given: Any, call: str, what: str) -> ConfigError:
    return ConfigError(f"{call}: {what}, not {shown(given)}")
