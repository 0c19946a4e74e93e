"""An optimizer that its class alone does not make: what it takes is written, or the message says it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

import lossreg
from lossreg import Data

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import Run


class Marked(torch.optim.SGD):
    """Each group has to have an option that is no parameter, as those of pytorch_optimizer's Muon have `use_muon`."""

    seen: list[dict[str, bool]]

    def __init__(self, params: Any, lr: float = 0.1, **options: Any) -> None:
        groups = [*params]
        for group in groups:
            if "fast" not in group:  # of a tensor it raises, as there
                raise ValueError("`fast` must be set.")
        super().__init__(groups, lr=lr)
        type(self).seen = [{"fast": group["fast"], "bias": group["params"][0].ndim < 2} for group in groups]


class Wraps(torch.optim.Optimizer):
    """Steps by another optimizer, which is its first parameter."""

    def __init__(self, base_optimizer: torch.optim.Optimizer, every: int = 1) -> None:
        super().__init__(base_optimizer.param_groups, {})
        self.inner = base_optimizer

    def step(self, closure: Any = None) -> Any:
        """A step."""
        return self.inner.step(closure)


class Flat(torch.optim.SGD):
    """For matrices alone, which it says in its first step."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, lr=lr)

    def step(self, closure: Any = None) -> Any:
        """A step."""
        if any(one.ndim != 2 for group in self.param_groups for one in group["params"]):
            raise ValueError("it only supports 2D parameters.")
        return super().step(closure)


class FlatAtOnce(Flat):
    """The same, said when it is built."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, lr)
        if any(one.ndim != 2 for group in self.param_groups for one in group["params"]):
            raise ValueError("it only supports 2D parameters.")


class Broken(torch.optim.SGD):
    """Fails in whatever way it is used."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        raise RuntimeError("out of order")


@pytest.fixture
def registries() -> lossreg.Registries:
    """The built-ins, and these optimizers, which declare nothing."""
    made = lossreg.load_registries(allow=[])
    for kind in (Marked, Wraps, Flat, FlatAtOnce, Broken):
        made.optimizers.register(kind.__name__.lower())(kind)
    return made


@pytest.fixture
def refusal(table: Callable[..., Data], registries: lossreg.Registries) -> Callable[[str], str]:
    """The message by which an optimizer of a linear model is refused."""

    def refused(optimizer: str) -> str:
        with pytest.raises(lossreg.BuildError) as caught:
            lossreg.plan(optimizer=optimizer, data=table(), model=nn.Linear(4, 3), device="cpu", registries=registries)
        assert "\n" not in caught.value.message
        return caught.value.message

    return refused


def test_an_option_that_groups_alone_have_reaches_them(
    run: Run, table: Callable[..., Data], registries: lossreg.Registries
) -> None:
    """`param_groups` gives each group its own option that is no parameter of the class, and the run trains."""
    model = nn.Linear(4, 3)
    before = [one.detach().clone() for one in model.parameters()]
    groups = {"ndim>=2": "fast=True", "ndim<2": "fast=False"}
    run(data=table(), model=model, optimizer="marked", param_groups=groups, epochs=1, registries=registries)
    assert Marked.seen == [{"fast": True, "bias": False}, {"fast": False, "bias": True}]
    assert not any(map(torch.equal, before, model.parameters()))


def test_an_option_that_no_group_has_is_refused(table: Callable[..., Data], registries: lossreg.Registries) -> None:
    """An option that neither the class nor its groups take is an error, as before."""
    with pytest.raises(lossreg.LossregError, match="param_groups"):
        lossreg.plan(
            optimizer="marked", data=table(), model=nn.Linear(4, 3), device="cpu", registries=registries,
            param_groups={"ndim>=2": "quick=True"},
        )  # fmt: skip


def test_what_groups_lack_is_told(refusal: Callable[[str], str]) -> None:
    """The message has what the class says of groups, not only how it fails on parameters."""
    message = refusal("marked")
    assert "given groups of parameters it says: ValueError: `fast` must be set." in message
    assert "param_groups" in message


def test_a_wrapper_is_told_to_declare_that_it_is_one(
    refusal: Callable[[str], str], run: Run, table: Callable[..., Data], registries: lossreg.Registries
) -> None:
    """The message names the parameter and what to register; what it says works."""
    assert "register it with needs='optimizer', and write wraps(base_optimizer=sgd)" in refusal("wraps")
    registries.optimizers.register("told", needs="optimizer")(Wraps)
    assert run(
        data=table(), model=nn.Linear(4, 3), optimizer="told(base_optimizer=sgd)", epochs=1, registries=registries
    ).metrics


@pytest.mark.parametrize("name", ["flat", "flatatonce"])
def test_the_parameters_that_a_class_is_for_are_told(
    refusal: Callable[[str], str],
    run: Run,
    table: Callable[..., Data],
    registries: lossreg.Registries,
    name: str,
) -> None:
    """A class that fails on biases names `routes` and a pattern, and the pattern works."""
    assert (
        "it only supports 2D parameters; it works on parameters of two dimensions or more alone: register it with "
        "routes='weights', or give the others an optimizer of their own by param_groups: 'ndim<2: adamw'"
    ) in refusal(name)
    assert run(
        data=table(), model=nn.Linear(4, 3), optimizer=name, epochs=1, registries=registries,
        param_groups={"ndim<2": "adamw"},
    ).metrics  # fmt: skip


def test_what_works_in_no_way_has_no_advice(refusal: Callable[[str], str]) -> None:
    """Where nothing helps, the message ends with what the class itself says."""
    assert refusal("broken").endswith("cannot be built: RuntimeError: out of order")
