"""Groups of parameters by patterns over their names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

import lossreg
from tests.table import for_each, for_each_apart

if TYPE_CHECKING:
    from tests.conftest import Command
    from tests.lossreg.training.conftest import HandLoop, Run, Samples, Weights

SMALL = {"epochs": 1, "limit_train": 128, "limit_test": 8}


def test_a_group_is_optimised_with_its_own_options(
    run: Run, weights: Weights, hand_loop: HandLoop, digits: Samples, tutorial_model: Callable[[], nn.Module]
) -> None:
    """Weights without decay and biases with another rate end as with torch's own groups."""
    result = run(
        optimizer="sgd(weight_decay=0.1)",
        param_groups={"*.bias": {"weight_decay": 0, "lr": 0.1}, "7.weight": "lr=0.5"},
        **SMALL,
    )  # fmt: skip
    torch.manual_seed(0)
    model = tutorial_model()
    named = dict(model.named_parameters())
    biases = [weight for name, weight in named.items() if name.endswith(".bias")]
    rest = [weight for name, weight in named.items() if not name.endswith(".bias") and name != "7.weight"]
    groups: list[dict[str, Any]] = [
        {"params": rest},
        {"params": biases, "weight_decay": 0, "lr": 0.1},
        {"params": [named["7.weight"]], "lr": 0.5},
    ]
    optimizer = torch.optim.SGD(groups, lr=0.01, momentum=0.9, weight_decay=0.1, fused=True)
    hand_loop(model, functional.cross_entropy, optimizer, (digits[0][:128], digits[1][:128]))
    assert weights(result.model).equal(weights(model))


def test_a_schedule_multiplies_the_rate_of_each_group(run: Run) -> None:
    """The recorded rate is the first group's; a pattern that matches all leaves no other group."""
    result = run(
        model="mlp", param_groups={"*": "lr=0.5"}, scheduler="lambda_lr(lr_lambda='1 / (1 + epoch)')", epochs=3,
        limit_train=64, limit_test=8,
    )  # fmt: skip
    assert [row["lr"] for row in result.metrics] == pytest.approx([0.5, 0.25, 0.5 / 3])


def test_the_parameters_of_a_loss_have_a_prefix(run: Run) -> None:
    """`loss.*` matches what the loss learns."""

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, output: Tensor, target: Tensor) -> Tensor:
            return functional.cross_entropy(output * self.scale, target)

    loss = Scaled()
    run(loss=loss, param_groups={"loss.*": "lr=0"}, **SMALL)
    assert loss.scale.item() == 1


@for_each(
    ("groups", "said"),
    [
        ({"*.bais": "lr=1"}, "'*.bais' matches no trainable parameter of mnist_cnn. Did you mean '*.bias'?"),
        ({"*.bias": "lr=1", "0.*": "lr=2"}, "the parameter 0.bias is in two groups, '*.bias' and '0.*'"),
        ({"*.bias": "weight_dcay=0"}, "'*.bias': sgd has no parameter 'weight_dcay'. Did you mean 'weight_decay'"),
        ({"*.bias": "lr='high'"}, "'*.bias': sgd: lr='high' does not fit"),
        ({"*.bias": "lr"}, "'*.bias' (options are written KEY=VALUE, ...): no optimizer named 'lr'"),
        (
            {"*.bias": "lr 1"},
            "'*.bias' has the options 'lr 1', which are neither KEY=VALUE, ... such as 'weight_decay=0, lr=0.1', nor",
        ),
        ({"*.bias": "sgd(lr=0.1"}, "nor an optimizer such as 'adam(lr=0.001)': the '(' at column 4 is not closed"),
        ({"*.bias": {}}, "'*.bias' has the options {}; write, for example, 'weight_decay=0'"),
        *(
            (
                {"*.bias": given},
                "the optimizer of a group is named by a text, such as 'adam(lr=0.001)', and a class of your own gets a "
                "name with @lossreg.optimizers.register",
            )
            for given in (torch.optim.Adam, torch.optim.Adam([torch.ones(1)]), lambda parameters: parameters)
        ),
        ({"*.bias": "lr=-1"}, "'*.bias': sgd(lr=-1"),
        ({"*.bias": "lr=inf"}, "'*.bias': lr=inf, which no float32 weight can be moved by"),
        ({"*.bias": "momentum=0, nesterov=True"}, "Nesterov momentum requires a momentum"),
        ({" ": "lr=1"}, "' ' is not a pattern"),
        ("*.bias", "param_groups maps patterns to options"),
    ],
)
def test_wrong_groups_are_refused(run: Run, tmp_path: Path, groups: Any, said: str) -> None:
    """Each mistake is an error before the run, in one sentence, and leaves no directory."""
    with pytest.raises(lossreg.LossregError) as caught:
        run(param_groups=groups, out=tmp_path / "out", **SMALL)
    assert said in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_groups_for_an_optimizer_object_are_refused(run: Run) -> None:
    """An optimizer that is there already has its groups; a function that makes one gets them."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    with pytest.raises(lossreg.ConfigError, match="param_groups has no effect on an optimizer that is an object"):
        run(
            model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1), param_groups={"*.bias": "lr=1"}, **SMALL
        )
    seen: list[Any] = []

    def make(params: Any) -> torch.optim.Optimizer:
        seen.extend(params)
        return torch.optim.SGD(params, lr=0.1)

    run(model=model, optimizer=make, param_groups={"*.bias": "lr=1"}, **SMALL)
    assert [group["lr"] for group in seen] == [0.1, 1]
    with pytest.raises(lossreg.ConfigError, match="SGD has no option 'wd'"):
        run(model=model, optimizer=make, param_groups={"*.bias": "wd=1"}, **SMALL)


def test_groups_come_from_options_and_files_and_are_recorded(lossreg_command: Command, tmp_path: Path) -> None:
    """`--param-groups` may be repeated and wins over a file's table; run.json repeats what was used."""
    (tmp_path / "run.toml").write_text('epochs = 1\nlimit_train = 64\n[param_groups]\n"*.bias" = {weight_decay = 0}\n')
    assert lossreg_command("run", "-c", "run.toml", "--quiet", "--out", "file").code == 0
    options = ("--param-groups", "*.bias: weight_decay=0, lr=.1", "--param-groups", "0.weight: lr=1")
    assert lossreg_command("run", "-c", "run.toml", *options, "--quiet", "--out", "flags").code == 0
    recorded = {
        name: json.loads((tmp_path / name / "run.json").read_text())["spec"]["param_groups"]
        for name in ("file", "flags")
    }
    assert recorded["file"] == {"*.bias": "weight_decay=0"}
    assert recorded["flags"] == {"*.bias": "lr=0.1, weight_decay=0", "0.weight": "lr=1"}
    assert lossreg_command("run", "-c", "flags", "--quiet", "--out", "again").code == 0
    first, again = (load_file(tmp_path / name / "model.safetensors") for name in ("flags", "again"))
    assert all(first[name].equal(again[name]) for name in first)


@for_each_apart(
    ("texts", "said"),
    [
        (["*.bias"], "write 'PATTERN: KEY=VALUE, ...'"),
        (["*.bias:"], "write 'PATTERN: KEY=VALUE, ...'"),
        (["*.bias: lr=1", "*.bias: lr=2"], "the pattern '*.bias' is given twice"),
        (["*.bias: lr=nan"], "lr is NaN"),
    ],
)
def test_a_wrong_option_is_refused(lossreg_command: Command, texts: list[str], said: str) -> None:
    """What `--param-groups` cannot read is exit code 2 and one message."""
    outcome = lossreg_command("run", *(word for text in texts for word in ("--param-groups", text)))
    assert outcome.code == 2
    assert said in outcome.err
