"""The Trainer of Hugging Face that trains again, or goes on with other batches or another schedule."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

import lossreg
from tests.table import for_each

transformers: Any = pytest.importorskip("transformers", reason="not installed (pip install 'lossreg[hosts]')")

from lossreg.adapters.transformers import PartsTrainer  # noqa: E402  # behind the check that transformers is there


class Model(torch.nn.Module):
    """A linear model with outputs as those of transformers have them."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Linear(2, 3)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Its logits."""
        return {"logits": self.inner(x)}


class Noting(PartsTrainer):
    """A trainer that notes the rate of each step."""

    def training_step(self, *arguments: Any, **named: Any) -> Any:
        """One micro-batch."""
        self.rates.append(self.optimizer.param_groups[0]["lr"])
        return super().training_step(*arguments, **named)


def made(folder: Path, scheduler: str | None = "cosine", interval: Any = None, **arguments: Any) -> Noting:
    """A trainer of 8 samples: 4 epochs of 2 steps, where nothing else is said."""
    parts = lossreg.parts(loss="dice", optimizer="sgd(lr=1.0)", scheduler=scheduler, scheduler_interval=interval)
    given = {"num_train_epochs": 4, "per_device_train_batch_size": 4, "save_strategy": "no", **arguments}
    args = transformers.TrainingArguments(str(folder), use_cpu=True, report_to="none", disable_tqdm=True, **given)
    data = [{"x": torch.full((2,), float(one)), "labels": torch.tensor(one % 3)} for one in range(8)]
    trainer = Noting(parts=parts, model=Model(), args=args, train_dataset=data)
    trainer.rates = []
    return trainer


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str | None, str]:
    """Checkpoints after the second of 4 epochs of 2 steps, by schedule."""
    found = {}
    for scheduler in ("cosine", None):
        folder = tmp_path_factory.mktemp("saved")
        made(folder, scheduler, max_steps=4, save_steps=4, save_strategy="steps").train()
        found[scheduler] = str(folder / "checkpoint-4")
    return found


def cosine(parts: list[float]) -> list[float]:
    """Half a cosine, from 1 to 0."""
    return [0.5 * (1 + math.cos(math.pi * part)) for part in parts]


@for_each("scheduler", ["cosine", "one_cycle(max_lr=0.5)", "step_lr(step_size=1)"])
def test_a_second_training_has_the_schedule_of_the_first(scheduler: str, tmp_path: Path) -> None:
    """As it is with the Trainer's own schedules."""
    trainer = made(tmp_path, scheduler, num_train_epochs=2)
    trainer.train()
    trainer.train()
    assert trainer.rates[4:] == pytest.approx(trainer.rates[:4])


@for_each(
    ("arguments", "parts"),
    [
        ({"per_device_train_batch_size": 2}, [1 / 4] * 4 + [2 / 4] * 4 + [3 / 4] * 4),
        ({"gradient_accumulation_steps": 2, "num_train_epochs": 6}, [4 / 6] * 2 + [5 / 6] * 2),
    ],
)
def test_a_schedule_goes_on_where_the_trainer_does(
    arguments: dict[str, Any], parts: list[float], saved: dict[str | None, str], tmp_path: Path
) -> None:
    """After 4 steps of 2 an epoch the Trainer is in the second epoch of 4 steps each, or in the fifth of one each."""
    trainer = made(tmp_path, **arguments)
    trainer.train(resume_from_checkpoint=saved["cosine"])
    assert trainer.rates == pytest.approx(cosine(parts))


def test_a_checkpoint_of_the_model_alone_goes_on_where_the_trainer_does(
    saved: dict[str | None, str], tmp_path: Path
) -> None:
    """The Trainer counts its steps on, with a new optimizer."""
    folder = tmp_path / "checkpoint-4"
    folder.mkdir()
    for one in Path(saved["cosine"]).iterdir():
        if one.name not in ("optimizer.pt", "scheduler.pt"):
            (folder / one.name).write_bytes(one.read_bytes())
    trainer = made(tmp_path)
    trainer.train(resume_from_checkpoint=str(folder))
    assert trainer.rates == pytest.approx(cosine([2 / 4, 2 / 4, 3 / 4, 3 / 4]))


def test_what_is_set_after_the_trainer_was_made_is_refused(tmp_path: Path) -> None:
    """As a search over hyperparameters sets it for each trial."""
    trainer = made(tmp_path)
    trainer.args.learning_rate = 0.1
    with pytest.raises(lossreg.ConfigError, match=r"learning_rate=0\.1 of TrainingArguments has no effect"):
        trainer.train()


@for_each(
    ("was", "now", "interval", "wanted"),
    [
        (
            "cosine",
            None,
            None,
            "of the schedule cosine_annealing_lr, and this one is a constant rate: name the scheduler of",
        ),
        (
            None,
            "cosine",
            None,
            "of a constant rate, and this one is cosine_annealing_lr: name the scheduler of the checkpoint",
        ),
        ("cosine", "cosine", "step", "counts epochs, and this one counts steps: write scheduler_interval='epoch'"),
        ("cosine", "step_lr(step_size=2)", None, "cosine_annealing_lr, and this one is step_lr"),
    ],
)
def test_a_checkpoint_of_another_schedule_is_refused(
    was: str | None, now: str | None, interval: str | None, wanted: str, saved: dict[str | None, str], tmp_path: Path
) -> None:
    """Both are named, a constant rate and what is counted, too."""
    with pytest.raises(lossreg.StateError, match=wanted):
        made(tmp_path, now, interval).train(resume_from_checkpoint=saved[was])


def test_a_constant_rate_goes_on(saved: dict[str | None, str], tmp_path: Path) -> None:
    """Also from a checkpoint of earlier versions, which is one of transformers; not from a schedule of these."""
    folder = tmp_path / "checkpoint-4"
    folder.mkdir()
    for one in Path(str(saved[None])).iterdir():
        (folder / one.name).write_bytes(one.read_bytes())
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    for schedule in (transformers.get_constant_schedule(optimizer), None):
        if schedule is not None:
            torch.save(schedule.state_dict(), folder / "scheduler.pt")
        trainer = made(tmp_path, None, num_train_epochs=3)
        trainer.train(resume_from_checkpoint=str(folder))
        assert trainer.rates == [1.0, 1.0]
    moved = transformers.get_linear_schedule_with_warmup(optimizer, 0, 10)
    optimizer.step()
    moved.step()
    torch.save(moved.state_dict(), folder / "scheduler.pt")
    with pytest.raises(lossreg.StateError, match="of torch's"):
        made(tmp_path, None).train(resume_from_checkpoint=str(folder))
