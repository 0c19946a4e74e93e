"""What parts keep outside of their `state_dict()`: in attributes, on their classes, in their modules."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lossreg.resume_check.digests import digest
from lossreg.training.optim.joint import JointOptimizer
from lossreg.training.resume.schedule_state import schedules_of

if TYPE_CHECKING:
    from lossreg.training.parts import Parts

#: Classes of these have been seen to go on exactly; what they keep beside their state follows from it.
KNOWN = ("torch", "lossreg", "lossreg_builtin", "lossreg_observers", "builtins", "abc", "typing")
#: What torch's optimizers note of how their next step is to be made, and not of what it makes.
_OF_OPTIMIZERS = {
    "defaults",
    "_need_device_dtype_check_for_fused",
    "_warned_capturable_if_run_uncaptured",
    "_opt_called",
}
_OF_MODULES = {"_parameters", "_buffers", "_modules", "training"}

Owned = tuple[str, str]  # what keeps it, in words; the name


def foreign(value: object) -> bool:
    """Whether the class of a part, or a function, is of neither torch nor lossreg.

    Example:
        >>> foreign(nn.Linear(1, 1)), foreign(digest)
        (False, False)
    """
    return _module(value).partition(".")[0] not in KNOWN


def _module(value: object) -> str:
    named = value if hasattr(value, "__qualname__") else type(value)
    return str(getattr(named, "__module__", "builtins"))


def name_of(value: object) -> str:
    """The class of a part, or a function, as one would import it."""
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{_module(value)}.{getattr(named, '__qualname__', '')}"


def parts_of(parts: Parts) -> Iterator[tuple[str, object]]:
    """What may keep something, and what a person calls it."""
    optimizer = parts.optimization.optimizer
    members = optimizer.members if isinstance(optimizer, JointOptimizer) else [optimizer]
    for member in members:
        yield from _nested("optimizer", member, set())
    for schedule in schedules_of(parts.optimization.schedule):
        if schedule.scheduler is not None:
            yield from _nested("scheduler", schedule.scheduler, set())
    criterion = parts.objective.adapter.criterion
    if not isinstance(criterion, nn.Module):
        yield "loss", criterion
    for field, module in (("model", parts.objective.model), ("loss", criterion)):
        if isinstance(module, nn.Module):
            for _, one in module.named_modules():
                yield field, one


def _nested(field: str, part: object, seen: set[int]) -> Iterator[tuple[str, object]]:
    """A part and those of its kind that it wraps."""
    if id(part) in seen:
        return
    seen.add(id(part))
    yield field, part
    for value in list(getattr(part, "__dict__", {}).values()):
        for one in value if isinstance(value, list | tuple) else [value]:
            if isinstance(one, Optimizer | LRScheduler) and not (field == "scheduler" and isinstance(one, Optimizer)):
                yield from _nested(field, one, seen)


def attributes(parts: Parts) -> dict[Owned, str]:
    """What is kept outside of the states, and its digest."""
    found: dict[Owned, str] = {}
    for field, part in parts_of(parts):
        owner = f"the {field} {name_of(part)}"
        covered = _covered(part)
        for name, value in list(getattr(part, "__dict__", {}).items()):
            if name not in covered and not isinstance(value, Optimizer | LRScheduler | nn.Module):
                key = (owner, name)
                found[key] = digest([found.get(key), value])  # of several modules of a class
        if not foreign(part):
            continue
        for base in (part,) if hasattr(part, "__qualname__") else type(part).__mro__:
            if foreign(base):
                _add_class(found, field, base)
    return found


def _add_class(found: dict[Owned, str], field: str, base: Any) -> None:
    """What is on a class, or in the module that defines it."""
    if isinstance(base, type):
        for name, value in vars(base).items():
            if not name.startswith("__") and _is_data(value):
                found[(f"the class of the {field} {name_of(base)}", name)] = digest(value)
    module = sys.modules.get(_module(base))
    for name, value in vars(module).items() if module is not None else ():
        if not name.startswith("__") and _is_data(value):
            found[(f"the module {_module(base)} of the {field}", name)] = digest(value)


def _is_data(value: object) -> bool:
    return not callable(value) and not hasattr(value, "__get__") and type(value).__name__ != "module"


def _covered(part: object) -> set[str]:
    """The attributes that its state has, or that go back to what is restored beside it."""
    if isinstance(part, nn.Module):
        return _OF_MODULES - ({"_buffers"} if part._non_persistent_buffers_set else set())
    covered = {"optimizer"} if isinstance(part, LRScheduler) else {*_OF_OPTIMIZERS}
    try:
        state = part.state_dict()  # type: ignore[attr-defined]  # a function has none
    except Exception:  # a stranger's; the run says what is wrong with it
        return covered
    return covered | {str(key) for key in state}
