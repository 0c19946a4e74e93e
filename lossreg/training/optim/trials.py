"""Ways to take a step, each tried with a throw-away optimizer, and which of them is the right one."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import attrs
import torch
from torch import Tensor
from torch.nn import Parameter

from lossreg.plugins.isolation import is_from_outside
from lossreg.training.optim.modes import set_training_mode
from lossreg.training.optim.needs import Backward, Needs, take_step
from lossreg.training.optim.throw_away import Subject
from lossreg.training.seeds import forked_generators, seed_construction

if TYPE_CHECKING:
    from torch.optim import Optimizer

STEPS = 12  # some compute second derivatives only in every tenth step


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


def trials_of(needs: Needs, unsaid: tuple[str, ...], make: Callable[[], Subject]) -> Iterator[Trial]:
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


def best_of(trials: list[Trial]) -> Trial | None:
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
