"""Every error that lossreg raises on purpose.

Each class subclasses `LossregError` and the builtin exception that fits, so `except KeyError` and
`except lossreg.LossregError` both work. What an error knows is kept as attributes, not only in its text.
"""

from __future__ import annotations


class LossregError(Exception):
    """Base of all errors of lossreg.

    Args:
        message: One or more lines that say who, where, what was written, what is wrong and what to do.
        data: What the message was made from; each keyword becomes an attribute.

    Attributes:
        rank: Where several processes train together: the one that alone may know of it, else None.
        setting: The setting of a run whose component the error is about (`"optimizer"`), or None.

    Example:
        >>> error = UnknownNameError("no loss named 'dise'", kind="loss", name="dise")
        >>> error.kind, str(error)
        ('loss', "no loss named 'dise'")
    """

    rank: int | None = None
    setting: str | None = None

    def __init__(self, message: str, **data: object) -> None:
        super().__init__(message)
        self.message = message
        for name, value in data.items():
            setattr(self, name, value)  # not in __dict__: ImportError has attributes of its own that would hide it

    def __str__(self) -> str:
        # KeyError would show the repr of its argument.
        return self.message


class ComponentError(LossregError, ValueError):
    """What a plugin declares of a component is wrong: a bad name, factory or contract."""


class PluginError(LossregError, RuntimeError):
    """A plugin could not be used. `plugin` names it."""

    plugin: str


class InstallationError(LossregError, RuntimeError):
    """The installation of lossreg itself is broken."""


class UnknownNameError(LossregError, KeyError):
    """No component has this name. Attributes: `kind`, `name`, `suggestions`."""

    kind: str
    name: str
    suggestions: tuple[str, ...]


class AmbiguousNameError(LossregError, LookupError):
    """Several plugins offer this short name. Attributes: `kind`, `name`, `candidates` (full ids)."""

    kind: str
    name: str
    candidates: tuple[str, ...]


class ParameterError(LossregError, ValueError):
    """A parameter has a value that its component does not take. Attributes: `component`, `parameter`."""

    component: str
    parameter: str


class UnknownParameterError(LossregError, TypeError):
    """A component has no parameter of this name, or one that it needs is missing.

    Attributes: `component`, `parameter`.
    """

    component: str
    parameter: str


class BuildError(LossregError, ValueError):
    """A component's factory failed or does not exist. Attribute: `component`; the cause is chained."""

    component: str


class MissingLibraryError(LossregError, ImportError):
    """A component needs a library that is not installed. Attribute: `library`."""

    library: str


class SpecError(LossregError, ValueError):
    """A spec is not well formed. Attributes: `text`, what was written; `why`, what is wrong with it, or empty."""

    text: str
    why: str = ""


class ExpressionError(LossregError, ValueError):
    """An expression is not well formed, or has no usable value. Attribute: `text`."""

    text: str


class ConfigError(LossregError, ValueError):
    """A configuration (a file, an option, an argument of `run`) is wrong or contradicts itself."""


class DeviceError(LossregError, RuntimeError):
    """The requested device is not on this machine. Attributes: `request`, `available`."""

    request: str
    available: tuple[str, ...]


class DataError(LossregError, ValueError):
    """A data set is missing, cannot be read, or does not hold what it says."""


class ContractError(LossregError, TypeError):
    """Model, loss and data set do not fit together. Attributes: `model`, `loss`, `data`."""

    model: str
    loss: str
    data: str


class RunDirectoryError(LossregError, OSError):
    """The run directory cannot be used. Attribute: `path`."""

    path: str


class StateError(LossregError, ValueError):
    """A state holds what is not plain data, or is not what its file should hold. Attribute: `where`, in words."""

    where: str


class CheckpointError(LossregError, ValueError):
    """A checkpoint, or a file of weights, is damaged or missing. Attribute: `path`."""

    path: str


class RunFailedError(LossregError, RuntimeError):
    """Training began and did not end well. Attributes: `epoch`, `step`."""

    epoch: int
    step: int


def describe_error(error: BaseException) -> str:
    """One line for an error of foreign code: `ModuleNotFoundError: No module named 'kornia'`.

    Example:
        >>> describe_error(ZeroDivisionError("division by zero"))
        'ZeroDivisionError: division by zero'
    """
    if isinstance(error, PluginError | ComponentError | StateError):
        return error.message
    # Some of torch's messages carry a C++ stack.
    text = " ".join(_text(error).partition("Exception raised from")[0].split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as second:  # an error of foreign code may be broken itself
        return f"(its message cannot be shown: {type(second).__name__})"
