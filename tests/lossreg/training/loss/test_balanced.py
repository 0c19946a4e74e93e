"""`balanced`: numbers that a run computes from how frequent the classes of its training split are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn
from torch.utils.data import Dataset

import lossreg
from lossreg import ComponentSpec, Data, Registries, RunResult
from lossreg.comparison.worker import plan as plan_cells
from lossreg.errors import ConfigError, DataError, LossregError, ParameterError
from lossreg.past_runs.cells import cells_of
from lossreg.run_spec import RunSpec
from lossreg.training.record.reading import read_run
from tests.table import for_each

if TYPE_CHECKING:
    from tests.conftest import Command

Run = Callable[..., RunResult]

TARGETS = torch.tensor([0, 1, 1, 2, 2, 2, 2, 1, 1, 1])


def rows(targets: Tensor, *, classes: int = 3, task: Any = "classification") -> Data:
    """Rows of two numbers with these targets; a test split of all classes."""
    inputs = torch.arange(2.0 * len(targets)).reshape(-1, 2) / 20
    test = torch.arange(classes) if task == "classification" else targets
    return Data((inputs, targets), (inputs[: len(test)], test), task, (2,), num_classes=classes)


def planned(loss: Any = "cross_entropy(weight=balanced)", data: Data | None = None, **settings: Any) -> dict[str, Any]:
    """The parameters of the loss that a plan has."""
    data = rows(TARGETS) if data is None else data
    usual = {"data": data, "model": "mlp", "epochs": 1}
    spec = lossreg.plan(loss=loss, **{**usual, **settings}).spec.loss
    assert spec is not None
    return dict(spec.params)


def sklearn_s(targets: Tensor) -> list[float]:
    """scikit-learn's balanced weights of the classes."""
    found: list[float] = compute_class_weight("balanced", classes=np.unique(targets), y=targets.numpy()).tolist()
    return found


# The numbers


def test_class_weights_are_scikit_learn_s() -> None:
    """`weight=balanced` is n / (C n_c), which scikit-learn calls balanced; nine digits are kept."""
    assert planned()["weight"] == pytest.approx(sklearn_s(TARGETS), rel=1e-8)


@for_each("loss", ["nll", "multi_margin", "multilabel_soft_margin"])
def test_every_loss_with_a_weight_for_each_class_takes_it(loss: str) -> None:
    """The same numbers for all that weigh classes."""
    assert planned(f"{loss}(weight=balanced)")["weight"] == pytest.approx(sklearn_s(TARGETS), rel=1e-8)


def test_positive_weights_are_negatives_by_positives() -> None:
    """`pos_weight=balanced` is the number of samples without a class divided by that with it."""
    assert planned("bce_with_logits(pos_weight=balanced)")["pos_weight"] == pytest.approx((9.0, 1.0, 1.5))


def test_positive_weights_of_labels() -> None:
    """Of a multilabel classification they count each column by itself."""
    labels = torch.tensor([[1, 0, 1], [0, 0, 1], [0, 1, 1], [0, 1, 0]])
    found = planned("bce_with_logits(pos_weight=balanced)", rows(labels, task="multilabel"))
    assert found["pos_weight"] == pytest.approx((3.0, 1.0, 1 / 3), rel=1e-8)
    found = planned("multilabel_soft_margin(weight=balanced)", rows(labels, task="multilabel"))
    assert found["weight"] == pytest.approx((6 / 3, 6 / 6, 6 / 9), rel=1e-8)


def masks() -> Data:
    """Two masks of 2x2 with three classes, of which -100 marks what does not count."""
    targets = torch.tensor([[[0, 1], [1, -100]], [[2, 2], [2, 2]]])
    both = torch.linspace(0, 1, 8).reshape(2, 1, 2, 2), targets
    return Data(both, both, "segmentation", (1, 2, 2), num_classes=3)


def test_positions_of_a_segmentation_are_counted() -> None:
    """Each position counts, but for those that the loss ignores."""
    found = planned(data=masks(), model=nn.Conv2d(1, 3, 1))["weight"]
    assert found == pytest.approx((7 / 3, 7 / 6, 7 / 12), rel=1e-8)


def test_positive_weights_of_a_segmentation_are_those_of_the_classes() -> None:
    """They have the shape (C, 1, 1), or torch would take them for those of columns of the image."""
    data = masks()
    assert isinstance(data.train, tuple)
    kept = data.train[0], data.train[1].clamp(min=0)
    data = Data(kept, kept, "segmentation", (1, 2, 2), num_classes=3)
    plan = lossreg.plan(loss="bce_with_logits(pos_weight=balanced)", data=data, model=nn.Conv2d(1, 3, 1), epochs=1)
    assert plan.spec.loss is not None
    assert dict(plan.spec.loss.params)["pos_weight"] == (((3.0,),), ((3.0,),), ((1.0,),))


def test_a_class_that_is_ignored_counts_as_none() -> None:
    """`ignore_index=0` leaves two classes, which share the weights; the ignored one has the weight 0."""
    found = planned("cross_entropy(weight=balanced, ignore_index=0)")["weight"]
    assert found == pytest.approx((0.0, *sklearn_s(TARGETS[TARGETS != 0])), rel=1e-8)


def test_the_training_split_alone_is_counted() -> None:
    """What is held out for validation, what `limit_train` leaves out and the test split do not count."""
    assert planned(limit_train=7)["weight"] == pytest.approx(sklearn_s(TARGETS[:7]), rel=1e-8)
    data = rows(torch.arange(60) % 3 % 2, classes=2)
    plan = lossreg.plan(loss="cross_entropy(weight=balanced)", data=data, model=nn.Linear(2, 2), validate=0.3)
    left = plan.facts["data"]["train"]
    assert plan.spec.loss is not None
    weights: Any = dict(plan.spec.loss.params)["weight"]
    counts = [left / (2 * weight) for weight in weights]
    assert left < 45
    assert counts == pytest.approx([round(one) for one in counts], abs=1e-5)
    assert sum(counts) == pytest.approx(left)


class Read(Dataset[Any]):
    """A map-style data set that counts how often each sample is read."""

    def __init__(self, targets: Tensor) -> None:
        self.labels, self.read = targets, [0] * len(targets)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        self.read[index] += 1
        return torch.full((2,), index / 10), self.labels[index]


@for_each("loader", ["dataloader", "resident"])
def test_samples_that_are_read_one_by_one_are_read_once_for_it(loader: str) -> None:
    """A map-style data set gives the numbers of its tensors, for one more pass over its training split at most."""
    samples = Read(TARGETS)
    data = Data(samples, samples, "classification", (2,), num_classes=3)
    workers = {"workers": 0} if loader == "dataloader" else {}
    passes = []
    for loss in ("cross_entropy", "cross_entropy(weight=balanced)"):
        samples.read = [0] * len(samples)
        found = planned(loss, data, loader=loader, **workers)
        passes.append(np.array(samples.read))
    assert found["weight"] == pytest.approx(sklearn_s(TARGETS), rel=1e-8)
    assert (passes[1] - passes[0]).tolist() == [int(loader == "dataloader")] * len(TARGETS)


# What has no numbers


def refused(error: type[LossregError], loss: Any, data: Data | None = None, **settings: Any) -> str:
    """What is said of a plan with this loss."""
    with pytest.raises(error) as failed:
        planned(loss, data, **settings)
    assert failed.value.setting == "loss"
    return str(failed.value)


def test_a_class_without_samples_is_named() -> None:
    """A class that the training split lacks has no weight; the error names the loss and the class."""
    data = rows(TARGETS, classes=5)
    assert refused(DataError, "cross_entropy(weight=balanced)", data) == (
        "loss cross_entropy(weight=balanced): classes 3, 4 have no samples in data set lossreg.data.Data, split "
        "train, so weight=balanced has no weight for them; give numbers, weight=[...]"
    )
    assert (
        "class 2 has no sample in data set lossreg.data.Data, split train, so weight=balanced has no weight for it"
        in refused(DataError, "cross_entropy(weight=balanced)", limit_train=3)
    )


def test_a_class_that_every_sample_has_is_named() -> None:
    """Its positive weight would be 0, so that nothing of it was learned."""
    labels = torch.tensor([[1, 0], [1, 1]])
    said = refused(DataError, "bce_with_logits(pos_weight=balanced)", rows(labels, classes=2, task="multilabel"))
    assert (
        "is in every sample of data set lossreg.data.Data, split train, so pos_weight=balanced has no weight for it"
        in said
    )


def test_a_regression_has_no_classes() -> None:
    """`balanced` with numbers to predict is an error that says so."""
    numbers = torch.rand(4, 2), torch.rand(4, 1)
    data = Data(numbers, numbers, "regression", (2,), out_features=1)
    said = refused(ConfigError, "cross_entropy(weight=balanced)", data)
    assert "balanced goes by classes, and data set lossreg.data.Data, split train, has numbers to predict" in said


def test_a_target_that_is_no_class_is_refused() -> None:
    """A target beyond the classes of the data set is an error, not a count of its own."""
    said = refused(DataError, "cross_entropy(weight=balanced)", rows(torch.tensor([0, 1, 2, 7])))
    assert "has the class index 7" in said


@for_each(
    ("spec", "said"),
    [
        ("dice(smooth=balanced)", "balanced is for parameters with a number for each class, and dice has none"),
        ("bce_with_logits(weight=balanced)", "a number for each class, here pos_weight"),
        ("cross_entropy(weight='balanced')", "the word stands without quotes: weight=balanced"),
        ("cross_entropy(weight='even')", "weight='even' does not fit weight: Tensor | None"),
        ("cross_entropy(label_smoothing=balanced)", "a number for each class, here weight"),
    ],
)
def test_where_the_word_does_not_belong(spec: str, said: str) -> None:
    """Another parameter, and a text, are refused before anything is loaded, with what takes the word."""
    assert said in refused(ParameterError, spec)


def test_a_loss_is_not_built_without_data() -> None:
    """Outside of a run there is no training split: the error asks for numbers."""
    with pytest.raises(ParameterError, match=r"only a run has; give numbers, such as weight=\[0\.5, 2\.0\]"):
        lossreg.losses.build("cross_entropy(weight=balanced)")


def test_a_record_names_what_a_run_computes() -> None:
    """A word that is none of DATA_VALUES is an error of the record."""
    with pytest.raises(lossreg.ComponentError, match=r"data_values\['alpha'\]='even'; it is one of class_weights"):
        lossreg.Loss("focal", "torch.nn:NLLLoss", target="index", data_values={"alpha": "even"})


# Where they are kept


def test_a_run_keeps_the_numbers_and_a_repeat_takes_them(run: Run, tmp_path: Path) -> None:
    """run.json has numbers, with what was asked for beside them; a run with its settings has the same on other data."""
    first = run(
        loss="cross_entropy(weight=balanced)", data=rows(TARGETS), model=nn.Linear(2, 3), epochs=1, out=tmp_path / "one"
    )
    content = json.loads((first.directory / "run.json").read_text())
    assert content["from_data"] == {"loss": "builtin.cross_entropy(weight=balanced)"}
    assert content["components"]["loss"]["params"]["weight"] == pytest.approx(sklearn_s(TARGETS), rel=1e-8)
    again = planned(content["spec"]["loss"], rows(torch.tensor([0, 1, 2])))
    assert list(again["weight"]) == content["components"]["loss"]["params"]["weight"]
    assert isinstance(first.loss, nn.CrossEntropyLoss)
    assert first.loss.weight is not None
    assert torch.equal(first.loss.weight, torch.tensor(again["weight"]))


def test_a_run_that_goes_on_takes_its_numbers(lossreg_command: Command, tmp_path: Path) -> None:
    """A resumed run, a repeat with -c and one that starts from its weights have the numbers that were written."""
    options = ("--model", "mlp", "--limit-train", "64", "--limit-test", "10", "--device", "cpu")
    first = lossreg_command(
        "run", "--loss", "nll", "--loss.weight", "balanced", *options, "--epochs", "1", "--out", "a"
    )
    assert first.code == 0, first.err
    written = json.loads((tmp_path / "a/run.json").read_text())
    numbers = written["spec"]["loss"]
    assert numbers.startswith("builtin.nll(weight=[")
    assert lossreg_command("run", "--resume", "a", "--epochs", "2").code == 0
    resumed = json.loads((tmp_path / "a/run.json").read_text())
    assert (resumed["spec"]["loss"], resumed["from_data"]) == (numbers, written["from_data"])
    assert lossreg_command("run", "-c", "a/run.json", "--init-from", "a", "--seed", "1", "--out", "b").code == 0
    repeated = json.loads((tmp_path / "b/run.json").read_text())
    assert (repeated["spec"]["loss"], repeated["from_data"]) == (numbers, {})
    shown = lossreg_command("plan", "-c", "a/run.json")
    assert numbers.partition("weight=")[2].rstrip(")") in shown.out


def test_a_comparison_has_the_numbers_of_each_seed(lossreg_command: Command, tmp_path: Path) -> None:
    """A cell keeps the word, so that a run of each seed computes the numbers of what it trains on."""
    spec = RunSpec(loss="cross_entropy(weight=balanced)", model="mlp", validate=0.5, epochs=1, limit_train=200)
    (cell,) = plan_cells([(0, spec, None)], lambda *_: None)
    assert cell["spec"].loss.text == "builtin.cross_entropy(weight=balanced)"
    assert cell["params"]["loss"]["weight"] == "balanced"
    for seed in ("0", "1"):
        options = ("--loss", cell["spec"].loss.text, "--model", "mlp", "--limit-train", "200", "--limit-test", "10")
        more = ("--validate", "0.5", "--epochs", "1", "--seed", seed, "--out", seed, "--device", "cpu")
        assert lossreg_command("run", *options, *more).code == 0
    runs = [read_run(tmp_path / seed) for seed in ("0", "1")]
    assert len({one.facts["spec"]["loss"] for one in runs}) == 2
    (both,) = cells_of(runs)
    assert len(both.runs) == 2


# Everything that reads records


def test_a_plugin_declares_what_its_loss_takes() -> None:
    """`alpha=balanced` of a plugin's focal loss, nested in another loss too, as its record says."""

    class Focal(nn.Module):
        def __init__(self, gamma: float = 2.0, alpha: Tensor | None = None) -> None:
            super().__init__()
            self.gamma, self.alpha = gamma, alpha

        def forward(self, output: Tensor, target: Tensor) -> Tensor:
            each = nn.functional.cross_entropy(output, target, self.alpha, reduction="none")
            return (each * (1 - (-each).exp()) ** self.gamma).mean()

    class Twice(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, output: Tensor, target: Tensor) -> Tensor:
            value: Tensor = self.inner(output, target)
            return 2 * value

    registries: Registries = lossreg.load_registries(allow=[])
    registries.losses.register("focal", target="index", data_values={"alpha": "class_weights"})(Focal)
    registries.losses.register("twice", target="index", nested="inner")(Twice)
    alpha = planned("focal(alpha=balanced)", registries=registries)["alpha"]
    assert alpha == pytest.approx(sklearn_s(TARGETS), rel=1e-8)
    nested = planned("twice(focal(alpha=balanced, gamma=1.0))", registries=registries)["inner"]
    assert dict(nested.params) == {"alpha": alpha, "gamma": 1.0}


def test_records_and_completion_say_where_it_belongs(lossreg_command: Command) -> None:
    """`show` says it beside the parameter, `--json` in the contract, and shells complete the bare word."""
    from lossreg.cli.completion import complete_spec

    assert "(or balanced: class_weights of the training split)" in lossreg_command("show", "loss", "nll").out
    shown = json.loads(lossreg_command("show", "loss", "bce_with_logits", "--json").out)
    assert shown["contract"]["data_values"] == {"pos_weight": "pos_weights"}
    completed = [item.value for item in complete_spec("loss", "cross_entropy(weight=b")]
    assert completed == ["cross_entropy(weight=balanced"]


def test_the_weights_of_many_classes_can_be_read_again() -> None:
    """A run on 1,000 classes can be repeated: the text of its loss is not too long to be read."""
    spec = ComponentSpec("builtin.cross_entropy", {"weight": tuple(1 / (3 * one) for one in range(1, 1001))})
    assert ComponentSpec.parse(spec.text) == spec
