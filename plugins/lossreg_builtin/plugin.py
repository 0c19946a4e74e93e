"""The built-in components, by name. Nothing here imports torch: a factory is imported when it is first needed.

`defaults` lists what a user may set, with the values that hold unless it is set, so that they are shown, completed and
recorded, and a later torch with other defaults changes no run. Where they differ from torch's, `lossreg show` says so.
"""

from __future__ import annotations

from lossreg import Dataset, Loss, Metric, Model, Optimizer, Scheduler, hookimpl
from lossreg_builtin.metrics import METRICS
from lossreg_builtin.optimizers import OPTIMIZERS
from lossreg_builtin.schedulers import SCHEDULERS


@hookimpl
def lossreg_losses() -> list[Loss]:
    """L1, MSE, cross-entropy and Dice."""
    return [
        Loss(
            "l1",
            "torch.nn:L1Loss",
            "Mean absolute error",
            defaults={"reduction": "mean"},
            target="dense",
            averages="element",
        ),
        Loss(
            "mse",
            "torch.nn:MSELoss",
            "Mean squared error",
            defaults={"reduction": "mean"},
            target="dense",
            averages="element",
        ),
        Loss(
            "cross_entropy",
            "torch.nn:CrossEntropyLoss",
            "Negative log-likelihood of the softmax of the logits",
            defaults={"weight": None, "ignore_index": -100, "reduction": "mean", "label_smoothing": 0.0},
            input="logits",
            target="index",
            averages="element",
        ),
        Loss(
            "dice",
            "lossreg_builtin.dice:DiceLoss",
            "1 - the Dice coefficient of softmax and one-hot target, per class over the batch",
            defaults={"smooth": 1e-5, "reduction": "mean"},
            input="logits",
            target="index",
        ),
    ]


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
    """The MNIST CNN and a multi-layer perceptron."""
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
    ]


@hookimpl
def lossreg_datasets() -> list[Dataset]:
    """Two data sets that come with scikit-learn, three that torchvision downloads."""
    root = {"root": None}
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
        Dataset(
            "mnist",
            "lossreg_builtin.mnist:load_mnist",
            "70,000 handwritten digits, 28x28",
            defaults=root,
            model="mnist_cnn",
        ),
        Dataset(
            "fashion_mnist",
            "lossreg_builtin.mnist:load_fashion_mnist",
            "70,000 pictures of clothes, 28x28",
            defaults=root,
            model="mnist_cnn",
        ),
        Dataset(
            "kmnist",
            "lossreg_builtin.mnist:load_kmnist",
            "70,000 cursive Japanese characters, 28x28",
            defaults=root,
            model="mnist_cnn",
        ),
    ]
