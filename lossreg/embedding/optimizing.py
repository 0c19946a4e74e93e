"""The optimizers of a host: what each is built from, checked and tried, and building them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor, nn

from lossreg.embedding.first_steps import watch_steps
from lossreg.embedding.freezing import keep_modes, not_frozen_in_parallel, plan_frozen
from lossreg.embedding.host_joint import HostJoint
from lossreg.embedding.host_objective import HostObjective, check_shapes, reshard, unwrapped
from lossreg.embedding.host_state import StateText
from lossreg.embedding.known_models import Found, KnownModels
from lossreg.embedding.members import Members
from lossreg.embedding.plain import PlainOptimizer, may_train, says_all
from lossreg.embedding.scheduling import Scheduling, optimizers_of
from lossreg.errors import ConfigError
from lossreg.training.loss.adapter import LossAdapter
from lossreg.training.optim.joint import JointOptimizer
from lossreg.training.optim.optimizer import OptimizerPlan, build_optimizer
from lossreg.training.optim.probe import find_needs, make_once
from lossreg.training.optim.routing import plan_optimizer, rest_warning
from lossreg.training.optim.sharded import is_sharded, try_sharded
from lossreg.training.optim.support import needs_warnings
from lossreg.training.optim.trial_step import try_step
from lossreg.values import shown

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from lossreg.run_spec import RunSpec
    from lossreg.training.selection import Selection

logger = logging.getLogger("lossreg")

_BEFORE = "call parts.optimizer before DistributedDataParallel, or make that with find_unused_parameters=True"
_BY_SHAPE = re.compile(r"\bndim\s*[<>=!]|\bshape\s*=")  # in a pattern


@attrs.frozen(eq=False)
class Optimizing:
    """What optimizers are built from.

    What goes by texts and by what the loop has said is found and checked at once; what the loop has not said yet is
    asked for when an optimizer is built. What goes by a model is found once for all models that are alike.

    Attributes:
        spec: The settings.
        chosen: What is named or given.
        has_schedulers: Whether an optimizer has a scheduler of its own.
        runtime: Runtime name -> value.
        untold: The message that asks for what the loop has not said, and they go by; None if it has said all.
        plain: The optimizer, if nothing is asked of a model but its parameters; else None.
        state_text: What their states say of them.
        going_by_shape: What goes by the shapes of parameters, as an error message names it.
        goes_by_names: Whether of usual parameters only the names matter: no pattern has shapes, no optimizer is tried.
        changes_the_model: Whether a model is frozen, or an object is used up, so that the second time is not like the
            first.
    """

    spec: RunSpec
    chosen: Selection
    has_schedulers: bool
    runtime: dict[str, Any]
    untold: str | None
    plain: PlainOptimizer | None
    state_text: StateText
    going_by_shape: tuple[str, ...]
    goes_by_names: bool
    changes_the_model: bool
    _known: KnownModels = attrs.field(init=False, factory=KnownModels)

    @classmethod
    def of(cls, spec: RunSpec, chosen: Selection, scheduling: Scheduling) -> Optimizing:
        """Finds all that goes by texts and by what the loop has said.

        Args:
            spec: The settings.
            chosen: What is named or given.
            scheduling: When schedulers step.

        Raises:
            UnknownParameterError: If a required parameter is missing.
        """
        loop, interval = scheduling.loop, scheduling.stepping.interval
        optimizers = optimizers_of(chosen)
        runtime = loop.runtime(interval)
        untold = next(filter(None, (loop.asks(one.resolved, interval) for one in optimizers)), None)
        plain = None
        if untold is None:
            first, *_ = [one.builder(runtime) for one in optimizers]  # none of them lacks a parameter
            plain = PlainOptimizer.of(spec, chosen, first)
        going_by_shape = tuple(_going_by_shape(spec, chosen))
        schedule = None if scheduling.has_own else chosen.scheduler or ""
        return cls(
            spec,
            chosen,
            scheduling.has_own,
            runtime,
            untold,
            plain=plain,
            state_text=StateText(optimizers, spec.param_groups, schedule, spec.freeze or ""),
            going_by_shape=going_by_shape,
            goes_by_names=not going_by_shape and all(one.resolved and says_all(one.resolved) for one in optimizers),
            changes_the_model=spec.freeze is not None or any(one.resolved is None for one in optimizers),
        )

    def build(
        self, model: nn.Module, loss: LossAdapter | None, *, fused: bool
    ) -> tuple[Optimizer, OptimizerPlan | None]:
        """Builds the optimizer of a model and of the loss.

        Args:
            model: The model.
            loss: The loss, or None.
            fused: Whether one that can is fused.

        Returns:
            The optimizer, and what it was built from; None where no scheduler has to know.

        Raises:
            LossregError: If it cannot be built.
        """
        if not isinstance(model, nn.Module) or self.untold is not None:
            raise self._refusal(model)
        criterion = None if loss is None else loss.criterion
        if self.plain is not None and not fused:
            reshard(model)
            built = self.plain.build(model, criterion)
            if built is not None:
                self.state_text.follow(built)
                return built, None
        of_loss = criterion if may_train(criterion) else None
        by_names = self.goes_by_names and not fused
        members = Members(model, of_loss, by_names=by_names)
        known = None if self.changes_the_model else self._known.get(model, members, fused=fused)
        if known is None:
            reshard(model)  # nothing is known of a model with shards
            members = Members(model, of_loss, by_names=by_names)
            return self._built(self._find(model, loss, members, fused=fused))
        if known.quick is None:
            return self._built(known.again(members.parameters, unwrapped(model)))
        optimizer = known.quick.build(members.parameters)
        self.state_text.follow(optimizer)
        if known.found.sentences:
            _warn(known.found.sentences)
        return optimizer, None

    def _find(self, model: nn.Module, loss: LossAdapter | None, members: Members, *, fused: bool) -> Found:
        """What the optimizer of a model is built from, checked and tried, and remembered where it can be."""
        check_shapes(model, self.going_by_shape)
        objective, label = self.objective(model, loss)
        with not_frozen_in_parallel(model, objective.model, _BEFORE):
            found = self._found(objective, label, fused=fused)
        named = objective.named()
        if not self.changes_the_model and not any(map(is_sharded, named.values())):
            quick = not self.has_schedulers
            self._known.add(model, members, named, found, fused=fused, quick=quick)
        return found

    def _built(self, found: Found) -> tuple[Optimizer, OptimizerPlan]:
        """The optimizer, and what it was built from."""
        built, warning = build_optimizer(found.plan)
        _warn((*filter(None, [warning]), *found.sentences))
        choice, optimizer = self.chosen.optimizer, built
        if isinstance(built, JointOptimizer):
            optimizer = HostJoint(built.members, None if choice.rest is None else choice.label)
        self.state_text.follow(optimizer)
        watch_steps(optimizer, found.plan)
        return optimizer, found.plan

    def _refusal(self, model: object) -> ConfigError:
        """That a model is not a module, or the loop has not said what is asked for."""
        if isinstance(model, nn.Module) and self.untold is not None:
            return ConfigError(self.untold)
        return ConfigError(
            f"an optimizer is built for a model, a torch.nn.Module, whose parameters have names, not for {shown(model)}"
        )

    def _found(self, objective: HostObjective, label: str, *, fused: bool) -> Found:
        """What the optimizer of a model is built from, checked and tried."""
        plan_frozen(self.spec, objective, label)
        keep_modes(self.spec, objective)
        plan = self.plan(objective, label)
        device = device_of(plan)
        plan = find_needs(make_once(plan), device)
        if fused:
            plan = try_step(plan, device, unfused=False)
        plan = try_sharded(plan, device)
        sentences = (*needs_warnings(plan), rest_warning(self.chosen.optimizer, plan))
        return Found(plan, tuple(filter(None, sentences)))

    def objective(self, model: nn.Module, loss: LossAdapter | None) -> tuple[HostObjective, str]:
        """Model and loss as one module, and the model in an error message.

        Raises:
            ConfigError: If the model is not a module, or nothing of it can be trained, or the loop has not said what is
                asked for.
        """
        if not isinstance(model, nn.Module) or self.untold is not None:
            raise self._refusal(model)
        objective = HostObjective(model, LossAdapter(no_loss) if loss is None else loss)
        label = type(objective.model).__name__
        if not objective.trainable():
            why = "each of its parameters has requires_grad=False" if objective.named() else "it has no parameters"
            raise ConfigError(f"the model {label} has no weight that can be trained: {why}")
        return objective, label

    def plan(self, objective: HostObjective, label: str) -> OptimizerPlan:
        """What the optimizers are built from, before any trial.

        Args:
            objective: Model and loss.
            label: The model in an error message.

        Raises:
            LossregError: If a pattern or its options are wrong.
        """
        runtime = {**self.runtime, "model": objective.model}
        chosen = self.chosen
        return plan_optimizer(
            chosen.optimizer, self.spec.param_groups, chosen.group_optimizers, objective, label, runtime
        )


def _going_by_shape(spec: RunSpec, chosen: Selection) -> Iterator[str]:
    """What goes by the shapes of parameters, as an error message names it."""
    if chosen.optimizer.rest is not None:
        yield f"the optimizer {chosen.optimizer.label}"
    groups = spec.param_groups
    yield from (f"param_groups: {one.pattern!r}" for one in groups if one.is_preset)
    patterns = [*(one.pattern for one in groups if not one.is_preset), *filter(None, [spec.freeze])]
    yield from (f"the pattern {text!r}" for text in patterns if _BY_SHAPE.search(text))


def _warn(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        logger.warning("%s", sentence)


def no_loss(output: Tensor, target: Tensor) -> Tensor:
    """Stands for a loss where none is named, so that an optimizer can be built for the model alone."""
    del target
    return output


def device_of(plan: OptimizerPlan) -> torch.device:
    """Where the parameters are.

    Raises:
        ConfigError: If they are nowhere yet.
    """
    names = (name for member in plan.members for group in member.groups for name in group.names)
    empty = [name for name, one in zip(names, plan.parameters, strict=True) if one.is_meta]
    if empty:
        raise ConfigError(
            f"{empty[0]} has no values yet (it is on the device meta), and gets others in place of it: call "
            "parts.optimizer after to_empty() and the initialisation of the weights"
        )
    return next((parameter.device for parameter in plan.parameters), torch.device("cpu"))
