"""A study of Optuna over loss, optimizer and schedule: bad trials end early, and a second call goes on with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
from optuna.storages.journal import JournalFileBackend

import lossreg
from lossreg.adapters.optuna import check, suggest

SPACE: dict[str, Any] = {
    "loss": "choice(dice, cross_entropy(label_smoothing=uniform(0, 0.2)))",
    "optimizer": "adamw(lr=loguniform(1e-4, 1e-1), weight_decay=choice(0, 0.01))",
    "scheduler": "choice(none, cosine, warmup(cosine, length=choice('10%', '30%')))",
    "param_groups": {"*.bias": "weight_decay=0, lr=choice('x1', 'x2')"},
}


class Report:
    """Tells a trial the accuracy of each epoch, and ends the run where the study gives it up."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    def lossreg_epoch_finished(self, run: lossreg.Run, record: dict[str, float]) -> None:
        """After each epoch."""
        self.trial.report(record["validation_accuracy"], int(record["epoch"]))
        if self.trial.should_prune():
            run.request_stop("pruned")


def main(trials: int = 20, epochs: int = 10, samples: int = 1024, folder: str | Path = "runs/search") -> optuna.Study:
    """Searches; the runs and the study are kept in a folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)

    def objective(trial: optuna.Trial) -> float:
        result = lossreg.run(
            **suggest(trial, **SPACE, epochs=epochs), model="mlp", limit_train=samples, validate=0.25,
            observers=[Report(trial)], out=folder / f"trial-{trial.number}", quiet=True,
        )  # fmt: skip
        if result.reason == "pruned":
            raise optuna.TrialPruned
        return float(result.final["validation_accuracy"])

    check(**SPACE, epochs=epochs)
    study = optuna.create_study(
        storage=optuna.storages.JournalStorage(JournalFileBackend(str(folder / "study.log"))),
        study_name="digits", direction="maximize", load_if_exists=True,
    )  # fmt: skip
    study.optimize(objective, n_trials=trials)
    return study


if __name__ == "__main__":
    best = main().best_trial
    print(best.value, suggest(best, **SPACE))  # noqa: T201  # a script of a user
