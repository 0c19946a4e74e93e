"""The Trainer of Hugging Face with parts by name: rates, accumulation, resuming, and the bits of a run."""

from __future__ import annotations

import math
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset, IterableDataset, Sampler

import lossreg
from tests.table import for_each

transformers: Any = pytest.importorskip(
    "transformers", reason="transformers is not installed (pip install 'lossreg[hosts]')"
)
pytest.importorskip("accelerate", reason="accelerate is not installed (pip install 'lossreg[hosts]')")

from lossreg.adapters.transformers import PartsTrainer  # noqa: E402  # behind the check that transformers is there

ROOT = Path(__file__).parents[3]

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:torch"),
]


class Wrapped(torch.nn.Module):
    """A module with inputs and outputs as the models of transformers have them."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """The logits."""
        return {"logits": self.inner(x)}


class Samples(Dataset[dict[str, Tensor]]):
    """Pairs, as the Trainer takes samples."""

    def __init__(self, inputs: Tensor, targets: Tensor) -> None:
        self.inputs, self.targets = inputs, targets

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: Any) -> dict[str, Tensor]:
        return {"x": self.inputs[index], "labels": self.targets[index]}


class Order(Sampler[int]):
    """The samples of each epoch in the order of a run."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed, self.epoch = count, seed, -1

    def __iter__(self) -> Iterator[int]:
        self.epoch += 1
        return iter(numpy.random.default_rng([self.seed, self.epoch]).permutation(self.count).tolist())

    def __len__(self) -> int:
        return self.count


class Noting(PartsTrainer):
    """A trainer that notes the rate of each step, with samples in order unless it is given another."""

    order: Sampler[int] | None = None

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.rates: list[float] = []

    def _get_train_sampler(self, *arguments: Any) -> Any:
        return self.order or torch.utils.data.SequentialSampler(self.train_dataset)

    def training_step(self, *arguments: Any, **named: Any) -> Any:
        """One micro-batch."""
        self.rates.append(self.optimizer.param_groups[0]["lr"])
        return super().training_step(*arguments, **named)


def random_samples(count: int = 32) -> Samples:
    """Random numbers of 3 classes."""
    generator = torch.Generator().manual_seed(0)
    return Samples(torch.randn(count, 4, generator=generator), torch.randint(3, (count,), generator=generator))


def linear() -> Wrapped:
    """Always the same one."""
    torch.manual_seed(1)
    return Wrapped(torch.nn.Linear(4, 3))


def trainer(
    folder: Path, model: torch.nn.Module, texts: dict[str, Any], samples: Dataset[Any] | None = None, **arguments: Any
) -> Noting:
    """A trainer of 8 samples a batch."""
    given = {"num_train_epochs": 2, "per_device_train_batch_size": 8, "save_strategy": "no", **arguments}
    args = transformers.TrainingArguments(str(folder), use_cpu=True, report_to="none", disable_tqdm=True, **given)
    data = samples or random_samples()
    return Noting(parts=lossreg.parts(**texts), model=model, args=args, train_dataset=data)


def test_a_run_and_the_trainer_have_the_same_bits(tmp_path: Path) -> None:
    """The same texts with the same seed, data and order lead to the same weights, with groups and a schedule."""
    texts: dict[str, Any] = {
        "loss": "l1", "optimizer": "adamw(lr=0.01)", "param_groups": {"*.bias": "weight_decay=0"},
        "scheduler": "warmup(cosine, length=3)", "scheduler_interval": "step",
    }  # fmt: skip
    result = lossreg.run(
        **texts, model="mlp", epochs=2, seed=3, limit_train=256, limit_test=64, device="cpu", precision="32",
        checkpoint_every="none", out=tmp_path / "run", quiet=True,
    )  # fmt: skip
    split = lossreg.datasets.build("digits").train
    assert isinstance(split, tuple)
    samples = Samples(split[0][:256], split[1][:256])
    torch.manual_seed(3)
    model = Wrapped(lossreg.models.build("mlp", in_features=samples[0]["x"].numel(), out_features=10))
    given = {"per_device_train_batch_size": 64, "max_grad_norm": 0.0}
    made = trainer(tmp_path / "hf", model, {**texts, "task": "classification"}, samples, **given)
    made.order, made.fused = Order(256, 3), True
    made.train()
    own = model.inner.state_dict()
    assert all(torch.equal(own[name], value) for name, value in result.model.state_dict().items())


def test_other_epochs_of_the_parts_are_overruled_aloud(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Those of the arguments are taken, and are not taken for the parts' own where there are others later."""
    texts = {"loss": "dice", "optimizer": "sgd(lr=1.0)", "scheduler": "cosine", "epochs": 4}
    made = trainer(tmp_path, linear(), texts)
    for epochs, wanted in ((2, ["told epochs=4, and the Trainer of Hugging Face has epochs=2"]), (4, [])):
        caplog.clear()
        made.args.num_train_epochs = epochs
        made.rates, made.optimizer, made.lr_scheduler = [], None, None
        made.train()
        assert made.rates[::4] == pytest.approx([0.5 * (1 + math.cos(math.pi * one / epochs)) for one in range(epochs)])
        said = [record.getMessage() for record in caplog.records if record.name == "lossreg"]
        assert [text in message for text, message in zip(wanted, said, strict=True)] == [True] * len(wanted)


def test_an_epoch_schedule_counts_epochs(tmp_path: Path) -> None:
    """Half a cosine over 3 epochs, of 4 batches each, although the Trainer steps it after each."""
    made = trainer(
        tmp_path, linear(), {"loss": "dice", "optimizer": "sgd(lr=1.0)", "scheduler": "cosine"}, num_train_epochs=3
    )
    made.train()
    cosine = [0.5 * (1 + math.cos(math.pi * epoch / 3)) for epoch in range(3)]
    assert made.rates == pytest.approx([rate for rate in cosine for _ in range(4)])


def test_a_step_schedule_counts_accumulated_steps(tmp_path: Path) -> None:
    """4 batches of which 2 are accumulated are 2 steps: half a cosine over 4 steps in 2 epochs."""
    texts = {"loss": "dice", "optimizer": "sgd(lr=1.0)", "scheduler": "cosine", "scheduler_interval": "step"}
    made = trainer(tmp_path, linear(), texts, gradient_accumulation_steps=2)
    made.train()
    cosine = [0.5 * (1 + math.cos(math.pi * step / 4)) for step in range(4)]
    assert made.rates == pytest.approx([rate for rate in cosine for _ in range(2)])


def test_a_trainer_may_end_by_its_steps(tmp_path: Path) -> None:
    """A schedule of steps goes over `max_steps`, though the last epoch has more."""
    texts = {"loss": "dice", "optimizer": "sgd(lr=0.1)", "scheduler": "one_cycle(max_lr=0.1)"}
    made = trainer(tmp_path, linear(), texts, max_steps=6)
    made.train()
    peer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(peer, max_lr=0.1, total_steps=6)
    expected = [peer.param_groups[0]["lr"]]
    for _ in range(5):
        peer.step()
        schedule.step()
        expected.append(peer.param_groups[0]["lr"])
    assert made.rates == pytest.approx(expected)


class Stream(IterableDataset[dict[str, Tensor]]):
    """Samples of a data set that does not tell how many they are."""

    def __init__(self) -> None:
        self.samples = random_samples()

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return map(self.samples.__getitem__, range(len(self.samples)))


@for_each(
    ("scheduler", "facts"),
    [("cosine", {"epochs": 2, "steps_per_epoch": 3}), ("step_lr(step_size=1)", {"steps_per_epoch": 3})],
)
def test_without_a_length_epochs_are_told_or_steps_are_counted(
    scheduler: str, facts: dict[str, int], tmp_path: Path
) -> None:
    """The message names both ways, and both train."""
    texts: dict[str, Any] = {"loss": "dice", "optimizer": "sgd(lr=1.0)", "scheduler": scheduler}
    named = ", ".join(f"{name}=N" for name in facts)
    wanted = f"scheduler_interval='step') to have it count the 6 steps, or write lossreg.parts(..., {named})"
    with pytest.raises(lossreg.ConfigError, match=re.escape(wanted)):
        trainer(tmp_path, linear(), texts, Stream(), max_steps=6).train()
    for more, done in ((facts, [0, 0, 0, 1, 1, 1]), ({"scheduler_interval": "step"}, range(6))):
        made = trainer(tmp_path, linear(), {**texts, **more}, Stream(), max_steps=6)
        made.train()
        cosine = [0.5 * (1 + math.cos(math.pi * one / (max(done) + 1))) for one in done]
        assert made.rates == pytest.approx(cosine if scheduler == "cosine" else [0.1**one for one in done])


@pytest.mark.parametrize(
    ("loss", "own"),
    [
        (
            "cross_entropy(label_smoothing=0.1)",
            lambda logits, labels: functional.cross_entropy(logits, labels, label_smoothing=0.1),
        ),
        (
            "cross_entropy(reduction='sum')",
            lambda logits, labels: functional.cross_entropy(logits, labels, reduction="sum"),
        ),
        (
            torch.nn.CrossEntropyLoss(torch.tensor([1.0, 2.0, 3.0]), reduction="sum"),
            lambda logits, labels: functional.cross_entropy(
                logits, labels, logits.new_tensor([1, 2, 3]), reduction="sum"
            ),
        ),
        ("mse", lambda logits, labels: (logits - functional.one_hot(labels, 3)).square().mean()),
    ],
)
def test_accumulated_batches_are_one_large_batch(loss: Any, own: Any, tmp_path: Path) -> None:
    """Labels that are ignored count nothing: one step of SGD is that of the whole batch, in float64."""
    samples = random_samples(24)
    if loss != "mse":
        samples.targets[:7] = -100
    texts = {"loss": loss, "optimizer": "sgd(lr=0.1, momentum=0)", "task": "classification"}
    made = trainer(
        tmp_path, linear(), texts, samples, gradient_accumulation_steps=3, num_train_epochs=1, max_grad_norm=0.0
    )
    expected = linear().double()
    own(expected(samples.inputs.double())["logits"], samples.targets).backward()
    made.train()
    for parameter, trained in zip(expected.parameters(), made.model.parameters(), strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(trained.double(), parameter - 0.1 * parameter.grad, atol=1e-6, rtol=0)


def test_a_loss_that_adds_up_classes_is_no_sum_of_samples(tmp_path: Path) -> None:
    """Dice as the sum of 3 classes is three times its mean, also where batches are accumulated."""
    steps = []
    for loss, rate in (("dice", 0.3), ("dice(reduction='sum')", 0.1)):
        texts = {"loss": loss, "optimizer": f"sgd(lr={rate}, momentum=0)"}
        made = trainer(tmp_path, linear(), texts, gradient_accumulation_steps=2, num_train_epochs=1, max_grad_norm=0.0)
        made.train()
        steps.append(made.model.inner.weight.detach())
    torch.testing.assert_close(*steps)


def test_resuming_from_a_checkpoint_of_the_trainer(tmp_path: Path) -> None:
    """Going on gives the weights and the rates of a straight run, with several optimizers."""
    texts = {"loss": "dice", "optimizer": "muon(rest=adamw(lr=0.01))", "scheduler": "cosine"}

    def network() -> Wrapped:
        torch.manual_seed(1)
        return Wrapped(torch.nn.Sequential(*(torch.nn.Linear(4, size) for size in (4, 4, 3))))

    straight = trainer(tmp_path, network(), texts, num_train_epochs=3, save_strategy="epoch")
    straight.train()
    resumed = trainer(tmp_path, network(), texts, num_train_epochs=3)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-8"))
    assert resumed.rates == straight.rates[8:]
    pairs = zip(straight.model.parameters(), resumed.model.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize(
    ("texts", "arguments", "wanted"),
    [
        (
            {"loss": "dice"},
            {"learning_rate": 0.1},
            r"learning_rate=0\.1 of TrainingArguments has no effect.*write lr in",
        ),
        ({"loss": "dice"}, {"optim_target_modules": ["a"]}, r"optim_target_modules=\['a'\].*patterns in param_groups"),
        (
            {"loss": "dice"},
            {"label_smoothing_factor": 0.1},
            r"label_smoothing_factor.*label_smoothing in the text of the",
        ),
        ({"loss": "dice", "optimizer": "lbfgs"}, {}, r"lbfgs.*closure.*which the Trainer of Hugging Face does not do"),
        ({"loss": torch.nn.PReLU()}, {}, "weights of its own"),
        ({"loss": "dise"}, {}, "no loss named 'dise'. Did you mean 'dice'"),
    ],
)
def test_what_the_trainer_cannot_do_is_refused(
    texts: dict[str, Any], arguments: dict[str, Any], wanted: str, tmp_path: Path
) -> None:
    """The message is that of lossreg, before anything is trained."""
    with pytest.raises(lossreg.LossregError, match=wanted):
        trainer(tmp_path, linear(), texts, **arguments)


def test_a_schedule_that_follows_a_metric_is_refused(tmp_path: Path) -> None:
    """The Trainer gives metrics to torch's class alone."""
    made = trainer(tmp_path, linear(), {"loss": "dice", "scheduler": "reduce_lr_on_plateau"})
    with pytest.raises(lossreg.ConfigError, match="follows test_loss, which there is once an epoch"):
        made.train()


def test_classes_of_tokens_stand_last(tmp_path: Path) -> None:
    """The loss of logits (N, length, classes) is the mean over all tokens."""
    made = trainer(tmp_path, linear(), {"loss": "cross_entropy"})
    logits, labels = torch.randn(2, 5, 3), torch.randint(3, (2, 5))
    expected = functional.cross_entropy(logits.reshape(10, 3), labels.reshape(10))
    torch.testing.assert_close(made._loss_of({"logits": logits}, labels, num_items_in_batch=10), expected)


@for_each("loss", ["cross_entropy", "cross_entropy(reduction='sum')", "cross_entropy(weight=[1.0, 2.0, 3.0])"])
def test_a_loss_before_training_is_that_of_the_batch(loss: str, tmp_path: Path) -> None:
    """As of a plain Trainer: nothing is accumulated yet."""
    made, batch = trainer(tmp_path, linear(), {"loss": loss}), random_samples()[:8]
    expected = lossreg.parts(loss=loss).loss(linear().inner(batch["x"]), batch["labels"])
    torch.testing.assert_close(made.compute_loss(made.model.train(), {**batch}), expected)


def test_outputs_without_logits_are_refused(tmp_path: Path) -> None:
    """By their names, of a dictionary and of an output of transformers."""
    made = trainer(tmp_path, linear(), {"loss": "dice"})
    for outputs in ({"scores": 1.0}, transformers.modeling_outputs.BaseModelOutput(last_hidden_state=1.0)):
        with pytest.raises(lossreg.ConfigError, match=rf"the model gives '{next(iter(outputs))}', .* takes 'logits'"):
            made._loss_of(outputs, torch.zeros(1))


def test_parts_without_a_loss_take_that_of_the_model(tmp_path: Path) -> None:
    """A model that gives none is told what to write; other errors of a model are its own."""
    made, batch = trainer(tmp_path, linear(), {"optimizer": "sgd"}), random_samples()[:8]
    with pytest.raises(lossreg.ConfigError, match=r"the model gives none: write lossreg\.parts\(loss=\.\.\.\)"):
        made.compute_loss(made.model, {"x": batch["x"]})
    assert made.compute_loss(lambda x: {"loss": x.sum()}, {"x": torch.ones(3)}).item() == 3.0
    with pytest.raises(ValueError, match="invalid literal"):
        made.compute_loss(lambda x: int(x), {"x": "three"})


@for_each("epochs", [0, -1])
def test_no_epochs_are_refused(epochs: int, tmp_path: Path) -> None:
    """By the argument that the Trainer has for them."""
    with pytest.raises(lossreg.ConfigError, match=rf"num_train_epochs={epochs} of TrainingArguments .* evaluate\(\)"):
        trainer(tmp_path, linear(), {"loss": "dice"}, num_train_epochs=epochs).train()


def test_the_example_runs() -> None:
    """It is a script that trains."""
    namespace = runpy.run_path(str(ROOT / "docs" / "examples" / "transformers_digits.py"))
    assert namespace["main"](epochs=1, samples=64).state.global_step == 1
