"""What an optimizer needs of the loop, as its record declares it or as a trial found it, and a step that gives it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import torch
from torch import Tensor

from lossreg.components import NEEDS

if TYPE_CHECKING:
    from torch.optim import Optimizer

#: What the record of an optimizer may leave unsaid, and a trial finds. The layout has a trial of its own.
PROBED = ("closure", "modes", "needs", "create_graph")


@attrs.frozen
class Needs:
    """What an optimizer needs of the loop.

    Attributes:
        closure: Whether its step takes a closure.
        modes: Whether it switches between weights that it trains and weights that are evaluated and kept.
        needs: Words of `lossreg.components.NEEDS`.
        create_graph: Whether gradients must be differentiable.
        layout: `"contiguous"` if it declares that it steps on such weights only, else None.
        found: Which of these a trial found; the record declares the others.
        passes: How often a step computes loss and gradients; None if no trial counted.
        unreadable: Why what the optimizer saves is not plain data, so that no run goes on from it; or None.
    """

    closure: bool = False
    modes: bool = False
    needs: tuple[str, ...] = ()
    create_graph: bool = False
    layout: str | None = None
    found: tuple[str, ...] = ()
    passes: int | None = None
    unreadable: str | None = None

    @property
    def first(self) -> str | None:
        """What the factory takes in place of the parameters, or None."""
        return next((word for word in self.needs if word != "gradients"), None)

    @property
    def gradients(self) -> bool:
        """Whether gradients are there before a step with a closure."""
        return "gradients" in self.needs

    @property
    def asks_of_loop(self) -> bool:
        """Whether a loop has to do more for a step than to compute gradients."""
        return self.closure or self.modes or self.create_graph

    def to_json(self) -> dict[str, Any]:
        """As the run record has it."""
        return {**attrs.asdict(self), "needs": list(self.needs), "found": list(self.found)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Needs:
        """What `to_json` was made of."""
        return cls(**{**values, "needs": tuple(values["needs"]), "found": tuple(values["found"])})

    def __str__(self) -> str:
        """One line for a person."""
        words = [*self._words()] or ["nothing but gradients"]
        passes = f"; {self.passes} passes a step" if (self.passes or 1) > 1 else ""
        source = f"found by a trial: {', '.join(self.found)}" if self.found else "declared"
        return f"{', '.join(words)}{passes} ({source})"

    def _words(self) -> Iterator[str]:
        if self.closure:
            yield "a closure after the gradients" if self.gradients else "a closure"
        if self.create_graph:
            yield "gradients of gradients"
        if self.first is not None:
            yield {"model": "the model", "named_params": "names of parameters", "optimizer": "an optimizer"}[self.first]
        if self.modes:
            yield "a switch between training and evaluation"


def declared_needs(component: Any) -> Needs:
    """What a record declares; what it leaves unsaid is None in it, and what most optimizers have here."""
    if component is None:
        return Needs()
    return Needs(
        closure=bool(component.closure) or "gradients" in (component.needs or ()),
        modes=bool(component.modes),
        needs=component.needs or (),
        create_graph=bool(component.create_graph),
        layout="contiguous" if component.layout == "contiguous" else None,
    )


def union(needs: Sequence[Needs]) -> Needs:
    """What several optimizers that step together need."""
    first, *others = needs
    if not others:
        return first
    passes = {one.passes for one in needs if one.passes is not None}
    return Needs(
        closure=any(one.closure for one in needs),
        modes=any(one.modes for one in needs),
        needs=tuple(dict.fromkeys(word for one in needs for word in one.needs)),
        create_graph=any(one.create_graph for one in needs),
        layout=next((one.layout for one in needs if one.layout is not None), None),
        found=tuple(field for field in PROBED if any(field in one.found for one in needs)),
        passes=passes.pop() if len(passes) == 1 else None,
        unreadable="; ".join(dict.fromkeys(one.unreadable for one in needs if one.unreadable is not None)) or None,
    )


class Backward(Protocol):
    """Computes new gradients and returns the loss, 0-d."""

    def __call__(self, *, create_graph: bool = False) -> Tensor:
        """Computes them.

        Args:
            create_graph: Whether they can be differentiated.
        """


def take_step(optimizer: Optimizer, needs: Needs, backward: Backward, *, tells_loss: bool = False) -> int:
    """One step as the loop takes it.

    Args:
        optimizer: The optimizer.
        needs: What its step needs.
        backward: Gives the weights new gradients.
        tells_loss: Whether a step without a closure is given one that computes nothing, and returns the loss.

    Returns:
        How often gradients were computed.
    """
    passes = 0

    def closure() -> Tensor:
        nonlocal passes
        passes += 1
        with torch.enable_grad():  # AliG calls it without
            return backward(create_graph=needs.create_graph)

    loss = closure() if not needs.closure or needs.gradients else None
    if needs.closure:
        # torch annotates closures to return a float; the loop's returns a tensor.
        optimizer.step(closure)  # type: ignore[arg-type]  # see above
    elif tells_loss:
        optimizer.step(lambda: loss)  # type: ignore[arg-type, return-value]  # see above
    else:
        optimizer.step()
    return passes


def set_gradients(loss: Tensor, parameters: list[torch.nn.Parameter], *, add: bool = False) -> None:
    """Gives parameters gradients that can be differentiated.

    Not by `backward(create_graph=True)`, which adds to gradients in place of those that are part of the graph, and
    warns of the cycle between a parameter and its gradient; who calls this ends the cycle.

    Args:
        loss: 0-d.
        parameters: Those that get gradients.
        add: Whether gradients that are there are added to.
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]  # others are frozen, for now
    gradients = torch.autograd.grad(loss, trained, create_graph=True, allow_unused=True)
    for parameter, gradient in zip(trained, gradients, strict=True):
        if gradient is not None:
            parameter.grad = parameter.grad + gradient if add and parameter.grad is not None else gradient


def asks_for(resolved: Any, name: str) -> bool:
    """Whether a component, or one that is nested in it, asks for a runtime name, or needs it first."""
    if isinstance(resolved, tuple):
        return any(asks_for(item, name) for item in resolved)
    entry = getattr(resolved, "entry", None)
    if entry is None:
        return False
    component = entry.component
    asked = name in component.runtime_args.values() or (
        name in NEEDS and name in (getattr(component, "needs", None) or ())
    )
    return asked or asks_for(tuple(resolved.params.values()), name)
