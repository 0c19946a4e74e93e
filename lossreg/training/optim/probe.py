"""What an optimizer leaves unsaid, found out with throw-away weights before a run.

Each way to take a step is tried, and compared with the others where a wrong one would not fail: an optimizer that
climbs along the gradients that it finds (SAM) steps without them, too, but elsewhere.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch import Tensor
from torch.nn import Parameter

from lossreg.errors import BuildError, ConfigError, LossregError, describe_error
from lossreg.plugins.isolation import is_from_outside
from lossreg.registry.build import ResolvedComponent
from lossreg.registry.levels import nested_in
from lossreg.training.optim.loading import why_not_kept
from lossreg.training.optim.modes import has_modes, set_training_mode
from lossreg.training.optim.needs import PROBED, Backward, Needs, declared_needs, set_gradients, take_step
from lossreg.training.optim.optimizer import OptimizerPlan
from lossreg.training.optim.param_groups import OptimizerGroup
from lossreg.training.optim.sharded import whole_in_place_of
from lossreg.training.optim.stand_ins import as_sparse, copy_optimizer, stand_ins_of
from lossreg.training.optim.trial_step import cannot_step
from lossreg.training.seeds import forked_generators, seed_construction
from lossreg.training.selection import Choice

if TYPE_CHECKING:
    from torch.optim import Optimizer

STEPS = 12  # some compute second derivatives only in every tenth step

#: A word for `routes`, what it means, a pattern of all others, and whether a number of dimensions is for it.
_ROUTES: tuple[tuple[str, str, str, Callable[[int], bool]], ...] = (
    ("weights", "parameters of two dimensions or more", "ndim<2", lambda ndim: ndim >= 2),
    ("matrices", "matrices", "ndim!=2", lambda ndim: ndim == 2),
)


@attrs.frozen(eq=False)
class Trial:
    """Some steps in one way.

    Attributes:
        needs: The way.
        make: Made the optimizer, and makes others like it.
        optimizer: What stepped; None if it failed.
        weights: The throw-away weights after the steps.
        moved: Whether they changed.
        passes: How often each step computed gradients; None if that differs.
        elsewhere: Whether a closure was called at other weights than those before the step.
        error: What went wrong, or None.
    """

    needs: Needs
    make: Callable[[], Subject]
    optimizer: Optimizer | None
    weights: tuple[Parameter, ...]
    moved: bool
    passes: int | None
    elsewhere: bool = False
    error: BaseException | None = None

    def is_like(self, other: Trial) -> bool:
        """Whether another way led to the same weights."""
        pairs = zip(self.weights, other.weights, strict=True)
        return all(torch.equal(mine.nan_to_num(), theirs.nan_to_num()) for mine, theirs in pairs)


@attrs.frozen(eq=False)
class Subject:
    """A throw-away optimizer with what gives its weights gradients."""

    optimizer: Optimizer
    backward: Any

    def backward_of(self, step: int) -> Backward:
        """The same with a loss that goes up and down from step to step: what goes by the loss shows it."""

        def backward(*, create_graph: bool = False) -> Tensor:
            loss: Tensor = self.backward(create_graph=create_graph)
            return loss + 10.0 * (step % 4)

        return backward


class Watched:
    """Computes gradients, and sees where: at the weights before the step, or elsewhere.

    Args:
        backward: Computes them.
        weights: All weights.
    """

    def __init__(self, backward: Backward, weights: Sequence[Parameter]) -> None:
        self._backward = backward
        self._weights = weights
        self._before = [one.detach().clone() for one in weights]
        self.elsewhere = False

    def __call__(self, *, create_graph: bool = False) -> Tensor:
        """Computes them."""
        pairs = zip(self._weights, self._before, strict=True)
        self.elsewhere = self.elsewhere or any(not torch.equal(one, old) for one, old in pairs)
        return self._backward(create_graph=create_graph)


def make_once(plan: OptimizerPlan) -> OptimizerPlan:
    """Calls a function that makes an optimizer: what it made is the optimizer from then on."""
    given = plan.choice.given
    if plan.made is not None or plan.choice.resolved is not None or isinstance(given, type):
        return plan
    (own, *_) = plan.members
    return attrs.evolve(plan, made=own.build())


def find_needs(plan: OptimizerPlan, device: torch.device) -> OptimizerPlan:
    """Tries out what the records of the optimizers leave unsaid.

    Args:
        plan: The optimizer, and those that step together with it.
        device: Where they step.

    Returns:
        The plan with all that each optimizer needs.

    Raises:
        LossregError: If an optimizer can step in no way, lacks the modes that it declares, or wraps an optimizer that
            it does not support.
    """
    first, *others = [_find(member, device, is_alone=not plan.others) for member in plan.members]
    return attrs.evolve(first, others=tuple(others))


def _find(plan: OptimizerPlan, device: torch.device, *, is_alone: bool) -> OptimizerPlan:
    """The plan of one optimizer with all that it needs."""
    _check_wrapped(plan, device, is_alone=is_alone)
    component = plan.choice.component
    plan = make_once(plan)
    unsaid = tuple(field for field in PROBED if component is None or getattr(component, field) is None)
    if not unsaid:
        return plan
    trial = _chosen_trial(plan, unsaid, device, is_alone=is_alone)
    if trial is None:  # an object that cannot be copied
        return plan
    optimizer, make = trial.optimizer, trial.make
    assert optimizer is not None  # noqa: S101  # what failed is not chosen
    modes = _switches(optimizer, trial.weights) if "modes" in unsaid else plan.needs.modes
    why = why_not_kept(optimizer, lambda: make().optimizer)
    needs = attrs.evolve(trial.needs, modes=modes, found=unsaid, passes=trial.passes, unreadable=why)
    return attrs.evolve(plan, needs=needs)


def plan_alone(resolved: ResolvedComponent[Any], runtime: Mapping[str, Any]) -> OptimizerPlan:
    """An optimizer outside of a run, for a small linear model.

    Args:
        resolved: The optimizer.
        runtime: Runtime name -> value.
    """
    model = torch.nn.Linear(3, 2, bias=False)  # some take nothing but matrices
    return OptimizerPlan(
        Choice(resolved.spec.name.rpartition(".")[2], resolved),
        [OptimizerGroup({}, [*model.parameters()], ("weight",))],
        False,
        {**runtime, "model": model},
        needs=declared_needs(resolved.entry.component),
    )


def _chosen_trial(
    plan: OptimizerPlan, unsaid: tuple[str, ...], device: torch.device, *, is_alone: bool
) -> Trial | None:
    """The way in which the optimizer steps as it should."""
    refused: LossregError | None = None
    failure: BaseException | None = None
    firsts: list[tuple[str, ...]] = [plan.needs.needs]
    if "needs" in unsaid and plan.choice.resolved is not None:
        takes_all = is_alone and not plan.has_patterns
        firsts += [("named_params",), ("model",)] if takes_all else [("named_params",)]
    for first in firsts:
        shaped = attrs.evolve(plan, needs=attrs.evolve(plan.needs, needs=first))
        try:
            make = _maker(shaped, device)
        except LossregError as error:
            if not isinstance(error, BuildError):
                raise
            refused = refused or error
            continue
        if make is None:
            return None
        trials = [*_trials(shaped.needs, unsaid, make)]
        chosen = _best(trials)
        if chosen is not None:
            return chosen
        failure = failure or trials[0].error
    if failure is None:
        assert refused is not None  # noqa: S101  # each of them failed in one way or the other
        way_out = _routes_out(plan, unsaid, device) or _groups_out(plan, device, refused.__cause__)
        refused.message = _joined(refused.message, way_out)
        raise refused
    cannot = cannot_step(plan, device, failure)
    cannot.message = _joined(cannot.message, _routes_out(plan, unsaid, device))
    raise cannot from failure


def _joined(message: str, way_out: str) -> str:
    """A message with its end."""
    return f"{message.rstrip('.')}; {way_out}" if way_out else message


def _routes_out(plan: OptimizerPlan, unsaid: tuple[str, ...], device: torch.device) -> str:
    """For which parameters a class is that fails with all of them, as the end of a message; or nothing."""
    component = plan.choice.component
    if component is None or component.routes != "all" or plan.has_patterns or plan.takes_model:
        return ""
    (group,) = plan.groups
    for routes, what, pattern, fits in _ROUTES:
        some = [index for index, one in enumerate(group.parameters) if fits(one.ndim)]
        if not some or len(some) == len(group.parameters):
            continue
        parameters, names = [group.parameters[index] for index in some], tuple(group.names[index] for index in some)
        part = group._replace(parameters=parameters, names=names)
        try:
            make = _maker(attrs.evolve(plan, groups=[part]), device)
        except LossregError:
            continue
        if make is not None and _best([*_trials(plan.needs, unsaid, make)]) is not None:
            return (
                f"it works on {what} alone: register it with routes={routes!r}, or give the others an optimizer of "
                f"their own by param_groups: {pattern + ': adamw'!r}"
            )
    return ""


def _first_parameter(factory: Callable[..., Any]) -> str:
    """The name of the first parameter of a factory, or an empty text."""
    try:
        return next(iter(inspect.signature(factory).parameters), "")
    except (TypeError, ValueError):
        return ""


def _groups_out(plan: OptimizerPlan, device: torch.device, failure: BaseException | None) -> str:
    """What a class takes that cannot be built from parameters, as the end of a message; or nothing."""
    resolved = plan.choice.resolved
    if resolved is None or resolved.entry.component.needs is not None:
        return ""
    first = _first_parameter(resolved.entry.factory)
    if first.endswith("optimizer"):
        return (
            f"it takes the optimizer that it wraps ({first}): register it with needs='optimizer', and write "
            f"{plan.choice.label}({first}=sgd)"
        )
    if plan.has_patterns:
        return ""
    grouped = attrs.evolve(plan, has_patterns=True)
    try:
        with forked_generators(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            grouped.build(stand_ins_of(grouped, device))
    except LossregError as error:
        cause = error.__cause__
        if cause is None or str(cause) == str(failure):
            return ""
        return (
            f"given groups of parameters it says: {describe_error(cause)[:200]} (param_groups gives groups their "
            "options: 'ndim>=2: OPTION=VALUE')"
        )
    return "it takes groups of parameters: write param_groups"


def _trials(needs: Needs, unsaid: tuple[str, ...], make: Callable[[], Subject]) -> Iterator[Trial]:
    """The ways to take a step that contradict no declaration, the usual one first; no more than are needed."""
    closures = [False, True] if "closure" in unsaid and not needs.closure else [needs.closure]
    graphs = [False, True] if "create_graph" in unsaid else [needs.create_graph]
    moved = False
    for graph in graphs:
        for closure in closures:
            before = [False, True] if closure and "needs" in unsaid and not needs.gradients else [needs.gradients]
            done = []
            for gradients in before:
                words = (*needs.needs, "gradients") if gradients and not needs.gradients else needs.needs
                way = attrs.evolve(needs, closure=closure, create_graph=graph, needs=words)
                done.append(_try(way, make))
            yield from done
            moved = moved or any(trial.error is None and trial.moved for trial in done)
        if moved:
            return


def _best(trials: list[Trial]) -> Trial | None:
    """The first way that moves the weights; with a closure, or gradients before it, where the optimizer uses these."""
    worked = [trial for trial in trials if trial.error is None and trial.passes != 0]  # 0: it ignores closures
    moving = [trial for trial in worked if trial.moved] or worked
    if not moving:
        return None
    best = moving[0]
    for other in moving[1:]:
        if (other.needs.gradients <= best.needs.closure) and not other.is_like(best) and _uses(other, best):
            best = other
    return best


def _uses(other: Trial, best: Trial) -> bool:
    """Whether what a way has in addition is used: a closure in a step elsewhere, or its loss, as by EmoNavi.

    It is not where the closure merely computes the gradients again, which undoes what the optimizer has done to them
    before (`p.grad.sub_(...)`, then `super().step(closure)`), or where the optimizer does not do the same twice.
    """
    if best.needs.closure or other.elsewhere:
        return True
    if not _try(best.needs, best.make).is_like(best):
        return False
    told = _try(best.needs, best.make, tells_loss=True)
    return told.error is None and not told.is_like(best)


def _try(needs: Needs, make: Callable[[], Subject], *, tells_loss: bool = False) -> Trial:
    """Takes the steps; the gradients of a step are there in the next, as in the loop.

    Args:
        needs: The way.
        make: Makes what steps.
        tells_loss: Whether a step without a closure is given the loss all the same, by one that computes nothing.
    """
    passes = set()
    elsewhere = False
    with forked_generators(), torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the optimizer of the run gives them
        seed_construction(0)
        try:
            subject = make()
            optimizer = subject.optimizer
            weights = tuple(one for group in optimizer.param_groups for one in group["params"])
            set_training_mode(optimizer)
            before = [one.detach().clone() for one in weights]
            for step in range(STEPS):
                watched = Watched(subject.backward_of(step), weights)
                passes.add(take_step(optimizer, needs, watched, tells_loss=tells_loss))
                elsewhere = elsewhere or watched.elsewhere
                if not all(one.isfinite().all() for one in weights):  # so small a problem can be too simple (Shampoo)
                    break
        except BaseException as error:
            if is_from_outside(error):
                raise
            return Trial(needs, make, None, (), moved=False, passes=None, error=error)
        finally:
            _drop_gradients(locals().get("weights", ()))
    moved = any(not torch.equal(one, old) for one, old in zip(weights, before, strict=True))
    return Trial(needs, make, optimizer, weights, moved, passes.pop() if len(passes) == 1 else None, elsewhere)


def _drop_gradients(weights: tuple[Parameter, ...]) -> None:
    """A gradient that can be differentiated refers to the weights, and they to it."""
    for weight in weights:
        weight.grad = None


def _maker(plan: OptimizerPlan, device: torch.device) -> Callable[[], Subject] | None:
    """What makes throw-away optimizers; None for an object that cannot be copied.

    Raises:
        LossregError: If the optimizer cannot be built.
    """
    given = plan.choice.given if plan.made is None else plan.made
    if isinstance(given, torch.optim.Optimizer):
        return _copier(given, plan)

    def make() -> Subject:
        stand_ins = stand_ins_of(plan, device)
        return Subject(plan.build(stand_ins), stand_ins.backward)

    with forked_generators(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the optimizer of the run gives them
        make()
    return make


def _copier(optimizer: Optimizer, plan: OptimizerPlan) -> Callable[[], Subject] | None:
    """Copies of an object, which holds the weights of the run."""
    held = [one for group in optimizer.param_groups for one in group["params"]]
    states = [one for values in optimizer.state.values() if isinstance(values, dict) for one in values.values()]
    tensors = [*held, *(one for one in states if isinstance(one, Tensor))]
    try:
        copy_optimizer(optimizer, whole_in_place_of(tensors))
    except BaseException as error:  # whatever an object of foreign code refuses
        if is_from_outside(error):
            raise
        return None
    sparse = [plan.sparse[id(one)].dimensions if id(one) in plan.sparse else 0 for one in held]

    def make() -> Subject:
        twin = copy_optimizer(optimizer, whole_in_place_of(tensors))
        weights = [one for group in twin.param_groups for one in group["params"]]

        def backward(*, create_graph: bool = False) -> Tensor:
            total = torch.stack([0.5 * one.abs().square().sum() for one in weights]).sum()
            for one in weights:
                one.grad = None
            if create_graph:
                set_gradients(total, weights)
            else:
                total.backward()
            for one, dimensions in zip(weights, sparse, strict=True):
                if dimensions and one.grad is not None:
                    one.grad = as_sparse(one.grad, dimensions)
            return total.detach()

        return Subject(twin, backward)

    return make


def _switches(optimizer: Any, weights: tuple[Parameter, ...]) -> bool:
    """Whether `eval()` gives other weights, and `train()` gives those that were there back."""
    if not has_modes(optimizer):
        return False
    trained = [one.detach().clone() for one in weights]
    try:
        with torch.no_grad():
            optimizer.eval()
            differs = any(not torch.equal(one, old) for one, old in zip(weights, trained, strict=True))
            optimizer.train()
    except BaseException as error:  # they are methods of something else
        if is_from_outside(error):
            raise
        return False
    return differs


def _check_wrapped(plan: OptimizerPlan, device: torch.device, *, is_alone: bool) -> None:
    """Checks that the optimizers that this one wraps are such as it supports.

    Raises:
        ConfigError: If one is not.
    """
    resolved = plan.choice.resolved
    for inner in nested_in(tuple(resolved.params.values())) if resolved is not None else ():
        choice = attrs.evolve(plan.choice, label=inner.spec.name.rpartition(".")[2], resolved=inner, rest=None)
        groups = [group.of_wrapped for group in plan.groups]
        wrapped = attrs.evolve(plan, choice=choice, groups=groups, needs=declared_needs(inner.entry.component))
        needs = _find(wrapped, device, is_alone=is_alone).needs
        for field, supported in plan.choice.component.wrapped.items():
            if getattr(needs, field) != supported:
                name = plan.choice.component.name
                raise ConfigError(
                    f"optimizer {name} wraps {choice.label}, which has {field}={getattr(needs, field)}; {name} "
                    f"supports optimizers with {field}={supported} only"
                )
