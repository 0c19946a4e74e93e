"""States of optimizers that torch's `load_state_dict` would change or refuse: they come back exactly, or are named."""

from __future__ import annotations

import enum
import json
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import lossreg
from lossreg import Data
from lossreg.checkpoints.tree import decode, encode
from lossreg.training.optim.loading import load_state, why_not_kept
from lossreg.training.resume.optimizer_state import load_named_state, named_state

#: What an optimizer may keep for a parameter, beside its momentum.
KEPT: dict[str, Any] = {
    "matrix": np.arange(6.0).reshape(2, 3), "fortran": np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)),
    "none": np.empty((0, 2), np.float16), "number": np.array(3.5), "words": np.array(["a", "bcd"]),
    "scalar": np.float64(0.1), "count": np.int64(7), "flag": np.bool_(True), "text_of_numpy": np.str_("word"),
    "text": "spectral", "bytes": b"ab", "set": {"a"}, "frozen": frozenset({"b"}), "tuple": ("x", (1, "y")),
    "list": ["p", np.arange(2)], "ring": deque(["a", "b"], maxlen=2), "ordered": OrderedDict(a="b"),
    "counted": Counter("aab"), "default": defaultdict(list, a=["c"]), "nested": {"a": {"b": np.arange(3)}},
    "with_tensors": deque([("t", torch.ones(2, dtype=torch.float64))], maxlen=4), "size": torch.Size([2]),
}  # fmt: skip


class Keeps(torch.optim.SGD):
    """Keeps something in the state of each parameter and in its groups, from its first step on."""

    kept: Any = KEPT

    def step(self, closure: Any = None) -> Any:
        """A step."""
        for group in self.param_groups:
            group["words"] = np.arange(3)
            for one in group["params"]:
                self.state[one] |= self.kept if type(self.kept) is dict else {"kept": self.kept}
        return super().step(closure)


def stepped(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """The optimizer after a step."""
    for group in optimizer.param_groups:
        for one in group["params"]:
            one.grad = torch.ones_like(one)
    optimizer.step()
    return optimizer


def plain() -> torch.optim.Optimizer:
    """The optimizer alone."""
    return Keeps(nn.Linear(2, 1, bias=False).parameters(), lr=0.1, momentum=0.9)


def written(state: Any, like: Any) -> Any:
    """A state that was in a file."""
    value, tensors = encode(state)
    return decode(json.loads(json.dumps(value)), tensors, like)


def same(one: Any, other: Any) -> bool:
    """Whether two states are written as the same values of JSON and the same tensors."""
    (values, tensors), (others, other_tensors) = encode(one), encode(other)
    return values == others and all(torch.equal(tensor, other_tensors[name]) for name, tensor in tensors.items())


def test_every_object_comes_back() -> None:
    """Arrays of numpy, texts, sets and the like are after loading what they were, with their class and dtype."""
    one, other = stepped(plain()), plain()
    names = [{"weight": optimizer.param_groups[0]["params"][0]} for optimizer in (one, other)]
    saved = named_state(one, names[0])
    load_named_state(other, written(saved, named_state(other, names[1])), names[1])
    assert same(saved, named_state(other, names[1]))
    (state,) = other.state.values()
    for key, value in KEPT.items():
        assert type(state[key]) is type(value), key
        assert getattr(state[key], "dtype", None) == getattr(value, "dtype", None), key
    assert (state["ring"].maxlen, state["with_tensors"].maxlen) == (2, 4)
    assert state["default"]["new"] == []
    assert state["with_tensors"][0][1].dtype == torch.float64


def test_they_come_back_in_an_optimizer_that_is_wrapped() -> None:
    """Where torch's own loading is called by the wrapper, out of reach; a tensor there has its parameter's type."""

    class Outer(torch.optim.Optimizer):
        def __init__(self) -> None:
            self.inner = plain()
            super().__init__([{"params": group["params"]} for group in self.inner.param_groups], {})

        def step(self, closure: Any = None) -> Any:
            return self.inner.step(closure)

        def state_dict(self) -> dict[str, Any]:
            return {"inner": [self.inner.state_dict()]}

        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            self.inner.load_state_dict(state_dict["inner"][0])

    one, other = Outer(), Outer()
    stepped(one)
    next(iter(one.inner.state.values()))["with_tensors"] = deque([torch.ones(2)], maxlen=4)
    load_state(other, written(one.state_dict(), other.state_dict()))
    assert same(one.state_dict(), other.state_dict())
    assert why_not_kept(one, Outer) is None


class Word(enum.Enum):
    """A word of a class of its own."""

    UP = 1


class Refuses(Keeps):
    """Does not take back what it gave."""

    kept = 1

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Fails."""
        raise KeyError("projector")


@pytest.mark.parametrize(
    ("kept", "of", "words"),
    [
        (1, Refuses, "its load_state_dict() fails with what its state_dict() gave: KeyError: 'projector'"),
        (Word.UP, Keeps, "state.0.kept is 'UP' of the Enum 'Word', whose class is not known here"),
        (defaultdict(lambda: 1), Keeps, "which is not plain data"),
        (np.arange(3), Keeps, None),
    ],
    ids=["refuses", "enum", "defaultdict", "array"],
)
def test_what_cannot_be_loaded_is_found_before_the_run(
    table: Callable[..., Data], monkeypatch: pytest.MonkeyPatch, kept: Any, of: type[Keeps], words: str | None
) -> None:
    """The trial with throw-away weights loads the state, and says why that fails; a warning would name it."""
    monkeypatch.setattr(of, "kept", kept)
    plan = lossreg.plan(optimizer=of, data=table(), model=nn.Linear(4, 3), device="cpu")
    said = plan.facts["optimizer_needs"]["unreadable"]
    assert said is None if words is None else words in said


def test_a_run_goes_on_with_arrays(table: Callable[..., Data], tmp_path: Path) -> None:
    """A resumed run has them before its first step."""
    held: list[Any] = []

    class Sees:
        def lossreg_run_started(self, run: lossreg.Run) -> None:
            held.extend(run.optimizer.state.values())

    usual: dict[str, Any] = {"data": table(), "optimizer": Keeps, "quiet": True}
    lossreg.run(**usual, model=nn.Linear(4, 3), epochs=1, device="cpu", out=tmp_path / "run")
    lossreg.run(**usual, model=nn.Linear(4, 3), epochs=2, resume=tmp_path / "run", observers=[Sees()])
    assert [np.array_equal(one["matrix"], KEPT["matrix"]) for one in held] == [True, True]
