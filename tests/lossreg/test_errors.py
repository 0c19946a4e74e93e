"""The errors of lossreg: what each is, and what it keeps."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

import lossreg
from lossreg import errors
from lossreg.errors import LossregError, UnknownNameError
from tests.table import for_each

#: Each error with the builtin that a user who knows only Python would catch.
BUILTINS: dict[type[LossregError], type[Exception]] = {
    errors.ComponentError: ValueError,
    errors.PluginError: RuntimeError,
    errors.InstallationError: RuntimeError,
    errors.UnknownNameError: KeyError,
    errors.AmbiguousNameError: LookupError,
    errors.ParameterError: ValueError,
    errors.UnknownParameterError: TypeError,
    errors.BuildError: ValueError,
    errors.MissingLibraryError: ImportError,
    errors.SpecError: ValueError,
    errors.ExpressionError: ValueError,
    errors.ConfigError: ValueError,
    errors.DeviceError: RuntimeError,
    errors.DataError: ValueError,
    errors.ContractError: TypeError,
    errors.RunDirectoryError: OSError,
    errors.RunFailedError: RuntimeError,
    errors.StateError: ValueError,
    errors.CheckpointError: ValueError,
}
EVERY = [LossregError, *BUILTINS]

MESSAGE = "no loss named 'dise'.\nDid you mean 'dice'?"
DATA: dict[str, object] = {
    "kind": "loss",
    "name": "dise",
    "suggestions": ("dice",),
    "path": "runs/a",
    "epoch": 7,
    "where": "optimizer.state",
}


def name_of(error: type[LossregError]) -> str:
    """The name under which pytest shows a case."""
    return error.__name__


def test_every_error_is_listed_here() -> None:
    """No error of the module is left out of these tests."""
    defined = {
        value
        for value in vars(errors).values()
        if inspect.isclass(value) and issubclass(value, Exception) and value.__module__ == errors.__name__
    }
    assert defined == set(EVERY)


@for_each(("error", "builtin"), BUILTINS.items(), ids=map(name_of, BUILTINS))
def test_error_is_caught_as_the_builtin_that_fits(error: type[LossregError], builtin: type[Exception]) -> None:
    """`except` with the builtin exception catches the error."""
    with pytest.raises(builtin) as caught:
        raise error(MESSAGE)
    assert type(caught.value) is error


@for_each("error", EVERY, ids=name_of)
def test_error_is_caught_as_an_error_of_lossreg(error: type[LossregError]) -> None:
    """`except lossreg.LossregError` catches the error."""
    with pytest.raises(lossreg.LossregError) as caught:
        raise error(MESSAGE)
    assert type(caught.value) is error


@for_each("error", EVERY, ids=name_of)
def test_error_is_a_public_name(error: type[LossregError]) -> None:
    """The error is found in `lossreg` itself, under its own name."""
    assert error.__name__ in lossreg.__all__
    assert getattr(lossreg, error.__name__) is error


@for_each("error", EVERY, ids=name_of)
def test_str_is_the_message(error: type[LossregError]) -> None:
    """`str()` is the message as it was written, also where the builtin would show a repr (KeyError)."""
    assert str(error(MESSAGE, **DATA)) == MESSAGE
    assert error(MESSAGE, **DATA).message == MESSAGE


@for_each("error", EVERY, ids=name_of)
def test_data_become_attributes(error: type[LossregError]) -> None:
    """What the message was made from is kept as attributes."""
    raised = error(MESSAGE, **DATA)
    assert {key: getattr(raised, key) for key in DATA} == DATA


@for_each("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@for_each("error", EVERY, ids=name_of)
def test_pickle_keeps_message_and_attributes(error: type[LossregError], protocol: int) -> None:
    """An error survives pickling, as it must to come back from a worker process."""
    back = pickle.loads(pickle.dumps(error(MESSAGE, **DATA), protocol))  # noqa: S301  # our own bytes
    assert type(back) is error
    assert str(back) == MESSAGE
    assert {key: getattr(back, key) for key in DATA} == DATA


@for_each("error", EVERY, ids=name_of)
def test_copy_keeps_message_and_attributes(error: type[LossregError]) -> None:
    """A deep copy of an error has its message and its attributes."""
    back = copy.deepcopy(error(MESSAGE, **DATA))
    assert str(back) == MESSAGE
    assert {key: getattr(back, key) for key in DATA} == DATA


def test_a_changed_message_is_what_is_shown_and_pickled() -> None:
    """A message that was completed on the way (with the file it came from) is the one that is shown and pickled."""
    error = UnknownNameError("no loss named 'dise'", kind="loss")
    error.message = f"run.toml: {error.message}"
    assert str(error) == "run.toml: no loss named 'dise'"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301  # our own bytes
