"""What is checked before a run, so that nothing trains silently wrong or fails in the middle."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import lossreg
from lossreg import Data
from lossreg.training.record.directory import RunDirectory


def table(rows: int = 64, features: int = 4, classes: int = 3) -> Data:
    """A classification of random rows."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(rows, features, generator=generator)
    targets = torch.randint(classes, (rows,), generator=generator)
    return Data((inputs, targets), (inputs, targets), "classification", (features,), num_classes=classes)


def run(tmp_path: Path, **arguments: Any) -> lossreg.RunResult:
    """One epoch on the table with a linear model, unless the arguments say otherwise."""
    usual: dict[str, Any] = {
        "data": table(), "model": nn.Linear(4, 3), "epochs": 1, "quiet": True, "precision": "32",
    }  # fmt: skip
    return lossreg.run(**{**usual, "out": tmp_path / "out", **arguments})


def test_of_two_runs_one_gets_the_directory(tmp_path: Path) -> None:
    """A directory that a run has claimed is refused to another, until it is released."""
    first = RunDirectory.claim(tmp_path / "a" / "out")
    with pytest.raises(lossreg.RunDirectoryError, match="belongs to another run"):
        RunDirectory.claim(tmp_path / "a" / "out")
    assert (tmp_path / "a" / "out").exists()
    first.release()
    assert list(tmp_path.iterdir()) == []


def test_two_processes_with_one_directory(tmp_path: Path) -> None:
    """Of two runs into one directory at once, one trains and the other ends with 2."""
    command = [
        sys.executable,
        "-m",
        "lossreg",
        "run",
        "--epochs",
        "2",
        "--limit-train",
        "64",
        "--quiet",
        "--out",
        "out",
    ]
    processes = [subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE) for _ in range(2)]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert sorted(process.returncode for process in processes) == [0, 2], errors
    assert len((tmp_path / "out" / "metrics.jsonl").read_text().splitlines()) == 2


def test_default_directories_of_one_second_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that start within one second get directories of their own."""
    monkeypatch.chdir(tmp_path)
    labels = {"model": "mlp", "loss": "dice(smooth=1.0)", "optimizer": "a.sgd"}
    claimed = [RunDirectory.claim_default(labels).path for _ in range(5)]
    assert len(set(claimed)) == 5
    assert all("-mlp-dice-sgd" in path.name for path in claimed)


def test_an_optimizer_of_another_model_is_refused(tmp_path: Path) -> None:
    """An optimizer object without any weight of the model is an error; with some of them, a warning."""
    with pytest.raises(lossreg.ConfigError, match="holds no weight of the model"):
        run(tmp_path, optimizer=torch.optim.SGD(nn.Linear(4, 3).parameters(), lr=1.0))
    model = nn.Linear(4, 3)
    plan = lossreg.plan(data=table(), model=model, optimizer=torch.optim.SGD([model.bias], lr=1.0))
    assert any("leaves 1 of the 2 weight tensors of model and loss unchanged" in warning for warning in plan.warnings)


def test_a_scheduler_of_another_optimizer_is_refused(tmp_path: Path) -> None:
    """A scheduler object that would move another optimizer's rate is an error."""
    model = nn.Linear(4, 3)
    ours, other = (torch.optim.SGD(model.parameters(), lr=1.0) for _ in range(2))
    scheduler = torch.optim.lr_scheduler.ExponentialLR(other, 0.1)
    with pytest.raises(lossreg.ConfigError, match="belongs to another optimizer"):
        run(tmp_path, model=model, optimizer=ours, scheduler=scheduler)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"scheduler": torch.optim.lr_scheduler.ReduceLROnPlateau}, "its step() needs metrics"),
        ({"optimizer": torch.optim.LBFGS}, "its step() needs closure"),
        ({"optimizer": 5}, "5 is neither a torch.optim.Optimizer nor makes one"),
        ({"scheduler": 5}, "5 has no step()"),
        ({"loss": nn.CrossEntropyLoss}, "is a class; give an instance"),
        ({"loss": 3}, "the loss 3 cannot be called"),
        ({"observers": [object()]}, "no method named like a run hook"),
    ],
)
def test_an_object_that_cannot_serve_is_refused(tmp_path: Path, arguments: dict[str, Any], said: str) -> None:
    """An object of a wrong type, or one that needs what only a record can ask for, is an error before the run."""
    with pytest.raises(lossreg.ConfigError) as caught:
        run(tmp_path, **arguments)
    assert said in str(caught.value)
    assert not (tmp_path / "out").exists()


class Curious:
    """An observer with a hook that takes too little."""

    def lossreg_logged(self, run: lossreg.Run) -> None:
        """Takes no record."""


def test_an_observer_that_cannot_be_called_is_refused(tmp_path: Path) -> None:
    """An observer's method without the hook's arguments is an error before the run."""
    with pytest.raises(lossreg.ConfigError, match="is called with run, record"):
        run(tmp_path, observers=[Curious()])


class TwoFaced(nn.Module):
    """Gives logits in training, and something else in evaluation."""

    def __init__(self, evaluated: str) -> None:
        super().__init__()
        self.linear, self.evaluated = nn.Linear(4, 3), evaluated

    def forward(self, x: Tensor) -> Any:
        """Logits, or not."""
        logits = self.linear(x)
        if self.training:
            return logits
        return logits.argmax(1) if self.evaluated == "classes" else (logits, logits)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (TwoFaced("classes"), "in evaluation"),
        (TwoFaced("pair"), "returns a tuple in evaluation mode"),
        (nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), "the last batch of an epoch has one sample"),
    ],
)
def test_a_model_that_would_fail_later_is_refused(tmp_path: Path, model: nn.Module, said: str) -> None:
    """Evaluation mode and a last batch of one sample are tried before the run."""
    with pytest.raises(lossreg.ContractError) as caught:
        run(tmp_path, model=model, data=table(rows=65))
    assert said in str(caught.value)


def test_lazy_modules_get_their_weights(tmp_path: Path) -> None:
    """A lazy module is initialised from the data, in the same way for the same seed."""
    results = [run(tmp_path, model=nn.LazyLinear(3), seed=3, out=tmp_path / str(i)) for i in range(2)]
    first, second = (next(result.model.parameters()) for result in results)
    assert first.shape == (3, 4)
    assert torch.equal(first, second)


def test_closure_optimizers_train_convolutions(tmp_path: Path) -> None:
    """LBFGS, which takes views of gradients, trains the CNN."""
    registries = lossreg.load_registries(allow=[])
    registries.optimizers.register("lbfgs", "torch.optim:LBFGS", closure=True, defaults={"max_iter": 2})
    result = lossreg.run(
        optimizer="lbfgs", epochs=1, limit_train=64, limit_test=16, out=tmp_path / "out", quiet=True,
        registries=registries,
    )  # fmt: skip
    assert json.loads((result.directory / "run.json").read_text())["layout"]["memory_format"] == "contiguous_format"


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_data_that_is_not_finite_is_refused(tmp_path: Path, split: str, value: float) -> None:
    """NaN or infinity in the inputs of a split is an error, not a loss or an accuracy."""
    good = table()
    assert isinstance(good.train, tuple)
    inputs = good.train[0].clone()
    inputs[5, 1] = value
    parts: dict[str, Any] = {"train": good.train, "test": good.test, split: (inputs, good.train[1])}
    with pytest.raises(lossreg.DataError, match=f"split {split}: its inputs hold NaN or infinity"):
        run(tmp_path, data=Data(**parts, task="classification", in_shape=(4,), num_classes=3))


def test_ignored_targets_do_not_count_in_test_loss(tmp_path: Path) -> None:
    """With ignore_index, test_loss is cross-entropy over all targets that count, however they lie in batches."""
    data = table()
    assert isinstance(data.test, tuple)
    targets = data.test[1].clone()
    targets[33:] = -100
    tested = Data(data.train, (data.test[0], targets), "classification", (4,), num_classes=3)
    result = run(tmp_path, data=tested, loss="cross_entropy", batch_size=32)
    with torch.no_grad():
        expected = functional.cross_entropy(result.model(data.test[0]), targets).item()
    assert result.final["test_loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("rate", ["inf", "1e300"])
def test_a_rate_that_no_weight_can_take_is_refused(tmp_path: Path, rate: str) -> None:
    """A learning rate beyond float32 is an error before the run, from the optimizer or from the schedule."""
    scheduler = None if rate == "inf" else "lambda_lr(lr_lambda='1e300')"
    with pytest.raises(lossreg.LossregError):
        run(tmp_path, optimizer="sgd(lr=inf)" if rate == "inf" else "sgd", scheduler=scheduler)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_fails_the_run_with_a_message(tmp_path: Path) -> None:
    """A model that cannot be written ends with exit code 1, one message and the status failed."""
    code = (
        "import resource, signal, sys; from lossreg.cli.main import main;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536));"
        "main(['run', '--epochs', '1', '--limit-train', '64', '--quiet', '--out', 'out'])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "cannot be written to" in result.stderr
    assert json.loads((tmp_path / "out" / "run.json").read_text())["status"] == "failed"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["metrics.jsonl", "run.json"]


def test_a_path_that_is_too_long_is_refused(tmp_path: Path) -> None:
    """A run directory whose name the system does not take is an error of use."""
    with pytest.raises(lossreg.RunDirectoryError, match="cannot be used"):
        run(tmp_path, out=tmp_path / ("x" * 300))


@pytest.mark.parametrize("reason", ["", "  ", None, 5, "a\nb"])
def test_a_stop_without_a_reason_is_refused(tmp_path: Path, reason: Any) -> None:
    """`request_stop` takes one line of text."""

    class Stopper:
        def lossreg_logged(self, run: lossreg.Run, record: dict[str, Any]) -> None:
            run.request_stop(reason)

    with pytest.raises(lossreg.ConfigError, match="request_stop takes the reason, one line of text"):
        run(tmp_path, observers=[Stopper()], log_every=1)


def test_the_test_split_is_tried_before_the_run(tmp_path: Path) -> None:
    """A test split that the model cannot take is an error before the first epoch."""
    good = table()
    assert isinstance(good.test, tuple)
    inputs, targets = good.test
    for wrong, said in ((inputs[:, :3], "on the test split"), (inputs.double(), "on the test split")):
        data = Data(good.train, (wrong, targets), "classification", (4,), num_classes=3)
        with pytest.raises(lossreg.ContractError, match=said):
            run(tmp_path, data=data)
        assert not (tmp_path / "out").exists()


def test_metrics_that_cannot_be_written_fail_the_run(tmp_path: Path) -> None:
    """A disk that fills up in the middle is one message, and the record says that the run failed."""
    code = (
        "import resource, signal; from lossreg.cli.main import main;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192));"
        "main(['run', '--epochs', '30', '--limit-train', '64', '--limit-test', '8', '--quiet', '--out', 'out'])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "out cannot be written to" in result.stderr
    assert json.loads((tmp_path / "out" / "run.json").read_text())["status"] == "failed"


def test_a_data_set_that_draws_numbers_is_repeated(tmp_path: Path) -> None:
    """A data set whose factory draws from torch is the same in two runs of one seed."""
    registries = lossreg.load_registries(allow=[])

    @registries.datasets.register("noise", model="mlp")
    def noise() -> Data:
        inputs = torch.randn(32, 4)
        return Data((inputs, torch.zeros(32).long()), (inputs, torch.zeros(32).long()), "classification", (4,), 2)

    results = [
        lossreg.run(data="noise", epochs=1, quiet=True, registries=registries, out=tmp_path / str(number))
        for number in range(2)
    ]
    assert results[0].final["test_loss"] == results[1].final["test_loss"]
