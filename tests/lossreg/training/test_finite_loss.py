"""What a run says of a loss that is not finite, and which weights it leaves."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

import lossreg
from lossreg import Data
from lossreg.training.finite_loss import FiniteLoss
from lossreg.training.loop import training_step
from tests.table import for_each

if TYPE_CHECKING:
    from tests.conftest import Command
    from tests.lossreg.training.conftest import Run

COUNT, BATCH = 40, 4
BAD = 13  # the sample that is too great for float32
USUAL: dict[str, Any] = {
    "loss": "mse", "optimizer": "sgd(lr=0.01, momentum=0.0)", "epochs": 2, "batch_size": BATCH, "log_every": 3,
}  # fmt: skip

ORDER = np.random.default_rng([0, 0]).permutation(COUNT).tolist()
PLACE = ORDER.index(BAD)
STEP = PLACE // BATCH + 1  # the step that takes it
LOGGED = -(-STEP // 3) * 3  # the next step that is logged


def samples() -> tuple[Tensor, Tensor]:
    """Rows for a regression, one of which is so great that its square is infinite in float32."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(COUNT, 3, generator=generator)
    inputs[BAD] = 1e25
    return inputs, torch.randn(COUNT, 2, generator=generator)


def data() -> Data:
    """Such rows to train on; those that are tested are well."""
    inputs, targets = samples()
    return Data((inputs, targets), (inputs[:8], targets[:8]), "regression", (3,), out_features=2)


class Squares(nn.Module):
    """Squares its input: infinity for what is greater than 2e19."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Squares."""
        return inputs * inputs


def model() -> nn.Module:
    """A model with a module that overflows, and one with statistics before it."""
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(3, 5), Squares(), nn.Linear(5, 2))


def failure(run: Run, **settings: Any) -> lossreg.RunFailedError:
    """The error of a run."""
    with pytest.raises(lossreg.RunFailedError) as caught:
        run(**{**USUAL, "data": data(), "model": model(), **settings})
    return caught.value


def first(count: int, indices: list[int]) -> str:
    """Samples as a message names them."""
    return f"samples {', '.join(map(str, indices[:8]))}" + (f", ... ({count})" if count > 8 else "")


def test_the_sample_is_where_the_tests_need_it() -> None:
    """It is not in the first step, nor in one that is logged: or these tests would test nothing."""
    assert 1 < STEP < LOGGED <= COUNT // BATCH


def test_a_run_ends_at_the_next_log_row(run: Run, tmp_path: Path) -> None:
    """By default the run ends there, and names spoilt weights, since when, and the samples of the last batch."""
    error = failure(run)
    text = str(error)
    assert (error.epoch, error.step) == (0, LOGGED)
    assert re.match(
        rf"the training loss is (nan|inf) at epoch 0, step {LOGGED} \(lr 0.01, gradient norm nan\):\n", text
    )
    assert "the weights hold NaN or infinity in 0.weight by now, so that no module can be named" in text
    seen = f"after step {LOGGED - 3}, the last one seen to be finite" if LOGGED > 3 else "at some step before"
    assert f"it may have begun earlier, {seen}: nan='strict' (--nan strict) ends a run at the step itself" in text
    taken = ORDER[(LOGGED - 1) * BATCH : LOGGED * BATCH]
    assert f"batch of step {LOGGED}: {first(BATCH, taken)} of the training split" in text
    assert (
        "what may help: a lower learning rate, clip_grad_norm=1 (--clip-grad-norm 1), a look at these samples" in text
    )
    content = json.loads((tmp_path / "run0" / "run.json").read_text())
    assert (content["status"], content["steps_done"]) == ("failed", LOGGED)
    assert content["reason"] == f"RunFailedError: {' '.join(text.split())}"


def test_a_run_that_logs_nothing_ends_after_the_epoch(run: Run) -> None:
    """The mean of the epoch is looked at."""
    assert failure(run, log_every=1000).step == COUNT // BATCH


def test_a_strict_run_ends_before_the_update(run: Run, tmp_path: Path) -> None:
    """It names the step, the module and the sample, and leaves the weights of a loop by hand before that step."""
    trained = model()
    error = failure(run, model=trained, nan="strict", log_every=1000)
    text = str(error)
    assert (error.epoch, error.step) == (0, STEP)
    assert re.match(rf"the training loss is nan at epoch 0, step {STEP}, before the weights were changed \(lr 0", text)
    assert f"is that of 1 (Squares), which holds inf, for sample {BAD} alone" in text
    taken = ORDER[(STEP - 1) * BATCH : STEP * BATCH]
    assert f"batch of step {STEP}: {first(BATCH, taken)} of the training split" in text
    assert "--nan strict" not in text
    by_hand = model()
    optimizer = torch.optim.SGD(by_hand.parameters(), lr=0.01, fused=True)
    inputs, targets = samples()
    for step in range(STEP - 1):
        chosen = torch.tensor(ORDER[step * BATCH : (step + 1) * BATCH])
        optimizer.zero_grad()
        functional.mse_loss(by_hand(inputs[chosen]), targets[chosen]).backward()
        optimizer.step()
    kept = load_file(tmp_path / "run0" / "model.safetensors")
    for name, value in by_hand.state_dict().items():
        assert value.equal(kept[name]), name
        assert value.equal(trained.state_dict()[name]), name
    assert json.loads((tmp_path / "run0" / "run.json").read_text())["steps_done"] == STEP - 1


@for_each(
    ("settings", "step"),
    [
        ({"accumulate": 2}, PLACE // (2 * BATCH) + 1),
        ({"clip_grad_norm": 1.0}, STEP),
        ({"loader": "dataloader", "workers": 0}, STEP),
        ({"optimizer": "sam(optimizer='sgd(lr=0.01)')"}, STEP),
        ({"optimizer": "lbfgs(lr=0.01, max_iter=2)"}, STEP),
        ({"weights": "ema(0.9)"}, STEP),
    ],
)
def test_every_kind_of_step_is_checked_strictly(run: Run, settings: dict[str, Any], step: int) -> None:
    """Accumulated batches, clipped gradients, a data loader, closures and averages: the weights stay finite."""
    trained = model()
    error = failure(run, model=trained, nan="strict", **settings)
    assert error.step == step
    assert f"1 (Squares), which holds inf, for sample {BAD} alone" in str(error)
    assert all(value.isfinite().all() for value in trained.state_dict().values())


def test_samples_are_named_by_their_place_before_a_validation_split_was_cut_off(run: Run) -> None:
    """The index is that of the data set's own training split."""
    for seed in range(20):  # in some cuts the sample is held out
        held = lossreg.plan(**{**USUAL, "data": data(), "model": model()}, validate=0.3, seed=seed)
        assert held.facts["validation"] is not None
        trained = model()
        try:
            run(**{**USUAL, "data": data(), "model": trained}, validate=0.3, seed=seed, nan="strict")
        except lossreg.RunFailedError as error:
            assert f"for sample {BAD} alone" in str(error)  # noqa: PT017  # not every seed has an error
            return
    pytest.fail("the sample was held out each time")


def test_statistics_are_put_back(run: Run) -> None:
    """Buffers that the batch has spoilt, such as those of batch normalisation, are those before the step."""
    torch.manual_seed(0)
    trained = nn.Sequential(Squares(), nn.BatchNorm1d(3), nn.Linear(3, 2))
    error = failure(run, model=trained, nan="strict")
    assert f"is that of 0 (Squares), which holds inf, for sample {BAD} alone" in str(error)
    norm = trained[1]
    assert isinstance(norm, nn.BatchNorm1d)
    assert isinstance(norm.running_var, Tensor)
    assert norm.running_var.isfinite().all()
    assert norm.num_batches_tracked == STEP - 1


class LogLoss(nn.Module):
    """A loss that is the logarithm of a negative number for one target."""

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The logarithm of what is left of 100."""
        return (100 - target.sum()).log() + output.mean() * 0


def test_a_loss_that_is_to_blame_is_named(run: Run) -> None:
    """Where the output is finite, it is the loss."""
    inputs, targets = torch.ones(COUNT, 3), torch.zeros(COUNT, 2)
    targets[BAD] = 1000.0
    bad = Data((inputs, targets), (inputs[:4], targets[:4]), "regression", (3,), out_features=2)
    error = failure(run, data=bad, loss=LogLoss(), nan="strict")
    assert "the model's output is finite, but the loss (LogLoss) of it is nan" in str(error)
    assert error.step == STEP


class Root(nn.Module):
    """A root of its weight, whose gradient is infinite at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.before = nn.Linear(3, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        """The root, which is 0."""
        output: Tensor = self.before(inputs)
        return output + self.weight.sqrt() if self.training else output


def test_a_gradient_that_is_not_finite_is_named(run: Run) -> None:
    """A finite loss with an infinite gradient ends a strict run in the first step."""
    inputs, targets = torch.ones(COUNT, 3), torch.zeros(COUNT, 2)
    well = Data((inputs, targets), (inputs[:4], targets[:4]), "regression", (3,), out_features=2)
    root = Root()
    error = failure(run, data=well, model=root, nan="strict")
    assert re.match(r"the gradient is not finite in the first step, though the loss is 0\.\d+", str(error))
    assert "on the way back it is that of weight first" in str(error)
    assert "learning rate" not in str(error)
    assert root.weight == 0


def test_an_update_that_overflows_is_named(run: Run) -> None:
    """Finite loss and gradients with a rate that makes weights infinite: the next step says so."""
    inputs, targets = torch.ones(COUNT, 3), torch.zeros(COUNT, 2)
    well = Data((inputs, targets), (inputs[:4], targets[:4]), "regression", (3,), out_features=2)
    error = failure(run, data=well, optimizer="sgd(lr=3e38, momentum=0.9)", nan="strict")
    found = re.search(r"the weights hold NaN or infinity in [\w.]+: the update of step (\d+) overflowed", str(error))
    assert found is not None
    assert error.step == int(found[1]) + 1


def test_what_is_random_may_be_the_cause(run: Run) -> None:
    """Where the batch is finite when it is computed again, the message does not guess."""

    class Once(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.calls = nn.Linear(3, 2), 0

        def forward(self, inputs: Tensor) -> Tensor:
            self.calls += self.training and torch.is_grad_enabled()
            output: Tensor = self.linear(inputs)
            return output * math.nan if self.calls == 7 and torch.is_grad_enabled() and self.training else output

    inputs, targets = torch.ones(COUNT, 3), torch.zeros(COUNT, 2)
    well = Data((inputs, targets), (inputs[:4], targets[:4]), "regression", (3,), out_features=2)
    assert "computed again, its batch is finite" in str(failure(run, data=well, model=Once(), nan="strict"))


class Fading(Dataset[tuple[Tensor, Tensor]]):
    """Samples of which one cannot be read again."""

    def __init__(self) -> None:
        self.inputs, self.targets = samples()
        self.reads = 0

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        self.reads += index == BAD
        if index == BAD and self.reads > 1:
            raise OSError("the disk is gone")
        return self.inputs[index], self.targets[index]


def test_a_batch_that_cannot_be_read_again_says_so(run: Run) -> None:
    """The error of the loss is not lost for that of the replay."""
    inputs, targets = samples()
    fading = Data(Fading(), (inputs[:4], targets[:4]), "regression", (3,), out_features=2)
    error = failure(run, data=fading, nan="strict", loader="dataloader", workers=0)
    assert f"the training loss is nan at epoch 0, step {STEP}" in str(error)
    assert "its batch could not be computed again" in str(error)
    assert "the disk is gone" in str(error)


def test_a_strict_run_that_is_well_is_the_same_run(run: Run) -> None:
    """The checks change nothing: weights, statistics and dropout are those of another run, bit for bit."""

    def make() -> nn.Module:
        torch.manual_seed(5)
        return nn.Sequential(
            nn.Flatten(), nn.Linear(784, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 10)
        )

    usual: dict[str, Any] = {"epochs": 2, "limit_train": 100, "limit_test": 20}
    first, second = run(model=make(), **usual), run(model=make(), **usual, nan="strict")
    for name, value in first.model.state_dict().items():
        assert value.equal(second.model.state_dict()[name]), name


def test_nothing_is_checked_in_a_step_by_default(run: Run) -> None:
    """Without `strict` a step has no guard, so that nothing waits for the device."""
    guards = []

    class Look:
        def lossreg_run_started(self, run: lossreg.Run) -> None:
            guards.append(FiniteLoss(run).guard())
            step = training_step(run.parts)
            guards.append(getattr(step, "guard", None))

    run(model="mlp", epochs=1, limit_train=8, limit_test=8, observers=[Look()])
    assert guards == [None, None]


def test_steps_that_a_scaler_leaves_out_are_no_error(run: Run) -> None:
    """In float16 gradients overflow until the scaler has found its scale; a strict run goes on."""
    result = run(
        model="mlp", epochs=1, limit_train=64, limit_test=8, batch_size=8, precision="16", nan="strict",
        optimizer="sgd(lr=0.01)",
    )  # fmt: skip
    assert result.reason is None


def test_weights_can_be_checked_before_they_are_kept(run: Run) -> None:
    """`check_weights` is silent on finite weights and masks of -inf, and ends a run whose weights are not finite."""

    class Spoil:
        def lossreg_run_started(self, run: lossreg.Run) -> None:
            self.watch = FiniteLoss(run)

        def lossreg_epoch_finished(self, run: lossreg.Run, record: dict[str, Any]) -> None:
            self.watch.check_weights()
            with torch.no_grad():
                run.model.get_parameter("1.bias")[0] = math.nan
            self.watch.check_weights()

    with pytest.raises(lossreg.RunFailedError, match=r"the weights are not finite after epoch 0, step 1.*\n.*1\.bias"):
        run(model=nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), epochs=1, limit_train=8, limit_test=8,
            observers=[Spoil()])  # fmt: skip


def test_the_command_line_has_it(lossreg_command: Command) -> None:
    """`--nan strict` is a setting like others; the message ends with exit code 1 and without a traceback."""
    small = ("--data", "diabetes", "--loss", "mse", "--precision", "32", "--quiet")
    outcome = lossreg_command("run", *small, "--opt.lr", "1e12", "--nan", "strict", "--out", "out")
    assert outcome.code == 1
    assert re.search(r"^lossreg: error: .*the training loss is inf at epoch 0, step 2", outcome.err, re.MULTILINE)
    assert "Traceback" not in outcome.err
    assert lossreg_command("plan", "--nan", "often").code == 2


TOGETHER = """
import math, os, torch, lossreg
from torch import nn

rank = os.environ["RANK"]

class Squares(nn.Module):
    def forward(self, inputs):
        return inputs * inputs

inputs = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
inputs[13] = 1e25
data = lossreg.Data((inputs, torch.zeros(40, 2)), (inputs[:8], torch.zeros(8, 2)), "regression", (3,), out_features=2)
for nan in ("log", "strict"):
    model = nn.Sequential(nn.Linear(3, 5), Squares(), nn.Linear(5, 2))
    try:
        lossreg.run(data=data, model=model, loss="mse", optimizer="sgd(lr=0.01)", nan=nan, batch_size=4, log_every=3,
                    precision="32", quiet=True, out=nan)
    except lossreg.RunFailedError as error:
        open(f"{nan}-{rank}", "w").write(str(error))
"""


def test_several_processes_end_with_the_same_message(tmp_path: Path, two_processes: Callable[[str], None]) -> None:
    """The module and the sample, which one process alone has, are in the message of both."""
    two_processes(TOGETHER)
    for nan, step in (("log", LOGGED), ("strict", STEP)):
        one, other = ((tmp_path / f"{nan}-{rank}").read_text() for rank in "01")
        assert one == other
        assert f"at epoch 0, step {step}" in one
        taken = ORDER[(step - 1) * BATCH : step * BATCH]
        assert f"batch of step {step}: {first(BATCH, taken)} of the training split" in one
    assert f"1 (Squares), which holds inf, for sample {BAD} alone" in (tmp_path / "strict-0").read_text()


class Masked(nn.Module):
    """A model with a saved mask of -inf."""

    mask: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layers = model()
        self.register_buffer("mask", torch.full((2,), -math.inf))

    def forward(self, inputs: Tensor) -> Tensor:
        """What the layers give."""
        output: Tensor = self.layers(inputs)
        return output


def test_a_mask_is_not_to_blame(run: Run) -> None:
    """What was not finite before the run is not named."""
    error = failure(run, model=Masked(), nan="strict")
    assert f"is that of layers.1 (Squares), which holds inf, for sample {BAD} alone" in str(error)
    assert "mask" not in str(error)
