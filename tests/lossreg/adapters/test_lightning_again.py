"""Lightning that goes on with other batches or another schedule, and that accumulates batches by a callback."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import lossreg
from tests.table import for_each

lightning: Any = pytest.importorskip("lightning", reason="lightning is not installed (pip install 'lossreg[hosts]')")

from lightning.pytorch.callbacks import GradientAccumulationScheduler, StochasticWeightAveraging  # noqa: E402  # behind the check

from lossreg.adapters.lightning import configure_optimizers  # noqa: E402  # see above

pytestmark = [
    pytest.mark.filterwarnings("ignore::lightning.fabric.utilities.warnings.PossibleUserWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:lightning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


class Module(lightning.LightningModule):  # type: ignore[misc]  # Lightning may be missing where types are checked
    """A linear model with parts by name, which notes the rate of each batch."""

    def __init__(self, scheduler: str | None, interval: Any = None, optimizer: str = "sgd(lr=1.0)") -> None:
        super().__init__()
        self.parts = lossreg.parts(loss="dice", optimizer=optimizer, scheduler=scheduler, scheduler_interval=interval)
        self.model, self.rates = torch.nn.Linear(2, 3), list[float]()

    def training_step(self, batch: Any, index: int) -> Any:
        """The loss of a batch."""
        self.rates.append(self.optimizers().param_groups[0]["lr"])
        return self.parts.loss(self.model(batch[0]), batch[1])

    def configure_optimizers(self) -> Any:
        """What is tested."""
        return configure_optimizers(self.parts, self)


def fit(module: Module, batch: int = 2, resume: str | None = None, **settings: Any) -> Any:
    """Trains on 8 samples, for 4 epochs where nothing else is said."""
    trainer = lightning.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False, **{"max_epochs": 4, **settings},
    )  # fmt: skip
    data = TensorDataset(torch.ones(8, 2), torch.zeros(8, dtype=torch.long))
    trainer.fit(module, DataLoader(data, batch), ckpt_path=resume)
    return trainer


class Stream(torch.utils.data.IterableDataset[Any]):
    """Samples, of which it does not tell how many there are."""

    def __iter__(self) -> Any:
        return iter([(torch.ones(2), torch.tensor(0))] * 8)


def test_a_loader_without_a_length_has_the_epochs_of_the_trainer() -> None:
    """A schedule that counts epochs need not know how many steps they have."""
    module = Module("cosine")
    trainer = lightning.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False, max_epochs=2,
    )  # fmt: skip
    trainer.fit(module, DataLoader(Stream(), 4))
    assert module.rates == pytest.approx([1.0, 1.0, 0.5, 0.5])


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str | None, str | None], str]:
    """Checkpoints after 2 epochs of 4 steps, by schedule and what it counts."""
    found: dict[tuple[str | None, str | None], str] = {}
    for key in (("cosine", "epoch"), ("cosine", "step"), (None, None)):
        path = tmp_path_factory.mktemp("saved") / "last.ckpt"
        fit(Module(*key), max_epochs=2).save_checkpoint(path)
        found[key] = str(path)
    return found


def cosine(places: list[float], span: float) -> list[float]:
    """Half a cosine, from 1 to 0."""
    return [0.5 * (1 + math.cos(math.pi * place / span)) for place in places]


@for_each(
    ("batch", "settings", "places", "span"),
    [
        (2, {}, range(8, 16), 16),
        (1, {}, range(16, 32), 32),  # 2 of 4 epochs of 8 steps
        (4, {}, range(4, 8), 8),
        (1, {"max_epochs": -1, "max_steps": 12}, range(8, 12), 12),  # 8 of 12 steps, whatever an epoch has
    ],
)
def test_a_schedule_of_steps_goes_on_where_lightning_does(
    batch: int, settings: Any, places: Any, span: int, saved: dict[tuple[str | None, str | None], str]
) -> None:
    """Lightning goes on after as many epochs, or, with `max_steps`, until there are as many steps."""
    module = Module("cosine", "step")
    fit(module, batch, saved["cosine", "step"], **settings)
    assert module.rates[: len(places)] == pytest.approx(cosine([*places], span))


@for_each(
    ("was", "now", "wanted"),
    [
        (("cosine", "epoch"), (None, None), r"has 1 schedule, and the training has none .*scheduler=None.*: name the"),
        ((None, None), ("cosine", "epoch"), r"has no schedule, and the training has 1 .*'builtin.cosine_annealing_lr'"),
        (("cosine", "epoch"), ("cosine", "step"), "counts epochs, and this one counts steps: write scheduler_interval"),
        (("cosine", "step"), ("step_lr(step_size=2)", "step"), "cosine_annealing_lr, and this one is step_lr"),
    ],
)
def test_a_checkpoint_of_another_schedule_is_refused(
    was: Any, now: Any, wanted: str, saved: dict[tuple[str | None, str | None], str]
) -> None:
    """Of schedules that are missing on one side Lightning itself says nothing."""
    with pytest.raises(lossreg.StateError, match=wanted):
        fit(Module(*now), resume=saved[was])


def test_a_constant_rate_goes_on(saved: dict[tuple[str | None, str | None], str]) -> None:
    """And nothing of the check is left among the callbacks."""
    module = Module(None)
    trainer = fit(module, resume=saved[None, None])
    assert module.rates == [1.0] * 8
    assert not any("on_fit_start" in vars(one) for one in trainer.callbacks)


@for_each("scheduler", ["cosine", None])
def test_a_callback_with_a_schedule_of_its_own_goes_on(
    scheduler: str | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Averaging of weights takes the place of any schedule from its epoch on, in checkpoints, too."""
    path = str(tmp_path_factory.mktemp("averaged") / "last.ckpt")
    averaging = [StochasticWeightAveraging(swa_lrs=0.5, swa_epoch_start=1) for _ in range(2)]
    fit(Module(scheduler), max_epochs=3, callbacks=averaging[:1]).save_checkpoint(path)
    assert fit(Module(scheduler), resume=path, callbacks=averaging[1:]).current_epoch == 4


@for_each(("interval", "per_epoch"), [("epoch", 1), ("step", 4)])
def test_a_second_fit_for_more_epochs_has_their_rates(interval: str, per_epoch: int) -> None:
    """Lightning counts its epochs on, with a new optimizer; the schedule is that of all 4."""
    module = Module("cosine", interval)
    trainer = fit(module, max_epochs=2)
    trainer.fit_loop.max_epochs = 4
    trainer.fit(module, DataLoader(TensorDataset(torch.ones(8, 2), torch.zeros(8, dtype=torch.long)), 2))
    span = 4 * per_epoch
    assert module.rates[8 :: 4 // per_epoch] == pytest.approx(cosine([*range(span // 2, span)], span))


@for_each("optimizer", ["lbfgs", "sam(sgd)"])
def test_a_callback_that_accumulates_is_refused_where_a_step_takes_a_closure(optimizer: str) -> None:
    """As `accumulate_grad_batches` is."""
    with pytest.raises(lossreg.ConfigError, match=r"computes the loss again .* for the last of 3 accumulated batches"):
        fit(Module(None, None, optimizer), callbacks=[GradientAccumulationScheduler({0: 1, 2: 3})])
    fit(Module(None, None, optimizer), callbacks=[GradientAccumulationScheduler({0: 1})], max_epochs=1)


@for_each(
    ("factors", "settings", "steps"),
    [
        ({0: 2}, {}, [2, 2, 2, 2]),
        ({2: 4}, {}, [4, 4, 1, 1]),  # 4 batches an epoch
        ({1: 3}, {"max_epochs": 2}, [4, 2]),
        ({1: 2}, {"max_steps": 7}, [4, 2, 1]),
    ],
)
def test_a_schedule_of_steps_ends_with_the_last_step_of_a_callback_that_accumulates(
    factors: dict[int, int], settings: Any, steps: list[int]
) -> None:
    """Half a cosine over the steps of all epochs."""
    module = Module("cosine", "step")
    trainer = fit(module, callbacks=[GradientAccumulationScheduler(dict(factors))], **settings)
    assert trainer.global_step == sum(steps)
    rates = [rate for place, rate in enumerate(module.rates) if not place or rate != module.rates[place - 1]]
    assert rates == pytest.approx(cosine([*range(sum(steps))], sum(steps)))
