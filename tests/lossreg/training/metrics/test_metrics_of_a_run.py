"""Metrics that a run names: in its rows, in what goes by them, in its record, and what is wrong with them."""

from __future__ import annotations

import functools
import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from sklearn import metrics as peer
from torch import Tensor, nn

import lossreg
from lossreg import Data

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import Run


class Kept:
    """The share that is right, from all that it was given; notes the sizes of batches."""

    def __init__(self, fails: str = "", value: Any = None) -> None:
        self.fails, self.value = fails, value
        self.sizes: list[int] = []
        self.reset()

    def reset(self) -> None:
        """Begins anew."""
        self.held: list[Tensor] = []

    def update(self, output: Tensor, targets: Tensor) -> None:
        """Keeps a batch."""
        if self.fails == "update":
            raise ValueError("not today")
        self.sizes.append(len(targets))
        self.held.append(output.argmax(1) == targets)

    def compute(self) -> Any:
        """The share, or what it was told."""
        if self.value is not None:
            return self.value
        return torch.cat(self.held).double().mean()


@pytest.fixture
def registries() -> lossreg.Registries:
    """Built-ins, and metrics of this file."""
    made = lossreg.load_registries(allow=[])
    made.metrics.register("kept", better="higher", target="index")(Kept)
    made.metrics.register("wrong", better="lower", target="index", bounds=(0, None))(Kept)
    made.metrics.register("neither", better=None, target="any")(Kept)
    return made


@pytest.fixture
def measure(run_table: Run, registries: lossreg.Registries) -> Run:
    """A short run of a table with some metrics."""

    def go(*metrics: object, **arguments: Any) -> lossreg.RunResult:
        return run_table(**{"registries": registries, "batch_size": 24, "metrics": list(metrics), **arguments})

    return go


def outputs(result: lossreg.RunResult, split: Any) -> tuple[Tensor, Tensor]:
    """Labels and probabilities of the final model."""
    with torch.no_grad():
        output = result.model(split[0])
    return output.argmax(1), output.softmax(1).double()


def test_each_metric_is_in_the_rows(measure: Run, table: Callable[..., Data]) -> None:
    """The values are scikit-learn's of the final model on the split, over ragged batches."""
    data = table()
    result = measure("f1", "auroc", "kept", eval_train=True, data=data)
    labels, probabilities = outputs(result, data.test)
    final = result.final
    assert final["test_f1"] == pytest.approx(peer.f1_score(data.test[1], labels, average="macro", zero_division=0))
    expected = peer.roc_auc_score(data.test[1], probabilities, multi_class="ovr")
    assert final["test_auroc"] == pytest.approx(expected, rel=1e-6)
    assert final["test_kept"] == final["test_accuracy"]
    train_labels, _ = outputs(result, data.train)
    assert final["train_f1"] == pytest.approx(
        peer.f1_score(data.train[1], train_labels, average="macro", zero_division=0)
    )


def test_names_are_numbered_where_they_are_taken(measure: Run) -> None:
    """The metric that every run has is measured once; others of one name get a number in their order."""
    result = measure("accuracy", "f1", "f1(average='micro')", "accuracy(average='macro')", "f1(average='weighted')")
    measured = [name for name in result.final if name.startswith("test_")]
    assert measured == ["test_loss", "test_accuracy", "test_f1", "test_f1_2", "test_accuracy_2", "test_f1_3"]
    assert result.final["test_f1_2"] == result.final["test_accuracy"]
    record = json.loads((result.directory / "run.json").read_text())
    assert record["measures"]["f1_2"] == {"metric": "builtin.f1(average='micro')", "better": "higher"}
    assert record["spec"]["metrics"][:2] == ["builtin.accuracy", "builtin.f1"]
    assert record["components"]["metric.3"]["params"]["average"] == "micro"


def test_the_weights_are_those_of_a_run_without_metrics(measure: Run, tmp_path: Path) -> None:
    """Measuring changes nothing of the training, not even where a metric draws random numbers when it is built."""

    class Drawing(Kept):
        def __init__(self) -> None:
            super().__init__()
            torch.rand(3)

    drawing = lossreg.Metric("drawing", Drawing, better="higher", target="index")
    results = [
        measure(*metrics, model="mlp", data="digits", limit_train=48, limit_test=24, out=tmp_path / name)
        for name, metrics in {"measured": ["f1", drawing], "plain": []}.items()
    ]
    weights = [one.model.state_dict() for one in results]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_objects_are_metrics_too(measure: Run, run_table: Run, tmp_path: Path) -> None:
    """An object is called with output and targets as they are, and is named after its class; a record says more."""
    kept = Kept()
    declared = lossreg.Metric("share", Kept, better="higher", target="index")
    result = measure(kept, declared, "f1")
    assert result.final["test_kept"] == result.final["test_share"] == result.final["test_accuracy"]
    assert not result.repeatable
    record = json.loads((result.directory / "run.json").read_text())
    assert record["objects"]["metrics"] == f"{__name__}.Kept, lossreg.Metric('share')"
    assert record["spec"]["metrics"] == ["builtin.f1"]
    assert "test_kept" in run_table(metrics=Kept(), out=tmp_path / "alone").final


def test_what_goes_by_a_metric_goes_by_its_direction(
    measure: Run, registries: lossreg.Registries, tmp_path: Path
) -> None:
    """What goes by a metric takes higher values of one for better, and lower ones of another, as they declare."""
    values = iter(range(100))

    class Rising(Kept):
        def compute(self) -> float:
            return float(next(values))

    registries.metrics.register("rising", better="higher")(Rising)
    registries.metrics.register("falling", better="lower")(Rising)
    shared: dict[str, Any] = {"epochs": 4, "out": None}
    assert measure("rising", patience=1, monitor="test_rising", **shared).best_epoch == 3
    stopped = measure("falling", patience=1, monitor="test_falling", **shared)
    assert (stopped.best_epoch, len(stopped.metrics)) == (0, 2)
    plateau = "plateau(monitor='test_{}', patience=0, factor=0.5)"
    rates = [row["lr"] for row in measure("rising", scheduler=plateau.format("rising"), **shared).metrics]
    assert len(set(rates)) == 1
    rates = [row["lr"] for row in measure("falling", scheduler=plateau.format("falling"), **shared).metrics]
    assert rates == [rates[0], rates[0], rates[0] / 2, rates[0] / 4]
    nested = f"warmup({plateau.format('rising')}, length=1)"
    assert len({row["lr"] for row in measure("rising", scheduler=nested, **shared).metrics[1:]}) == 1
    reached = measure("rising", target="test_rising>=1", **shared)
    assert reached.reason is not None
    kept = measure("rising", best="test_rising", keep=1, **{**shared, "out": tmp_path / "best"})
    facts = [json.loads(file.read_text())["facts"] for file in kept.directory.glob("checkpoints/*/manifest.json")]
    assert [one["epochs_done"] for one in facts if "best" in one] == [4]


def test_a_value_that_is_not_finite_is_none(
    measure: Run, registries: lossreg.Registries, caplog: pytest.LogCaptureFixture
) -> None:
    """Its rows have null, one warning says so, and patience takes it for no better value."""
    caplog.set_level(logging.WARNING, logger="lossreg")
    result = measure("kept(value=inf)", Kept(value=math.nan), epochs=3, patience=1, monitor="test_kept")
    assert [row["test_kept"] for row in result.metrics] == [None]
    assert result.metrics[0]["test_kept_2"] is None
    told = [record.message for record in caplog.records if "no finite value" in record.message]
    assert len(told) == 2
    assert "kept(value=inf) has no finite value on the test split" in told[0]


def test_ignored_targets_reach_no_metric(measure: Run, table: Callable[..., Data]) -> None:
    """A metric of class indices that knows no ignore_index is given the positions that count."""
    data = table()
    targets = data.test[1].clone()
    targets[5:30] = -100
    tested = Data(data.train, (data.test[0], targets), "classification", (4,), num_classes=3)
    result = measure("kept", "f1", "neither", data=tested, loss="cross_entropy")
    labels, _ = outputs(result, tested.test)
    counted = targets != -100
    assert result.final["test_kept"] == pytest.approx((labels == targets)[counted].double().mean().item())
    assert result.final["test_neither"] == pytest.approx((labels == targets).double().mean().item())
    expected = peer.f1_score(targets[counted], labels[counted], average="macro", zero_division=0)
    assert result.final["test_f1"] == pytest.approx(expected)


def test_dense_metrics_of_classes_get_one_hot_targets(run_table: Run, table: Callable[..., Data]) -> None:
    """The Brier score from probabilities and one-hot vectors."""

    class Brier(Kept):
        def update(self, output: Tensor, targets: Tensor) -> None:
            assert output.shape == targets.shape
            self.held.append((output - targets).square().sum(1))

        def compute(self) -> Any:
            return torch.cat(self.held).mean()

    data = table()
    brier = lossreg.Metric("brier", Brier, better="lower", input="probabilities", target="dense")
    result = run_table(data=data, metrics=[brier])
    _, probabilities = outputs(result, data.test)
    one_hot = nn.functional.one_hot(data.test[1], 3)
    expected = (probabilities - one_hot).square().sum(1).mean().item()
    assert result.final["test_brier"] == pytest.approx(expected, rel=1e-5)


def test_pictures_are_measured_by_position(registries: lossreg.Registries, tmp_path: Path) -> None:
    """Mean IoU of a segmentation, and the mean absolute error and its kin of a regression."""
    generator = torch.Generator().manual_seed(0)
    images, masks = torch.rand(10, 1, 4, 4, generator=generator), torch.randint(3, (10, 4, 4), generator=generator)
    data = Data((images, masks), (images, masks), "segmentation", (1, 4, 4), num_classes=3)
    shared: dict[str, Any] = {"epochs": 1, "batch_size": 4, "device": "cpu", "precision": "32", "quiet": True}
    result = lossreg.run(
        data=data, model=nn.Conv2d(1, 3, 1), metrics=["mean_iou", "top_k(k=2)", "auroc"], out=tmp_path / "a", **shared
    )
    labels, probabilities = outputs(result, data.test)
    expected = peer.jaccard_score(masks.flatten(), labels.flatten(), average="macro", zero_division=0)
    assert result.final["test_mean_iou"] == pytest.approx(expected)
    flat = probabilities.movedim(1, -1).flatten(0, -2)
    top_k = peer.top_k_accuracy_score(masks.flatten(), flat, k=2)
    assert result.final["test_top_k"] == pytest.approx(top_k)
    assert result.final["test_auroc"] == pytest.approx(
        peer.roc_auc_score(masks.flatten(), flat, multi_class="ovr"), rel=1e-5
    )


@pytest.mark.parametrize("loss", ["bce_with_logits", "bce"])
def test_samples_of_several_classes_are_measured(tmp_path: Path, loss: str) -> None:
    """Labels, probabilities and targets of each class by itself, of a model that gives logits, or probabilities."""
    generator = torch.Generator().manual_seed(0)
    inputs, targets = torch.randn(30, 4, generator=generator), torch.randint(2, (30, 3), generator=generator).float()
    data = Data((inputs, targets), (inputs, targets), "multilabel", (4,), num_classes=3)
    seen: list[tuple[Tensor, Tensor]] = []

    class Seen(Kept):
        def update(self, output: Tensor, targets: Tensor) -> None:
            seen.append((output, targets))

    layers: list[nn.Module] = [nn.Linear(4, 3), *([nn.Sigmoid()] if loss == "bce" else [])]
    criterion: Any = nn.BCELoss() if loss == "bce" else "bce_with_logits"
    declared = lossreg.Metric("seen", functools.partial(Seen, value=1.0), better="higher", input="probabilities",
                              target="multilabel")  # fmt: skip
    result = lossreg.run(
        data=data, model=nn.Sequential(*layers), loss=criterion,
        metrics=["label_f1", "label_f1(average='micro')", declared],
        epochs=1, batch_size=8, device="cpu", precision="32", quiet=True, out=tmp_path / "out",
    )  # fmt: skip
    with torch.no_grad():
        output = result.model(inputs)
    probabilities = output if loss == "bce" else output.sigmoid()
    labels = (probabilities > 0.5).long()
    for name, average in {"label_f1": "macro", "label_f1_2": "micro"}.items():
        expected = peer.f1_score(targets, labels, average=average, zero_division=0)
        assert result.final[f"test_{name}"] == pytest.approx(expected)
    last = torch.cat([given for given, _ in seen[-4:]])
    torch.testing.assert_close(last, probabilities)
    assert seen[-1][1].dtype == torch.int64


@pytest.mark.parametrize(("metric", "why"), [("f1", "takes class indices"), ("rmse", "takes numbers to predict")])
def test_samples_of_several_classes_have_metrics_of_their_own(tmp_path: Path, metric: str, why: str) -> None:
    """Others are refused, and of classes one by one `label_f1` is."""
    targets = torch.eye(3).repeat(4, 1)
    data = Data((targets, targets), (targets, targets), "multilabel", (3,), num_classes=3)
    with pytest.raises(lossreg.ContractError, match=f"{why}, but the targets are a 0 or 1 for each class.*label_f1"):
        lossreg.run(data=data, model=nn.Linear(3, 3), metrics=[metric], out=tmp_path / "out", quiet=True)
    with pytest.raises(lossreg.ContractError, match="a 0 or 1 for each class, but the targets are class indices"):
        lossreg.plan(metrics=["label_f1"], model="mlp")


def test_numbers_are_measured(run_table: Run) -> None:
    """A regression has the metrics of numbers; that of every run has one column."""
    result = run_table(data="diabetes", model="mlp", metrics=["mae", "mean_squared_error", "rmse"], limit_train=64)
    final = result.final
    assert [name for name in final if name.startswith("test_")] == [
        "test_loss", "test_mean_absolute_error", "test_mean_squared_error", "test_root_mean_squared_error",
    ]  # fmt: skip
    assert final["test_mean_squared_error"] == pytest.approx(final["test_loss"], rel=1e-6)
    assert final["test_root_mean_squared_error"] ** 2 == pytest.approx(final["test_mean_squared_error"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"metrics": ["acuracy"]}, ["no metric named 'acuracy'", "'accuracy'"]),
        ({"metrics": ["f1", "f1"]}, ["f1 is given twice"]),
        ({"metrics": ["f1", "builtin.f1"]}, ["f1 is given twice"]),
        ({"metrics": {"f1": 1}}, ["metrics is a list of spec texts"]),
        ({"metrics": [Kept]}, ["Kept is a class; give an instance of it"]),
        ({"metrics": [object()]}, ["object has no update()", "update(input, target), compute() and reset()"]),
        ({"metrics": ["mean_squared_error"]}, ["but the targets are class indices", "fit: accuracy"]),
        ({"metrics": ["accuracy"], "data": "diabetes", "model": "mlp"}, ["class indices", "fit: mean_"]),
        ({"metrics": ["top_k(k=3)"]}, ["there are 3 classes"]),
        ({"metrics": ["kept(fails='update')"]}, ["failed on input (24, 3)", "ValueError: not today"]),
        ({"metrics": [Kept(value=torch.zeros(3))]}, ["gives a tensor of shape (3,)", "one number is needed"]),
        ({"metrics": [Kept(value="much")]}, ["gives 'much'"]),
        ({"metrics": ["neither"], "patience": 1, "monitor": "test_neither"}, ["monitor", "neither higher nor lower"]),
        ({"metrics": ["neither"], "scheduler": "plateau(monitor='test_neither')"}, ["neither higher nor lower"]),
        ({"metrics": ["f1"], "target": "test_f1<=0.5"}, ["gets better as it gets greater"]),
        ({"metrics": ["f1"], "target": "test_f1>=90"}, ["a share from 0 to 1", "'test_f1>=0.9'"]),
        ({"metrics": ["wrong"], "target": "test_wrong<=-1"}, ["0 or more"]),
        ({"patience": 1, "monitor": "test_f1"}, ["'test_f1', which this run does not have", "--metric NAME"]),
        ({"metrics": ["f1"], "patience": 1, "monitor": "train_f1"}, ["eval_train=True (--eval-train) evaluates"]),
        ({"metrics": ["f1"], "patience": 1, "monitor": "validation_f1"}, ["--validate 0.1"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_before_the_run(
    measure: Run, tmp_path: Path, arguments: dict[str, Any], said: list[str]
) -> None:
    """Nothing is written, and the message says who, what and what to do."""
    metrics = arguments.pop("metrics", [])
    with pytest.raises(lossreg.LossregError) as caught:
        measure(**{"metrics": metrics, **arguments, "out": tmp_path / "run"})
    assert [part for part in said if part not in str(caught.value)] == []
    assert not (tmp_path / "run").exists()


def test_a_metric_that_fails_later_ends_the_run_by_its_name(measure: Run, tmp_path: Path) -> None:
    """The error is the metric's own, for its author, with a note that names metric and split; the record has it."""

    class Later(Kept):
        def compute(self) -> float:
            if len(self.held) > 1:
                raise RuntimeError("too many")
            return 0.0

    with pytest.raises(RuntimeError, match="too many") as caught:
        measure(Later(), out=tmp_path / "run")
    assert f"lossreg: raised by the metric {__name__}.{Later.__qualname__} on the test split" in caught.value.__notes__
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "failed"


def test_a_plan_names_them(registries: lossreg.Registries) -> None:
    """With all parameters, those that the runner supplies too."""
    text = str(lossreg.plan(data="digits", model="mlp", metrics=["f1", "top_k(k=3)"], registries=registries))
    lines = [line for line in text.splitlines() if line.startswith("metrics")]
    assert lines[0].startswith("metrics             builtin.f1(")
    assert "average='macro', ignore_index=-100, num_classes=10)" in lines[0]
    assert "k=3" in lines[1]


def test_a_past_run_is_evaluated_with_its_metrics(run_table: Run, tmp_path: Path) -> None:
    """`load_run(...).evaluate()` gives the numbers of the run, and of the training split, for metrics by name."""
    result = run_table(data="diabetes", model="mlp", metrics=["rmse", Kept(value=1.0)], limit_train=64, limit_test=40)
    evaluated = lossreg.load_run(result.directory, device="cpu").evaluate()
    assert evaluated.metrics == {name: result.final[name] for name in evaluated.metrics}
    assert [*evaluated.metrics] == ["test_loss", "test_mean_absolute_error", "test_root_mean_squared_error"]


def test_a_run_goes_on_with_its_metrics(registries: lossreg.Registries, tmp_path: Path) -> None:
    """The rows of a run that was gone on with are those of one in one piece; other metrics are refused."""
    usual: dict[str, Any] = {
        "data": "diabetes", "model": "mlp", "limit_train": 48, "limit_test": 24, "metrics": ["rmse"], "quiet": True,
        "registries": registries, "device": "cpu",
    }  # fmt: skip
    whole = lossreg.run(**usual, epochs=2, out=tmp_path / "whole")
    lossreg.run(**usual, epochs=1, out=tmp_path / "broken")
    with pytest.raises(lossreg.ConfigError, match=r"metrics was .*root_mean_squared_error.* and is"):
        lossreg.run(resume=tmp_path / "broken", epochs=2, metrics=["mean_squared_error"], quiet=True)
    resumed = lossreg.run(resume=tmp_path / "broken", epochs=2, quiet=True, registries=registries)
    measured = [[row["test_root_mean_squared_error"] for row in result.metrics] for result in (whole, resumed)]
    assert measured[0] == measured[1]


def test_objects_are_given_again_to_go_on(measure: Run, registries: lossreg.Registries, tmp_path: Path) -> None:
    """A run whose metrics were Python objects says so when they are missing."""
    measure("f1", Kept(), epochs=1, out=tmp_path / "run")
    resume: dict[str, Any] = {"resume": tmp_path / "run", "epochs": 2, "registries": registries, "quiet": True}
    with pytest.raises(lossreg.ConfigError, match=r"and metrics \(.*Kept\)"):
        lossreg.run(**resume)
