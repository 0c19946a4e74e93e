"""All of torch's losses have a row: those that a run feeds have torch's values, the others say what they take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules import loss as losses_of_torch

import lossreg
from lossreg import Data, RegistryEntry
from lossreg.data import Task
from lossreg.errors import ConfigError, ContractError
from lossreg.registry.registries import default
from lossreg.training.loss.adapter import adapt
from tests.table import for_each

if TYPE_CHECKING:
    from tests.conftest import Command

#: What torch has for its own use: where weights are made, and how the work is cut into chunks.
INTERNAL = {"device", "dtype", "options"}
LOSSES = [entry for entry in default.losses.values() if entry.provenance.plugin == "builtin"]
CLASSES = sorted(
    {*losses_of_torch.__all__, "AdaptiveLogSoftmaxWithLoss"}
    | {name for name, one in vars(nn).items() if isinstance(one, type) and issubclass(one, losses_of_torch._Loss)}
)


@for_each("name", CLASSES)
def test_every_loss_of_torch_has_a_row(name: str) -> None:
    """The installed torch has no loss that cannot be named; one that is deprecated is an alias of its successor."""
    alias = name.lower().removesuffix("loss").replace("loss", "")
    assert [one for one in LOSSES if one.factory is getattr(nn, name) or alias in one.component.aliases]


@for_each("entry", LOSSES, ids=lambda entry: entry.name)
def test_a_row_has_every_parameter_that_a_user_may_set(entry: RegistryEntry[Any]) -> None:
    """What a row leaves out is what torch has for its own use."""
    assert set(entry.signature.parameters) <= {*entry.component.known_parameters, *INTERNAL}


@for_each("entry", LOSSES, ids=lambda entry: entry.name)
def test_what_takes_classes_weighs_them_where_it_can(entry: RegistryEntry[Any]) -> None:
    """A parameter that a run can compute is one of the factory's, and takes a tensor."""
    for parameter in entry.component.data_values:
        assert "Tensor" in entry.signature.parameters[parameter].type_text


# The same values as torch's own classes

generator = torch.Generator().manual_seed(0)
OUTPUT = torch.randn(6, 4, generator=generator)
INDEX = torch.tensor([2, 0, 3, 1, 2, 2])
ONE_HOT = torch.eye(4)[INDEX]
LABELS = torch.tensor([[1.0, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0], [0, 0, 1, 1], [1, 0, 0, 1]])
LISTS = torch.tensor([[0, 2, -1, -1], [-1] * 4, [0, 1, 2, 3], [1, -1, -1, -1], [2, 3, -1, -1], [0, 3, -1, -1]])
NUMBERS = torch.rand(6, 4, generator=generator)
WEIGHT = torch.tensor([0.5, 1.0, 2.0, 3.0])

Expected = Callable[[], Tensor]
#: Spec, task, and torch's class on targets that are converted by hand.
VALUES: list[tuple[str, Task, Expected]] = [
    ("l1", "regression", lambda: nn.L1Loss()(OUTPUT, NUMBERS)),
    ("l1", "classification", lambda: nn.L1Loss()(OUTPUT, ONE_HOT)),
    ("mse", "multilabel", lambda: nn.MSELoss()(OUTPUT, LABELS)),
    ("huber(delta=0.3)", "regression", lambda: nn.HuberLoss(delta=0.3)(OUTPUT, NUMBERS)),
    ("smooth_l1(beta=0.3)", "regression", lambda: nn.SmoothL1Loss(beta=0.3)(OUTPUT, NUMBERS)),
    ("poisson_nll(full=True)", "regression", lambda: nn.PoissonNLLLoss(full=True)(OUTPUT, NUMBERS)),
    ("nll(weight=[0.5, 1, 2, 3])", "classification", lambda: nn.CrossEntropyLoss(WEIGHT)(OUTPUT, INDEX)),
    ("kl_div", "classification", lambda: nn.CrossEntropyLoss()(OUTPUT, INDEX)),
    ("kl_div(reduction='sum')", "classification", lambda: nn.CrossEntropyLoss(reduction="sum")(OUTPUT, INDEX)),
    ("multi_margin(p=2)", "classification", lambda: nn.MultiMarginLoss(p=2)(OUTPUT, INDEX)),
    ("bce", "classification", lambda: nn.BCELoss()(OUTPUT.sigmoid(), ONE_HOT)),
    ("bce", "multilabel", lambda: nn.BCEWithLogitsLoss()(OUTPUT, LABELS)),
    (
        "bce_with_logits(pos_weight=[0.5, 1, 2, 3])", "multilabel",
        lambda: nn.BCEWithLogitsLoss(pos_weight=WEIGHT)(OUTPUT, LABELS),
    ),
    ("bce_with_logits", "classification", lambda: nn.BCEWithLogitsLoss()(OUTPUT, ONE_HOT)),
    ("soft_margin", "multilabel", lambda: nn.SoftMarginLoss()(OUTPUT, 2 * LABELS - 1)),
    ("soft_margin", "classification", lambda: functional.softplus(-OUTPUT * (2 * ONE_HOT - 1)).mean()),
    (
        "multilabel_soft_margin(weight=[0.5, 1, 2, 3])", "multilabel",
        lambda: nn.MultiLabelSoftMarginLoss(WEIGHT)(OUTPUT, LABELS),
    ),
    ("multilabel_margin", "multilabel", lambda: nn.MultiLabelMarginLoss()(OUTPUT, LISTS)),
    (
        "multilabel_margin", "classification",
        lambda: nn.MultiLabelMarginLoss()(OUTPUT, torch.cat([INDEX[:, None], torch.full((6, 3), -1)], dim=1)),
    ),
]  # fmt: skip
TARGETS: dict[str, Tensor] = {"regression": NUMBERS, "classification": INDEX, "multilabel": LABELS}


@for_each(("spec", "task", "expected"), VALUES, ids=[f"{one[0]}-{one[1]}" for one in VALUES])
def test_a_named_loss_has_the_value_of_torch_s_own(spec: str, task: Task, expected: Expected) -> None:
    """What a run makes of output and target gives the value of torch's class on targets made by hand."""
    component = lossreg.losses[spec.partition("(")[0]].component
    value = adapt(lossreg.losses.build(spec), component, task)(OUTPUT, TARGETS[task])
    # Two kernels for the same formula may round in another order, a few units of 6e-8.
    torch.testing.assert_close(value, expected(), rtol=1e-6, atol=0)


def test_every_loss_that_a_run_feeds_is_compared() -> None:
    """The table above leaves out those alone that have tests of their own, and those that a run cannot feed."""
    fed = {entry.name for entry in LOSSES if entry.component.is_fed}
    assert fed - {spec.partition("(")[0] for spec, _, _ in VALUES} == {"cross_entropy", "dice"}


def test_images_have_signs_and_probabilities_for_each_position() -> None:
    """Of a segmentation, class indices become the targets of losses of labels at each position."""
    output, index = torch.randn(2, 3, 5, generator=generator), torch.randint(3, (2, 5), generator=generator)
    one_hot = torch.zeros(2, 3, 5).scatter_(1, index[:, None], 1.0)
    entry = lossreg.losses["soft_margin"]
    value = adapt(entry.factory(), entry.component, "segmentation")(output, index)
    torch.testing.assert_close(value, functional.softplus(-output * (2 * one_hot - 1)).mean(), rtol=1e-6, atol=0)


# Each trains


def table(task: Task) -> Data:
    """Eight rows of four numbers with targets of a task."""
    inputs = torch.arange(32.0).reshape(8, 4) / 32
    targets = {
        "regression": inputs.flip(1),
        "classification": torch.arange(8) % 4,
        "multilabel": (inputs.flip(0) > 0.5).float(),
    }[task]
    sizes: dict[str, Any] = {"out_features": 4} if task == "regression" else {"num_classes": 4}
    return Data((inputs, targets), (inputs, targets), task, (4,), **sizes)


FED = [(entry.name, task) for entry in LOSSES if entry.component.is_fed for task in ("classification", "multilabel")]
FED += [(name, "regression") for name in ("l1", "mse", "huber", "smooth_l1", "poisson_nll")]
#: Those of one class of several, of which a sample here has any number.
OF_ONE_CLASS = ("cross_entropy", "nll", "kl_div", "multi_margin", "dice")
FITTING = [(name, task) for name, task in FED if not (task == "multilabel" and name in OF_ONE_CLASS)]


@for_each(("name", "task"), FITTING)
def test_a_loss_that_a_run_feeds_fits_the_data(name: str, task: Task) -> None:
    """A plan finds that loss, model and data set fit, with a finite loss and its gradient, and without a warning."""
    plan = lossreg.plan(loss=name, data=table(task), model=nn.Linear(4, 4), batch_size=8, epochs=1)
    assert plan.facts["reduction"] == (None if name == "dice" else "samples")
    assert [one for one in plan.warnings if "loss" in one] == []


@for_each("name", OF_ONE_CLASS)
def test_a_loss_of_one_class_refuses_samples_of_several(name: str) -> None:
    """A loss of class indices, or of probabilities that sum to 1, is an error that names those that fit."""
    with pytest.raises(ContractError, match=r"but the targets are a 0 or 1 for each class\. Losses that fit: .*bce"):
        lossreg.plan(loss=name, data=table("multilabel"), model=nn.Linear(4, 4))


@for_each(
    ("name", "said"),
    [
        ("bce_with_logits", "takes a 0 or 1 for each class"),
        ("soft_margin", "takes a -1 or 1 for each class"),
        ("multilabel_margin", "takes lists of classes"),
        ("kl_div", "takes a probability for each class"),
        ("nll", "takes class indices"),
    ],
)
def test_a_loss_of_classes_refuses_a_regression(name: str, said: str) -> None:
    """Numbers to predict are not classes: an error that says what the loss takes, and names those that fit."""
    fit = "Losses that fit: huber, l1, mse, poisson_nll, smooth_l1"
    with pytest.raises(ContractError, match=f"{said}, but the targets are numbers to predict. {fit}"):
        lossreg.plan(loss=name, data=table("regression"), model=nn.Linear(4, 4))


def test_a_step_with_a_named_loss_is_that_with_torch_s_own(tmp_path: Path) -> None:
    """One step of SGD with `kl_div` leads to the weights that a step with torch's cross-entropy leads to."""
    ours, peer = nn.Linear(4, 4), nn.Linear(4, 4)
    peer.load_state_dict(ours.state_dict())
    data = table("classification")
    lossreg.run(
        loss="kl_div", data=data, model=ours, optimizer="sgd(lr=0.5, momentum=0)", batch_size=8, epochs=1, quiet=True,
        precision="32", device="cpu", out=tmp_path / "out",
    )  # fmt: skip
    assert isinstance(data.train, tuple)
    nn.functional.cross_entropy(peer(data.train[0]), data.train[1]).backward()
    assert peer.weight.grad is not None
    # A gradient of at most 1 that is rounded in another order, times 0.5: some 1e-7.
    torch.testing.assert_close(ours.weight.detach(), peer.weight.detach() - 0.5 * peer.weight.grad, rtol=0, atol=1e-6)


def test_logarithms_of_one_hot_targets_are_refused() -> None:
    """`kl_div(log_target=True)` takes logarithms, which the zeros of one-hot targets do not have."""
    with pytest.raises(ContractError, match=r"log_target=True.*zeros of one-hot targets do not have"):
        lossreg.plan(loss="kl_div(log_target=True)", data=table("classification"), model=nn.Linear(4, 4))


# Those that a run cannot feed

UNFED = {
    "gaussian_nll": "input, target and var",
    "hinge_embedding": "distance and target",
    "cosine_embedding": "input1, input2 and target",
    "margin_ranking": "input1, input2 and target",
    "triplet_margin": "anchor, positive and negative",
    "triplet_margin_with_distance": "anchor, positive and negative",
    "ctc": "input, target, input_lengths and target_lengths",
    "linear_cross_entropy": "features and target",
    "adaptive_log_softmax_with_loss": "features and target",
}


def test_those_that_a_run_cannot_feed() -> None:
    """These, and no others, take what a run does not have."""
    assert {entry.name for entry in LOSSES if not entry.component.is_fed} == {*UNFED}


@for_each(("name", "takes"), UNFED.items())
def test_a_run_says_what_such_a_loss_takes(name: str, takes: str) -> None:
    """A run with it is refused before anything is loaded, in one line that says what it takes."""
    with pytest.raises(ConfigError) as failed:
        lossreg.plan(loss=name)
    assert failed.value.message == (
        f"the loss {name} takes {takes}, and a run has the model's output and the target alone; "
        f"lossreg.losses.build('{name}', ...) builds it for a training loop of your own"
    )
    assert failed.value.setting == "loss"


def test_the_command_line_says_so_in_a_line(lossreg_command: Command) -> None:
    """`lossreg run` ends with exit code 2 and one line, and `lossreg show` says what the loss takes."""
    refused = lossreg_command("run", "--loss", "triplet_margin(margin=2.0)")
    assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
    assert "the loss triplet_margin(margin=2.0) takes anchor, positive and negative" in refused.err
    assert "takes=anchor, positive, negative: " in lossreg_command("show", "loss", "triplet_margin").out


def test_a_default_that_is_not_torch_s_is_shown(lossreg_command: Command) -> None:
    """The divergence is that of a sample: torch's own default divides by the classes, too, and warns."""
    assert "differs from torch: reduction='batchmean' (torch: 'mean')" in lossreg_command("show", "loss", "kl_div").out


def test_an_object_of_such_a_class_is_refused_likewise() -> None:
    """An object of torch's class says the same as its name."""
    with pytest.raises(ConfigError, match=r"the loss torch.*TripletMarginLoss takes anchor, positive and negative"):
        lossreg.plan(loss=nn.TripletMarginLoss(), data=table("classification"), model=nn.Linear(4, 4))


def test_such_a_loss_is_built_with_its_parameters() -> None:
    """From Python it is torch's class with the parameters that were given."""
    anchor, positive, negative = torch.randn(3, 5, 4, generator=generator)
    loss = lossreg.losses.build("triplet_margin", margin=2.0)
    gap = (anchor - positive).norm(dim=1) - (anchor - negative).norm(dim=1) + 2
    # torch adds eps=1e-6 to each difference of the two distances, which are some 2.
    torch.testing.assert_close(loss(anchor, positive, negative), gap.clamp(min=0).mean(), rtol=1e-5, atol=0)
    owner = lossreg.losses.build("adaptive_log_softmax_with_loss", in_features=4, n_classes=9, cutoffs=[3])
    assert owner(torch.randn(2, 4, generator=generator), torch.tensor([0, 8])).loss.ndim == 0
    fused = lossreg.losses.build("linear_cross_entropy(in_features=4, num_classes=3)")
    assert fused(torch.randn(2, 4, generator=generator), torch.tensor([0, 2])).ndim == 0
