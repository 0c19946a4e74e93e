"""What `lossreg.parts` returns: loss, optimizer and schedule by name, for a loop that is not lossreg's."""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor, nn

import lossreg
from lossreg.embedding.arguments import check_optimizer
from lossreg.embedding.freezing import plan_frozen
from lossreg.embedding.host_loss import HostLoss, SharedLoss
from lossreg.embedding.host_objective import check_is_whole
from lossreg.embedding.host_scheduler import HostScheduler
from lossreg.embedding.loop_facts import LoopFacts
from lossreg.embedding.needs import needs_of
from lossreg.embedding.optimizing import Optimizing, device_of
from lossreg.embedding.prepared import prepare
from lossreg.embedding.scheduling import Scheduling, optimizers_of
from lossreg.errors import ConfigError
from lossreg.registry.nested import names_monitor
from lossreg.run_spec import Interval
from lossreg.training.optim.needs import Needs, union
from lossreg.training.optim.optimizer import OptimizerPlan
from lossreg.training.optim.probe import find_needs, make_once
from lossreg.training.optim.routing import describe_groups
from lossreg.training.optim.trial_step import try_step
from lossreg.training.selection import Request, Selection
from lossreg.values import shown

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from lossreg.data import Task
    from lossreg.training.choice import Choice
    from lossreg.training.loss.adapter import LossAdapter


class _Shared:
    """What all copies of the parts have in common: the loss, and from what each optimizer was built."""

    def __init__(self, loss: HostLoss | None = None) -> None:
        self.loss = loss
        self.empty: HostLoss | None = None  # the module that becomes it: making one takes longer than the rest
        self.plans: weakref.WeakKeyDictionary[Optimizer, OptimizerPlan] = weakref.WeakKeyDictionary()
        self.lock = threading.RLock()

    def __reduce__(self) -> tuple[Any, ...]:
        return _Shared, (self.loss,)  # optimizers belong to the process that built them


@attrs.frozen(eq=False, repr=False)
class HostParts:
    """Loss, optimizer and schedule by name for a loop that is not lossreg's; `lossreg.parts` makes it.

    It can be pickled, and used by several threads.

    Attributes:
        task: What the loss is adapted to, or None where no loss is named.
        loop: What the host says about its loop.
        left: Settings of a file or a past run that the loop of the host has to heed, such as clip_grad_norm.
        epochs_are_read: Whether the epochs of the loop are those of a file or a past run, not an argument.
    """

    task: Task | None
    loop: LoopFacts
    left: Mapping[str, Any]
    _request: Request
    _shared: _Shared = attrs.field(factory=_Shared)
    epochs_are_read: bool = False
    _selection: Selection = attrs.field(init=False)
    _loss: SharedLoss | None = attrs.field(init=False)
    _scheduling: Scheduling = attrs.field(init=False)
    _optimizing: Optimizing = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        prepared = prepare(self._request, self.task, self.loop)
        object.__setattr__(self, "_selection", prepared.selection)
        object.__setattr__(self, "_loss", prepared.loss)
        object.__setattr__(self, "_scheduling", prepared.scheduling)
        object.__setattr__(self, "_optimizing", prepared.optimizing)
        object.__setattr__(self, "task", None if prepared.loss is None else prepared.loss.task)
        if prepared.loss is not None and self._shared.empty is None:
            self._shared.empty = HostLoss(prepared.loss.takes)

    def __reduce__(self) -> tuple[Any, ...]:
        return HostParts, (self.task, self.loop, self.left, self._request, self._shared, self.epochs_are_read)

    def __repr__(self) -> str:
        return f"lossreg.parts({', '.join(f'{field}={text!r}' for field, text in self.texts.items())})"

    def for_loop(self, **facts: Any) -> HostParts:
        """The same parts, with the same loss, for a loop of which more is known.

        Args:
            facts: `epochs`, `steps_per_epoch`, `total_steps`, `num_samples`, `num_classes`.

        Raises:
            ConfigError: If a fact is unknown, or no count.

        Example:
            >>> import lossreg
            >>> lossreg.parts(scheduler="cosine").for_loop(epochs=5).loop.epochs
            5
        """
        for name in facts:
            if name not in attrs.fields_dict(LoopFacts):
                raise ConfigError(f"a loop has {', '.join(attrs.fields_dict(LoopFacts))}, not {shown(name)}")
        old = attrs.asdict(self.loop)
        if facts.keys() & {"epochs", "steps_per_epoch"} and "total_steps" not in facts:
            old["total_steps"] = None  # it follows from the others
        are_read = self.epochs_are_read and "epochs" not in facts
        return HostParts(self.task, LoopFacts(**{**old, **facts}), self.left, self._request, self._shared, are_read)

    @property
    def loss(self) -> HostLoss:
        """The loss, called as `loss(output, target)` with the targets of the data set; always the same module.

        Raises:
            LossregError: If it cannot be built, or none is named.
        """
        built = self._shared.loss
        if built is not None:
            return built
        with self._shared.lock:
            if self._shared.loss is None:
                if self._loss is None or self._shared.empty is None:
                    raise ConfigError(
                        "no loss is named; write lossreg.parts(loss=...), or task=... for the loss of a task"
                    )
                self._shared.loss = self._loss.into(self._shared.empty)
            return self._shared.loss

    def optimizer(self, model: nn.Module, *, fused: bool = False) -> Optimizer:
        """Builds the optimizer of a model, and of the loss where that has weights of its own.

        Parameters that `freeze` names are frozen. Optimizers for several groups of parameters are one object, which
        steps them all.

        Args:
            model: The model; patterns are those of its own names, also below DistributedDataParallel, torch.compile and
                checkpoint_wrapper. One of `fully_shard` is given as that has left it, in every process.
            fused: Whether an optimizer that can is fused, as in a run of lossreg: faster, but not for a loop with a
                gradient scaler. A step with throw-away weights shows whether it can.

        Raises:
            LossregError: If it cannot be built for this model.
        """
        optimizer, plan = self._optimizing.build(model, self._adapter, fused=fused)
        if plan is not None:
            self._shared.plans[optimizer] = plan
        return optimizer

    @property
    def _adapter(self) -> LossAdapter | None:
        return None if self._loss is None else self.loss.adapter

    @property
    def interval(self) -> Interval:
        """What the scheduler counts: `"epoch"` or `"step"`."""
        return self._scheduling.stepping.interval

    @property
    def monitor(self) -> str | None:
        """The metric that the scheduler follows, or None."""
        return self._scheduling.stepping.monitor

    @property
    def names_monitor(self) -> bool:
        """Whether that metric was named, by a text or by a plugin; if not, it is the default of a run of lossreg."""
        choice = self._selection.scheduler
        return choice is not None and choice.resolved is not None and names_monitor(choice.resolved)

    @property
    def has_loss(self) -> bool:
        """Whether a loss is named, or the task of which one is taken."""
        return self._loss is not None

    @property
    def schedules_rates(self) -> bool:
        """Whether there is a scheduler: that of the parts, or one that an optimizer has of its own."""
        return self._selection.scheduler is not None or self._scheduling.has_own

    def scheduler(self, optimizer: Optimizer, *, each: Interval | None = None) -> HostScheduler | None:
        """Builds the scheduler of an optimizer; None for a constant rate.

        Args:
            optimizer: What `optimizer` gave.
            each: After what the loop calls `scheduler.step()`: each `"epoch"`, or each `"step"` of the optimizer. None
                is what the scheduler counts, which its `interval` says.

        Raises:
            LossregError: If it cannot be built, or the loop has not said what it needs.
        """
        check_optimizer(optimizer, "parts.scheduler(optimizer)")
        return self._scheduling.build(optimizer, self._shared.plans, each)

    @functools.cached_property  # a trial may be taken for it
    def needs(self) -> Needs:
        """What the optimizer's step needs of the loop: a closure, modes, gradients of gradients."""
        runtime = self.loop.runtime(self.interval)
        return union([needs_of(choice, runtime) for choice in optimizers_of(self._selection)])

    def check(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> None:
        """Sends one batch through copies of model and loss and back, and takes a step with throw-away weights.

        Neither weights nor random generators change.

        Args:
            model: The model.
            batch: Inputs and targets.

        Raises:
            LossregError: That says what does not fit.
        """
        from lossreg.embedding.probing import probe  # most training scripts do not ask

        if self._loss is None:
            raise ConfigError("no loss is named, so nothing can be checked; write lossreg.parts(loss=...)")
        objective, label = self._optimizing.objective(model, self._adapter)
        check_is_whole(model, label)
        freezing = plan_frozen(self._request.spec, objective, label)
        try:
            plan = self._optimizing.plan(objective, label)
            device = device_of(plan)
            found = probe(objective, self._loss.choice, self._loss.task, batch, self._request.registries)
            plan = make_once(plan.with_sparse(found, objective.trainable()))
            try_step(find_needs(plan, device), device, unfused=True)
        finally:
            freezing.end(objective)

    @property
    def _named(self) -> dict[str, Choice]:
        """Field -> what fills it."""
        chosen, loss = self._selection, None if self._loss is None else self._loss.choice
        named = {"loss": loss, "optimizer": chosen.optimizer, "scheduler": chosen.scheduler}
        return {field: choice for field, choice in named.items() if choice is not None}

    @property
    def texts(self) -> dict[str, Any]:
        """The canonical texts, with full ids; an object has its class."""
        spec = self._request.spec
        texts: dict[str, Any] = {
            field: choice.label if choice.spec is None else choice.spec.text for field, choice in self._named.items()
        }
        if spec.param_groups:
            texts["param_groups"] = {group.pattern: group.value for group in spec.param_groups}
        for name in ("freeze", "scheduler_interval"):
            if getattr(spec, name) is not None:
                texts[name] = getattr(spec, name)
        return texts

    def describe(self, model: nn.Module | None = None) -> dict[str, Any]:
        """The parts as plain data for the log of a host: texts, all parameters, provenance, contract, versions.

        A parameter that the loop has not told yet is the name of what it will be, such as `"<span>"`.

        Args:
            model: A model of which `groups` says what trains which parameter.

        Raises:
            LossregError: If a pattern does not fit the model.
        """
        _, *others = optimizers_of(self._selection)
        named = self._named | {f"optimizer.{number}": one for number, one in enumerate(others, start=2)}
        adapter = None if self._loss is None else self.loss.adapter
        return {
            "spec": self.texts,
            "objects": [field for field, choice in named.items() if choice.spec is None],
            "components": {
                field: choice.facts(self.loop.described(self.interval))
                for field, choice in named.items()
                if choice.spec is not None
            },
            "task": self.task,
            "loop": self.loop.known(),
            "contract": {
                "input": adapter and adapter.input,
                "target": adapter and adapter.target,
                "interval": self.interval,
                "monitor": self.monitor,
            },
            "optimizer_needs": self.needs.to_json(),
            "left_to_the_loop": dict(self.left),
            "versions": {"lossreg": lossreg.__version__, "torch": str(torch.__version__)},
            **({} if model is None else {"groups": self._groups(model)}),
        }

    def _groups(self, model: nn.Module) -> list[dict[str, Any]]:
        """What each group of parameters of a model is trained with."""
        objective, label = self._optimizing.objective(model, self._adapter)
        freezing = plan_frozen(self._request.spec, objective, label)
        try:
            return describe_groups(self._optimizing.plan(objective, label))
        finally:
            freezing.end(objective)
