"""What an optimizer needs of a loop that is not known: looked at in its steps, and refused by name.

The loops of hosts with an adapter are known, and what they do not do is refused before they train. All others, also
those that a person has written, call `optimizer.step()` as they do: an optimizer that needs more would fail with words
of its own, or train weights that are not the ones to evaluate.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
from torch.amp import GradScaler

from lossreg.errors import ConfigError
from lossreg.training.optim.modes import has_modes

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from lossreg.training.optim.needs import Needs
    from lossreg.training.optim.optimizer import OptimizerPlan

logger = logging.getLogger("lossreg")

_SCALED_STEP = getattr(getattr(GradScaler, "_maybe_opt_step", None), "__code__", None)  # of torch's own, which may go
_MODES = "switches between the weights that it trains and those that are evaluated"
_EVAL = "optimizer.eval() before the model is evaluated or saved"
_CLOSURE = (
    "call optimizer.step(closure), with a function that clears the gradients, computes the loss, calls backward() and "
    "returns the loss"
)


def watch_steps(optimizer: Optimizer, plan: OptimizerPlan) -> None:
    """Adds a check to the steps of an optimizer that needs more of a loop than gradients; most do not.

    Args:
        optimizer: The optimizer.
        plan: What it was built from.
    """
    needs = plan.all_needs
    # A class that leaves out torch's constructor has no hooks.
    if not needs.asks_of_loop or not hasattr(optimizer, "_optimizer_step_pre_hooks"):
        return
    label = next(one.choice.label for one in plan.members if one.needs.asks_of_loop)
    switched = needs.modes and has_modes(optimizer)
    check = StepCheck(label, needs, not switched, _switches(optimizer) if switched else [])
    optimizer.register_step_pre_hook(check)
    if not check.trains:
        own = vars(optimizer).get("train")
        optimizer.train = _FirstTrain(optimizer, check, own)  # type: ignore[attr-defined]  # those with modes have it


@attrs.define(eq=False)
class StepCheck:
    """A hook before each step. It can be copied and pickled, as optimizers can.

    Attributes:
        label: The optimizer in an error message.
        needs: What its step needs.
        trains: Whether `train()` was called, where there is one.
        switches: What it could have switched, as it was then.
    """

    label: str
    needs: Needs
    trains: bool
    switches: list[dict[str, bool]]

    def __call__(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Before a step.

        Raises:
            ConfigError: That says what the loop has to do.
        """
        wrong = self._why_wrong(optimizer, (*args[1:], *kwargs.values()))
        if wrong is not None:
            raise ConfigError(
                f"the optimizer {self.label} {wrong}; in the loop of another trainer, which does not, another "
                "optimizer is needed",
                setting="optimizer",
            )

    def _why_wrong(self, optimizer: Optimizer, given: tuple[Any, ...]) -> str | None:
        """What the optimizer does, and what the loop has to do for that; None if it does."""
        if (self.needs.closure or self.needs.create_graph) and _is_scaled():
            does = (
                "computes the loss again in its steps (closure)" if self.needs.closure else "differentiates gradients"
            )
            return f"{does}, which a gradient scaler (scaler.step) does not support: train in bfloat16 or float32"
        if not self.trains and not self._trains_unseen(optimizer):
            return f"{_MODES}: call optimizer.train() before training, and {_EVAL}"
        if self.needs.closure:
            if any(map(_is_closure, given)):
                return None
            if self.needs.gradients:
                return f"takes a closure after the gradients are there: call backward(), and then {_CLOSURE}"
            return f"computes the loss again in its steps (closure): {_CLOSURE}"
        if self.needs.create_graph and not _has_graph(optimizer):
            return "differentiates gradients: call loss.backward(create_graph=True)"
        return None

    def _trains_unseen(self, optimizer: Any) -> bool:
        """Whether an optimizer is in training although no call was seen: some hosts call the method of its class."""
        self.trains = self._was_switched(optimizer)
        if self.trains:
            return True
        optimizer.train()
        self.trains = not self._was_switched(optimizer)  # it has been in training from the beginning
        if self.trains:
            logger.warning("the optimizer %s %s: call %s", self.label, _MODES, _EVAL)
            return True
        optimizer.eval()
        self.switches = _switches(optimizer)
        return False

    def _was_switched(self, optimizer: Any) -> bool:
        """Whether a switch is another way than it was; copies lack some."""
        pairs = zip(self.switches, _switches(optimizer), strict=False)
        return any(old[key] != new[key] for old, new in pairs for key in old.keys() & new.keys())


def _switches(optimizer: Any, seen: frozenset[int] = frozenset()) -> list[dict[str, bool]]:
    """The switches of an optimizer, of its groups and of optimizers in it, which may know those around them."""
    seen |= {id(optimizer)}
    own = vars(optimizer)
    members = own.get("members")
    held = (*own.values(), *(members if isinstance(members, list | tuple) else ()))
    inner = [one for one in held if hasattr(one, "param_groups") and id(one) not in seen]
    places = (own, *optimizer.param_groups)
    found = [{key: is_on for key, is_on in place.items() if isinstance(is_on, bool)} for place in places]
    return [*found, *(one for other in inner for one in _switches(other, seen))]


def _is_scaled() -> bool:
    """Whether a gradient scaler that is enabled takes the step: it hands a closure on, and scales nothing in it."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code is _SCALED_STEP:
            return True
        frame = frame.f_back  # type: ignore[assignment]  # the last one has none
    return False


def _is_closure(given: object) -> bool:
    """Whether an argument of a step computes the loss; Lightning hands on a function of its own where there is none."""
    return callable(given) and not _stands_for_none(given)


def _stands_for_none(given: object) -> bool:
    """Whether it is Lightning's closure that does nothing, which its precision plugin puts into partials."""
    if isinstance(given, functools.partial):
        return any(map(_stands_for_none, (given.func, *given.args)))
    of_lightning = str(getattr(given, "__module__", "")).startswith(("lightning.", "pytorch_lightning."))
    return of_lightning and getattr(given, "__name__", "") == "do_nothing_closure"


def _has_graph(optimizer: Optimizer) -> bool:
    """Whether a gradient can be differentiated, or there is none at all."""
    gradients = [one.grad for group in optimizer.param_groups for one in group["params"] if one.grad is not None]
    return not gradients or any(one.requires_grad for one in gradients)


@attrs.frozen(eq=False)
class _FirstTrain:
    """The first call of `optimizer.train()`, which is noted; later ones are the optimizer's own."""

    optimizer: Any
    check: StepCheck
    own: Callable[..., Any] | None

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.check.trains = True
        if self.own is None:
            vars(self.optimizer).pop("train", None)
        else:
            self.optimizer.train = self.own
        return self.optimizer.train(*arguments, **named)
