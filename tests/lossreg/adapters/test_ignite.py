"""Ignite with parts by name: rates, resuming, and the bits of a run."""

from __future__ import annotations

import copy
import math
import runpy
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch.utils.data import DataLoader, Sampler, TensorDataset

import lossreg

ignite: Any = pytest.importorskip("ignite", reason="pytorch-ignite is not installed (pip install 'lossreg[hosts]')")

from ignite.engine import Engine, Events, create_supervised_trainer  # noqa: E402  # behind the check that it is there

from lossreg.adapters.ignite import PartsScheduler  # noqa: E402  # see above

ROOT = Path(__file__).parents[3]


class Order(Sampler[int]):
    """The samples of each epoch in the order of a run."""

    def __init__(self) -> None:
        self.epoch = -1

    def __iter__(self) -> Iterator[int]:
        self.epoch += 1
        return iter(numpy.random.default_rng([3, self.epoch]).permutation(256).tolist())

    def __len__(self) -> int:
        return 256


def nothing(engine: Any, batch: Any) -> None:
    """What an evaluator does whose metrics the test sets."""


class Made:
    """A trainer of a linear model, always the same, with 4 batches of random numbers; it notes the rates."""

    def __init__(
        self, texts: dict[str, Any], *, accumulate: int = 1, said: int | None = None, evaluator: Any = None
    ) -> None:
        torch.manual_seed(1)
        self.model = torch.nn.Linear(4, 3)
        self.loader = DataLoader(TensorDataset(torch.randn(32, 4), torch.randint(3, (32,))), 8)
        self.rates: list[float] = []
        parts = lossreg.parts(**{"loss": "dice", **texts})
        self.optimizer = parts.optimizer(self.model)
        self.trainer = create_supervised_trainer(
            self.model, self.optimizer, parts.loss, gradient_accumulation_steps=accumulate
        )
        self.scheduler = PartsScheduler(parts, self.optimizer, accumulate=said or accumulate, evaluator=evaluator)
        self.scheduler.attach(self.trainer)
        self.trainer.add_event_handler(Events.ITERATION_COMPLETED, self.note)

    def note(self) -> None:
        """After each iteration, which has trained with this rate."""
        self.rates.append(self.optimizer.param_groups[0]["lr"])


@pytest.mark.parametrize("interval", ["epoch", "step"])
def test_schedules_count_epochs_or_steps(interval: str) -> None:
    """Half a cosine over 2 epochs, or over 4 steps of 2 accumulated iterations each."""
    made = Made({"optimizer": "sgd(lr=1.0)", "scheduler": "cosine", "scheduler_interval": interval}, accumulate=2)
    made.trainer.run(made.loader, max_epochs=2)
    count, batches = (2, 4) if interval == "epoch" else (4, 2)
    cosine = [0.5 * (1 + math.cos(math.pi * place / count)) for place in range(count)]
    assert made.rates == pytest.approx([rate for rate in cosine for _ in range(batches)])


def test_other_epochs_of_the_parts_are_overruled_aloud(caplog: pytest.LogCaptureFixture) -> None:
    """The 2 epochs of the run are taken."""
    made = Made({"optimizer": "sgd(lr=1.0)", "scheduler": "cosine", "epochs": 40})
    made.trainer.run(made.loader, max_epochs=2)
    assert made.rates == pytest.approx([1.0] * 4 + [0.5] * 4)
    (said,) = [record.getMessage() for record in caplog.records if record.name == "lossreg"]
    assert "told epochs=40, and the supervised trainer of Ignite has epochs=2" in said


def test_no_epochs_are_refused() -> None:
    """By the argument of the run."""
    made = Made({"scheduler": "cosine"})
    with pytest.raises(lossreg.ConfigError, match=r"max_epochs=0 of trainer\.run leaves nothing to train"):
        made.trainer.run(made.loader, max_epochs=0)


def test_accumulation_is_that_of_the_trainer() -> None:
    """Of Ignite's own update it is known, where a schedule goes by it; one's own shows it by its first step."""
    for accumulated, said in ((2, 1), (1, 2), (4, 2)):
        made = Made({"scheduler": "one_cycle(max_lr=1.0)"}, accumulate=accumulated, said=said)
        wanted = rf"every {accumulated} iterations, and .* one every {said}: .*accumulate={accumulated}\)"
        with pytest.raises(lossreg.ConfigError, match=wanted):
            made.trainer.run(made.loader, max_epochs=2)
        made = Made(
            {"optimizer": "sgd(lr=1.0)", "scheduler": "step_lr(step_size=1)"}, accumulate=accumulated, said=said
        )
        made.trainer.run(made.loader, max_epochs=2)
        assert made.rates == pytest.approx([1.0] * 4 + [0.1] * 4)

    def update(engine: Any, batch: Any) -> None:
        if engine.state.iteration % 2 == 0:
            optimizer.step()

    parts = lossreg.parts(optimizer="sgd", scheduler="one_cycle(max_lr=1.0)")
    for said in (1, 2):
        optimizer = parts.optimizer(torch.nn.Linear(1, 1))
        trainer = Engine(update)
        PartsScheduler(parts, optimizer, accumulate=said).attach(trainer)
        with pytest.warns(UserWarning, match=r"has not stepped yet: .* accumulate=N") if said == 1 else nullcontext():
            trainer.run([0] * 4, max_epochs=2)


def test_a_schedule_that_follows_a_metric_is_given_it() -> None:
    """The metric is that of the evaluator after each epoch; a name that there is not is told."""
    evaluator = Engine(nothing)
    texts = {"optimizer": "sgd(lr=1.0)", "scheduler": "reduce_lr_on_plateau(monitor='loss', patience=0)"}
    made = Made(texts, evaluator=evaluator)
    with pytest.raises(lossreg.ConfigError, match="'loss', and the evaluator has measured nothing"):
        made.trainer.run(made.loader, max_epochs=2)
    made = Made(texts, evaluator=evaluator)
    evaluator.state.metrics = {"losses": 1.0}
    with pytest.raises(lossreg.ConfigError, match=r"the evaluator has losses\. Did you mean 'losses'"):
        made.trainer.run(made.loader, max_epochs=2)
    made = Made(texts, evaluator=evaluator)
    evaluator.state.metrics = {"loss": 1.0}
    made.trainer.run(made.loader, max_epochs=3)
    assert made.rates[::4] == pytest.approx([1.0, 1.0, 0.1])
    with pytest.raises(lossreg.ConfigError, match="evaluator=ENGINE"):
        Made(texts)


@pytest.mark.parametrize("epochs", [3, 6])
def test_resuming_from_states(epochs: int) -> None:
    """Going on gives the weights of a straight run; with more epochs, the rate of the longer schedule."""
    texts = {"optimizer": "adamw(lr=0.1)", "scheduler": "cosine"}
    straight = Made(texts)
    saved: dict[str, Any] = {}

    def save(trainer: Any) -> None:
        if trainer.state.epoch == 2:
            saved["trainer"] = dict(trainer.state_dict())
            parts: dict[str, Any] = {
                "model": straight.model,
                "optimizer": straight.optimizer,
                "scheduler": straight.scheduler,
            }
            saved.update({name: copy.deepcopy(one.state_dict()) for name, one in parts.items()})

    straight.trainer.add_event_handler(Events.EPOCH_COMPLETED, save)
    straight.trainer.run(straight.loader, max_epochs=3)
    resumed = Made(texts)
    resumed.model.load_state_dict(saved["model"])
    resumed.optimizer.load_state_dict(saved["optimizer"])
    resumed.scheduler.load_state_dict(saved["scheduler"])
    resumed.trainer.load_state_dict({**saved["trainer"], "max_epochs": epochs})
    resumed.trainer.run(resumed.loader)
    if epochs == 3:
        assert torch.equal(straight.model.weight, resumed.model.weight)
    assert resumed.rates[0] == pytest.approx(0.1 * 0.5 * (1 + math.cos(math.pi * 2 / epochs)))


def test_a_run_and_ignite_have_the_same_bits(tmp_path: Path) -> None:
    """The same texts with the same seed, data and order lead to the same weights, with groups and a schedule."""
    texts: dict[str, Any] = {
        "loss": "l1", "optimizer": "adamw(lr=0.01)", "param_groups": {"*.bias": "weight_decay=0"},
        "scheduler": "warmup(cosine, length=3)", "scheduler_interval": "step",
    }  # fmt: skip
    result = lossreg.run(
        **texts, model="mlp", epochs=2, seed=3, limit_train=256, limit_test=64, device="cpu", precision="32",
        checkpoint_every="none", out=tmp_path / "run", quiet=True,
    )  # fmt: skip
    split = lossreg.datasets.build("digits").train
    assert isinstance(split, tuple)
    inputs, targets = (part[:256] for part in split)
    torch.manual_seed(3)
    model = lossreg.models.build("mlp", in_features=inputs[0].numel(), out_features=10)
    parts = lossreg.parts(task="classification", **texts)
    optimizer = parts.optimizer(model, fused=True)
    trainer = create_supervised_trainer(model, optimizer, parts.loss)
    PartsScheduler(parts, optimizer).attach(trainer)
    trainer.run(DataLoader(TensorDataset(inputs, targets), 64, sampler=Order()), max_epochs=2)
    own = model.state_dict()
    assert all(torch.equal(own[name], value) for name, value in result.model.state_dict().items())


def test_the_example_runs() -> None:
    """It is a script that trains."""
    optimizer = runpy.run_path(str(ROOT / "docs" / "examples" / "ignite_digits.py"))["main"]()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.005)
