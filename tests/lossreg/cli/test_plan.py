"""`lossreg plan`: every default, the verdict on the parts, the rates to come; nothing is trained or written."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from tests.table import for_each_apart

if TYPE_CHECKING:
    from tests.conftest import Command

LAMBDA = "--sched lambda_lr --sched.lr_lambda"
TINY = "--epochs 1 --limit-train 64 --limit-test 32"


def text(command: Command, line: str) -> str:
    """The plan as text."""
    outcome = command("plan", *shlex.split(line))
    assert (outcome.code, outcome.err) == (0, "")
    return outcome.out


def plan(command: Command, line: str) -> dict[str, Any]:
    """The plan as JSON."""
    content: dict[str, Any] = json.loads(text(command, f"{line} --json"))
    return content


@pytest.fixture
def steps() -> Iterator[list[torch.optim.Optimizer]]:
    """The optimizers that step a model's weights while the test runs, once for each step."""
    seen: list[torch.optim.Optimizer] = []

    def note(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        # Throw-away optimizers that are tried have some tensors, not all.
        if sum(map(torch.numel, optimizer.param_groups[0]["params"])) == 121_930:
            seen.append(optimizer)

    hook = register_optimizer_step_pre_hook(note)
    yield seen
    hook.remove()


def test_a_plan_trains_nothing(lossreg_command: Command, steps: list[torch.optim.Optimizer]) -> None:
    """No optimizer takes a step with a model's weights for a plan."""
    text(lossreg_command, f"{LAMBDA} 1 {TINY}")
    assert steps == []


def test_a_run_of_the_same_trains(lossreg_command: Command, steps: list[torch.optim.Optimizer]) -> None:
    """An optimizer takes a step for the run that was planned, so the count of none means something."""
    assert lossreg_command("run", "--quiet", *shlex.split(f"{LAMBDA} 1 {TINY}")).code == 0
    assert len(steps) == 1


def test_a_plan_writes_nothing(lossreg_command: Command, tmp_path: Path) -> None:
    """The working directory is as empty after a plan as before."""
    text(lossreg_command, f"{LAMBDA} 'epoch // 2'")
    assert list(tmp_path.iterdir()) == []


@for_each_apart(
    ("key", "value"),
    [
        ("loss", "builtin.cross_entropy"),
        ("optimizer", "builtin.sgd"),
        ("scheduler", None),
        ("model", "builtin.mnist_cnn"),
        ("data", "builtin.digits"),
        ("epochs", 20),
        ("batch_size", 64),
        ("seed", 0),
        ("device", "auto"),
        ("scheduler_interval", None),
        ("limit_train", None),
        ("limit_test", None),
        ("eval_train", False),
        ("log_every", 100),
    ],
)
def test_a_plan_of_nothing_shows_every_default(lossreg_command: Command, key: str, value: object) -> None:
    """Each setting that was not given has its default in the plan, with full ids."""
    assert plan(lossreg_command, "")["spec"][key] == value


def test_a_plan_shows_every_setting_in_text(lossreg_command: Command) -> None:
    """Each setting of the JSON plan has its line in the text."""
    lines = text(lossreg_command, "").splitlines()
    heads = {line.split()[0] for line in lines if line}
    assert heads >= plan(lossreg_command, "")["spec"].keys()


@for_each_apart(
    ("field", "parameter", "value"),
    [
        ("loss", "label_smoothing", 0.0),
        ("loss", "ignore_index", -100),
        ("loss", "reduction", "mean"),
        ("optimizer", "lr", 0.01),
        ("optimizer", "momentum", 0.9),
        ("optimizer", "nesterov", False),
        ("optimizer", "foreach", None),
        ("model", "in_channels", 1),
        ("model", "num_classes", 10),
        ("scheduler", "lr_lambda", "epoch // 2"),
        ("scheduler", "epochs", 20),
        ("scheduler", "last_epoch", -1),
    ],
)
def test_a_plan_shows_every_parameter(lossreg_command: Command, field: str, parameter: str, value: object) -> None:
    """Parameters that were not given are shown: lossreg's defaults, the factory's own, and what the runner supplies."""
    assert plan(lossreg_command, f"{LAMBDA} 'epoch // 2'")["components"][field]["params"][parameter] == value


def test_a_plan_shows_parameters_and_origin_in_text(lossreg_command: Command) -> None:
    """The line of a component has its full id, all parameters, and its distribution."""
    assert re.search(
        r"^optimizer +builtin\.sgd\(lr=0\.5, momentum=0\.9, .*nesterov=False.*\)  \[lossreg \d.*\]$",
        text(lossreg_command, "--opt.lr 0.5"),
        re.MULTILINE,
    )


@for_each_apart(
    ("line", "output", "input_as", "target_as"),
    [
        ("", [64, 10], "unchanged", "unchanged"),
        ("--loss dice", [64, 10], "unchanged", "unchanged"),
        ("--loss l1 --batch-size 32", [32, 10], "unchanged", "one_hot"),
        ("--data diabetes", [64, 1], "unchanged", "unchanged"),
    ],
)
def test_a_plan_says_how_output_and_target_meet_the_loss(
    lossreg_command: Command, line: str, output: list[int], input_as: str, target_as: str
) -> None:
    """The contract has the shape of the output, and what is done to output and targets before the loss."""
    contract = plan(lossreg_command, line)["contract"]
    meeting = {"output_shape": output, "input": input_as, "target": target_as}
    assert contract == {**meeting, "interval": "epoch", "monitor": None}


def test_a_plan_says_in_text_that_the_parts_fit(lossreg_command: Command) -> None:
    """The text has the verdict, with the output's shape and the form of the targets."""
    verdict = r"^contract +fits: output \(64, 10\) .*\bone_hot$"
    assert re.search(verdict, text(lossreg_command, "--loss l1"), re.MULTILINE)


def test_a_plan_counts_weights_and_steps(lossreg_command: Command) -> None:
    """The plan has the model's size, the sizes of the splits, and the steps that the last, smaller batch makes."""
    facts = plan(lossreg_command, "--limit-train 100 --limit-test 32 --batch-size 64 --device cpu")["facts"]
    convolutions = (1 * 9 + 1) * 32 + (32 * 9 + 1) * 64
    assert facts["parameters"] == convolutions + (64 * 5 * 5 + 1) * 64 + (64 + 1) * 10
    assert (facts["data"]["train"], facts["data"]["test"]) == (100, 32)
    assert facts["steps_per_epoch"] == 2
    assert facts["device"] == "cpu"


def test_a_plan_counts_all_samples_of_the_digits(lossreg_command: Command) -> None:
    """Without limits the two splits of the digits hold the 1,797 scans of the UCI test set."""
    data = plan(lossreg_command, "")["facts"]["data"]
    assert data["train"] + data["test"] == 1797


@for_each_apart("epochs", [1, 2, 7])
def test_a_plan_has_the_rates_of_epoch_halved(lossreg_command: Command, epochs: int) -> None:
    """With `epoch // 2`, the rate of epoch n, first to last step, is the base rate times n // 2."""
    rates = plan(lossreg_command, f"{LAMBDA} 'epoch // 2' --opt.lr 0.25 --epochs {epochs}")["learning_rates"]
    assert rates == [[0.25 * (epoch // 2)] * 2 for epoch in range(epochs)]  # exact: 0.25 is a power of two


def test_a_plan_shows_the_rates_in_text(lossreg_command: Command) -> None:
    """The text has a line for each rate, with the epochs that have it."""
    table = text(lossreg_command, f"{LAMBDA} 'epoch // 2' --epochs 5").partition("epoch  learning rate\n")[2]
    assert [line.split() for line in table.splitlines()[:3]] == [["0-1", "0"], ["2-3", "0.01"], ["4", "0.02"]]


def test_a_plan_without_a_schedule_has_one_rate(lossreg_command: Command) -> None:
    """Without a scheduler every epoch has the optimizer's rate."""
    assert plan(lossreg_command, "--opt.lr 0.125 --epochs 3")["learning_rates"] == [[0.125, 0.125]] * 3


def test_a_plan_of_a_schedule_by_step_has_the_first_and_last_rate_of_each_epoch(lossreg_command: Command) -> None:
    """Counting steps, an epoch of 3 steps begins and ends with the rates of its first and last step."""
    line = f"{LAMBDA} '1 / (1 + step)' --sched-interval step --opt.lr 1 --epochs 2 --limit-train 192"
    rates = plan(lossreg_command, line)["learning_rates"]
    expected = [[1 / 1, 1 / 3], [1 / 4, 1 / 6]]
    assert all(map(math.isclose, sum(rates, []), sum(expected, [])))  # noqa: RUF017  # two short lists
    assert len(rates) == 2


def test_a_schedule_by_step_may_name_the_epoch(lossreg_command: Command) -> None:
    """Counting steps, `epoch` is the number of whole epochs done, so the rate is constant within each."""
    line = f"{LAMBDA} 'epoch + 1' --sched-interval step --opt.lr 0.25 --epochs 3 --limit-train 192"
    assert plan(lossreg_command, line)["learning_rates"] == [[0.25, 0.25], [0.5, 0.5], [0.75, 0.75]]


def test_a_plan_shows_a_schedule_by_step_as_a_span(lossreg_command: Command) -> None:
    """In text, an epoch whose rate changes has both ends."""
    line = f"{LAMBDA} 'step' --sched-interval step --opt.lr 0.5 --epochs 2 --limit-train 192"
    table = text(lossreg_command, line).partition("epoch  learning rate\n")[2].splitlines()
    assert [row.split() for row in table[:2]] == [["0", "0", "to", "1"], ["1", "1.5", "to", "2.5"]]


def test_a_plan_does_not_try_endless_schedules(lossreg_command: Command) -> None:
    """A schedule by step of very many steps is planned without its rates, and the text says so."""
    line = f"{LAMBDA} '1 / (1 + step)' --sched-interval step --batch-size 1 --epochs 20"
    assert plan(lossreg_command, line)["learning_rates"] is None
    assert "not tried beforehand: 28,840 steps" in text(lossreg_command, line)


@pytest.mark.parametrize("interval", ["", "--sched-interval step"])
def test_a_run_has_the_rates_of_its_plan(lossreg_command: Command, interval: str) -> None:
    """The rates at the last step of each epoch that a run records are those of the plan."""
    line = f"{LAMBDA} '1 / (1 + epoch)' {interval} --epochs 3 --limit-train 128 --limit-test 32 --log-every 1"
    planned = [last for _, last in plan(lossreg_command, line)["learning_rates"]]
    assert lossreg_command("run", "--quiet", "--out", "done", *shlex.split(line)).code == 0
    recorded = [json.loads(row) for row in Path("done", "metrics.jsonl").read_text().splitlines()]
    assert [row["lr"] for row in recorded if row["kind"] == "epoch"] == planned


def test_an_interval_set_as_a_parameter_does_not_part_schedule_and_loop(lossreg_command: Command) -> None:
    """`--sched.interval step` either makes the loop count steps, as `--sched-interval step` does, or is refused."""
    line = f"{LAMBDA} '1 + step' --epochs 2 --limit-train 192 --opt.lr 1 --json"
    outcome = lossreg_command("plan", *shlex.split(line), "--sched.interval", "step")
    assert outcome.code == 2 or json.loads(outcome.out)["learning_rates"] == [[1.0, 3.0], [4.0, 6.0]]


@for_each_apart(
    ("expression", "epochs", "where"),
    [
        ("epoch // 2", 5, "in epochs 0, 1: "),
        ("min(epoch, 1)", 5, "in epoch 0: "),
        ("epoch // 2", 2, "in every epoch: "),
        ("0", 1, "in every epoch: "),
    ],
)
def test_a_rate_of_zero_is_a_warning(lossreg_command: Command, expression: str, epochs: int, where: str) -> None:
    """A plan warns of the epochs whose rate is 0, in JSON and in text."""
    line = f"{LAMBDA} '{expression}' --epochs {epochs}"
    (warning,) = plan(lossreg_command, line)["warnings"]
    assert f"the learning rate is 0 {where}" in warning
    assert f"warning: {warning}" in text(lossreg_command, line).splitlines()


def test_a_run_gives_the_warning_of_its_plan(lossreg_command: Command) -> None:
    """A run says on stderr what its plan warns of, even when it is quiet."""
    line = f"{LAMBDA} 'epoch // 2' {TINY}"
    (warning,) = plan(lossreg_command, line)["warnings"]
    outcome = lossreg_command("run", "--quiet", *shlex.split(line))
    assert f"lossreg: warning: {warning}" in outcome.err.splitlines()


@for_each_apart("line", ["", f"{LAMBDA} '1 / (1 + epoch)'", f"{LAMBDA} step --sched-interval step"])
def test_a_rate_that_is_not_zero_for_an_epoch_is_no_warning(lossreg_command: Command, line: str) -> None:
    """Where no whole epoch has a rate of 0 there is nothing to warn of."""
    assert plan(lossreg_command, line)["warnings"] == []


@pytest.mark.parametrize("weights", [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [0.5] * 10])
def test_a_list_becomes_a_tensor_where_a_tensor_belongs(lossreg_command: Command, weights: list[float]) -> None:
    """A list of numbers for the class weights, whole or not, is a tensor of weights that the loss takes."""
    line = f"--loss cross_entropy --loss.weight '{weights}'"
    assert plan(lossreg_command, line)["contract"]["output_shape"] == [64, 10]


def test_the_json_of_a_plan_is_one_line(lossreg_command: Command) -> None:
    """The JSON of a plan is one line on stdout, with nothing around it."""
    assert text(lossreg_command, "--json").count("\n") == 1
