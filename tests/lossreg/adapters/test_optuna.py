"""Optuna with texts: names and numbers of a study, going on with it, fixed trials, and what is told."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch

import lossreg

optuna: Any = pytest.importorskip("optuna", reason="optuna is not installed (pip install 'lossreg[optuna]')")

from lossreg.adapters.optuna import check, suggest  # noqa: E402  # behind the check that optuna is there
from tests.table import for_each  # noqa: E402  # as above

ROOT = Path(__file__).parents[3]

optuna.logging.set_verbosity(optuna.logging.WARNING)

SPACE: dict[str, Any] = {
    "loss": "choice(dice, cross_entropy(label_smoothing=uniform(0, 0.2)))",
    "optimizer": "adamw(lr=loguniform(1e-5, 1e-1), weight_decay=quniform(0, 0.4, 0.1))",
    "scheduler": "warmup(cosine(), length=randint(1, 10))",
    "param_groups": {"*.bias": "lr=choice('x1', 'x2')"},
}


def study(**settings: Any) -> Any:
    """A study with a sampler whose numbers are always the same."""
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0), **settings)


def by_hand(trial: Any) -> dict[str, Any]:
    """The same space in the words of Optuna."""
    loss = trial.suggest_categorical("loss", ["dice", "cross_entropy"])
    if loss == "cross_entropy":
        loss = f"cross_entropy(label_smoothing={trial.suggest_float('loss.cross_entropy.label_smoothing', 0, 0.2)!r})"
    rate = trial.suggest_float("optimizer.lr", 1e-5, 1e-1, log=True)
    decay = trial.suggest_float("optimizer.weight_decay", 0, 0.4, step=0.1)
    length = trial.suggest_int("scheduler.length", 1, 9)
    factor = trial.suggest_categorical("param_groups.*.bias.lr", ["x1", "x2"])
    return {
        "loss": loss,
        "optimizer": f"adamw(lr={rate!r}, weight_decay={round(decay, 10)!r})",
        "scheduler": f"warmup(cosine(), length={length})",
        "param_groups": {"*.bias": f"lr={factor!r}"},
    }


def test_a_trial_fills_the_texts() -> None:
    """Names, numbers and distributions are those of the same calls of Optuna, trial by trial.

    In the text a number on a grid is without the last digits of a product, 0.30000000000000004.
    """
    ours, theirs = study(), study()
    for _ in range(8):
        mine, hand = ours.ask(), theirs.ask()
        assert suggest(mine, **SPACE) == by_hand(hand)
        assert mine.params == hand.params
        assert mine.distributions == hand.distributions
    assert {trial.params["loss"] for trial in ours.trials} == {"dice", "cross_entropy"}


def test_a_study_of_three_trials(tmp_path: Path) -> None:
    """What a trial gives is ready for a run, whose record has the numbers of the study."""

    def objective(trial: Any) -> float:
        settings = suggest(trial, **SPACE, epochs=12)
        result = lossreg.run(
            **settings, max_steps=1, model="mlp", limit_train=16, limit_test=16, device="cpu", checkpoint_every="none",
            out=tmp_path / str(trial.number), quiet=True,
        )  # fmt: skip
        optimizer = dict(result.spec.optimizer.params)
        assert optimizer["lr"] == trial.params["optimizer.lr"]
        assert optimizer["weight_decay"] == round(trial.params["optimizer.weight_decay"], 10)
        return float(result.final["test_loss"])

    made = study()
    made.optimize(objective, n_trials=3)
    assert [trial.state.name for trial in made.trials] == ["COMPLETE"] * 3


def test_texts_are_ready_for_parts() -> None:
    """For a loop of one's own; the rate of the bias is twice the other, which is a fixed number."""
    fixed = optuna.trial.FixedTrial({"optimizer.lr": 0.25, "param_groups.*bias.lr": "x2"})
    space: dict[str, Any] = {"optimizer": "sgd(lr=uniform(0, 1))", "param_groups": {"*bias": "lr=choice('x1', 'x2')"}}
    parts = lossreg.parts(**suggest(fixed, **space), loss="l1", task="regression")
    groups = parts.optimizer(torch.nn.Linear(2, 1)).param_groups
    assert sorted(group["lr"] for group in groups) == [0.25, 0.5]


def test_the_best_trial_again() -> None:
    """A FixedTrial of the best parameters, and the best trial itself, give the same texts once more."""
    made = study()
    given: dict[int, Any] = {}

    def objective(trial: Any) -> float:
        given[trial.number] = suggest(trial, **SPACE)
        return float(trial.params["optimizer.lr"])

    made.optimize(objective, n_trials=3)
    best = given[made.best_trial.number]
    assert suggest(optuna.trial.FixedTrial(made.best_params), **SPACE) == best
    assert suggest(made.best_trial, **SPACE) == best


def test_a_study_goes_on(tmp_path: Path) -> None:
    """From a file, with the same space; wider numbers are fine, and other choices are told."""
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(tmp_path / "study.log")))
    texts: dict[str, Any] = {
        "loss": "choice(dice, l1, dice(smooth=2))",
        "optimizer": "sgd(lr=uniform(0, 1), momentum=choice(0, 0.5))",
    }
    for count in (1, 2):
        made = study(storage=storage, study_name="s", load_if_exists=True)
        made.optimize(lambda trial: float(len(suggest(trial, **texts)["loss"])), n_trials=1)
        assert len(made.trials) == count
    wider = suggest(made.ask(), **{**texts, "optimizer": "sgd(lr=uniform(0, 100), momentum=choice(0, 0.5))"})
    assert wider["optimizer"].startswith("sgd(lr=")
    with pytest.raises(lossreg.ConfigError, match=r"loss=choice\(dice, mse\): .* begin a new study \(study_name\)"):
        suggest(made.ask(), **{**texts, "loss": "choice(dice, mse)"})
    with pytest.raises(lossreg.ConfigError, match=r"optimizer\.lr=choice\(1, 2\): .* begin a new study"):
        suggest(made.ask(), optimizer="sgd(lr=choice(1, 2))")


@for_each(
    ("values", "wanted"),
    [
        ({}, "loss=choice(dice, l1): FixedTrial has no value for it: The value of the parameter 'loss' is not found"),
        ({"loss": "mse"}, "loss=choice(dice, l1): FixedTrial has no value for it: 'mse' not in ('dice', 'l1')"),
    ],
)
def test_a_fixed_trial_without_a_value(values: dict[str, Any], wanted: str) -> None:
    """What it lacks is told by the name of the range."""
    with pytest.raises(lossreg.ConfigError) as told:
        suggest(optuna.trial.FixedTrial(values), loss="choice(dice, l1)")
    assert wanted in str(told.value)


def test_ends_are_checked_before_the_first_number() -> None:
    """A wrong end is told before a trial is asked for anything, and by `check` before there is a study."""
    made = study()
    wrong = "sgd(momentum=uniform(0, 1), lr=uniform(-1, 1))"
    with pytest.raises(lossreg.BuildError, match="Invalid learning rate: -1"):
        made.optimize(lambda trial: suggest(trial, optimizer=wrong), n_trials=1)
    assert [trial.params for trial in made.trials] == [{}]
    with pytest.raises(lossreg.BuildError, match=r"optimizer='sgd\(.*\)' allows 'sgd\(momentum=0\.0, lr=-1\.0\)'"):
        check(optimizer=wrong)


@for_each("given", ["sgd(lr=uniform(0, 1))", None, 3])
def test_what_is_not_a_trial_is_told(given: object) -> None:
    """The first argument is a trial, which is easily left out."""
    with pytest.raises(lossreg.ConfigError, match="suggest is given the trial of a study first, not"):
        suggest(given, loss="dice")  # type: ignore[arg-type, unused-ignore]  # that is what is tested


def test_the_example_runs(tmp_path: Path) -> None:
    """It ends bad trials early, and goes on with its study."""
    example = runpy.run_path(str(ROOT / "docs" / "examples" / "optuna_digits.py"))
    for count in (2, 4):
        made = example["main"](trials=2, epochs=2, samples=64, folder=tmp_path / "search")
        assert len(made.trials) == count
    assert {trial.state.name for trial in made.trials} <= {"COMPLETE", "PRUNED"}
    assert 0 <= made.best_value <= 1


def test_the_task_of_the_data_is_checked() -> None:
    """It is no setting of what comes back, and a word that is no task is told."""
    with pytest.raises(lossreg.ConfigError, match="allows 'dice': the loss dice does not fit a regression: "):
        suggest(study().ask(), loss="choice(dice, l1)", task="regression")
    assert suggest(study().ask(), loss="choice(mse, l1)", task="regression").keys() == {"loss"}
    suggest(study().ask(), loss="choice(dice, l1)")  # not the same check as with a task
    with pytest.raises(lossreg.ConfigError, match=r"task is one of classification, .*, not 'regresion'"):
        check(loss="choice(dice, l1)", task="regresion")  # type: ignore[arg-type]  # that is what is tested
