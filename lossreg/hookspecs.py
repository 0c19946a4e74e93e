"""What a plugin may implement.

A plugin is a module (or any object) that an installed distribution names in the entry-point group `lossreg`:

    [project.entry-points.lossreg]
    focal = "lossreg_focal.plugin"

Its functions marked with `@lossreg.hookimpl` implement the hooks below; each may take any of the hook's arguments
and leave out the others. Hooks evolve only by adding arguments.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

from lossreg.components import Dataset, Loss, Metric, Model, Observer, Optimizer, Scheduler

if TYPE_CHECKING:
    from lossreg.training.results import RunResult
    from lossreg.training.state import Run

PROJECT = "lossreg"
PREFIX = "lossreg_"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

#: Component hook -> what it returns.
COMPONENT_HOOKS: Mapping[str, type[Loss | Optimizer | Scheduler | Model | Dataset | Metric | Observer]] = {
    "lossreg_losses": Loss,
    "lossreg_optimizers": Optimizer,
    "lossreg_schedulers": Scheduler,
    "lossreg_models": Model,
    "lossreg_datasets": Dataset,
    "lossreg_metrics": Metric,
    "lossreg_observers": Observer,
}


@hookspec
def lossreg_losses() -> Iterable[Loss]:  # type: ignore[empty-body]  # a hook specification has no body
    """Offers losses.

    A complete plugin:

        import lossreg as lr

        @lr.hookimpl
        def lossreg_losses():
            return [
                lr.Loss(
                    "focal",
                    "lossreg_focal.loss:FocalLoss",
                    summary="Cross-entropy that looks away from easy samples (Lin et al. 2017)",
                    defaults={"gamma": 2.0},
                    input="logits",
                    target="index",
                    averages="sample",
                )
            ]
    """


@hookspec
def lossreg_optimizers() -> Iterable[Optimizer]:  # type: ignore[empty-body]  # a hook specification has no body
    """Offers optimizers.

    A complete plugin:

        import lossreg as lr

        @lr.hookimpl
        def lossreg_optimizers():
            return [lr.Optimizer("lion", "lossreg_lion.lion:Lion", summary="Sign of the momentum (Chen et al. 2023)")]
    """


@hookspec
def lossreg_schedulers() -> Iterable[Scheduler]:  # type: ignore[empty-body]  # a hook specification has no body
    """Offers learning-rate schedulers.

    A complete plugin; the runner supplies the number of epochs:

        import lossreg as lr

        @lr.hookimpl
        def lossreg_schedulers():
            return [
                lr.Scheduler(
                    "cosine",
                    "torch.optim.lr_scheduler:CosineAnnealingLR",
                    summary="Half a cosine from the base rate down to eta_min",
                    runtime_args={"T_max": "epochs"},
                )
            ]
    """


@hookspec
def lossreg_models() -> Iterable[Model]:  # type: ignore[empty-body]  # a hook specification has no body
    """Offers models.

    A complete plugin; the runner supplies the sizes that the data set asks for:

        import lossreg as lr

        @lr.hookimpl
        def lossreg_models():
            return [
                lr.Model(
                    "perceptron",
                    "lossreg_perceptron.model:Perceptron",
                    summary="One linear layer",
                    runtime_args={"in_features": "in_features", "out_features": "out_features"},
                )
            ]
    """


@hookspec
def lossreg_datasets() -> Iterable[Dataset]:  # type: ignore[empty-body]  # a hook specification has no body
    """Offers data sets.

    A complete plugin; `load` returns a `lossreg.Data`:

        import lossreg as lr

        @lr.hookimpl
        def lossreg_datasets():
            return [lr.Dataset("iris", "lossreg_iris.data:load", summary="150 flowers, 3 classes", model="mlp")]
    """


@hookspec
def lossreg_metrics() -> Iterable[Metric]:  # type: ignore[empty-body]  # a hook specification has no body
    """Offers metrics, which `--metric` picks by name.

    A complete plugin; the factory returns an object with `update`, `compute` and `reset`:

        import lossreg as lr

        class ErrorCount:
            def __init__(self):
                self.reset()

            def reset(self):
                self.errors = 0

            def update(self, input, target):
                self.errors += (input != target).sum()

            def compute(self):
                return self.errors

        @lr.hookimpl
        def lossreg_metrics():
            return [
                lr.Metric(
                    "errors",
                    ErrorCount,
                    summary="How many are wrong",
                    better="lower",
                    input="labels",
                    target="index",
                    bounds=(0, None),
                )
            ]
    """


@hookspec
def lossreg_observers() -> Iterable[Observer]:  # type: ignore[empty-body]  # a hook specification has no body
    """Offers observers, which `--observe` picks by name.

    A complete plugin; the factory returns an object with methods named like the run hooks below, which need no mark:

        import lossreg as lr

        class Csv:
            def __init__(self, name: str = "epochs.csv"):
                self.name = name

            def lossreg_epoch_finished(self, run, record):
                with open(run.directory / self.name, "a") as file:
                    print(record["epoch"], record["train_loss"], sep=",", file=file)

        @lr.hookimpl
        def lossreg_observers():
            return [lr.Observer("csv", Csv, summary="A line of comma-separated values for each epoch")]
    """


@hookspec
def lossreg_run_started(run: Run) -> None:
    """Is called once, after every check and before the first step.

    A complete plugin:

        import lossreg as lr

        @lr.hookimpl
        def lossreg_run_started(run):
            print(f"training {run.spec.epochs} epochs on {run.device}; files in {run.directory}")
    """


@hookspec
def lossreg_logged(run: Run, record: Mapping[str, Any]) -> None:
    """Is called every `log_every` steps with the row that `metrics.jsonl` gets (`kind` is `"step"`).

    A complete plugin:

        import lossreg as lr

        @lr.hookimpl
        def lossreg_logged(run, record):
            if record["train_loss"] > 1e3:
                run.request_stop("the loss exploded")
    """


@hookspec
def lossreg_epoch_finished(run: Run, record: Mapping[str, Any]) -> None:
    """Is called after each epoch with the row that `metrics.jsonl` gets (`kind` is `"epoch"`).

    A complete plugin:

        import lossreg as lr

        @lr.hookimpl
        def lossreg_epoch_finished(run, record):
            if record.get("test_accuracy", 0) > 0.99:
                run.request_stop("99% reached")
    """


@hookspec
def lossreg_run_finished(run: Run, result: RunResult) -> None:
    """Is called once, after a run that ended well (also one that `run.request_stop` ended).

    A complete plugin:

        import lossreg as lr

        @lr.hookimpl
        def lossreg_run_finished(run, result):
            print(f"done: {result.final}")
    """


@hookspec
def lossreg_run_failed(run: Run, error: BaseException) -> None:
    """Is called once, after a run that an error or a signal ended; the error goes on to the caller.

    A complete plugin:

        import lossreg as lr

        @lr.hookimpl
        def lossreg_run_failed(run, error):
            print(f"failed at step {run.step}: {error}")
    """
