"""Functions and classes that a run was given to make an optimizer or a scheduler."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from lossreg.errors import BuildError, ConfigError, LossregError, describe_error
from lossreg.plugins.isolation import is_from_outside


def make(maker: Callable[..., Any], argument: Any, label: str, field: str, of: str) -> Any:
    """Calls a function or class that makes a part.

    Args:
        maker: The function or class.
        argument: What it is called with.
        label: Its name.
        field: The setting that it was given for.
        of: What the argument is, as a parameter would be called.

    Raises:
        ConfigError: If it cannot be called with one argument.
        BuildError: If it fails.
    """
    _check_call(maker, argument, label, field, of)
    try:
        return maker(argument)
    except LossregError:
        raise
    except BaseException as error:
        if is_from_outside(error):
            raise
        raise BuildError(
            f"{field}={label} fails when it is called with the {of}: {describe_error(error)}", component=label
        ) from error


def _check_call(maker: Callable[..., Any], argument: Any, label: str, field: str, of: str) -> None:
    try:
        signature = inspect.signature(maker)
    except (TypeError, ValueError):  # some of what is written in C has none
        return
    try:
        signature.bind(argument)
    except TypeError as error:
        parameters = signature.parameters.values()
        positional = [one.name for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
        by_name = [one.name for one in parameters if one.kind is not one.VAR_POSITIONAL and one.default is one.empty]
        missing = [name for name in by_name if name not in positional[:1]]
        name = label.rpartition(".")[2]
        what = f"{field}={label} is called with the {of} alone"
        if not positional or not missing:
            raise ConfigError(f"{what}, which {name}{_shown(signature)} does not take: {error}") from error
        values = "".join(f", {one}=..." for one in missing)
        raise ConfigError(
            f"{what}, but {name}{_shown(signature)} also needs {' and '.join(missing)}; write "
            f"{field}=lambda {of}: {name}({of}{values})"
        ) from error


def _shown(signature: inspect.Signature) -> str:
    """A signature without its annotations, which may be long."""
    plain = [one.replace(annotation=one.empty) for one in signature.parameters.values()]
    return str(signature.replace(parameters=plain, return_annotation=signature.empty))
