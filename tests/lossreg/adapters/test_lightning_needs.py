"""What optimizers and schedulers need of Lightning: closures as its settings allow, and metrics that are logged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import lossreg
from tests.lossreg.embedding.needing import Averaged, Curved, One, Switched
from tests.table import for_each

lightning: Any = pytest.importorskip("lightning", reason="lightning is not installed (pip install 'lossreg[hosts]')")

from lightning.fabric.utilities.exceptions import MisconfigurationException  # noqa: E402  # behind the check

from lossreg.adapters.lightning import configure_optimizers  # noqa: E402  # behind the check that Lightning is there

pytestmark = [
    pytest.mark.filterwarnings("ignore::lightning.fabric.utilities.warnings.PossibleUserWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:lightning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


class Module(lightning.LightningModule):  # type: ignore[misc]  # Lightning may be missing where types are checked
    """A model of one number with parts by name."""

    def __init__(self, **texts: Any) -> None:
        super().__init__()
        self.parts, self.model = lossreg.parts(loss="mse", task="regression", **texts), One()
        self.loss = self.parts.loss

    def training_step(self, batch: Any, index: int) -> Any:
        """The loss of a batch."""
        value = self.loss(self.model(batch[0]), batch[1])
        self.log("seen", value.detach(), on_epoch=True, on_step=False)
        return value

    def configure_optimizers(self) -> Any:
        """What is tested."""
        return configure_optimizers(self.parts, self)


def fit(module: Module, *, resume: Path | None = None, **settings: Any) -> Any:
    """Trains for an epoch of two batches."""
    trainer = lightning.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        **{"max_epochs": 1, "enable_checkpointing": False, **settings},
    )  # fmt: skip
    trainer.fit(module, DataLoader(TensorDataset(torch.ones(4, 1), torch.zeros(4, 1)), 2), ckpt_path=resume)
    return trainer


@for_each(
    ("optimizer", "wanted"),
    [
        (Averaged, r"Averaged switches between the weights .*, which Lightning does not do"),
        (Curved, r"Curved differentiates gradients \(create_graph\), which Lightning does not do"),
    ],
)
def test_what_lightning_does_not_do_is_refused(optimizer: Any, wanted: str) -> None:
    """Before it trains."""
    with pytest.raises(lossreg.ConfigError, match=wanted):
        fit(Module(optimizer=optimizer))


def test_a_module_that_steps_itself_may_do_it() -> None:
    """With manual optimization the loop is that of the module, whose first step is looked at."""

    class Manual(Module):
        def __init__(self, *, graph: bool) -> None:
            super().__init__(optimizer=Curved)
            self.automatic_optimization, self.graph = False, graph

        def training_step(self, batch: Any, index: int) -> None:
            loss = self.loss(self.model(batch[0]), batch[1])
            (self.model.w.grad,) = torch.autograd.grad(loss, self.model.w, create_graph=self.graph)
            self.optimizers().step()
            self.model.w.grad = None

    module = Manual(graph=True)
    fit(module)
    assert module.model.w.item() == pytest.approx(0.0)
    with pytest.raises(lossreg.ConfigError, match="Curved differentiates gradients: call"):
        fit(Manual(graph=False))


def test_a_module_that_steps_itself_gives_a_closure() -> None:
    """Lightning hands on one that does nothing where the module gives none: SAM would train as SGD does."""

    class Manual(Module):
        def __init__(self, optimizer: str, *, gives: bool) -> None:
            super().__init__(optimizer=optimizer)
            self.automatic_optimization, self.gives = False, gives

        def training_step(self, batch: Any, index: int) -> None:
            def closure() -> Any:
                self.optimizers().zero_grad()
                loss = self.loss(self.model(batch[0]), batch[1])
                self.manual_backward(loss)
                return loss

            if self.gives:
                self.optimizers().step(closure)
            else:
                closure()
                self.optimizers().step()

    for optimizer, label in (("lbfgs", "lbfgs"), ("sam(sgd(lr=0.1))", r"sam\(.*")):
        module = Manual(optimizer, gives=False)
        with pytest.raises(lossreg.ConfigError, match=rf"the optimizer {label} .* call optimizer.step\(closure\)"):
            fit(module)
        assert module.model.w.item() == 1.0
    module = Manual("lbfgs(line_search_fn='strong_wolfe')", gives=True)
    fit(module)
    assert module.model.w.item() == pytest.approx(0.0, abs=1e-6)


class Two(Module):
    """Two nets with parts of their own, each with a schedule, which the module steps."""

    def __init__(self) -> None:
        super().__init__(optimizer="sgd(lr=1.0)", scheduler="cosine")
        self.other = lossreg.parts(optimizer="sgd(lr=2.0)", scheduler="linear(start_factor=1.0, end_factor=0.0)")
        self.second, self.automatic_optimization = torch.nn.Linear(1, 1), False
        self.rates: list[list[float]] = []

    def training_step(self, batch: Any, index: int) -> None:
        """A step of each."""
        for optimizer in self.optimizers():
            optimizer.step()

    def on_train_epoch_end(self) -> None:
        """Notes the rates, and steps the schedules."""
        self.rates.append([one.param_groups[0]["lr"] for one in self.optimizers()])
        for scheduler in self.lr_schedulers():
            scheduler.step()

    def configure_optimizers(self) -> Any:
        """As the message about a single net says."""
        optimizers, schedulers = [], []
        for parts, net in ((self.parts, self.model), (self.other, self.second)):
            told = parts.for_loop(epochs=self.trainer.max_epochs)
            optimizers.append(told.optimizer(net))
            schedulers.append(told.scheduler(optimizers[-1]))
        return optimizers, schedulers


def test_two_nets_have_parts_of_their_own() -> None:
    """`configure_optimizers` takes the whole module, and says how single nets are trained: 1.0 and 2.0 are halved."""
    module = Two()
    with pytest.raises(
        lossreg.ConfigError, match=r"LightningModule itself, and One is none: .*self\.trainer\.max_epochs"
    ):
        configure_optimizers(module.parts, module.model)
    fit(module, max_epochs=2)
    assert module.rates == [pytest.approx([1.0, 2.0]), pytest.approx([0.5, 1.0])]


def test_a_closure_is_not_given_for_accumulated_batches() -> None:
    """Lightning clears the gradients before the first of them alone, so that each call would add to the last."""
    with pytest.raises(lossreg.ConfigError, match=r"builtin.lbfgs .*for the last of 2 accumulated batches alone"):
        fit(Module(optimizer="lbfgs"), accumulate_grad_batches=2)


def test_a_gradient_scaler_takes_no_closure() -> None:
    """Which there is for float16; bfloat16 needs none."""
    module = Module(optimizer="sam(sgd)")
    plugin = lightning.pytorch.plugins.MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu"))
    with pytest.raises(lossreg.ConfigError, match="the gradient scaler of Lightning does not support"):
        fit(module, plugins=[plugin])


@for_each("scheduler", ["plateau", "reduce_lr_on_plateau(patience=1)", "warmup(plateau, length=1)"])
def test_the_metric_of_a_run_is_none_of_lightning(scheduler: str) -> None:
    """A scheduler that follows the default of a run is refused before the first step, and says what to write."""
    with pytest.raises(lossreg.ConfigError, match=r"follows test_loss, which is a metric of a run .*'val_loss'"):
        fit(Module(scheduler=scheduler))


def test_a_module_that_steps_the_schedule_itself_gives_it_any_metric() -> None:
    """With manual optimization Lightning asks for no metric."""

    class Manual(Module):
        def __init__(self) -> None:
            super().__init__(scheduler="plateau")
            self.automatic_optimization, self.steps = False, 0

        def training_step(self, batch: Any, index: int) -> None:
            self.loss(self.model(batch[0]), batch[1]).backward()
            self.optimizers().step()
            self.lr_schedulers().step(0.5)
            self.steps += 1

    module = Manual()
    fit(module)
    assert module.lr_schedulers().last_epoch == module.steps > 0


def test_the_metric_of_a_plugin_s_scheduler_is_its_own() -> None:
    """Its record names what it follows, which is none of a run, and the error names it."""

    @lossreg.schedulers.register("following", monitor="val_loss", interval="epoch")
    def following(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.ReduceLROnPlateau:
        return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)

    with pytest.raises(MisconfigurationException, match=r"the scheduler following follows the metric 'val_loss'"):
        fit(Module(scheduler="following"))


def test_a_metric_that_is_not_logged_is_explained() -> None:
    """Lightning finds it after the epoch, and its exception says what the text names, what is logged and is meant."""
    with pytest.raises(MisconfigurationException) as caught:
        fit(Module(scheduler="plateau(monitor='see')"))
    message = str(caught.value)
    for part in ("(monitor='see') follows the metric 'see'", "had logged seen.", "Did you mean 'seen'?", "self.log("):
        assert part in message


def test_a_metric_of_validation_may_be_followed_when_there_is_one() -> None:
    """After each second epoch, as the message says: its values of 1 and 1 are no better, and the rate is a tenth."""

    class Validated(Module):
        def __init__(self, frequency: int) -> None:
            super().__init__(optimizer="sgd(lr=1.0)", scheduler="plateau(monitor='val_loss', patience=0)")
            self.frequency = frequency
            self.rates: list[float] = []

        def on_train_epoch_start(self) -> None:
            self.rates.append(self.optimizers().param_groups[0]["lr"])

        def validation_step(self, batch: Any, index: int) -> None:
            self.log("val_loss", 1.0)

        def val_dataloader(self) -> Any:
            return DataLoader(TensorDataset(torch.ones(2, 1), torch.zeros(2, 1)), 2)

        def configure_optimizers(self) -> Any:
            d = super().configure_optimizers()
            d["lr_scheduler"]["frequency"] = self.frequency
            return d

    settings: dict[str, Any] = {"max_epochs": 6, "check_val_every_n_epoch": 2, "num_sanity_val_steps": 0}
    with pytest.raises(MisconfigurationException, match=r"every 2 epochs, .* d\['lr_scheduler'\]\['frequency'\] = 2;"):
        fit(Validated(1), **settings)
    module = Validated(2)
    fit(module, **settings)
    assert module.rates == pytest.approx([1.0] * 4 + [0.1] * 2)


def test_the_state_of_another_optimizer_is_refused(tmp_path: Path) -> None:
    """A checkpoint of Lightning says which optimizer has saved it."""
    file = tmp_path / "last.ckpt"
    fit(Module(optimizer="adam")).save_checkpoint(file)
    with pytest.raises(lossreg.StateError, match=r"the optimizer builtin\.adam, and this one is builtin\.adamw"):
        fit(Module(optimizer="adamw"), resume=file, max_epochs=2)


@pytest.mark.filterwarnings("ignore:Using backward")  # of torch, once in a process
def test_fabric_passes_on_what_its_loop_gives() -> None:
    """Its optimizers stand for those of the parts: a closure, modes, gradients with their graph, and states."""
    fabric = lightning.Fabric(accelerator="cpu", devices=1)

    def made(optimizer: Any) -> tuple[One, Any, Any]:
        parts, model = lossreg.parts(loss="mse", task="regression", optimizer=optimizer), One()
        wrapped, built = fabric.setup(model, parts.optimizer(model))

        def backward(**named: Any) -> torch.Tensor:
            built.zero_grad()
            loss: torch.Tensor = parts.loss(wrapped(torch.ones(2, 1)), torch.zeros(2, 1))
            fabric.backward(loss, **named)
            return loss

        return model, built, backward

    model, built, backward = made("lbfgs(line_search_fn='strong_wolfe')")
    built.step(backward)
    assert model.w.item() == pytest.approx(0.0, abs=1e-6)
    model, built, backward = made(Switched)
    backward()
    with pytest.raises(lossreg.ConfigError, match=r"Switched switches .* call optimizer.train\(\)"):
        built.step()
    built.train()
    built.step()
    assert model.w.item() == 0.5
    model, built, backward = made(Curved)
    backward(create_graph=True)
    built.step()
    assert model.w.item() == pytest.approx(0.0)
    built.zero_grad()
    state = made("adam")[1].state_dict()
    with pytest.raises(lossreg.StateError, match=r"builtin\.adam, and this one is builtin\.adamw"):
        made("adamw")[1].load_state_dict(state)
