"""Runs that are broken off anywhere, with every setting that has a state, and go on exactly."""

from __future__ import annotations

import logging
import random
import signal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import schedulefree
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

import lossreg
from lossreg import Data
from lossreg.checkpoints.folder import CheckpointFolder
from tests.table import for_each

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.lossreg.training.resume.conftest import BreakOff, Exact, Finish

#: What has a state of its own, or moves the position in the data.
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "accumulated": {"accumulate": 3, "batch_size": 4},
    "clipped": {"clip_grad_norm": 0.1},
    "ema": {"weights": "ema(0.9)"},
    "swa": {"weights": "swa(start=1)"},
    "patience": {"patience": 1, "validate": 0.2, "optimizer": "sgd(lr=2.0)", "epochs": 5},
    "validated": {"validate": 0.2},
    "groups": {
        "optimizer": "adam(lr=0.01)", "param_groups": {"*.weight": "sgd(lr=0.1, momentum=0.9, scheduler=cosine())"},
    },
    "frozen": {"freeze": "1.*", "unfreeze": "1.*@1", "optimizer": "adam(lr=0.01)"},
    "bf16": {"precision": "bf16"},
    "loader": {"loader": "dataloader", "workers": 0},
    "eval_train": {"eval_train": True},
}  # fmt: skip


class Noisy(nn.Module):
    """A model that draws from all generators in training, and has batch normalisation."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)
        self.first, self.norm, self.last = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        hidden = nn.functional.dropout(self.norm(self.first(inputs)).relu(), 0.3, self.training)
        if self.training:
            hidden = hidden * (1 + 0.1 * random.random() + 0.1 * np.random.random())  # noqa: S311  # as above
        return self.last(hidden)  # type: ignore[no-any-return]  # nn.Module's call is not annotated


class Augmented(Dataset[tuple[Tensor, Tensor]]):
    """Samples with noise that is drawn when they are read."""

    def __init__(self, inputs: Tensor, targets: Tensor) -> None:
        self._inputs, self._targets = inputs, targets

    def __len__(self) -> int:
        return len(self._targets)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self._inputs[index] + 0.1 * torch.randn(6), self._targets[index]


class Tempered(nn.Module):
    """Cross-entropy at a temperature that is learned."""

    def __init__(self) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(()))

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return nn.functional.cross_entropy(output / self.temperature, target)


@for_each("name", SETTINGS)
def test_each_setting_goes_on_exactly(exact: Exact, name: str) -> None:
    """Broken off in the middle of the second epoch."""
    exact(5, **SETTINGS[name])


@for_each("step", [1, 2, 3, 4, 7, 11, 12])
def test_a_run_goes_on_from_every_place(exact: Exact, step: int) -> None:
    """After the first steps, at the end of an epoch, and after the last step, before its evaluation."""
    exact(step, weights="ema(0.9)", scheduler="cosine", scheduler_interval="step")


@pytest.mark.parametrize("steps", [(4, 6), (1, 3, 5), (2, 9)])
def test_a_run_goes_on_more_than_once(exact: Exact, steps: tuple[int, ...]) -> None:
    """Twice within an epoch, three times, and in different epochs: no row is lost or doubled."""
    exact(steps, lambda: {"model": Noisy()})


def test_what_a_model_draws_goes_on(exact: Exact) -> None:
    """Dropout, Python's and numpy's generators, and the statistics of batch normalisation."""
    exact(6, lambda: {"model": Noisy()})


@pytest.mark.parametrize("workers", [0, 2])
def test_random_transforms_go_on(exact: Exact, blobs: Data, workers: int) -> None:
    """What is read after the resume is augmented as it would have been, in this process or in workers."""
    (inputs, targets), (test_inputs, test_targets) = blobs.train, blobs.test  # type: ignore[misc]  # pairs of tensors
    drawn = Augmented(inputs, targets), Augmented(test_inputs, test_targets)
    data = Data(*drawn, "classification", (6,), num_classes=3)
    exact(6, lambda: {"data": data}, loader="dataloader", workers=workers)


def test_weights_of_an_optimizer_with_modes_go_on(exact: Exact) -> None:
    """It has other weights for evaluation than for training."""
    ended = exact(6, lambda: {"optimizer": schedulefree.SGDScheduleFree})
    assert ended.rows[-1]["weights"] != "raw"


def test_a_loss_that_is_trained_goes_on(exact: Exact) -> None:
    """Its weights and their momentum."""
    loss = lossreg.Loss("tempered", Tempered, input="logits", target="index", averages="sample", summary="Learned")
    ended = exact(6, lambda: {"loss": loss})
    assert ended.state["loss"]["temperature"].item() != 1


class Interrupting(nn.Module):
    """A model that sends Ctrl-C in the middle of the evaluation of an epoch."""

    def __init__(self, evaluation: int | None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.evaluation, self.was_training, self.count = nn.Linear(6, 3), evaluation, False, 0

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        if self.was_training and not self.training:
            self.count += 1
            if self.count == self.evaluation:
                signal.raise_signal(signal.SIGINT)
        self.was_training = self.training
        return self.linear(inputs)  # type: ignore[no-any-return]  # nn.Module's call is not annotated


def test_a_run_that_is_broken_off_in_an_evaluation_goes_on(finish: Finish, break_off: BreakOff) -> None:
    """The evaluation begins again, and is counted once."""
    usual: dict[str, Any] = {"loss": "cross_entropy", "epochs": 3}
    whole = finish(**usual, model=Interrupting(None), checkpoint_every=None)
    directory = break_off(99, **usual, model=Interrupting(3))
    newest = CheckpointFolder(directory / "checkpoints").newest()
    assert newest.facts["phase"] == "evaluating"
    ended = finish(resume=directory, model=Interrupting(None))
    assert ended.rows == whole.rows
    assert ended.state["evaluations"] == whole.state["evaluations"]
    assert torch.equal(ended.state["model"]["linear.weight"], whole.state["model"]["linear.weight"])


@pytest.mark.parametrize("scheduler", [None, "lambda_lr(lr_lambda='0.5 ** (epoch // 2)')", "exponential(gamma=0.9)"])
def test_a_run_that_is_made_longer_is_the_long_run(finish: Finish, scheduler: str | None) -> None:
    """Where the schedule does not go by the length."""
    whole = finish(epochs=4, scheduler=scheduler)
    short = finish(epochs=2, scheduler=scheduler)
    longer = finish(resume=short.result.directory, epochs=4)
    assert longer.rows == whole.rows
    assert all(value.equal(longer.state["model"][name]) for name, value in whole.state["model"].items())


def test_a_schedule_that_goes_by_the_length_says_so(finish: Finish, caplog: pytest.LogCaptureFixture) -> None:
    """Its rates are those of the longer schedule from there on."""
    whole = finish(epochs=4, scheduler="cosine")
    short = finish(epochs=2, scheduler="cosine")
    with caplog.at_level(logging.WARNING, "lossreg"):
        longer = finish(resume=short.result.directory, epochs=4)
    assert "was made for 2 epochs and is now one for 4" in caplog.text
    assert [row["lr"] for row in longer.rows[-10:]] == [row["lr"] for row in whole.rows[-10:]]


def test_more_steps_may_be_allowed(finish: Finish) -> None:
    """A run that max_steps has ended in the middle of an epoch goes on with more: the same rows, none doubled."""
    whole = finish(max_steps=9)
    short = finish(max_steps=6)
    longer = finish(resume=short.result.directory, max_steps=9)
    assert longer.rows == whole.rows
    assert all(value.equal(longer.state["model"][name]) for name, value in whole.state["model"].items())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"optimizer": "adam"}, "optimizer was builtin.sgd(lr=0.1, momentum=0.9) and is builtin.adam"),
        ({"batch_size": 5}, "batch_size was 10 and is 5"),
        ({"seed": 1}, "seed was 0 and is 1"),
        ({"weights": "ema(0.9)"}, "weights was auto and is ema(0.9)"),
        ({"clip_grad_norm": 1.0}, "clip_grad_norm was none and is 1.0"),
        ({"limit_train": 20}, "limit_train was none and is 20"),
    ],
)
def test_other_settings_are_refused(finish: Finish, break_off: BreakOff, changed: Mapping[str, Any], said: str) -> None:
    """With each difference; nothing is changed by it, and the run can go on."""
    directory = break_off(6)
    with pytest.raises(lossreg.ConfigError, match="cannot go on with other settings") as refused:
        finish(resume=directory, **changed)
    assert said in str(refused.value)
    assert finish(resume=directory).result.reason is None


def test_other_settings_are_taken_on_request(
    finish: Finish, break_off: BreakOff, caplog: pytest.LogCaptureFixture
) -> None:
    """`override` takes them, and says what they are."""
    directory = break_off(6)
    with caplog.at_level(logging.WARNING, "lossreg"):
        ended = finish(resume=directory, clip_grad_norm=1.0, override=True)
    assert "clip_grad_norm was none and is 1.0" in caplog.text
    assert ended.state["steps"] == 12


def test_a_run_that_is_over_does_not_go_on(finish: Finish) -> None:
    """It says how it could."""
    ended = finish()
    with pytest.raises(lossreg.ConfigError, match=r"all of its 3 epochs are done; with more epochs \(--epochs\)"):
        finish(resume=ended.result.directory)


def test_a_torn_last_line_is_repaired(finish: Finish, break_off: BreakOff) -> None:
    """Rows that a checkpoint does not know, and half of one, are made again."""
    whole = finish()
    directory = break_off(6)
    with (directory / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "step", "epoch": 1, "st')
    assert finish(resume=directory).rows == whole.rows


def test_what_was_an_object_has_to_be_given_again(finish: Finish, break_off: BreakOff) -> None:
    """The error says which."""
    directory = break_off(6, model=Noisy())
    with pytest.raises(lossreg.ConfigError, match=r"cannot go on without its model"):
        finish(resume=directory)
