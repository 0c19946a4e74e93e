"""Models, losses, optimizers and data of one's own, as other trainers get them: they train as in a plain loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import lossreg
from lossreg import Data, RunResult
from tests.table import for_each

Run = Callable[..., RunResult]
Weights = Callable[[nn.Module], Tensor]


def table(samples: int = 24, classes: int = 3) -> tuple[Tensor, Tensor]:
    """Random rows of six numbers, and a class for each."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(samples, 6, generator=generator), torch.randint(classes, (samples,), generator=generator)


def data(inputs: Any = None, targets: Any = None) -> Data:
    """A data set of the table, the same for training and testing, unless others are given."""
    own_inputs, own_targets = table()
    pair = (own_inputs if inputs is None else inputs, own_targets if targets is None else targets)
    return Data(pair, pair, task="classification", in_shape=(6,), num_classes=3)


def linear() -> nn.Linear:
    """A model with the same weights each time."""
    torch.manual_seed(0)
    return nn.Linear(6, 3)


class InPlace(nn.Module):
    """A model that changes its input."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = linear()

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        inputs -= 1.0
        return self.linear(inputs)  # type: ignore[no-any-return]  # nn.Module's call is not annotated


def test_a_model_that_changes_its_input_trains_as_one_that_does_not(run: Run, weights: Weights) -> None:
    """With resident samples weights and test losses are those of a data loader, and the data set is unchanged."""
    usual: dict[str, Any] = {"loss": nn.CrossEntropyLoss(), "optimizer": "sgd(lr=0.1)", "epochs": 3, "batch_size": 8}
    own = data()
    resident = run(model=InPlace(), data=own, loader="resident", **usual)
    streamed = run(model=InPlace(), data=data(), loader="dataloader", workers=0, **usual)
    assert torch.equal(weights(resident.model), weights(streamed.model))
    assert [row["test_loss"] for row in resident.metrics] == [row["test_loss"] for row in streamed.metrics]
    assert torch.equal(own.train[0], table()[0])


def test_a_plan_changes_no_sample() -> None:
    """`lossreg.plan` leaves the tensors of a data set as they are, whatever the model does to its input."""
    own = data()
    lossreg.plan(model=InPlace(), data=own, loss="cross_entropy")
    assert torch.equal(own.train[0], table()[0])


def test_an_optimizer_and_its_scheduler_may_be_objects(run: Run) -> None:
    """Torch's usual pair trains, and the rate is the schedule's; the optimizer serves a second run."""
    model = linear()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.4)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    usual: dict[str, Any] = {"model": model, "data": data(), "optimizer": optimizer, "epochs": 2}
    first = run(scheduler=scheduler, **usual)
    assert [row["lr"] for row in first.metrics] == [0.4, 0.2]
    assert len(run(**usual).metrics) == 2


def test_a_module_in_evaluation_mode_stays_in_it(run: Run, weights: Weights) -> None:
    """Fixed batch normalisation and switched-off dropout train as in a plain loop that leaves them so."""

    def model() -> nn.Sequential:
        torch.manual_seed(0)
        made = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 3))
        for module in made[1:3]:
            module.eval()
        return made

    trained = run(model=model(), data=data(), optimizer="sgd(lr=0.1, momentum=0)", epochs=2, batch_size=8).model
    own = model()
    optimizer = torch.optim.SGD(own.parameters(), lr=0.1, fused=True)
    inputs, targets = table()
    for epoch in range(2):
        for chosen in torch.from_numpy(np.random.default_rng([0, epoch]).permutation(24)).split(8):
            optimizer.zero_grad()
            nn.functional.cross_entropy(own(inputs[chosen]), targets[chosen]).backward()
            optimizer.step()
    torch.testing.assert_close(weights(trained), weights(own), atol=1e-6, rtol=0)
    assert int(trained[1].num_batches_tracked) == 0  # type: ignore[index]  # a sequence


def test_class_weights_of_torch_s_own_loss_count(run: Run) -> None:
    """Over ragged batches, the test loss of a loss with class weights that is an object is that of the whole split."""
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 0.1]))
    result = run(model=linear(), data=data(), loss=loss, epochs=1, batch_size=10)
    inputs, targets = table()
    with torch.no_grad():
        whole = loss(result.model(inputs), targets).item()
    assert result.final["test_loss"] == pytest.approx(whole, rel=1e-6)


def test_float16_weights_are_refused_behind_a_gradient_scaler() -> None:
    """`precision="16"` for a model in float16 is an error before the run, with what to write instead."""
    with pytest.raises(lossreg.ConfigError, match="the model has float16 weights; write 32"):
        lossreg.plan(model=linear().half(), data=data(), precision="16", device="cpu")


@pytest.mark.parametrize("change", [lambda array: array[::-1], lambda array: array.astype(">f4")])
def test_arrays_of_any_strides_and_bytes_are_read(run: Run, change: Callable[[Any], Any]) -> None:
    """A reversed numpy array, and one of the other byte order, are samples like others."""
    inputs, targets = table()
    changed = change(inputs.numpy())
    given = run(model=linear(), data=data(changed, targets), epochs=1, batch_size=8)
    same = torch.from_numpy(np.array(changed, dtype=np.float32))
    plain = run(model=linear(), data=data(same, targets), epochs=1, batch_size=8)
    assert given.final["test_loss"] == plain.final["test_loss"]


def test_sparse_inputs_are_refused() -> None:
    """A sparse tensor is a DataError that says what to do."""
    with pytest.raises(lossreg.DataError, match=r"the layout torch.sparse_coo is not supported; to_dense\(\) helps"):
        lossreg.plan(model=linear(), data=data(table()[0].to_sparse()))


@for_each("length", [-1, 2.5])
def test_a_length_that_is_no_number_of_samples_is_refused(length: Any) -> None:
    """A data set whose `__len__` gives nonsense is a DataError."""

    class Odd(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return length  # type: ignore[no-any-return]  # that is the point

        def __getitem__(self, index: int) -> tuple[Tensor, int]:
            return torch.zeros(6), 0

    odd = Data(Odd(), Odd(), task="classification", in_shape=(6,), num_classes=3)
    with pytest.raises(lossreg.DataError, match="its number of samples cannot be told"):
        lossreg.plan(model=linear(), data=odd)
