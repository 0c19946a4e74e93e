"""Frozen parameters: what stays as it is, until when, and in which mode."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import lossreg
from tests.table import for_each

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Command
    from tests.lossreg.training.conftest import HandLoop, Run, Samples, Weights

SMALL: dict[str, Any] = {"epochs": 2, "limit_train": 128, "limit_test": 8}


def normed() -> nn.Module:
    """A backbone (1, 2, 3) with batch normalisation and dropout, and a head (4)."""
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Linear(784, 8), nn.BatchNorm1d(8), nn.Dropout(0.5))
    return nn.Sequential(nn.Flatten(), backbone, nn.ReLU(), nn.Linear(8, 10))


def test_what_is_frozen_is_trained_by_no_optimizer(
    run: Run, weights: Weights, hand_loop: HandLoop, digits: Samples, tutorial_model: Callable[[], nn.Module]
) -> None:
    """The rest is trained as an optimizer of the rest alone does; frozen weights have no gradient and no state."""
    seen: list[Any] = []

    class Watch:
        def lossreg_epoch_finished(self, run: lossreg.Run, record: dict[str, Any]) -> None:
            model: Any = run.model
            seen.append((run.optimizer, [one.grad for one in model[0].parameters()]))

    torch.manual_seed(0)
    given = tutorial_model()
    result = run(model=given, freeze="0.*", optimizer="sgd(weight_decay=0.1)", observers=[Watch()], **SMALL)
    torch.manual_seed(0)
    model: Any = tutorial_model()
    model[0].requires_grad_(False)
    trained = [one for one in model.parameters() if one.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.01, momentum=0.9, weight_decay=0.1, fused=True)
    hand_loop(model, functional.cross_entropy, optimizer, (digits[0][:128], digits[1][:128]), epochs=2)
    assert weights(result.model).equal(weights(model))
    held = {id(one) for group in seen[-1][0].param_groups for one in group["params"]}
    assert not held & {id(one) for name, one in result.model.named_parameters() if name.startswith("0.")}
    assert seen[-1][1] == [None, None]


def test_a_frozen_part_is_trained_from_its_epoch_on(
    run: Run, weights: Weights, hand_loop: HandLoop, digits: Samples, tutorial_model: Callable[[], nn.Module]
) -> None:
    """Its weights move from that epoch on, with state and rate as if they had always been there: torch's own SGD."""
    torch.manual_seed(0)
    given = tutorial_model()
    schedule = {"scheduler": "lambda_lr(lr_lambda='1 / (1 + epoch)')", "optimizer": "adam(lr=0.01, fused=False)"}
    result = run(model=given, freeze="0.*, 2.*", unfreeze="0.*@1", **schedule, **SMALL)
    torch.manual_seed(0)
    model: Any = tutorial_model()
    model[2].requires_grad_(False)
    optimizer = torch.optim.Adam([one for one in model.parameters() if one.requires_grad], lr=0.01)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch))
    model[0].requires_grad_(False)
    samples = (digits[0][:128], digits[1][:128])
    hand_loop(model, functional.cross_entropy, optimizer, samples, scheduler=scheduler)
    assert model[0].weight.grad is None
    model[0].requires_grad_(True)
    order = torch.from_numpy(np.random.default_rng([0, 1]).permutation(128))
    for indices in order.split(64):
        optimizer.zero_grad()
        functional.cross_entropy(model(samples[0][indices]), samples[1][indices]).backward()
        optimizer.step()
    assert weights(result.model).equal(weights(model))


@pytest.mark.parametrize(("mode", "is_fixed"), [("eval", True), ("train", False)])
def test_statistics_of_frozen_modules(run: Run, mode: str, is_fixed: bool) -> None:
    """In evaluation mode batch normalisation keeps its statistics, and dropout drops nothing; in training mode not."""
    model: Any = normed()
    modes: list[list[bool]] = []
    model[1].register_forward_pre_hook(lambda module, _: modes.append([one.training for one in module.modules()]))
    run(model=model, freeze="1.*", frozen_mode=mode, **SMALL)
    assert model[1][1].running_mean.equal(torch.zeros(8)) == is_fixed
    in_training = {tuple(one) for one in modes} - {(False,) * 4}
    assert in_training == (set() if is_fixed else {(True,) * 4})


def test_an_unfrozen_module_is_in_training_mode_again(run: Run) -> None:
    """Batch normalisation counts its batches from the epoch on from which it is trained."""
    model: Any = normed()
    run(model=model, freeze="1.*", unfreeze="1.*@1", **SMALL)
    assert model[1][1].num_batches_tracked.item() == 2  # the two steps of epoch 1
    assert not model[1][1].running_mean.equal(torch.zeros(8))


def test_a_module_of_which_only_a_part_is_frozen_is_trained(run: Run) -> None:
    """The mode is that of modules whose parameters are all frozen."""
    model: Any = normed()
    run(model=model, freeze="1.1.weight", **SMALL)
    assert model[1][1].num_batches_tracked.item() == 4


def test_a_given_module_stays_in_evaluation_mode(run: Run) -> None:
    """One that was in it before stays in it, also where something else is unfrozen."""
    model: Any = normed()
    model[1][1].eval()
    run(model=model, freeze="3.bias", unfreeze="3.bias@1", **SMALL)
    assert model[1][1].num_batches_tracked.item() == 0


def test_a_loss_may_be_frozen(run: Run) -> None:
    """Its parameters are called `loss.NAME`."""

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            return functional.cross_entropy(output * self.scale, target)

    loss = Scaled()
    run(loss=loss, freeze="loss.*", **SMALL)
    assert loss.scale.item() == 1


def test_a_model_is_given_back_as_it_came(run: Run) -> None:
    """A second run without `freeze` trains all that the first one froze, and a plan freezes nothing for good."""
    model: Any = normed()
    model[3].bias.requires_grad_(False)
    lossreg.plan(model=model, freeze="1.*, 3.bias", **SMALL)
    run(model=model, freeze="1.*, 3.bias", unfreeze="1.0.*@1", **SMALL)
    assert [one.requires_grad for one in model.parameters()] == [True] * 5 + [False]
    before = model[1][0].weight.detach().clone()
    run(model=model, **SMALL)
    assert not model[1][0].weight.equal(before)


def test_a_plan_counts_what_is_frozen(lossreg_command: Command) -> None:
    """How many tensors and numbers, and from which epoch on they are trained."""
    small = ("--limit-train", "64", "--epochs", "6")
    shown = lossreg_command("plan", "--freeze", "0.*, 2.*", "--unfreeze", "2.*@5", *small).out
    # 3 * 3 * 32 + 32 and 32 * 64 * 9 + 64, of the 121,930 of the tutorial's network
    assert (
        "frozen              4 tensors, 18,816 parameters (15.4%), in eval mode; "
        "2 tensors, 18,496 parameters (15.2%) trained from epoch 5 on"
    ) in shown


def test_settings_come_from_lists_and_files_and_are_recorded(lossreg_command: Command, tmp_path: Path) -> None:
    """A list in TOML is the same as a text with commas; run.json repeats it; an option undoes both settings."""
    (tmp_path / "run.toml").write_text(
        'epochs = 2\nlimit_train = 64\nfreeze = ["0.*", "shape = (64,10)"]\n'
        'unfreeze = "0.* @ 1"\nfrozen_mode = "train"\n'
    )
    assert lossreg_command("run", "-c", "run.toml", "--model", "mlp", "--freeze", "1.*", "--unfreeze", "1.*@1",
                           "--quiet", "--out", "first").code == 0  # fmt: skip
    spec = json.loads((tmp_path / "first" / "run.json").read_text())["spec"]
    assert (spec["freeze"], spec["unfreeze"], spec["frozen_mode"]) == ("1.*", "1.*@1", "train")
    assert json.loads((tmp_path / "first" / "run.json").read_text())["frozen"]["unfrozen"]["1"]["tensors"] == 2
    assert lossreg_command("run", "-c", "first", "--quiet", "--out", "again").code == 0
    assert lossreg_command("run", "-c", "first", "--freeze", "none", "--quiet", "--out", "undone").code == 0
    written = lossreg.RunSpec(freeze=["0.*", "shape = (64,10)"])
    assert written.freeze == "0.*, shape=(64, 10)"


@for_each(
    ("settings", "said"),
    [
        ({"freeze": "bakbone.*"}, "freeze: 'bakbone.*' matches no parameter of mnist_cnn"),
        ({"freeze": "0.*, ndmi>2"}, "freeze: 'ndmi>2' is not a pattern"),
        ({"freeze": "*"}, "freeze: * freezes all of mnist_cnn: nothing is left to train"),
        ({"freeze": "*", "unfreeze": "*@1"}, "nothing is left to train"),
        ({"freeze": "0.*,"}, "a pattern of '0.*,' is empty"),
        ({"freeze": 3}, "freeze is a list of patterns over parameters"),
        ({"unfreeze": "0.*@1"}, "unfreeze (--unfreeze) has no effect without freeze"),
        ({"frozen_mode": "train"}, "frozen_mode (--frozen-mode) has no effect without freeze"),
        ({"freeze": "0.*", "unfreeze": "0.*"}, "unfreeze: '0.*' has no epoch from 1 on behind an @"),
        ({"freeze": "0.*", "unfreeze": "0.*@0"}, "unfreeze: '0.*@0' has no epoch from 1 on behind an @"),
        ({"freeze": "0.*", "unfreeze": "0.*@2"}, "the run has 2 epochs, the last is 1"),
        ({"freeze": "0.*", "unfreeze": "2.*@1"}, "unfreeze: '2.*' matches no parameter that '0.*' freezes"),
        ({"freeze": "0.*", "param_groups": {"0.bias": "lr=1"}}, "'0.bias' matches no trainable parameter"),
    ],
)
def test_wrong_settings_are_refused(run: Run, tmp_path: Path, settings: dict[str, Any], said: str) -> None:
    """Each mistake is one message before the run, and leaves no directory."""
    with pytest.raises(lossreg.LossregError) as caught:
        run(out=tmp_path / "out", **settings, **SMALL)
    assert said in str(caught.value)
    assert not (tmp_path / "out").exists()
