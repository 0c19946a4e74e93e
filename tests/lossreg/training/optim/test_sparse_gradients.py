"""Sparse gradients, whatever makes them: the optimizer is tried with those that the model gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import lossreg
from lossreg import Data, RunResult

Run = Callable[..., RunResult]
WORDS, CLASSES = 7, 3

ADAGRAD_WARNS = pytest.mark.filterwarnings("ignore:Sparse invariant checks are implicitly disabled")  # torch itself


@pytest.fixture(scope="module", autouse=True)
def _registered() -> None:
    lossreg.optimizers.register("sparse_only", "torch.optim:SparseAdam")


def sentences() -> Data:
    """Twelve sentences of four words."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randint(WORDS, (12, 4), generator=generator)
    targets = torch.randint(CLASSES, (12,), generator=generator)
    return Data((inputs, targets), (inputs, targets), "classification", (4,), num_classes=CLASSES)


class Functional(nn.Module):
    """A bag of words whose table is looked up by a function, so that no module says that it is sparse."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.table = nn.Parameter(torch.randn(WORDS, CLASSES))

    def forward(self, words: Tensor) -> Tensor:
        """Logits."""
        return functional.embedding(words, self.table, sparse=True).sum(1)


class Gathered(Functional):
    """The same by `torch.gather`, all dimensions of whose gradient are sparse."""

    def forward(self, words: Tensor) -> Tensor:
        """Logits."""
        index = words.reshape(-1, 1).expand(-1, CLASSES)
        return self.table.gather(0, index, sparse_grad=True).view(*words.shape, CLASSES).sum(1)


class Uncopied(Functional):
    """The same in a model that cannot be copied."""

    def __deepcopy__(self, memo: object) -> Any:
        raise TypeError("not this one")


class Mixed(Functional):
    """The same with a bias, whose gradient is dense."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(CLASSES))

    def forward(self, words: Tensor) -> Tensor:
        """Logits."""
        return super().forward(words) + self.bias


class Tied(nn.Module):
    """A table that is looked up sparsely and used in a product too: the sum of both gradients is dense."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, CLASSES, sparse=True)

    def forward(self, words: Tensor) -> Tensor:
        """Logits."""
        return self.words(words).sum(1) + self.words.weight.sum(0)  # type: ignore[no-any-return]  # modules


SPARSE_MODELS = [Functional, Gathered, Uncopied]


@pytest.mark.parametrize("model", SPARSE_MODELS)
@pytest.mark.parametrize(
    "optimizer",
    ["adam", torch.optim.AdamW, lambda parameters: torch.optim.RMSprop(parameters)],
    ids=["name", "class", "function"],
)
def test_a_dense_only_optimizer_is_refused_before_the_run(model: type[nn.Module], optimizer: Any) -> None:
    """By name, as a class and as a function; the message names the parameter, and what to do."""
    with pytest.raises(lossreg.BuildError) as caught:
        lossreg.plan(data=sentences(), model=model(), optimizer=optimizer, device="cpu")
    assert "does not support sparse gradients" in caught.value.message
    assert "The gradients of table are sparse: sgd without weight_decay and torch.optim.Adagrad" in caught.value.message
    assert "torch.optim.SparseAdam takes sparse ones alone" in caught.value.message


@pytest.mark.parametrize("model", SPARSE_MODELS)
def test_an_optimizer_object_is_refused_too_and_left_alone(model: type[nn.Module]) -> None:
    """An Adam of the model's own parameters is tried on a copy: it has no state afterwards, the weights no gradient."""
    own = model()
    optimizer = torch.optim.Adam(own.parameters())
    with pytest.raises(lossreg.BuildError, match="The gradients of table are sparse"):
        lossreg.plan(data=sentences(), model=own, optimizer=optimizer, device="cpu")
    assert not optimizer.state
    assert all(parameter.grad is None for parameter in own.parameters())


@pytest.mark.parametrize("model", SPARSE_MODELS)
@pytest.mark.parametrize("named", [True, False])
def test_sparse_adam_trains_as_in_a_plain_loop(run: Run, model: type[nn.Module], named: bool) -> None:
    """SparseAdam is accepted by name and as an object, and ends with the weights of a plain loop."""
    own = model()
    optimizer = "sparse_only(lr=0.1)" if named else torch.optim.SparseAdam(own.parameters(), lr=0.1)
    result = run(data=sentences(), model=own, optimizer=optimizer, epochs=2, batch_size=12)
    plain = Functional()
    inputs, targets = sentences().train  # type: ignore[misc]  # a pair of tensors
    of_plain = torch.optim.SparseAdam(plain.parameters(), lr=0.1)
    for _ in range(2):
        of_plain.zero_grad()
        functional.cross_entropy(plain(inputs), targets).backward()
        of_plain.step()
    torch.testing.assert_close(result.model.state_dict(), plain.state_dict())


@pytest.mark.parametrize("model", [*SPARSE_MODELS, Mixed])
def test_sgd_is_not_fused_from_the_beginning(
    run: Run, caplog: pytest.LogCaptureFixture, model: type[nn.Module]
) -> None:
    """SGD takes such gradients, and no warning comes in the run."""
    result = run(data=sentences(), model=model(), optimizer="sgd", epochs=2, batch_size=5)
    assert caplog.text == ""
    assert all(value.isfinite().all() for value in result.model.state_dict().values())


@ADAGRAD_WARNS
def test_adagrad_takes_both(run: Run) -> None:
    """torch.optim.Adagrad, which the message names, trains a model with sparse and dense gradients."""
    result = run(data=sentences(), model=Mixed(), optimizer=torch.optim.Adagrad, epochs=1)
    assert result.final["test_loss"] is not None


def test_what_is_partly_sparse_is_said() -> None:
    """SparseAdam for a model with a dense gradient is refused: only the table's is sparse."""
    with pytest.raises(lossreg.BuildError, match="Only the gradients of table are sparse"):
        lossreg.plan(data=sentences(), model=Mixed(), optimizer="sparse_only", device="cpu")


def test_weight_decay_with_sparse_gradients_is_refused() -> None:
    """SGD cannot add a weight decay to a sparse gradient, which the message names."""
    with pytest.raises(lossreg.BuildError, match="sgd without weight_decay"):
        lossreg.plan(data=sentences(), model=Functional(), optimizer="sgd(weight_decay=0.1)", device="cpu")


def test_the_gradient_counts_and_not_the_module(run: Run) -> None:
    """A table that is used in another way too has a dense gradient: Adam trains it, and SparseAdam is refused."""
    run(data=sentences(), model=Tied(), optimizer="adam", epochs=1)
    with pytest.raises(lossreg.BuildError, match="SparseAdam does not support dense gradients"):
        lossreg.plan(data=sentences(), model=Tied(), optimizer="sparse_only", device="cpu")


def test_an_optimizer_that_has_trained_serves_again(run: Run) -> None:
    """The state that an object has from a first run is not in the way of the trial before a second one."""
    model = Functional()
    optimizer = torch.optim.SparseAdam(model.parameters(), lr=0.1)
    for _ in range(2):
        run(data=sentences(), model=model, optimizer=optimizer, epochs=1, batch_size=12)
    assert optimizer.state[model.table]["step"] == 2


def test_sgd_with_a_sparse_momentum_goes_on_exactly(run: Run, tmp_path: Path) -> None:
    """Two epochs end with the same bits in one piece and with a break between them."""
    whole, first, second = Functional(), Functional(), Functional()
    optimizer = "sgd(lr=0.1, momentum=0.9)"
    for model in (first, second):
        model.load_state_dict(whole.state_dict())
    run(data=sentences(), model=whole, optimizer=optimizer, epochs=2, batch_size=12)
    run(data=sentences(), model=first, optimizer=optimizer, epochs=1, batch_size=12, out=tmp_path / "first")
    lossreg.run(data=sentences(), model=second, epochs=2, resume=tmp_path / "first", quiet=True)
    assert second.table.equal(whole.table)
    assert not second.table.equal(first.table)
