"""The built-in components, by name. Nothing here imports torch: a factory is imported when it is first needed.

`defaults` lists what a user may set, with the values that hold unless it is set, so that they are shown, completed and
recorded, and a later torch with other defaults changes no run. Where they differ from torch's, `lossreg show` says so.
"""

from __future__ import annotations

from lossreg import Dataset, Loss, Metric, Model, Optimizer, Scheduler, hookimpl
from lossreg_builtin.losses import LOSSES
from lossreg_builtin.metrics import METRICS
from lossreg_builtin.optimizers import OPTIMIZERS
from lossreg_builtin.own_data.datasets import OWN_DATA
from lossreg_builtin.schedulers import SCHEDULERS
from lossreg_builtin.vision_datasets import vision_datasets
from lossreg_builtin.vision_models import vision_models


@hookimpl
def lossreg_losses() -> list[Loss]:
    """All of torch's, and Dice."""
    return LOSSES


@hookimpl
def lossreg_optimizers() -> list[Optimizer]:
    """All of torch's, and optimizers that wrap another one."""
    return OPTIMIZERS


@hookimpl
def lossreg_schedulers() -> list[Scheduler]:
    """All of torch's, and a warm-up."""
    return SCHEDULERS


@hookimpl
def lossreg_metrics() -> list[Metric]:
    """Measures of class labels, of probabilities and of numbers."""
    return METRICS


@hookimpl
def lossreg_models() -> list[Model]:
    """Small CNNs, a multi-layer perceptron, and the models of torchvision."""
    return [
        Model(
            "mnist_cnn",
            "lossreg_builtin.mnist_cnn:MnistCNN",
            "Two convolutions and two linear layers for 28x28 images",
            defaults={"channels": (32, 64), "hidden": 64, "kernel_size": 3, "activation": False},
            runtime_args={"in_channels": "in_channels", "num_classes": "num_classes"},
        ),
        Model(
            "mlp",
            "lossreg_builtin.mlp:MLP",
            "Linear layers with ReLU between them, over the flattened input",
            defaults={"hidden": (64, 64)},
            runtime_args={"in_features": "in_features", "out_features": "out_features"},
        ),
        Model(
            "small_cnn",
            "lossreg_builtin.small_cnn:SmallCNN",
            "Convolutions with group normalisation and a mean over all positions, for pictures of any size",
            defaults={"channels": (16, 32, 64, 128)},
            runtime_args={"in_channels": "in_channels", "num_classes": "num_classes"},
        ),
        *vision_models(),
    ]


@hookimpl
def lossreg_datasets() -> list[Dataset]:
    """Two data sets that come with scikit-learn, those of torchvision, and a person's own files."""
    return [
        Dataset(
            "digits",
            "lossreg_builtin.digits:load",
            "1,797 scans of handwritten digits, resized to 28x28 (no download)",
            model="mnist_cnn",
        ),
        Dataset(
            "diabetes",
            "lossreg_builtin.diabetes:load",
            "442 patients, 10 measurements, progression after a year (regression, no download)",
            model="mlp",
        ),
        *vision_datasets(),
        *OWN_DATA,
    ]
