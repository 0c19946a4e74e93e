"""Patience, targets and the best weights, against a loop by hand; and which split is read how often."""

from __future__ import annotations

import copy
import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

import lossreg
from lossreg import Data
from lossreg.training.choosing import Best, Choices
from lossreg.training.data.validation import hold_out
from lossreg.training.early_stopping import EarlyStopping
from lossreg.validation import Cut
from tests.table import for_each

if TYPE_CHECKING:
    from tests.conftest import Command
    from tests.lossreg.training.conftest import HandLoop, Run

Table = Callable[..., Data]
State = dict[str, Tensor]


def rows(directory: Path) -> list[dict[str, Any]]:
    """The metrics of a run."""
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def record(directory: Path) -> dict[str, Any]:
    """The run.json of a run."""
    content: dict[str, Any] = json.loads((directory / "run.json").read_text())
    return content


def model() -> nn.Module:
    """A model that learns the noise of the table by heart, with buffers."""
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 3))


def same(first: State, second: State) -> bool:
    """Whether two states agree bit for bit."""
    return first.keys() == second.keys() and all(value.equal(second[name]) for name, value in first.items())


@attrs.frozen
class ByHand:
    """What a plain loop comes to.

    Attributes:
        losses: The validation loss after each epoch.
        states: The weights and buffers after each epoch.
    """

    losses: list[float]
    states: list[State]

    def stop(self, patience: int) -> tuple[int, int]:
        """The best epoch, and the epoch after which a loop with this patience ends."""
        best, waited = 0, 0
        for epoch, loss in enumerate(self.losses):
            if epoch and loss >= self.losses[best]:
                waited += 1
            else:
                best, waited = epoch, 0
            if waited == patience:
                return best, epoch
        return best, len(self.losses) - 1


EPOCHS = 10
USUAL: dict[str, Any] = {
    "loss": "cross_entropy", "optimizer": "sgd(lr=0.1)", "epochs": EPOCHS, "batch_size": 20, "validate": 0.25,
}  # fmt: skip


@pytest.fixture
def plain(table: Table, hand_loop: HandLoop) -> ByHand:
    """Trains by hand for 1, 2, ... epochs on what the cut leaves of the table."""
    part = hold_out(table().train, Cut.of(0.25), "classification", None, 0, "")
    train, held = part.train, part.validation
    assert isinstance(train, tuple)
    assert isinstance(held, tuple)
    losses, states = [], []
    for epochs in range(1, EPOCHS + 1):
        net = model()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, fused=True)
        hand_loop(net, functional.cross_entropy, optimizer, train, epochs=epochs, batch_size=20)
        states.append(copy.deepcopy(net.state_dict()))
        with torch.no_grad():
            losses.append(functional.cross_entropy(net.eval()(held[0]), held[1]).item())
    return ByHand(losses, states)


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_the_best_weights_are_kept_and_the_run_ends(run: Run, table: Table, plain: ByHand, patience: int) -> None:
    """The last epoch, and the weights and buffers bit for bit, are those of a loop by hand with this patience."""
    best, last = plain.stop(patience)
    assert best < last < EPOCHS - 1  # or this would test nothing
    result = run(**USUAL, data=table(), model=model(), patience=patience)
    assert [row["validation_loss"] for row in result.metrics] == pytest.approx(plain.losses[: last + 1], rel=1e-5)
    assert (result.best_epoch, result.final["epoch"]) == (best, best)
    assert same(result.model.state_dict(), plain.states[best])
    assert same(load_file(result.directory / "model.safetensors"), plain.states[best])
    assert result.reason is not None
    assert result.reason.startswith(f"no better validation_loss for {patience} epoch")
    content = record(result.directory)
    assert (content["status"], content["stopped_by"], content["reason"]) == ("stopped", "patience", result.reason)
    assert (content["best_epoch"], content["epochs_done"]) == (best, last + 1)
    assert content["metrics"] == result.final


def test_a_run_that_comes_to_its_end_keeps_the_best_too(run: Run, table: Table, plain: ByHand) -> None:
    """With a patience of all epochs it is never ended, and finished."""
    result = run(**USUAL, data=table(), model=model(), patience=EPOCHS)
    best, _ = plain.stop(EPOCHS)
    assert len(result.metrics) == EPOCHS
    assert (result.reason, record(result.directory)["status"], result.best_epoch) == (None, "finished", best)
    assert same(result.model.state_dict(), plain.states[best])


def test_patience_that_runs_out_with_the_last_epoch_ends_nothing(run: Run, table: Table, plain: ByHand) -> None:
    """The reason says why a run ended early, and this one did not."""
    best, last = plain.stop(2)
    result = run(**{**USUAL, "epochs": last + 1}, data=table(), model=model(), patience=2)
    assert (result.reason, result.best_epoch) == (None, best)


def test_an_accuracy_is_better_when_it_is_greater(run: Run, table: Table) -> None:
    """The best epoch by an accuracy is the first with the greatest."""
    result = run(**USUAL, data=table(), model=model(), patience=EPOCHS, monitor="validation_accuracy")
    accuracies = [row["validation_accuracy"] for row in result.metrics]
    assert result.best_epoch == accuracies.index(max(accuracies))


def test_without_a_validation_split_patience_goes_by_the_test_split(
    run: Run, table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    """That is warned of once, with the way out, and run.json says it; the test split is read after each epoch."""
    with caplog.at_level(logging.WARNING, "lossreg"):
        result = run(**{**USUAL, "validate": None}, data=table(), model=model(), patience=1, target="test_accuracy>=1")
    (warning,) = [entry.getMessage() for entry in caplog.records]
    assert "chosen on the test split: patience by test_loss, target by test_accuracy" in warning
    assert "--validate 0.1" in warning
    content = record(result.directory)
    assert (content["chosen_on"], content["test_read"], content["validation"]) == ("test", len(result.metrics), None)
    assert content["choosing"] == {"patience": "test_loss", "target": "test_accuracy"}
    assert {row["kind"] for row in rows(result.directory)} == {"epoch"}
    losses = [row["test_loss"] for row in result.metrics]
    assert result.final["test_loss"] == min(losses)


def test_a_run_that_chooses_nothing_says_so(run: Run, table: Table, caplog: pytest.LogCaptureFixture) -> None:
    """Without any of the settings there is no warning, and the rows have the names of the test split alone."""
    with caplog.at_level(logging.WARNING, "lossreg"):
        result = run(**{**USUAL, "validate": None, "epochs": 2}, data=table(), model=model())
    content = record(result.directory)
    assert not caplog.records
    assert (content["chosen_on"], content["choosing"], content["best_epoch"], content["test_read"]) == (
        None,
        {},
        None,
        2,
    )
    assert not any("validation" in name for row in rows(result.directory) for name in row)


def test_with_a_validation_split_the_test_split_is_read_once(run: Run, table: Table) -> None:
    """Its metrics are those of the kept weights, in a row of their own at the end, in the final row and in run.json."""
    data = table()
    result = run(**USUAL, data=data, model=model(), patience=2)
    assert isinstance(data.test, tuple)
    with torch.no_grad():
        output = result.model.eval()(data.test[0])
    expected = functional.cross_entropy(output, data.test[1]).item()
    assert not any(name.startswith("test") for row in result.metrics for name in row)
    assert result.final["test_loss"] == pytest.approx(expected, rel=1e-5)
    last = rows(result.directory)[-1]
    assert last == {
        "kind": "test", "epoch": result.best_epoch, "step": result.final["step"],
        "test_loss": result.final["test_loss"], "test_accuracy": result.final["test_accuracy"],
    }  # fmt: skip
    assert last == result.tested
    content = record(result.directory)
    assert (content["test_read"], content["chosen_on"], result.test_read) == (1, "validation", 1)
    assert content["data"]["train"] + content["data"]["validation"] == 64
    assert content["validation"]["by"] == "content"


def test_with_eval_train_the_training_split_is_what_is_left(run: Run, table: Table) -> None:
    """The metrics of the training split are those of the samples that are trained on."""
    part = hold_out(table().train, Cut.of(0.25), "classification", None, 0, "")
    result = run(**{**USUAL, "epochs": 1}, data=table(), model=model(), eval_train=True)
    assert isinstance(part.train, tuple)
    with torch.no_grad():
        output = result.model.eval()(part.train[0])
    expected = functional.cross_entropy(output, part.train[1]).item()
    assert result.final["train_loss_after"] == pytest.approx(expected, rel=1e-5)


def test_the_limit_comes_before_the_cut(run: Run, table: Table) -> None:
    """Of 64 samples 40 are cut in two."""
    facts = record(run(**{**USUAL, "epochs": 1}, data=table(), model=model(), limit_train=40).directory)["data"]
    assert facts["train"] + facts["validation"] == 40
    assert facts["validation"] in range(6, 15)


def test_a_regression_has_its_own_metrics(run: Run) -> None:
    """A validation split of a regression has a loss and a mean absolute error."""
    result = run(data="diabetes", epochs=2, validate="fold(1/4)", patience=2, monitor="validation_mean_absolute_error")
    assert [name for name in result.final if name.startswith(("validation", "test"))] == [
        "validation_loss", "validation_mean_absolute_error", "test_loss", "test_mean_absolute_error",
    ]  # fmt: skip


def test_a_target_ends_the_run(run: Run, table: Table, plain: ByHand) -> None:
    """The first epoch that reaches it is the last, and its weights are those of the run."""
    bound = plain.losses[1]
    first = next(epoch for epoch, loss in enumerate(plain.losses) if loss <= bound * 1.0001)
    assert first < EPOCHS - 1
    result = run(**USUAL, data=table(), model=model(), target=f"validation_loss<={bound * 1.0001}")
    assert len(result.metrics) == first + 1
    assert same(result.model.state_dict(), plain.states[first])
    assert result.reason is not None
    assert "the target validation_loss<=" in result.reason
    assert record(result.directory)["stopped_by"] == "target"


def test_a_target_that_is_not_reached_changes_nothing(run: Run, table: Table, plain: ByHand) -> None:
    """The run takes all its epochs and has the last weights."""
    result = run(**USUAL, data=table(), model=model(), target="validation_loss<=0")
    assert (len(result.metrics), result.reason, result.best_epoch) == (EPOCHS, None, None)
    assert same(result.model.state_dict(), plain.states[-1])


@pytest.mark.parametrize("declared", ["test_loss", "validation_loss"])
@pytest.mark.parametrize(("validate", "followed"), [(None, "test_loss"), (0.25, "validation_loss")])
def test_a_scheduler_follows_the_split_that_is_for_choosing(
    run: Run, table: Table, registries: lossreg.Registries, declared: str, validate: Any, followed: str
) -> None:
    """ReduceLROnPlateau halves the rate as torch's does for the validation losses; for the test losses without any."""
    registries.schedulers.register(
        "follower", "torch.optim.lr_scheduler:ReduceLROnPlateau", monitor=declared,
        defaults={"patience": 0, "factor": 0.5},
    )  # fmt: skip
    settings = {**USUAL, "validate": validate, "scheduler": "follower", "registries": registries}
    result = run(**settings, data=table(), model=model())
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
    expected = []
    for row in result.metrics:
        expected.append(optimizer.param_groups[0]["lr"])
        scheduler.step(row[followed])
    assert [row["lr"] for row in result.metrics] == expected
    assert expected[-1] < 0.1
    content = record(result.directory)
    assert content["contract"]["monitor"] == followed
    assert content["chosen_on"] == ("test" if validate is None else "validation")


class Failing:
    """Ends a run with an error after some epochs."""

    def __init__(self, epoch: int, error: BaseException) -> None:
        self.epoch, self.error = epoch, error

    def lossreg_epoch_finished(self, run: lossreg.Run, record: dict[str, Any]) -> None:
        """Raises it."""
        if run.epoch == self.epoch:
            raise self.error


@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt()], ids=repr)
def test_a_run_that_fails_leaves_the_best_weights_so_far(
    run: Run, table: Table, plain: ByHand, tmp_path: Path, error: BaseException
) -> None:
    """model.safetensors and the metrics are those of the best epoch, and the test split was not read."""
    best, last = plain.stop(2)
    with pytest.raises(type(error)):
        run(**USUAL, data=table(), model=model(), patience=3, observers=[Failing(last, error)], out=tmp_path / "out")
    content = record(tmp_path / "out")
    assert same(load_file(tmp_path / "out" / "model.safetensors"), plain.states[best])
    assert (content["best_epoch"], content["metrics"]["epoch"], content["test_read"]) == (best, best, 0)


def test_the_weights_of_a_loss_are_kept_with_the_models(run: Run, table: Table) -> None:
    """loss.safetensors and the loss of the result are of the best epoch, too."""

    class Tempered(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.temperature = nn.Parameter(torch.ones(()))
            self.seen: list[float] = []

        def forward(self, output: Tensor, target: Tensor) -> Tensor:
            if not output.requires_grad:
                self.seen.append(self.temperature.item())
            return functional.cross_entropy(output / self.temperature, target)

    loss = Tempered()
    settings = {**USUAL, "loss": loss, "optimizer": "sgd(lr=0.3)", "batch_size": 64}
    result = run(**settings, data=table(), model=model(), patience=3)
    assert result.best_epoch is not None
    assert result.best_epoch < len(result.metrics) - 1
    kept = load_file(result.directory / "loss.safetensors")["temperature"]
    assert kept.item() == loss.temperature.item()
    assert loss.seen[-1] == kept.item()  # the test split was read with it


def test_a_metric_that_is_never_finite_leaves_the_last_weights(run: Run, table: Table) -> None:
    """Nothing is the best then, and patience ends the run."""

    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 3)

        def forward(self, inputs: Tensor) -> Tensor:
            output: Tensor = self.linear(inputs)
            return output if self.training or len(inputs) == 2 else output * math.inf

    result = run(**USUAL, data=table(), model=Broken(), patience=2)
    assert (len(result.metrics), result.best_epoch) == (2, None)
    assert "it was never finite" in str(result.reason)


def test_the_state_of_early_stopping_comes_back() -> None:
    """What one has counted and kept, another takes up."""
    best = Best(3, 0.5, {"epoch": 3}, {"weight": torch.ones(2)}, {})

    @attrs.define
    class Parts:
        choices: Choices

    @attrs.define
    class Holder:
        parts: Parts
        best: Best | None = None

    one, other = (EarlyStopping(Holder(Parts(Choices("validation_loss")))) for _ in range(2))  # type: ignore[arg-type]  # all that is needed
    one.load_state_dict({"waited": 2, "best": attrs.asdict(best, recurse=False)})
    other.load_state_dict(one.state_dict())
    assert other.state_dict() == {"waited": 2, "best": attrs.asdict(best, recurse=False)}


@for_each(
    ("flags", "says"),
    [
        (["--monitor", "test_loss"], "monitor (--monitor) has no effect without patience"),
        (["--patience", "1", "--monitor", "validation_loss"], "validate=0.1 (--validate 0.1) cuts off"),
        (["--patience", "1", "--validate", "0.1", "--monitor", "test_loss"], "its test split is read once"),
        (["--patience", "1", "--monitor", "tset_loss"], "Did you mean 'test_loss'"),
        (["--patience", "1", "--monitor", "train_accuracy"], "--eval-train"),
        (["--target", "test_loss>=1"], "write 'test_loss<=1'"),
        (["--target", "test_accuracy<=0.5"], "write 'test_accuracy>=0.5'"),
        (["--target", "speed>=1"], "target (--target) names the metric 'speed'"),
        (["--target", "fast"], "target (--target) is METRIC>=VALUE"),
        (["--validate", "fold(6/5)"], "K is 1 to N"),
        (["--validate", "0.00001"], "leaves none of its 1442 samples"),
        (["--patience", "0"], "patience (--patience) is a whole number of at least 1"),
    ],
)  # fmt: skip
def test_wrong_use_is_one_line(lossreg_command: Command, flags: list[str], says: str) -> None:
    """Exit code 2, one line that says what to do, and no directory."""
    outcome = lossreg_command("run", "--quiet", "--model", "mlp", *flags)
    assert outcome.code == 2
    assert says in outcome.err
    assert outcome.err.count("\n") == 1
    assert not Path("runs").exists()


def test_a_file_with_a_wrong_monitor_is_named(lossreg_command: Command) -> None:
    """The error about a setting that a file gave names the file."""
    Path("run.toml").write_text('patience = 1\nmonitor = "speed"\n')
    assert "run.toml: monitor (--monitor) names" in lossreg_command("plan", "-c", "run.toml").err


def test_plan_shows_the_cut_and_what_is_chosen(lossreg_command: Command) -> None:
    """The numbers of samples, how they are cut, and what chooses by what; the same as JSON."""
    flags = ["plan", "--model", "mlp", "--validate", "fold(2/5)", "--patience", "3"]
    shown = lossreg_command(*flags).out
    facts = json.loads(lossreg_command(*flags, "--json").out)["facts"]
    sizes = facts["data"]
    assert sizes["train"] + sizes["validation"] == 1442
    assert f"{sizes['train']} train, {sizes['validation']} validation, {sizes['test']} test" in shown
    assert "cut by seed and content; each class keeps its share" in shown
    assert "chosen on           validation: patience by validation_loss" in shown
    assert (facts["chosen_on"], facts["validation"]["stratified"]) == ("validation", True)


def test_the_command_says_what_was_kept_and_a_repeat_is_the_same(lossreg_command: Command) -> None:
    """The best epoch is printed; run.json repeats the run without a warning, with the same cut."""
    flags = ["--model", "mlp", "--opt.lr", "1.0", "--limit-train", "300", "--validate", "0.2", "--patience", "1"]
    first = lossreg_command("run", *flags, "--epochs", "20", "--device", "cpu", "--precision", "32", "--out", "first")
    best = record(Path("first"))["best_epoch"]
    assert f"best_epoch               {best}\n" in first.out
    assert f"kept: the weights of epoch {best}" in first.err
    assert "test split, read once: " in first.err
    assert record(Path("first"))["stopped_by"] == "patience"
    again = lossreg_command("run", "-c", "first", "--quiet", "--out", "second")
    assert (again.code, again.err) == (0, "")
    one, two = (load_file(Path(name, "model.safetensors")) for name in ("first", "second"))
    assert same(one, two)
    assert record(Path("first"))["validation"] == record(Path("second"))["validation"]
