"""The sweep of optimizers: what its table says of torch's own, and of classes that are wrong in a known way."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

if TYPE_CHECKING:
    from optimizers import Row

USUAL = {
    "data": "digits", "model": "mlp", "epochs": 2, "limit_train": 64, "limit_test": 32, "batch_size": 32,
    "device": "cpu", "precision": "32",
}  # fmt: skip


class _Plain(torch.optim.SGD):
    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, lr=lr)


class Forgetful(_Plain):
    """Counts its steps where `state_dict()` does not look, and goes by their number."""

    steps = 0

    def step(self, closure: Any = None) -> Any:
        """A step."""
        self.steps = self.steps + 1
        for group in self.param_groups:
            group["lr"] = 0.1 / self.steps
        return super().step(closure)


class Queued(_Plain):
    """Has a deque in its state."""

    def step(self, closure: Any = None) -> Any:
        """A step."""
        for one in self.param_groups[0]["params"]:
            self.state[one].setdefault("last", deque([0.0]))
        return super().step(closure)


class Projector:
    """An object of a library's own."""


class Secretive(_Plain):
    """Has an object in its state, which is not data."""

    def step(self, closure: Any = None) -> Any:
        """A step."""
        for one in self.param_groups[0]["params"]:
            self.state[one].setdefault("projector", Projector())
        return super().step(closure)


class Still(_Plain):
    """Leaves biases as they are."""

    def step(self, closure: Any = None) -> Any:
        """A step."""
        biases = [(one, one.detach().clone()) for one in self.param_groups[0]["params"] if one.ndim < 2]
        loss = super().step(closure)
        with torch.no_grad():
            for one, old in biases:
                one.copy_(old)
        return loss


class Climbing(_Plain):
    """Goes up."""

    def step(self, closure: Any = None) -> Any:
        """A step."""
        loss = None if closure is None else closure()
        for one in self.param_groups[0]["params"]:
            one.grad.neg_()
        super().step()
        return loss


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The rows of some classes of a module, by their names."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    from optimizers import table

    def found(module: str, *names: str) -> dict[str, Row]:
        return {row.name: row for row in table(module, USUAL, names)}

    return found


def test_torchs_own_run_and_resume_exactly(rows: Any) -> None:
    """Adam, with state, and Muon, beside which another optimizer trains the rest; SparseAdam has its reason."""
    found = rows("torch.optim", "Adam", "Muon", "SparseAdam")
    assert [(row.name, row.ran, row.resumed, row.flaw) for row in found.values()] == [
        ("Adam", True, "exact", None),
        ("Muon", True, "exact", None),
        ("SparseAdam", False, "", None),
    ]
    assert "takes sparse gradients alone" in str(found["SparseAdam"])


def test_what_is_wrong_with_a_class_is_told(rows: Any) -> None:
    """State that is not saved, state that is no data, weights that stay and a loss that rises have their words."""
    found = rows(__name__, "Forgetful", "Queued", "Secretive", "Still", "Climbing")
    assert found["Forgetful"].resumed.startswith("differs by")
    assert "not as it was: `steps`" in found["Forgetful"].resumed
    assert (found["Queued"].resumed, found["Queued"].flaw) == ("exact", None)
    assert found["Secretive"].resumed.startswith("is refused: ")
    assert "Projector" in found["Secretive"].resumed
    assert found["Secretive"].flaw is None  # the trial before the run has said the same
    assert found["Still"].flaw is not None
    assert "weight tensors do not move" in found["Still"].flaw
    assert found["Climbing"].flaw == "the loss does not fall"
