"""Several processes: two train as one does, one speaks, and all end when one fails. On the CPU, with gloo."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.optim.swa_utils import update_bn

from lossreg import datasets as lossreg_datasets
from tests.table import for_each

if TYPE_CHECKING:
    from tests.conftest import Once

HERE = Path(__file__).parent
TWO = ("--standalone", "--nproc-per-node", "2")
CASES = (
    "plain", "mse", "weights", "balanced", "ignored", "sum", "accumulated", "loader", "schedule", "closure", "sam",
    "learned", "moving", "mean", "modes", "unused", "single", "validated", "mixed", "frozen",
)  # of together.py  # fmt: skip
SECONDS = 240  # a process that hangs shall not hold up the others' tests for ever


def execute(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command with one thread in each process, so that two of them fit on two cores."""
    options: dict[str, Any] = {"cwd": cwd, "env": environment(), "timeout": SECONDS}
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


@pytest.fixture(scope="session")
def torchrun(warm_python: str) -> list[str]:
    """The command that starts several processes."""
    return [warm_python, "-m", "torch.distributed.run"]


def environment() -> dict[str, str]:
    """One thread in each process, whatever the tests themselves have."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def lossreg(*arguments: str) -> list[str]:
    """`lossreg run` for torchrun: small, and the same on every machine."""
    model = [] if "--model" in arguments else ["--model", "mlp"]
    drawn = [] if "--plots" in arguments else ["--no-plots"]
    small = ("--limit-train", "129", "--limit-test", "70", "--precision", "32")
    return ["-m", "lossreg", "run", *model, *drawn, *small, *arguments]


def record(folder: Path) -> dict[str, Any]:
    """The run.json of a run."""
    content: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return content


def rows(folder: Path) -> list[dict[str, Any]]:
    """The metrics of a run."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="session")
def alone_and_together(once: Once, torchrun: list[str]) -> tuple[Path, Path]:
    """All cases, trained by one process and by two."""

    def fill(root: Path) -> None:
        for start, name in ((torchrun[:1], "alone"), ([*torchrun, *TWO], "together")):
            (root / name).mkdir()
            result = execute([*start, str(HERE / "together.py"), str(root / name)], root)
            assert result.returncode == 0, result.stderr

    root = once("alone_and_together", fill)
    return root / "alone", root / "together"


# In float64 a sum of N products is off by less than N * 2**-53 of the sum of their absolute values. The longest sum is
# a gradient of the first convolution: 129 samples of 26 * 26 positions, so at most 1e-11 of it. All steps of a run
# together move no weight by more than 1, so weights differ by less than 1e-11, and by less than ROUNDING after what the
# later steps make of that. (Seen are 1e-16.)
ROUNDING = 1e-10
# Where targets are ignored, a run of several processes divides by their number in float32: 2**-24 of each step.
IN_FLOAT32 = 2**-20


@for_each("case", CASES)
def test_two_processes_train_as_one_does(alone_and_together: tuple[Path, Path], case: str) -> None:
    """Weights, losses, accuracy, rates and the number of steps agree; some batches leave one process without samples.

    Both sides compute in float64, so the bounds above follow from the arithmetic alone. A wrong weight of a share would
    be an error of 1/129 of a step at least.
    """
    one, two = (folder / case for folder in alone_and_together)
    bound = IN_FLOAT32 if case == "ignored" else ROUNDING
    for name in ("model.safetensors", "loss.safetensors"):
        assert (one / name).exists() == (two / name).exists()
        if (one / name).exists():
            first, second = (load_file(folder / name) for folder in (one, two))
            for key in first:
                torch.testing.assert_close(second[key], first[key], atol=bound, rtol=0)
    assert (record(one)["processes"], record(two)["processes"]) == (1, 2)
    assert len(rows(one)) == len(rows(two))
    for by_one, by_two in zip(rows(one), rows(two), strict=True):
        assert by_one.keys() == by_two.keys()
        assert by_one.get("weights") == by_two.get("weights")
        for name in by_one.keys() - {"kind", "weights", "seconds", "samples_per_second"}:
            assert by_two[name] == pytest.approx(by_one[name], rel=bound), name


def test_processes_make_statistics_of_an_average_together(alone_and_together: tuple[Path, Path]) -> None:
    """They are those of torch's update_bn over the whole training split, cut into the run's batches.

    129 samples in batches of 43 are 3 batches, of which one process takes 2 and the other 1. In training each process
    normalises its own part of a batch, so that the weights are not those of one process.
    """
    inputs = lossreg_datasets.build("digits").train[0][:129].double()
    for folder in alone_and_together:
        state = load_file(folder / "statistics" / "model.safetensors")
        model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(784), nn.Linear(784, 10)).double()
        model.load_state_dict(state)
        update_bn(inputs.split(43), model)
        assert state["1.num_batches_tracked"] == 3
        for name, value in model.state_dict().items():
            torch.testing.assert_close(state[name], value, atol=ROUNDING, rtol=0)


def test_two_processes_cut_and_choose_as_one_does(alone_and_together: tuple[Path, Path]) -> None:
    """The same samples are held out, the same epoch is the best, and both end after it."""
    one, two = (record(folder / "validated") for folder in alone_and_together)
    for name in ("validation", "data", "best_epoch", "epochs_done", "test_read", "stopped_by"):
        assert one[name] == two[name], name
    assert (one["stopped_by"], one["test_read"]) == ("patience", 1)
    assert one["best_epoch"] == one["epochs_done"] - 2


def test_each_process_draws_random_numbers_of_its_own(alone_and_together: tuple[Path, Path]) -> None:
    """What dropout would draw differs from process to process; the first draws what one process alone would."""
    alone, together = alone_and_together
    expected, first, second = (
        json.loads(file.read_text())
        for file in (alone / "drawn0.json", together / "drawn0.json", together / "drawn1.json")
    )
    assert len(first) == len(second) == 6  # batches
    assert first == expected
    assert not set(first) & set(second)


def test_a_stop_that_one_process_asks_for_ends_all(alone_and_together: tuple[Path, Path]) -> None:
    """A hook's request_stop in rank 0 ends the run cleanly, at the same step as alone."""
    for folder in alone_and_together:
        assert (record(folder / "stopped")["status"], record(folder / "stopped")["steps_done"]) == ("stopped", 2)


def test_what_depends_on_the_share_is_warned_of(alone_and_together: tuple[Path, Path]) -> None:
    """Batch Dice and batch normalisation are warned of, once, and only where there are several processes."""
    alone, together = ((folder / "warnings.txt").read_text() for folder in alone_and_together)
    assert alone == ""
    assert together.count("the loss dice is not declared as a mean over samples or elements") == 1
    assert together.count("has batch normalisation, which sees each of the shares of 2 processes") == 1


def test_one_process_speaks_and_writes(torchrun: list[str], tmp_path: Path) -> None:
    """`torchrun -m lossreg run` shows one progress and one result, and leaves one run directory."""
    result = execute([*torchrun, *TWO, *lossreg("--epochs", "2", "--plots")], tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("test_accuracy") == 1
    assert len(re.findall(r"^epoch 1 ", result.stderr, re.MULTILINE)) == 1
    assert "processes: 2" in result.stderr
    assert result.stderr.count("next: lossreg report ") == 1
    (folder,) = (tmp_path / "runs").iterdir()
    names = ["checkpoints", "curves.png", "metrics.jsonl", "model.safetensors", "run.json"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert record(folder)["status"] == "finished"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--loss", "dise"], "no loss named 'dise'. Did you mean 'dice'?"),
        (["--device", "cuda:0"], "device 'cuda:0' is"),
    ],
)
def test_a_mistake_is_told_once(torchrun: list[str], tmp_path: Path, arguments: list[str], said: str) -> None:
    """What all processes find wrong, one says; nothing is left behind."""
    result = execute([*torchrun, *TWO, *lossreg(*arguments)], tmp_path)
    told_once(result, said)
    assert list(tmp_path.iterdir()) == []


def told_once(result: subprocess.CompletedProcess[str], said: str) -> None:
    """Checks that a command failed with one message."""
    assert result.returncode != 0
    assert result.stderr.count("lossreg: error:") == 1
    assert said in result.stderr
    assert "terminate called" not in result.stderr


SLOW_TO_SPEAK = """
import os, time

if os.environ["RANK"] == "0":
    time.sleep(1)

from lossreg.cli.main import main

main(["run", "--lss", "dice"])
"""


def test_a_mistake_is_told_however_late_the_first_process_finds_it(torchrun: list[str], tmp_path: Path) -> None:
    """Torchrun ends all processes when one has ended; one that keeps quiet lets the one that speaks do so first."""
    (tmp_path / "slow.py").write_text(SLOW_TO_SPEAK)
    result = execute([*torchrun, *TWO, "slow.py"], tmp_path)
    told_once(result, "No such option '--lss'")


PLUGIN = """
import os, time
import torch, lossreg

class Fragile(torch.nn.Module):
    def __init__(self, builds: bool = True):
        super().__init__()
        self.linear, self.calls = torch.nn.Linear(784, 10), 0
        if not builds and os.environ.get("RANK") == "1":
            raise OSError("this machine's disk is full")
    def forward(self, x):
        self.calls += self.training
        if self.calls > 6 and os.environ.get("RANK") == "1":
            raise ZeroDivisionError("the model broke")
        return self.linear(x.flatten(1))

lossreg.models.register("fragile")(Fragile)
"""


def test_all_end_when_one_fails(torchrun: list[str], tmp_path: Path) -> None:
    """An error in one process ends the other, with the record that it failed and the weights so far."""
    (tmp_path / "fragile.py").write_text(PLUGIN)
    arguments = ("-p", "./fragile.py", "--model", "fragile", "--epochs", "100000", "--out", "out", "--quiet")
    result = execute([*torchrun, *TWO, *lossreg(*arguments)], tmp_path)
    assert result.returncode != 0
    assert "rank 1: the run failed: ZeroDivisionError: the model broke" in result.stderr
    assert record(tmp_path / "out")["status"] in ("failed", "interrupted")
    assert record(tmp_path / "out")["steps_done"] > 0
    assert (tmp_path / "out" / "model.safetensors").exists()


def test_one_that_cannot_begin_lets_none_begin(torchrun: list[str], tmp_path: Path) -> None:
    """An error that only one process meets before the run is told with its rank, and leaves nothing."""
    (tmp_path / "fragile.py").write_text(PLUGIN)
    arguments = ("-p", "./fragile.py", "--model", "fragile(builds=False)", "--out", "out")
    result = execute([*torchrun, *TWO, *lossreg(*arguments)], tmp_path)
    assert result.returncode != 0
    assert "lossreg: error: rank 1: fragile(builds=False" in result.stderr
    assert "this machine's disk is full" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_signal_ends_all(torchrun: list[str], tmp_path: Path) -> None:
    """SIGTERM to torchrun ends both processes, and the record says that the run was interrupted."""
    command = [*torchrun, *TWO, *lossreg("--epochs", "100000", "--out", "out", "--quiet")]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
    )
    metrics = tmp_path / "out" / "metrics.jsonl"
    deadline = time.monotonic() + SECONDS  # only a run that never begins is waited for so long
    while not (metrics.exists() and metrics.stat().st_size) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=SECONDS)
    assert record(tmp_path / "out")["status"] in ("interrupted", "failed")  # whether the signal or the loss came first
    assert (tmp_path / "out" / "model.safetensors").exists()


def test_two_machines(torchrun: list[str], tmp_path: Path) -> None:
    """Two agents of torchrun, each with one process, meet at an address and train one run."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    agents = []
    for node in range(2):
        rendezvous = [
            "--nnodes",
            "2",
            "--node-rank",
            str(node),
            "--master-addr",
            "127.0.0.1",
            "--master-port",
            str(port),
        ]
        folder = tmp_path / f"node{node}"
        folder.mkdir()
        command = [*torchrun, *rendezvous, "--nproc-per-node", "1", *lossreg("--epochs", "1", "--out", "out")]
        agents.append(subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True, env=environment()))
    try:
        errors = [agent.communicate(timeout=SECONDS)[1] for agent in agents]
    finally:
        for agent in agents:
            agent.kill()
    assert [agent.returncode for agent in agents] == [0, 0], errors
    assert record(tmp_path / "node0" / "out")["processes"] == 2
    assert not (tmp_path / "node1" / "out").exists()
    assert "epoch 0" in errors[0]
    assert "epoch 0" not in errors[1]


TWICE = """
import json, time
from pathlib import Path

import lossreg, torch
from lossreg import Data
from lossreg.training.record import recorder

usual = {"model": "mlp", "epochs": 1, "limit_train": 64, "limit_test": 8, "quiet": True, "precision": "32"}
save = recorder.write_weights


def slow(*arguments):
    time.sleep(1)  # as on a disk that others write to
    save(*arguments)


recorder.write_weights = slow
complete = []
for number in range(2):
    lossreg.run(out=f"out{number}", **usual)
    files = Path(f"out{number}", "model.safetensors"), Path(f"out{number}", "run.json")
    complete.append(files[0].exists() and json.loads(files[1].read_text())["status"] == "finished")
recorder.write_weights = save
Path(f"complete{torch.distributed.get_rank()}.json").write_text(json.dumps(complete))
inputs = torch.zeros(40 + torch.distributed.get_rank(), 784)
data = Data((inputs, inputs[:, 0].long()), (inputs, inputs[:, 0].long()), "classification", (784,), num_classes=10)
try:
    lossreg.run(**{**usual, "data": data, "model": torch.nn.Linear(784, 10), "out": "out2", "limit_train": None})
except lossreg.ConfigError as error:
    print(error)
lossreg.run(out="out3", **usual)
"""


@pytest.fixture(scope="session")
def script(once: Once, torchrun: list[str]) -> Path:
    """Where two processes have run the script; what it printed is in the file `stdout`."""

    def fill(folder: Path) -> None:
        (folder / "twice.py").write_text(TWICE)
        result = execute([*torchrun, *TWO, "twice.py"], folder)
        assert result.returncode == 0, result.stderr
        (folder / "stdout").write_text(result.stdout)

    return once("script", fill)


def test_a_script_can_train_more_than_once(script: Path) -> None:
    """Runs follow each other in the same processes, also after one that was refused for data sets that differ."""
    first, second, last = (load_file(script / f"out{number}" / "model.safetensors") for number in (0, 1, 3))
    assert all(first[name].equal(second[name]) and first[name].equal(last[name]) for name in first)


def test_data_sets_that_differ_are_refused_in_every_process(script: Path) -> None:
    """Splits of other numbers of samples in other processes are an error in each, and leave nothing."""
    assert (script / "stdout").read_text().count("the numbers of samples differ among the processes: {'train': 40") == 2
    assert not (script / "out2").exists()


def test_every_process_goes_on_when_the_record_is_complete(script: Path) -> None:
    """`lossreg.run` returns in no process before rank 0 has written weights and run.json, however long that takes."""
    assert [json.loads((script / f"complete{rank}.json").read_text()) for rank in range(2)] == [[True, True]] * 2
