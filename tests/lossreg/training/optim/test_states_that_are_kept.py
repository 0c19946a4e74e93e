"""What the trial before a run says of the state of an optimizer; runs go on with what it accepts."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import lossreg
from lossreg import Data

NOT_PLAIN = f"is a Kept ({__name__}), which is not plain data"


class Norm(enum.Enum):
    """A word that an option of a group may be."""

    SPECTRAL = 1


class Kept:
    """An object, as conda's projectors are."""


class Holding(torch.optim.SGD):
    """Has in its state and its groups what torch's safe reading refuses."""

    def __init__(self, params: Any, lr: float = 0.1, *, state: str = "deque", groups: str = "norm") -> None:
        super().__init__(params, lr=lr)
        made: dict[str, Callable[[], Any]] = {"deque": lambda: deque([1.0], 3), "norm": lambda: Norm.SPECTRAL}
        self.held = made.get(state, Kept)
        self.param_groups[0]["norm"] = made.get(groups, Kept)()

    def step(self, closure: Any = None) -> Any:
        """A step."""
        for one in self.param_groups[0]["params"]:
            self.state[one] |= {"last": self.held(), "word": "spectral"}
        return super().step(closure)


@pytest.fixture
def registries() -> lossreg.Registries:
    """The built-ins, and the optimizer."""
    made = lossreg.load_registries(allow=[])
    made.optimizers.register("holding")(Holding)
    return made


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("", None),
        ("state=object", f"state.0.last {NOT_PLAIN}"),
        ("groups=object", f"param_groups.0.norm {NOT_PLAIN}"),
        ("state=object, groups=object", f"state.0.last {NOT_PLAIN}"),
    ],
)
def test_what_cannot_be_kept_is_named(
    table: Callable[..., Data], registries: lossreg.Registries, options: str, why: str | None
) -> None:
    """The trial names the first object that is not plain data, and its place; a deque and an Enum are plain."""
    options = options.replace("object", "'object'")
    plan = lossreg.plan(
        optimizer=f"holding({options})", data=table(), model=nn.Linear(4, 3), device="cpu", registries=registries
    )
    assert plan.facts["optimizer_needs"]["unreadable"] == why


class Seen:
    """Keeps the state and the groups of the optimizer before the first step of a run."""

    def lossreg_run_started(self, run: lossreg.Run) -> None:
        """Keeps them."""
        (group,) = run.optimizer.param_groups
        self.held, self.words = (
            [run.optimizer.state[one].get(key) for one in group["params"]] for key in ("last", "word")
        )
        self.norm = group["norm"]


def _run(**settings: Any) -> Any:
    return lossreg.run(**{"quiet": True, "model": nn.Linear(4, 3), **settings})


def test_a_run_goes_on_with_what_is_plain(
    table: Callable[..., Data], registries: lossreg.Registries, tmp_path: Path
) -> None:
    """The text and the deque of the state, with its greatest length, and the member of an Enum are there again."""
    usual: Mapping[str, Any] = {"data": table(), "registries": registries}
    _run(**usual, optimizer="holding", epochs=1, device="cpu", out=tmp_path / "run")
    seen = Seen()
    _run(**usual, epochs=2, resume=tmp_path / "run", observers=[seen])
    assert seen.held == [deque([1.0], 3)] * 2
    assert [one.maxlen for one in seen.held] == [3, 3]
    assert seen.words == ["spectral"] * 2
    assert seen.norm is Norm.SPECTRAL


def test_a_run_that_cannot_go_on_says_so(
    table: Callable[..., Data], registries: lossreg.Registries, tmp_path: Path
) -> None:
    """Its checkpoints hold the weights, and resuming is refused with the reason and what to do."""
    usual: Mapping[str, Any] = {"data": table(), "registries": registries}
    _run(**usual, optimizer="holding(state='object')", epochs=1, device="cpu", out=tmp_path / "run")
    with pytest.raises(
        lossreg.ConfigError, match=r"holds weights alone, .*is a Kept .*init_from \(--init-from\) begins a new run"
    ):
        _run(**usual, epochs=2, resume=tmp_path / "run")
