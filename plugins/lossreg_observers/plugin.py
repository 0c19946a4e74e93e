"""The hook of the observers that come with lossreg."""

import lossreg as lr


@lr.hookimpl
def lossreg_observers() -> list[lr.Observer]:
    """One row for each observer; a tracker over a network may take longer at the end of a run than a file."""
    return [
        lr.Observer(
            "tensorboard",
            "lossreg_observers.tensorboard:TensorBoard",
            "Event files for TensorBoard, in the run directory or a folder of many runs",
            defaults={"directory": None},
        ),
        lr.Observer(
            "mlflow",
            "lossreg_observers.mlflow:MLflow",
            "A run of an MLflow experiment, on a server or in a local store",
            defaults={"tracking_uri": None, "experiment": "lossreg", "name": None, "tags": {}, "artifacts": False},
            wait=120.0,
        ),
        lr.Observer(
            "wandb",
            "lossreg_observers.wandb:WandB",
            "A run of Weights & Biases, kept offline unless mode='online'",
            defaults={"project": "lossreg", "mode": "offline", "name": None, "entity": None, "tags": []},
            wait=120.0,
        ),
    ]
