"""What a message about groups, optimizers and frozen parameters says to do."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import pytest
import torch

import lossreg
from tests.table import for_each, for_each_apart

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Command


@for_each(
    ("line", "parts"),
    [
        (
            "--param-groups '*.bias: lr=1' --param-groups '7.*: lr=x0.1'",
            ("7.bias is in two groups, '*.bias' and '7.*'; add '& !7.bias', or what else is in both",),
        ),
        ("--param-groups '0.*: lr=1' --param-groups none", ("'none' drops all groups, and stands alone",)),
        ("--param-groups nodecay", ("or a preset, no_decay or layer_decay(0.75)",)),
        (
            "--param-groups 'layer_decay(0.5)' --param-groups 'layer_decay(0.7)'",
            ("param_groups: the preset layer_decay is given twice",),
        ),
        (
            "--param-groups 'type=Lineer: lr=1'",
            ("'type=Lineer' matches no", "Did you mean 'Linear'?", "Types: Conv2d,"),
        ),
        ("--param-groups 'shape=(3, *): lr=1'", ("'shape=(3, *)' matches no", "Parameters: 0.weight (32, 1, 3, 3)")),
        ("--freeze ndim==3", ("'ndim==3' matches no", "Parameters: 0.weight (32, 1, 3, 3), 0.bias (32,)")),
        (
            "--opt 'lookahead(sgd(scheduler=cosine))'",
            ("sgd has no parameter 'scheduler'", "what wraps it: write lookahead(..., scheduler=...)"),
        ),
        (
            "--param-groups 'ndim==2: muon(rest=adamw)'",
            ("muon has no parameter 'rest'", "trains all that the pattern matches, and leaves no rest"),
        ),
        (
            "--param-groups '*: muon'",
            ("it is for hidden matrices, and is given 0.weight (32, 1, 3, 3), 0.bias (32,), 2.weight",),
        ),
        (
            "--opt muon --param-groups 'ndim==2: muon(lr=0.1)'",
            ("none for it in mnist_cnn outside of the groups that have an optimizer of their own",),
        ),
        (
            "--freeze '0.*' --unfreeze '0.weight@1' --unfreeze '0.bias@2'",
            ("--unfreeze is given twice; write its patterns in one text, separated by commas",),
        ),
        (
            "--sched 'sequential(cosine, linear, milestones=[5, 6])'",
            ("2 schedules have 1 milestone between them, not 2",),
        ),
    ],
)
def test_a_refusal_says_what_to_write(lossreg_command: Command, line: str, parts: tuple[str, ...]) -> None:
    """Exit code 2, no traceback, and these parts."""
    outcome = lossreg_command("plan", "--limit-train", "64", *shlex.split(line))
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("lossreg: error: ")
    assert [part for part in parts if part not in outcome.err] == []


def test_an_object_of_many_lines_is_shown_in_one() -> None:
    """The `repr` of an optimizer has a line for each option; a message about it is one line."""
    registries = lossreg.load_registries(allow=[])

    @registries.optimizers.register("takes_sgd")
    class TakesSgd(torch.optim.SGD):
        def __init__(self, params: object, inner: torch.optim.Optimizer) -> None:
            raise ValueError("no")

    made = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    with pytest.raises(lossreg.BuildError) as error:
        registries.optimizers.build("takes_sgd", [torch.nn.Parameter(torch.zeros(1))], inner=made)
    assert str(error.value).startswith("takes_sgd(inner=SGD ( Parameter Group 0 dampening: 0 ")
    assert str(error.value).endswith("cannot be built: ValueError: no")
    assert "\n" not in str(error.value)


@for_each_apart(
    ("line", "said"),
    [
        ("--sched \"plateau(monitor='train_accuracy')\"", "eval_train=True (--eval-train) evaluates on"),
        ("--sched \"plateau(monitor='train_loss_after')\"", "eval_train=True (--eval-train) evaluates on"),
        ("--sched \"plateau(monitor='val_loss')\" --validate 0.2", "it is called validation_loss here"),
        ("--sched \"plateau(monitor='tset_loss')\"", "Did you mean 'test_loss'"),
        ("--sched plateau --sched-interval step", "leave scheduler_interval (--sched-interval) out"),
        ("--patience 2 --monitor train_loss_after", "eval_train=True (--eval-train) evaluates on"),
        ("--patience 2 --eval-train --monitor train_mean_absolute_error", "it has train_loss, test_loss"),
    ],
)
def test_a_metric_that_is_not_there_is_told_with_the_way_to_it(lossreg_command: Command, line: str, said: str) -> None:
    """A scheduler that follows a metric is told what `--monitor` is told."""
    outcome = lossreg_command("plan", "--limit-train", "64", *shlex.split(line))
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err


def test_the_training_loss_after_an_epoch_can_be_followed(tmp_path: Path) -> None:
    """It is in the rows with `eval_train`: it chooses, moves the rate, and is a target."""
    result = lossreg.run(
        scheduler="plateau(monitor='train_loss_after', factor=0.5, patience=0, threshold=10.0, threshold_mode='abs')",
        eval_train=True,
        patience=3,
        monitor="train_loss_after",
        target="train_loss_after<=0.0",
        epochs=3,
        limit_train=64,
        limit_test=16,
        quiet=True,
        out=str(tmp_path / "run"),
    )
    assert [row["lr"] for row in result.metrics] == [0.01, 0.01, 0.005]
    best = min(result.metrics, key=lambda row: row["train_loss_after"])
    assert result.best_epoch == best["epoch"]
    assert result.chosen_on == "train"


@for_each(
    ("pattern", "meant"),
    [
        ("*.bais", "'*.bias'"),
        ("encoder.*.wieght", "'encoder.*.weight'"),
        ("encodr.*", "'encoder.*'"),
        ("*bais", "'*bias'"),
        ("encoder.?.bais", "'encoder.?.bias'"),
        ("head.wieght", "'head.weight'"),
        ("hed.bais", "'head.bias'"),
        ("head.1.bais", "'head.bias' or 'encoder.1.bias'"),  # head has no 1
        ("encoder.[01].bais", "'encoder.1.bias' or 'encoder.0.bias' or 'encoder.1.weight'"),
        ("qqq.*", None),
    ],
)
def test_a_misspelt_pattern_is_shown_as_it_was_meant(pattern: str, meant: str | None) -> None:
    """With the words of the names that there are, where that matches; else names that are near."""
    model = torch.nn.Module()
    model.encoder = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    model.head = torch.nn.Linear(2, 1)
    given: dict[str, dict[str, Any]] = {
        "trainable parameter": {"param_groups": {pattern: "lr=1"}},
        "parameter": {"freeze": pattern},
    }
    for kind, settings in given.items():
        with pytest.raises(lossreg.ConfigError) as caught:
            lossreg.parts(**settings).optimizer(model)
        said = str(caught.value)
        assert f"{pattern!r} matches no {kind} of Module" in said
        assert (
            f"Did you mean {meant}? Parameters: " if meant else f"matches no {kind} of Module. Parameters: "
        ) in said
