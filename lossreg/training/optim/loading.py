"""Giving an optimizer a state back: what torch's `load_state_dict` would change or refuse comes through as it is."""

from __future__ import annotations

import copy
import enum
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lossreg.checkpoints.tree import decode, encode, why_not_plain
from lossreg.errors import StateError, describe_error
from lossreg.plugins.isolation import is_from_outside
from lossreg.training.seeds import forked_generators

if TYPE_CHECKING:
    from torch.optim import Optimizer


def load_state(optimizer: Optimizer, state: Mapping[str, Any]) -> None:
    """Gives an optimizer what its `state_dict()` gave.

    Of what can be iterated in the state of a parameter, torch makes `type(value)(items)`: of a text the words of a
    generator, of a `deque` one without a greatest length, of a dictionary of another class a plain one, and of an array
    of numpy an error. These are handed on in its place, also in the states of optimizers that are wrapped.

    Args:
        optimizer: The optimizer.
        state: The state.
    """
    optimizer.load_state_dict(_prepared(state))


def why_not_kept(optimizer: Optimizer, fresh: Callable[[], Optimizer]) -> str | None:
    """Why no run can go on from what an optimizer that has stepped saves, or None.

    Args:
        optimizer: The optimizer.
        fresh: Makes one like it that has not stepped.
    """
    try:
        state = optimizer.state_dict()
        why = why_not_plain(state)
        if why is not None or _is_loaded_surely(optimizer, state):
            return why
    except BaseException as error:
        if is_from_outside(error):
            raise
        return f"its state_dict() fails: {describe_error(error)}"
    try:
        with forked_generators(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the optimizer of the run gives them
            other = fresh()
            load_state(other, decode(*encode(state), like=other.state_dict()))
    except StateError as error:
        return error.message
    except BaseException as error:
        if is_from_outside(error):
            raise
        return f"its load_state_dict() fails with what its state_dict() gave: {describe_error(error)}"
    return None


def is_state_dict(tree: Mapping[Any, Any]) -> bool:
    """Whether a mapping has the form of an optimizer's `state_dict()`."""
    groups = tree.get("param_groups")
    return (
        isinstance(tree.get("state"), Mapping)
        and isinstance(groups, list)
        and all(isinstance(group, Mapping) and isinstance(group.get("params"), list) for group in groups)
    )


def _is_loaded_surely(optimizer: Optimizer, state: Mapping[str, Any]) -> bool:
    """Whether torch itself loads the state, which holds nothing but tensors and numbers."""
    if type(optimizer).load_state_dict is not torch.optim.Optimizer.load_state_dict or not is_state_dict(state):
        return False
    return all(
        isinstance(value, Tensor) or not isinstance(value, Iterable | enum.Enum)
        for values in state["state"].values()
        for value in (values.values() if isinstance(values, Mapping) else [values])
    )


def _prepared(tree: Any) -> Any:
    """The tree with what torch would change in the state dicts in it handed on in place of itself."""
    if type(tree) in (list, tuple):
        return type(tree)(map(_prepared, tree))
    if not isinstance(tree, Mapping):
        return tree
    if not is_state_dict(tree):
        return {key: _prepared(value) for key, value in tree.items()}
    numbers = {number for group in tree["param_groups"] for number in group["params"]}  # torch takes others as they are
    state = {key: _handed(value) if key in numbers else value for key, value in tree["state"].items()}
    others = {key: value for key, value in tree.items() if key not in ("state", "param_groups")}
    return {**tree, **{key: _prepared(value) for key, value in others.items()}, "state": state}


class _Handed:
    """Stands for a value in a state: torch makes of it what it stands for."""

    _content: tuple[Any, ...]

    def __new__(cls, content: Iterable[Any]) -> Any:
        """What torch calls with what `__iter__` gave, its tensors moved and cast."""
        how, *items = content
        return how.make(items)

    @classmethod
    def of(cls, make: Callable[[list[Any]], Any], items: Iterable[Any] = ()) -> Any:
        """Stands for what is made of items, which torch may change."""
        made = object.__new__(cls)
        made._content = (_How(make), *items)
        return made

    def __iter__(self) -> Iterator[Any]:
        return iter(self._content)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Handed:
        """Some optimizers copy a state before they load it."""
        return self


class _How:
    """A function among items; torch would take a tuple or the like apart."""

    def __init__(self, make: Callable[[list[Any]], Any]) -> None:
        self.make = make


def _handed(value: Any) -> Any:
    """A value in the state of a parameter, such that it comes through torch's `load_state_dict`."""
    if isinstance(value, Tensor) or not isinstance(value, Iterable):
        return value
    kind: Any = type(value)
    if isinstance(value, dict):
        inner = {key: _handed(item) for key, item in value.items()}
        return inner if kind is dict else _Handed.of(lambda items: _filled(value, items[0]), [inner])
    if kind in (list, tuple):
        return kind(map(_handed, value))
    if isinstance(value, deque):
        return _Handed.of(lambda items: deque(items, value.maxlen), map(_handed, value))
    return _Handed.of(lambda _: value)


def _filled(empty: Any, items: Mapping[Any, Any]) -> Any:
    """A dictionary of the class of another one, with other values for its keys."""
    made = copy.copy(empty)
    for key, item in items.items():
        made[key] = item
    return made
