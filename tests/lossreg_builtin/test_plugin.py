"""The table of built-in components against the factories that it names."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import lossreg
from lossreg import RegistryEntry
from lossreg.component import KINDS
from lossreg.expression import WORDS
from lossreg.names import EXPRESSION_WORDS
from lossreg.registry.registries import default
from lossreg_builtin.vision_datasets import ROWS
from lossreg_builtin.vision_models import MODELS
from tests.table import for_each

ALL: list[RegistryEntry[Any]] = [entry for kind in KINDS for entry in default.of(kind).values()]
BUILTIN = [entry for entry in ALL if entry.provenance.plugin == "builtin"]

#: Where the table differs from the factory on purpose.
DIFFERENT = {"sgd": {"lr", "momentum"}, "kl_div": {"reduction"}}


def test_the_built_in_names() -> None:
    """The distribution lossreg comes with these components, registered through its entry point."""
    names = {kind: sorted(r.name for r in BUILTIN if r.component.kind == kind) for kind in KINDS}
    assert names == {
        "loss": [
            "adaptive_log_softmax_with_loss", "bce", "bce_with_logits", "cosine_embedding", "cross_entropy", "ctc",
            "dice", "gaussian_nll", "hinge_embedding", "huber", "kl_div", "l1", "linear_cross_entropy",
            "margin_ranking", "mse", "multi_margin", "multilabel_margin", "multilabel_soft_margin", "nll",
            "poisson_nll", "smooth_l1", "soft_margin", "triplet_margin", "triplet_margin_with_distance",
        ],
        "optimizer": [
            "adadelta", "adafactor", "adagrad", "adam", "adamax", "adamw", "asgd", "cautious", "lbfgs", "lookahead",
            "muon", "nadam", "radam", "rmsprop", "rprop", "sam", "sgd", "sparse_adam",
        ],
        "scheduler": [
            "chained", "constant_lr", "cosine_annealing_lr", "cosine_annealing_warm_restarts", "cyclic_lr",
            "exponential_lr", "lambda_lr", "linear_lr", "multi_step_lr", "multiplicative_lr", "one_cycle_lr",
            "polynomial_lr", "reduce_lr_on_plateau", "sequential_lr", "step_lr", "warmup",
        ],
        "model": sorted(["mlp", "mnist_cnn", "small_cnn", *MODELS]),
        "dataset": sorted(["csv", "diabetes", "digits", "image_folder", "npz", "parquet", *ROWS]),
        "metric": [
            "accuracy", "auroc", "f1", "label_f1", "mean_absolute_error", "mean_dice", "mean_iou", "mean_squared_error",
            "root_mean_squared_error", "top_k",
        ],
            "observer": [],
    }  # fmt: skip


@for_each("entry", BUILTIN, ids=lambda r: r.id)
def test_a_component_names_parameters_of_its_factory(entry: RegistryEntry[Any]) -> None:
    """Every parameter that a component names is one of its factory's; required ones have no default there."""
    parameters = entry.signature.parameters
    assert set(entry.component.known_parameters) <= parameters.keys()
    assert all(parameters[name].required for name in entry.component.required)


@for_each("entry", BUILTIN, ids=lambda r: r.id)
def test_defaults_are_the_factory_s_but_for_the_known_differences(entry: RegistryEntry[Any]) -> None:
    """A component's defaults are those of its factory, apart from the differences that are documented."""
    own = entry.signature.parameters
    different = {name for name, value in entry.component.defaults.items() if own[name].default != value}
    assert different == DIFFERENT.get(entry.name, set())


@for_each("entry", BUILTIN, ids=lambda r: r.id)
def test_a_component_has_a_summary(entry: RegistryEntry[Any]) -> None:
    """Every built-in component says in one line what it is."""
    assert entry.component.summary
    assert "\n" not in entry.component.summary


def test_sgd_and_adam_are_torch_s() -> None:
    """The optimizers are torch's own classes with the rates 0.01 and 0.001."""
    weights = [torch.nn.Parameter(torch.zeros(1))]
    sgd, adam = lossreg.optimizers.build("sgd", weights), lossreg.optimizers.build("adam", weights)
    assert (type(sgd), type(adam)) == (torch.optim.SGD, torch.optim.Adam)
    assert (sgd.param_groups[0]["lr"], sgd.param_groups[0]["momentum"]) == (0.01, 0.9)
    assert adam.param_groups[0]["lr"] == 0.001


def test_mnist_cnn_has_the_tutorial_s_layers() -> None:
    """The model has the layers of the tutorial and 121,930 parameters."""
    model = lossreg.models.build("mnist_cnn")
    plain = torch.nn.Sequential(
        torch.nn.Conv2d(1, 32, 3), torch.nn.MaxPool2d(2), torch.nn.Conv2d(32, 64, 3), torch.nn.MaxPool2d(2),
        torch.nn.Flatten(), torch.nn.Linear(1600, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10),
    )  # fmt: skip
    assert [str(layer) for layer in model.children()] == [str(layer) for layer in plain]
    assert sum(parameter.numel() for parameter in model.parameters()) == 121_930
    model.load_state_dict(plain.state_dict())
    images = torch.rand(2, 1, 28, 28)
    assert torch.equal(model(images), plain(images))


def test_names_and_the_expression_language_agree() -> None:
    """The words that no component may have as a name are those of the expression language."""
    assert EXPRESSION_WORDS == WORDS


def test_mnist_cnn_takes_its_widths() -> None:
    """With other widths, kernels and a ReLU behind each convolution it is the network written out."""
    model = lossreg.models.build("mnist_cnn(channels=[4, 6], hidden=5, kernel_size=5, activation=true)")
    plain = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 5), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Conv2d(4, 6, 5), torch.nn.ReLU(),
        torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.Linear(96, 5), torch.nn.ReLU(), torch.nn.Linear(5, 10),
    )  # fmt: skip
    for own, other in zip(plain.parameters(), model.parameters(), strict=True):
        own.data.copy_(other.data)
    images = torch.rand(3, 1, 28, 28)
    torch.testing.assert_close(model(images), plain(images))


@for_each(
    ("spec", "said"),
    [
        ("mnist_cnn(channels=[8])", "channels are two numbers"),
        ("mnist_cnn(hidden=0)", "at least 1 wide"),
        ("mnist_cnn(kernel_size=10)", "1 to 9 for 28x28 images, not 10"),
    ],
)
def test_mnist_cnn_refuses_what_does_not_fit(spec: str, said: str) -> None:
    """Widths below 1, one width for two convolutions, and kernels that are too large are errors."""
    with pytest.raises(lossreg.BuildError, match=said):
        lossreg.models.build(spec)


def test_the_largest_kernel_leaves_one_pixel() -> None:
    """A kernel of 9 is allowed, and gives one number for each class."""
    assert lossreg.models.build("mnist_cnn(kernel_size=9)")(torch.rand(2, 1, 28, 28)).shape == (2, 10)
