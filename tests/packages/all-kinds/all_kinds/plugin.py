"""Offers a component of every kind, and listens to runs."""

import lossreg as lr


@lr.hookimpl
def lossreg_losses():
    """A loss on probabilities."""
    return [lr.Loss("brier", "all_kinds.parts:Brier", "Brier score", input="probabilities", target="dense")]


@lr.hookimpl
def lossreg_optimizers():
    """An optimizer."""
    return [lr.Optimizer("sign_sgd", "all_kinds.parts:SignSGD", "Steps by the sign of the gradient")]


@lr.hookimpl
def lossreg_schedulers():
    """A scheduler that the runner tells the number of epochs."""
    return [
        lr.Scheduler(
            "cosine",
            "torch.optim.lr_scheduler:CosineAnnealingLR",
            "Half a cosine",
            defaults={"eta_min": 0.0},
            runtime_args={"T_max": "epochs"},
        )
    ]


@lr.hookimpl
def lossreg_models():
    """A model that the runner tells its sizes."""
    return [
        lr.Model(
            "perceptron",
            "all_kinds.parts:Perceptron",
            "One linear layer",
            runtime_args={"in_features": "in_features", "out_features": "out_features"},
        )
    ]


@lr.hookimpl
def lossreg_datasets():
    """A data set."""
    return [lr.Dataset("corners", "all_kinds.parts:corners", "Four points", model="all.perceptron")]


@lr.hookimpl
def lossreg_metrics():
    """A metric whose state is a number of Python's."""
    return [
        lr.Metric("hits", "all_kinds.parts:Hits", "How many are right", better="higher", input="labels", target="index")
    ]


@lr.hookimpl
def lossreg_run_finished(run, result):
    """Leaves a file in the run directory."""
    (run.directory / "all_kinds.txt").write_text(f"{result.final['epoch'] + 1} epochs")
