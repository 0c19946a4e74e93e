"""One choice of the settings of a search, looked up and built once with throw-away weights."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

import torch
from torch.nn import Parameter

from lossreg.data import Data, Task
from lossreg.embedding.host_loss import task_of
from lossreg.embedding.loop_facts import LoopFacts, asked_by
from lossreg.errors import BuildError, ConfigError, LossregError, describe_error
from lossreg.registry.build import resolve
from lossreg.registry.from_data import FromData
from lossreg.registry.nested import interval_of
from lossreg.spec import ComponentSpec
from lossreg.training.adapting import build_criterion
from lossreg.training.arguments import split_arguments, split_metrics, split_observers
from lossreg.training.choice import Choice
from lossreg.training.loss.adapter import LossAdapter, adapt, one_hot_like
from lossreg.training.loss.fitting import misfit
from lossreg.training.optim.group_options import GroupOptions
from lossreg.training.optim.probe import find_needs, plan_alone
from lossreg.training.optim.scheduler import build_scheduler
from lossreg.training.optim.stand_ins import stand_ins_of
from lossreg.training.seeds import forked_generators
from lossreg.training.selection import Request, Selection, select, select_metrics

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from lossreg.groups import ParamGroup
    from lossreg.registry.registries import Registries
    from lossreg.run_spec import RunSpec

_CPU = torch.device("cpu")


def try_settings(settings: Mapping[str, Any], registries: Registries, task: Task | None = None) -> None:
    """Looks all names and parameters up, and builds loss, optimizers and schedules as far as they need no loop.

    Neither random generators nor what is given as an object change.

    Args:
        settings: Of a run, without ranges.
        registries: Where names are looked up.
        task: That of the data, which the loss has to fit; None is the task of data that are given as an object, if any.

    Raises:
        LossregError: If something is wrong; its attribute `setting` says where, if that is known.
    """
    named, observers = split_observers(settings)
    named, metrics = split_metrics(named)
    spec, objects = split_arguments(named, "suggest", registries)
    request = Request(spec, objects, registries, observers, metrics)
    chosen = select(request)
    select_metrics(request)
    data = settings.get("data")
    task = data.task if task is None and isinstance(data, Data) else task
    if task is not None and chosen.loss is not None:
        task_of(chosen.loss, task)  # raises where it does not fit
    loop = LoopFacts(epochs=spec.epochs if "epochs" in settings else None)
    with forked_generators(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the run gives them
        _try_each(chosen, request, loop)


def _try_each(chosen: Selection, request: Request, loop: LoopFacts) -> None:
    spec, registries = request.spec, request.registries
    loss = chosen.loss
    if loss is not None and _can_be_built(loss, loop):
        with _about("loss"):
            _try_loss(loss, loop, registries)
    stand_in = torch.optim.SGD([Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
    rest = [one for one in (chosen.optimizer, chosen.optimizer.rest) if one is not None]
    for setting, some in (("optimizer", rest), ("param_groups", [*chosen.group_optimizers.values()])):
        for one in some:
            with _about(setting):
                built = _optimizer(one, loop) if _can_be_built(one, loop) else stand_in
                _try_schedule(one.scheduler, built, spec, loop)
            if one is chosen.optimizer:
                with _about("scheduler"):
                    _try_schedule(chosen.scheduler, built, spec, loop)
    with _about("param_groups"):
        for group in spec.param_groups:
            if group.options:
                _try_options(group, rest, loop)


@contextlib.contextmanager
def _about(setting: str) -> Iterator[None]:
    """Says of an error which setting it is about, unless it says so itself."""
    try:
        yield
    except LossregError as error:
        error.setting = error.setting or setting
        raise


def _can_be_built(choice: Choice, loop: LoopFacts) -> bool:
    """Whether a component needs nothing that only the loop or the data know."""
    if choice.resolved is None or any(isinstance(value, FromData) for value in choice.resolved.params.values()):
        return False
    known = loop.runtime("epoch")
    return all(name in known for _, _, name in asked_by(choice.resolved, optional=True))


def _try_loss(choice: Choice, loop: LoopFacts, registries: Registries) -> None:
    """Builds a loss, and computes it for random batches, where some of torch's look at their parameters first.

    What fails on all batches is wrong if the loss does not fail on one of them with its own defaults.
    """
    runtime, component, resolved = loop.runtime("epoch"), choice.component, choice.resolved
    criterion = build_criterion(choice, runtime)
    assert resolved is not None  # noqa: S101  # the caller has looked
    try:
        usual = resolve(registries.losses, ComponentSpec(resolved.entry.id)).build(runtime=runtime)
    except LossregError:  # it needs a parameter
        return
    # A list may be a number for each class.
    counts = dict.fromkeys((3, *(len(value) for value in resolved.written.values() if isinstance(value, tuple))))
    failure: Exception | None = None
    for task in get_args(Task):
        for count in counts if misfit(component, task) is None else ():
            error = _failure(adapt(criterion, component, task), task, count)
            if error is None:
                return
            if _failure(adapt(usual, component, task), task, count) is None:
                failure = failure or error
    if failure is not None:
        raise ConfigError(f"the loss {choice.label} fails: {describe_error(failure)}") from failure


@torch.no_grad()
def _failure(loss: LossAdapter, task: Task, classes: int) -> Exception | None:
    """What a loss raises for a random batch, or None."""
    output = torch.randn(4, classes, *((2, 2) if task == "segmentation" else ()))
    target = output.clone() if task == "regression" else output.argmax(1)
    try:
        loss(output, one_hot_like(target, output) if task == "multilabel" else target)
    except Exception as error:
        return error
    return None


def _optimizer(choice: Choice, loop: LoopFacts) -> Optimizer:
    """An optimizer of throw-away weights."""
    assert choice.resolved is not None  # noqa: S101  # the caller has looked
    plan = plan_alone(choice.resolved, loop.runtime("epoch"))
    try:
        return plan.build(stand_ins_of(plan, _CPU))
    except BuildError:
        if choice.component.needs is not None:
            raise
        with contextlib.suppress(LossregError):  # what was refused first is what is told
            plan = find_needs(plan, _CPU)  # what takes names or the model, and does not say so
            return plan.build(stand_ins_of(plan, _CPU))
        raise


def _try_options(group: ParamGroup, optimizers: Sequence[Choice], loop: LoopFacts) -> None:
    """Tries the options of a group with each optimizer that may train it; it is enough if one takes them."""
    failed = []
    for one in optimizers:
        try:
            options = GroupOptions(one, None, loop.runtime("epoch"))
            options.of(group, 0, Parameter(torch.zeros(2, 2)), "weight", undecayed=False)
        except LossregError as error:
            failed.append(error)
        else:
            return
    raise failed[0]


def _try_schedule(choice: Choice | None, optimizer: Optimizer, spec: RunSpec, loop: LoopFacts) -> None:
    """Builds a schedule, where that needs no more of the loop than is known."""
    if choice is None or choice.resolved is None:
        return
    interval = spec.scheduler_interval or interval_of(choice.resolved)
    if interval == "epoch" and _can_be_built(choice, loop):
        rates = [group["lr"] for group in optimizer.param_groups]
        build_scheduler(choice, optimizer, loop.runtime("epoch"))
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
