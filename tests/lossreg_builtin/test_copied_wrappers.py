"""Copies of optimizers that wrap another one, with the schedules that move their rates."""

from __future__ import annotations

import copy
import functools
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import lossreg
from tests.table import for_each

parts = functools.cache(lossreg.parts)
Training = tuple[nn.Module, Any, Any]


def begun(optimizer: str) -> Training:
    """A model with optimizer and schedule."""
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    named = parts(optimizer=optimizer, scheduler="cosine", epochs=6)
    built = named.optimizer(model)
    return model, built, named.scheduler(built)


def steps(training: Training, count: int) -> list[Tensor]:
    """The weights behind some steps, each on a batch of its own."""
    model, optimizer, scheduler = training
    for number in range(count):
        inputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(number))

        def closure(inputs: Tensor = inputs) -> Tensor:
            optimizer.zero_grad()
            loss: Tensor = model(inputs).square().mean()
            loss.backward()
            return loss

        optimizer.step(closure)
        scheduler.step()
    return [one.detach().clone() for one in model.parameters()]


def pickled(training: Training) -> Training:
    """By way of a file."""
    return pickle.loads(pickle.dumps(training))  # type: ignore[no-any-return]  # noqa: S301  # made here


@for_each(
    "optimizer, copied, before",
    [
        ("lookahead(sgd(lr=0.5))", copy.deepcopy, 0),
        ("lookahead(sgd(lr=0.5))", pickled, 2),
        ("cautious(sgd(lr=0.5))", pickled, 2),
        ("sam(sgd(lr=0.5))", copy.deepcopy, 2),
        ("lookahead(sam(adamw))", copy.deepcopy, 2),
    ],
)
def test_a_copy_steps_itself(optimizer: str, copied: Callable[[Training], Training], before: int) -> None:
    """It goes on as one that was not copied, bit for bit, while the one that it was copied from stays as it is."""
    training = begun(optimizer)
    left = steps(training, before)
    other = copied(training)
    with warnings.catch_warnings():
        # Torch's schedulers say so of a copy that has not stepped yet, whatever the optimizer is.
        warnings.filterwarnings("ignore", "Seems like `optimizer.step", UserWarning)
        found = steps(other, 3)
    assert all(torch.equal(one, two) for one, two in zip(left, training[0].parameters(), strict=True))
    whole = begun(optimizer)
    steps(whole, before)
    expected = steps(whole, 3)
    assert all(torch.equal(one, two) for one, two in zip(found, expected, strict=True))


class OwnFormat(torch.optim.SGD):
    """Keeps its state in a form of its own, without the groups of torch."""

    def state_dict(self) -> dict[str, Any]:
        """The rate."""
        return {"rate": self.param_groups[0]["lr"]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The rate again."""
        self.param_groups[0]["lr"] = state_dict["rate"]


def test_the_state_of_what_is_wrapped_may_have_a_form_of_its_own() -> None:
    """It is given back as it was saved."""
    registries = lossreg.load_registries(allow=[])
    registries.optimizers.register("own_format")(OwnFormat)
    wrapped = lossreg.parts(optimizer="lookahead(own_format(lr=0.1))", registries=registries)
    first, second = (wrapped.optimizer(nn.Linear(3, 2)) for _ in range(2))
    first.param_groups[0]["lr"] = 0.5
    second.load_state_dict(first.state_dict())
    assert second.param_groups[0]["lr"] == 0.5
