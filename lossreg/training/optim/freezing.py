"""Parameters that are not trained, or only from some epoch on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs
from torch import nn
from torch.nn import Parameter

from lossreg.errors import ConfigError, LossregError
from lossreg.freezing import parse_freezing
from lossreg.training.optim.layers import Parameters
from lossreg.training.optim.param_groups import matching

if TYPE_CHECKING:
    from lossreg.run_spec import RunSpec
    from lossreg.training.loss.objective import Objective


@attrs.frozen(eq=False)
class Freezing:
    """What is frozen, and until when.

    Attributes:
        frozen: The names of all parameters that are frozen at the start.
        epochs: Name -> the epoch from which on it is trained; the others stay frozen.
        evaluated: Whether modules whose parameters are all frozen are in evaluation mode.
        given: The modules that were in evaluation mode already, and stay in it.
        trained: The names of those that were not frozen before.
    """

    frozen: tuple[str, ...] = ()
    epochs: dict[str, int] = attrs.field(factory=dict)
    evaluated: bool = True
    given: tuple[nn.Module, ...] = ()
    trained: frozenset[str] = frozenset()

    def begin_epoch(self, objective: Objective, epoch: int) -> None:
        """Freezes what is frozen in an epoch, and no more than that; before its first step.

        A parameter that is to be trained later is in the optimizer from the start: without a gradient it is left
        alone, and a scheduler that counts from the start has its rate.
        """
        if self.epochs:
            self._freeze(objective, [name for name in self.frozen if self.epochs.get(name, epoch + 1) > epoch])

    def start(self, objective: Objective) -> None:
        """Freezes what is never trained; the optimizer and the trials have the parameters of later epochs."""
        if self.frozen:
            never = [name for name in self.frozen if name not in self.epochs]
            self._freeze(objective, never, self.frozen)

    def end(self, objective: Objective) -> None:
        """Gives a model back as it came: what is done with it next may train all of it."""
        named = objective.named()
        for name in self.trained:
            named[name].requires_grad_(True)

    def _freeze(self, objective: Objective, names: Sequence[str], still: Sequence[str] | None = None) -> None:
        named = objective.named()
        for name in self.frozen:
            named[name].requires_grad_(name not in names)
            if name in names:
                named[name].grad = None
        objective.frozen = self.given
        if self.evaluated:
            held = {id(named[name]) for name in (names if still is None else still)}
            objective.frozen += tuple(_whole(objective.model, held))

    def describe(self, objective: Objective) -> dict[str, Any]:
        """The numbers of frozen parameters, for the run record."""
        named = objective.named()
        later = {
            str(epoch): _count([named[name] for name in self.epochs if self.epochs[name] == epoch])
            for epoch in sorted({*self.epochs.values()})
        }
        return {**_count([named[name] for name in self.frozen]), "mode": self._mode, "unfrozen": later}

    @property
    def _mode(self) -> str:
        return "eval" if self.evaluated else "train"


def _count(parameters: Sequence[Parameter]) -> dict[str, int]:
    return {"tensors": len(parameters), "parameters": sum(one.numel() for one in parameters)}


def _whole(model: nn.Module, frozen: set[int]) -> list[nn.Module]:
    """The modules whose parameters are all frozen, with all that is in them, such as dropout."""
    found: dict[int, nn.Module] = {}
    for module in model.modules():
        own = [id(parameter) for parameter in module.parameters()]
        if own and frozen.issuperset(own):
            found |= {id(part): part for part in module.modules()}
    return list(found.values())


def plan_freezing(spec: RunSpec, objective: Objective, model: str) -> Freezing:
    """Finds the parameters that are frozen, and freezes those that are never trained.

    Args:
        spec: The settings.
        objective: Model and loss.
        model: The model in an error message.

    Raises:
        ConfigError: If a pattern matches nothing, nothing is left to train, or an epoch is none of the run's.
    """
    if spec.freeze is None:
        for setting, flag in (("unfreeze", "--unfreeze"), ("frozen_mode", "--frozen-mode")):
            if getattr(spec, setting) not in (None, "eval"):
                raise _about(setting, ConfigError(f"{setting} ({flag}) has no effect without freeze (--freeze)"))
        return Freezing(given=objective.frozen)
    facts = Parameters.of(objective).facts
    try:
        patterns = [one.text for one in parse_freezing(spec.freeze, "freeze")]
        what, further = f"parameter of {model}", objective.further_names()
        matched = {name for text in patterns for name in matching(text, facts, "freeze", what, further)}
        if not any(one.requires_grad and name not in matched for name, one in objective.named().items()):
            raise ConfigError(f"freeze: {spec.freeze} freezes all of {model}: nothing is left to train")
    except LossregError as error:
        raise _about("freeze", error) from None
    frozen = tuple(name for name in facts if name in matched)
    named = objective.named()
    freezing = Freezing(
        frozen,
        _epochs(spec, {name: facts[name] for name in frozen}),
        spec.frozen_mode == "eval",
        objective.frozen,
        frozenset(name for name in frozen if named[name].requires_grad),
    )
    freezing.start(objective)
    return freezing


def _epochs(spec: RunSpec, frozen: dict[str, Any]) -> dict[str, int]:
    """The epoch of each parameter that is unfrozen; several patterns may match it if they agree."""
    found: dict[str, int] = {}
    try:
        for one in parse_freezing(spec.unfreeze, "unfreeze") if spec.unfreeze is not None else ():
            assert one.epoch is not None  # noqa: S101  # patterns of this setting have one
            if one.epoch >= spec.epochs:
                count = "1 epoch" if spec.epochs == 1 else f"{spec.epochs} epochs"
                raise ConfigError(
                    f"unfreeze: {one.text!r} has no effect: the run has {count}, the last is {spec.epochs - 1}"
                )
            for name in matching(one.pattern.text, frozen, "unfreeze", f"parameter that {spec.freeze!r} freezes"):
                if found.setdefault(name, one.epoch) != one.epoch:
                    raise ConfigError(
                        f"unfreeze: {one.text!r} trains {name} from epoch {one.epoch} on, and another pattern from "
                        f"epoch {found[name]} on; leave it out of one of them, as by '& !{name}'"
                    )
    except LossregError as error:
        raise _about("unfreeze", error) from None
    return found


def _about(setting: str, error: LossregError) -> LossregError:
    error.setting = setting
    return error
