"""Lightning with parts by name: rates, resuming, and the bits of a run."""

from __future__ import annotations

import math
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler, TensorDataset

import lossreg

lightning: Any = pytest.importorskip("lightning", reason="lightning is not installed (pip install 'lossreg[hosts]')")

from lossreg.adapters.lightning import configure_optimizers  # noqa: E402  # behind the check that Lightning is there

ROOT = Path(__file__).parents[3]

pytestmark = [
    pytest.mark.filterwarnings("ignore::lightning.fabric.utilities.warnings.PossibleUserWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:lightning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


class Order(Sampler[int]):
    """The samples of each epoch in the order of a run; Lightning says which epoch it is."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed, self.epoch = count, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Before each epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        return iter(numpy.random.default_rng([self.seed, self.epoch]).permutation(self.count).tolist())

    def __len__(self) -> int:
        return self.count


class Module(lightning.LightningModule):  # type: ignore[misc]  # Lightning may be missing where types are checked
    """A model with parts by name, which notes the rate of each step."""

    def __init__(self, model: torch.nn.Module, *, fused: bool = False, keep: bool = True, **texts: Any) -> None:
        super().__init__()
        self.parts, self.model, self.fused = lossreg.parts(**texts), model, fused
        if keep and self.parts.has_loss:
            self.loss = self.parts.loss
        self.rates: list[float] = []

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """The loss of a batch."""
        if (optimizer := self.optimizers()).param_groups:
            self.rates.append(optimizer.param_groups[0]["lr"])
        value: Tensor = self.parts.loss(self.model(batch[0]), batch[1])
        self.log("seen", value.detach(), on_epoch=True, on_step=False)
        return value

    def configure_optimizers(self) -> Any:
        """What is tested."""
        return configure_optimizers(self.parts, self, fused=self.fused)


def fit(module: Module, epochs: int = 2, batch_size: int = 8, samples: int = 32, **settings: Any) -> Any:
    """Trains on random numbers of 3 classes, or on what `loader` gives."""
    generator = torch.Generator().manual_seed(0)
    loader = settings.pop("loader", None) or DataLoader(
        TensorDataset(torch.randn(samples, 4, generator=generator), torch.randint(3, (samples,), generator=generator)),
        batch_size,
    )
    checkpoint = settings.pop("resume", None)
    trainer = lightning.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        **{"enable_checkpointing": False, **settings},
    )  # fmt: skip
    trainer.fit(module, loader, ckpt_path=checkpoint)
    return trainer


def linear() -> torch.nn.Linear:
    """Always the same one."""
    torch.manual_seed(1)
    return torch.nn.Linear(4, 3)


def test_a_run_and_lightning_have_the_same_bits(tmp_path: Path) -> None:
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
    inputs, targets = (part[:256] for part in split)
    torch.manual_seed(3)
    model = lossreg.models.build("mlp", in_features=inputs[0].numel(), out_features=10)
    module = Module(model, fused=True, task="classification", **texts)
    fit(module, loader=DataLoader(TensorDataset(inputs, targets), 64, sampler=Order(256, 3)))
    own = module.model.state_dict()
    assert all(torch.equal(own[name], value) for name, value in result.model.state_dict().items())


def test_an_epoch_schedule_counts_the_epochs_of_the_trainer() -> None:
    """Half a cosine over 3 epochs, of 4 batches each."""
    module = Module(linear(), loss="dice", optimizer="sgd(lr=1.0)", scheduler="cosine")
    fit(module, epochs=3)
    cosine = [0.5 * (1 + math.cos(math.pi * epoch / 3)) for epoch in range(3)]
    assert module.rates == pytest.approx([rate for rate in cosine for _ in range(4)])


def test_other_epochs_of_the_parts_are_overruled_aloud(caplog: pytest.LogCaptureFixture) -> None:
    """The trainer's 3 epochs are taken; the same number is no matter."""
    for epochs, wanted in ((40, ["epochs=40, and Lightning has epochs=3"]), (3, [])):
        caplog.clear()
        module = Module(linear(), loss="dice", optimizer="sgd(lr=1.0)", scheduler="cosine", epochs=epochs)
        fit(module, epochs=3)
        assert module.rates[::4] == pytest.approx([1.0, 0.75, 0.25])
        said = [record.getMessage() for record in caplog.records if record.name == "lossreg"]
        assert [text in message for text, message in zip(wanted, said, strict=True)] == [True] * len(wanted)


def test_a_step_schedule_counts_accumulated_steps() -> None:
    """4 batches of which 2 are accumulated are 2 steps: half a cosine over 4 steps in 2 epochs."""
    module = Module(linear(), loss="dice", optimizer="sgd(lr=1.0)", scheduler="cosine", scheduler_interval="step")
    fit(module, accumulate_grad_batches=2)
    cosine = [0.5 * (1 + math.cos(math.pi * step / 4)) for step in range(4)]
    assert module.rates == pytest.approx([rate for rate in cosine for _ in range(2)])


@pytest.mark.parametrize("epochs", [100, -1])
def test_a_trainer_may_end_by_its_steps(epochs: int) -> None:
    """A schedule of steps goes over `max_steps`, and one of epochs over those that these begin."""
    module = Module(linear(), loss="dice", optimizer="sgd(lr=0.1)", scheduler="one_cycle(max_lr=0.1)")
    fit(module, epochs=epochs, max_steps=6)
    peer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(peer, max_lr=0.1, total_steps=6)
    expected = []
    for step in range(6):
        expected.append(peer.param_groups[0]["lr"])
        if step < 5:
            peer.step()
            schedule.step()
    assert module.rates == pytest.approx(expected)
    module = Module(linear(), loss="dice", optimizer="sgd(lr=1.0)", scheduler="cosine")
    fit(module, epochs=epochs, max_steps=6)
    assert module.rates == pytest.approx([1.0] * 4 + [0.5] * 2)


def test_parts_come_before_the_module() -> None:
    """Swapped, they are told apart."""
    with pytest.raises(lossreg.ConfigError, match=r"write configure_optimizers\(parts, self\), not Module first"):
        configure_optimizers(Module(linear()), lossreg.parts())  # type: ignore[arg-type]  # that is tested


def test_a_schedule_that_follows_a_metric_is_given_it() -> None:
    """A metric that the module logs, which never gets better by its threshold, lowers the rate each epoch."""
    scheduler = "reduce_lr_on_plateau(monitor='seen', patience=0, threshold=10.0, threshold_mode='abs')"
    module = Module(linear(), loss="dice", optimizer="sgd(lr=0.1)", scheduler=scheduler)
    fit(module, epochs=3, samples=8)
    assert module.rates == pytest.approx([0.1, 0.1, 0.01])


@pytest.mark.parametrize("epochs", [3, 6])
def test_resuming_from_a_checkpoint_of_lightning(epochs: int, tmp_path: Path) -> None:
    """Going on gives the weights of a straight run; with more epochs the rate is that of the longer schedule, not 0."""
    texts: dict[str, Any] = {"loss": "dice", "optimizer": "muon(rest=adamw(lr=0.01))", "scheduler": "cosine"}

    def network() -> torch.nn.Sequential:
        torch.manual_seed(1)
        return torch.nn.Sequential(*(torch.nn.Linear(4, size) for size in (4, 4, 3)))

    callback = lightning.pytorch.callbacks.ModelCheckpoint(
        tmp_path, filename="{epoch}", save_top_k=-1, save_weights_only=False
    )
    straight = Module(network(), **texts)
    fit(straight, epochs=3, callbacks=[callback], enable_checkpointing=True)
    resumed = Module(network(), **texts)
    fit(resumed, epochs=epochs, resume=tmp_path / "epoch=1.ckpt")
    if epochs == 3:
        pairs = zip(straight.parameters(), resumed.parameters(), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)
    else:
        first = lossreg.parts(**texts).optimizer(network()).param_groups[0]["lr"]
        assert resumed.rates[0] == pytest.approx(first * 0.5 * (1 + math.cos(math.pi * 2 / 6)))


def test_an_optimizer_with_a_closure_gets_it() -> None:
    """The loss is computed several times in a step of lbfgs."""
    module = Module(linear(), loss="cross_entropy", optimizer="lbfgs(lr=0.1, max_iter=3)")
    before = [parameter.clone() for parameter in module.parameters()]
    fit(module, epochs=1, samples=8)
    assert len(module.rates) > 1
    assert not all(map(torch.equal, before, module.parameters()))


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        ({"loss": "dice", "optimizer": "sdg"}, "no optimizer named 'sdg'. Did you mean 'sgd'"),
        ({"loss": "dice", "optimizer": "adamw(lr=0.1)", "scheduler": "cosine(T=3)"}, "no parameter 'T'"),
    ],
)
def test_wrong_texts_have_the_message_of_lossreg(texts: dict[str, Any], wanted: str) -> None:
    """They fail where the module is made, before Lightning sees them."""
    with pytest.raises(lossreg.LossregError, match=wanted):
        Module(linear(), **texts)


def test_weights_of_a_loss_that_lightning_does_not_have_are_named() -> None:
    """They would be neither moved nor saved."""
    loss = torch.nn.PReLU()
    module = Module(linear(), keep=False, loss=loss)
    with pytest.raises(lossreg.ConfigError, match=r"write self\.loss = parts\.loss"):
        fit(module)


def test_an_optimizer_that_lightning_cannot_serve_is_refused() -> None:
    """One with modes would be evaluated with the wrong weights."""
    schedulefree = pytest.importorskip("schedulefree")
    module = Module(linear(), loss="dice", optimizer=schedulefree.AdamWScheduleFree)
    with pytest.raises(lossreg.ConfigError, match=r"switches between the weights.*which Lightning does not do"):
        fit(module)


def test_fabric_trains_with_parts() -> None:
    """Parts are built before Fabric sets model and optimizer up; the rates are those of the schedule."""
    fabric = lightning.Fabric(accelerator="cpu", devices=1)
    parts = lossreg.parts(loss="dice", optimizer="sgd(lr=1.0)", scheduler="cosine", epochs=2)
    model = linear()
    optimizer = parts.optimizer(model)
    scheduler = parts.scheduler(optimizer)
    assert scheduler is not None
    model, optimizer = fabric.setup(model, optimizer)
    rates = []
    for _ in range(2):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.zero_grad()
        fabric.backward(parts.loss(model(torch.ones(2, 4)), torch.tensor([0, 1])))
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([1.0, 0.5])


def test_the_example_runs() -> None:
    """It is a script that trains."""
    namespace = runpy.run_path(str(ROOT / "docs" / "examples" / "lightning_digits.py"))
    module = namespace["main"](epochs=1, samples=64)
    assert module.hparams["loss"] == "dice"


def test_texts_stand_in_the_yaml_of_lightning_cli(tmp_path: Path) -> None:
    """They are arguments of the module like others, and its command line wins."""
    pytest.importorskip("jsonargparse")
    pytest.importorskip("typeshed_client")
    from lightning.pytorch.cli import LightningCLI

    classifier = runpy.run_path(str(ROOT / "docs" / "examples" / "lightning_digits.py"))["Classifier"]
    config = tmp_path / "config.yaml"
    config.write_text("model:\n  loss: cross_entropy(label_smoothing=0.1)\n  optimizer: sgd\n", encoding="utf-8")
    arguments = ["--config", str(config), "--model.optimizer", "adamw(lr=0.5)"]
    cli = LightningCLI(classifier, run=False, save_config_callback=None, args=arguments)
    assert cli.model.parts.texts["optimizer"] == "builtin.adamw(lr=0.5)"
    assert cli.model.parts.texts["loss"] == "builtin.cross_entropy(label_smoothing=0.1)"
