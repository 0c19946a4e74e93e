"""The state of an optimizer by names of parameters, not by their numbers: what a file of another program can tell."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from lossreg.errors import ConfigError
from lossreg.training.optim.joint import JointOptimizer
from lossreg.training.optim.loading import is_state_dict, load_state

if TYPE_CHECKING:
    from torch.nn import Parameter
    from torch.optim import Optimizer

State = dict[str, Any]
MAX_SHOWN = 5  # differences in a message


def named_state(optimizer: Optimizer, parameters: Mapping[str, Parameter]) -> State:
    """The `state_dict()` of an optimizer, with names of parameters in the place of their numbers.

    Also of optimizers that wrap another one, whose states are inside of theirs.

    Args:
        optimizer: The optimizer.
        parameters: All parameters by name.

    Returns:
        `state`, with names, shapes and classes; these tell a state that fits from one that does not.
    """
    names = _names(optimizer, parameters)
    state = optimizer.state_dict()
    shapes = {name: list(parameters[name].shape) for name in _flat(names) if name in parameters}
    return {"state": _renamed(state, names, _by_name), "shapes": shapes, "classes": _classes(optimizer)}


def load_named_state(
    optimizer: Optimizer, saved: Mapping[str, Any], parameters: Mapping[str, Parameter], *, partly: bool = False
) -> list[str]:
    """Gives an optimizer what `named_state` gave.

    Args:
        optimizer: The optimizer, freshly built.
        saved: The state.
        parameters: All parameters by name.
        partly: Whether the states of parameters that fit are taken, and the others begin anew.

    Returns:
        The differences that were passed over.

    Raises:
        ConfigError: If it is the state of another optimizer, of other parameters, shapes or groups.
    """
    names = _names(optimizer, parameters)
    other = _other_classes(saved, optimizer)
    if other and partly:
        return other
    differences = other or _differences(saved, names, parameters)
    if differences and not partly:
        more = f" and {len(differences) - MAX_SHOWN} more" if len(differences) > MAX_SHOWN else ""
        raise ConfigError(
            f"the state of the optimizer does not fit: {'; '.join(differences[:MAX_SHOWN])}{more}; override=True "
            "(--override) takes what fits, and the rest begins anew"
        )
    state, options = saved["state"], [dict(group) for group in optimizer.param_groups]
    if differences:
        state = _fitting(state, named_state(optimizer, parameters)["state"], saved["shapes"], parameters)
    load_state(optimizer, _renamed(state, names, _by_number))
    _restore_types(optimizer, state, parameters)
    return differences + _restore_options(optimizer, options, partly=partly)


def _classes(optimizer: Optimizer) -> list[str]:
    members = optimizer.members if isinstance(optimizer, JointOptimizer) else (optimizer,)
    return [type(one).__name__ for one in members]  # a class may have moved to another module since


def _other_classes(saved: Mapping[str, Any], optimizer: Optimizer) -> list[str]:
    """How the classes of the optimizers differ; a checkpoint of before does not tell them."""
    then, now = saved.get("classes"), _classes(optimizer)
    if then is None or then == now:
        return []
    return [f"it is that of {' and '.join(map(str, then))}, and the optimizer is {' and '.join(now)} here"]


def _restore_options(optimizer: Optimizer, options: Sequence[Mapping[str, Any]], *, partly: bool) -> list[str]:
    """Looks whether all options are there that the groups of the optimizer had: without one, its step would fail.

    Raises:
        ConfigError: If one is not, unless those of the optimizer itself are to be taken then.
    """
    missing: dict[str, None] = {}
    for group, fresh in zip(optimizer.param_groups, options, strict=False):
        for key in fresh.keys() - group.keys():
            missing[key] = group[key] = fresh[key]
    if missing and not partly:
        raise ConfigError(
            f"the state of the optimizer does not fit: its groups have no {', '.join(sorted(missing))}, which "
            f"{' and '.join(_classes(optimizer))} needs; give the optimizer that the run began with"
        )
    return [f"the groups have no {name} in the checkpoint" for name in sorted(missing)]


Names = list[Any]  # of an optimizer in the order of its groups; of several, a list of such lists


def _names(optimizer: Optimizer, parameters: Mapping[str, Parameter]) -> Names:
    if isinstance(optimizer, JointOptimizer):
        return [_names(member, parameters) for member in optimizer.members]
    by_id = {id(parameter): name for name, parameter in parameters.items()}
    held = [one for group in optimizer.param_groups for one in group["params"]]
    return [by_id.get(id(one), f"parameter {place}") for place, one in enumerate(held)]


def _flat(names: Names) -> list[str]:
    return [one for name in names for one in (_flat(name) if isinstance(name, list) else [name])]


def _renamed(tree: Any, names: Names, rename: Any) -> Any:
    """The tree with the numbers of all state dicts in it replaced, or the names."""
    if isinstance(tree, Mapping):
        if names and isinstance(names[0], list):
            members = [_renamed(one, of, rename) for one, of in zip(tree["members"], names, strict=True)]
            return {**tree, "members": members}
        if is_state_dict(tree) and sum(len(group["params"]) for group in tree["param_groups"]) == len(names):
            return rename(tree, names)
        return {key: _renamed(value, names, rename) for key, value in tree.items()}
    if type(tree) in (list, tuple):
        return type(tree)(_renamed(one, names, rename) for one in tree)
    return tree


def _by_name(tree: Mapping[str, Any], names: Sequence[str]) -> State:
    numbers = [number for group in tree["param_groups"] for number in group["params"]]
    return _replaced(tree, dict(zip(numbers, names, strict=True)))


def _by_number(tree: Mapping[str, Any], names: Sequence[str]) -> State:
    return _replaced(tree, {name: number for number, name in enumerate(names)})


def _replaced(tree: Mapping[str, Any], keys: Mapping[Any, Any]) -> State:
    groups = [{**group, "params": [keys[one] for one in group["params"]]} for group in tree["param_groups"]]
    state = {keys.get(key, key): value for key, value in tree["state"].items()}
    return {**tree, "state": state, "param_groups": groups}


def _differences(saved: Mapping[str, Any], names: Names, parameters: Mapping[str, Parameter]) -> list[str]:
    shapes = saved["shapes"]
    here = [name for name in _flat(names) if name in parameters]
    found = [f"{name} is not in the checkpoint" for name in here if name not in shapes]
    found += [f"{name} of the checkpoint is not trained here" for name in shapes if name not in here]
    found += [
        f"{name} is {tuple(parameters[name].shape)} here, and {tuple(shapes[name])} in the checkpoint"
        for name in here
        if name in shapes and list(parameters[name].shape) != list(shapes[name])
    ]
    if not found and list(shapes) != here:
        found.append("the parameters are in other groups, or in another order")
    return found


def _fitting(saved: Any, fresh: Any, shapes: Mapping[str, Any], parameters: Mapping[str, Parameter]) -> Any:
    """The fresh state with that of the parameters that fit."""
    if not isinstance(fresh, Mapping) or not isinstance(saved, Mapping):
        return fresh
    if "members" in fresh and isinstance(saved.get("members"), list):
        pairs = zip(saved["members"], fresh["members"], strict=False)
        members = [_fitting(one, other, shapes, parameters) for one, other in pairs]
        return {**fresh, "members": [*members, *fresh["members"][len(members) :]]}
    if not (is_state_dict(fresh) and is_state_dict(saved)):
        return fresh
    names = [name for group in fresh["param_groups"] for name in group["params"]]
    fitting = {
        name: saved["state"][name]
        for name in names
        if name in saved["state"] and list(parameters[name].shape) == list(shapes.get(name, ()))
    }
    groups = fresh["param_groups"]
    if len(groups) == len(saved["param_groups"]):
        pairs = zip(groups, saved["param_groups"], strict=True)
        groups = [{**one, **other, "params": one["params"]} for one, other in pairs]
    return {**fresh, "state": fitting, "param_groups": groups}


def _restore_types(optimizer: Optimizer, state: Any, parameters: Mapping[str, Parameter]) -> None:
    """Gives tensors the type that they had: as torch loads a state, it gives them that of their parameter."""
    if isinstance(optimizer, JointOptimizer):
        for member, of_member in zip(optimizer.members, state["members"], strict=True):
            _restore_types(member, of_member, parameters)
        return
    if not is_state_dict(state):
        return
    for name, values in state["state"].items():
        held: Any = optimizer.state.get(parameters[name]) if name in parameters else None
        if not isinstance(held, dict) or not isinstance(values, Mapping):
            continue
        held |= {key: _as_saved(value, held[key]) for key, value in values.items() if key in held}


def _as_saved(value: Any, loaded: Any) -> Any:
    """A value of the state as it was, on the device of what torch made of it."""
    if isinstance(value, torch.Tensor) and isinstance(loaded, torch.Tensor):
        return loaded if loaded.dtype == value.dtype else value.to(loaded.device)
    if isinstance(value, dict) and isinstance(loaded, dict) and value.keys() == loaded.keys():
        made = copy.copy(value)  # of its own class
        for key in value:
            made[key] = _as_saved(value[key], loaded[key])
        return made
    if isinstance(value, deque | list | tuple) and type(loaded) is type(value) and len(loaded) == len(value):
        items = map(_as_saved, value, loaded)
        return deque(items, value.maxlen) if isinstance(value, deque) else type(value)(items)
    return loaded
