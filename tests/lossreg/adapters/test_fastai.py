"""fastai with parts by name: rates, metrics, groups, classes of tensors, predictions, and what is refused."""

from __future__ import annotations

import math
import pickle
import runpy
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import TensorDataset

import lossreg

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # those of fastai about pandas and torch.jit
    learner: Any = pytest.importorskip(
        "fastai.learner", reason="fastai is not installed (pip install 'lossreg[fastai]')"
    )
    import fastai.callback.schedule  # noqa: F401  # it gives Learner fit_one_cycle
    from fastai.callback.training import GradientAccumulation
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader
    from fastai.torch_core import TensorCategory, TensorImage

from lossreg.adapters.fastai import PartsLoss, use_parts  # behind the check that fastai is there
from tests.table import for_each  # as above

ROOT = Path(__file__).parents[3]
GENERATOR = torch.Generator().manual_seed(0)
INPUTS, CLASSES = torch.randn(16, 4, generator=GENERATOR), torch.arange(16) % 3

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")


class Rates(learner.Callback):  # type: ignore[misc]  # fastai may be missing where types are checked
    """Notes the rates of each step."""

    def after_step(self) -> None:
        """After each step, before its rate changes."""
        self.learn.noted = [*getattr(self.learn, "noted", []), [group["lr"] for group in self.opt.opt.param_groups]]


def linear() -> torch.nn.Linear:
    """Always the same one."""
    torch.manual_seed(1)
    return torch.nn.Linear(4, 3)


def learn(parts: Any, callbacks: Any = (), **settings: Any) -> Any:
    """A Learner of 4 batches, in their order, without a bar."""
    loaders = DataLoaders(*(DataLoader(TensorDataset(INPUTS, CLASSES), bs=4, shuffle=False) for _ in range(2)))
    made = learner.Learner(loaders, linear(), loss_func=torch.nn.MSELoss(), cbs=[Rates(), *callbacks], **settings)
    return use_parts(made, parts)


def fit(made: Any, epochs: int = 2) -> Any:
    """Fits without output."""
    with made.no_bar(), made.no_logging():
        made.fit(epochs)
    return made


def test_weights_are_those_of_a_loop() -> None:
    """Loss, groups and schedule in a loop by hand, with the same batches, give the same bits."""
    texts: dict[str, Any] = {
        "loss": "dice", "optimizer": "adamw(lr=0.05)", "param_groups": {"bias": "lr=x2"}, "scheduler": "cosine",
    }  # fmt: skip
    made = fit(learn(lossreg.parts(**texts)))
    model, parts = linear(), lossreg.parts(**texts, epochs=2)
    optimizer = parts.optimizer(model)
    scheduler = parts.scheduler(optimizer)
    assert scheduler is not None
    for _ in range(2):
        for inputs, classes in zip(INPUTS.split(4), CLASSES.split(4), strict=True):
            optimizer.zero_grad()
            parts.loss(model(inputs), classes).backward()
            optimizer.step()
        scheduler.step()
    assert torch.equal(made.model.weight, model.weight)
    assert torch.equal(made.model.bias, model.bias)


def test_schedules_count_epochs_or_steps() -> None:
    """Half a cosine over 2 epochs of 4 steps, for groups in their ratio; each fit has its own; one cycle by torch."""
    by_epoch = learn(
        lossreg.parts(loss="dice", optimizer="sgd(lr=1.0)", param_groups={"bias": "lr=x0.5"}, scheduler="cosine")
    )
    fit(fit(by_epoch))
    assert by_epoch.noted == [pytest.approx(rates) for rates in ([[1.0, 0.5]] * 4 + [[0.5, 0.25]] * 4) * 2]
    by_step = fit(learn(lossreg.parts(loss="dice", optimizer="sgd(lr=1.0)", scheduler="one_cycle(max_lr=1.0)")))
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(()))], lr=1.0, momentum=0.9)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=8)
    expected = []
    for _ in range(8):
        expected.append(cycle.get_last_lr()[0])
        optimizer.step()
        cycle.step() if len(expected) < 8 else None
    assert [rate for (rate,) in by_step.noted] == pytest.approx(expected)
    assert by_step.recorder.lrs == pytest.approx(expected)


def test_other_epochs_of_the_parts_are_overruled_aloud(caplog: pytest.LogCaptureFixture) -> None:
    """Those of fit are taken."""
    fit(learn(lossreg.parts(loss="dice", scheduler="cosine", epochs=40)), epochs=2)
    (said,) = [record.getMessage() for record in caplog.records if record.name == "lossreg"]
    assert "told epochs=40, and fastai has epochs=2" in said


def test_a_schedule_that_follows_a_metric_is_given_it() -> None:
    """A loss that never gets better by its threshold lowers the rate; a name that there is not is told."""
    plateau = "reduce_lr_on_plateau(monitor='{}', patience=0, threshold=10.0, threshold_mode='abs')"
    made = learn(lossreg.parts(loss="dice", optimizer="sgd(lr=0.1)", scheduler=plateau.format("valid_loss")))
    assert [rate for (rate,) in fit(made, 3).noted[::4]] == pytest.approx([0.1, 0.1, 0.01])
    with pytest.raises(lossreg.ConfigError, match=r"'valid_los', which .*Recorder has train_loss, valid_loss\. Did"):
        fit(learn(lossreg.parts(loss="dice", scheduler=plateau.format("valid_los"))))


def test_accumulated_batches() -> None:
    """8 samples are 2 batches: the optimizer steps after each second one, and a schedule of epochs is as it was."""
    made = fit(
        learn(lossreg.parts(loss="dice", optimizer="sgd(lr=1.0)", scheduler="cosine"), [GradientAccumulation(8)])
    )
    assert [rate for (rate,) in made.noted] == pytest.approx([1.0] * 2 + [0.5] * 2)
    with pytest.raises(lossreg.ConfigError, match="GradientAccumulation, which counts samples"):
        fit(learn(lossreg.parts(loss="dice", scheduler="one_cycle(max_lr=1.0)"), [GradientAccumulation(8)]))


@for_each("loss", ["dice", "cross_entropy(label_smoothing=0.1)", "l1", "bce_with_logits"])
def test_a_loss_takes_the_tensors_of_fastai(loss: str) -> None:
    """Operations on TensorImage with TensorCategory are refused by fastai; the loss has the value of plain ones."""
    parts = lossreg.parts(loss=loss, task="classification")
    made = PartsLoss(parts)
    output = torch.randn(5, 3, generator=torch.Generator().manual_seed(2))
    given = made(TensorImage(output), TensorCategory(CLASSES[:5]))
    assert type(given) is torch.Tensor
    torch.testing.assert_close(given, parts.loss(output, CLASSES[:5]), rtol=0, atol=0)


def test_the_loss_of_each_sample() -> None:
    """Fastai asks for it by `reduction`, as its page of the worst predictions does; by hand it is cross entropy."""
    made = learn(lossreg.parts(loss="cross_entropy"))
    with made.no_bar(), made.no_logging():
        probabilities, _, decoded, losses = made.get_preds(with_loss=True, with_decoded=True)
    outputs = made.model(INPUTS).detach()
    torch.testing.assert_close(losses, torch.nn.functional.cross_entropy(outputs, CLASSES, reduction="none"))
    torch.testing.assert_close(probabilities, outputs.softmax(1))
    assert torch.equal(decoded, outputs.argmax(1))


@for_each(
    ("loss", "task", "activation", "decodes"),
    [
        ("dice", "segmentation", lambda one: one.softmax(1), lambda one: one.argmax(1)),
        ("bce_with_logits", "multilabel", torch.sigmoid, lambda one: one > 0.5),
        ("mse", "regression", lambda one: one, lambda one: one),
        ("l1", "classification", lambda one: one, lambda one: one.argmax(1)),
    ],
)
def test_predictions(loss: str, task: Any, activation: Callable[..., Any], decodes: Callable[..., Any]) -> None:
    """What makes predictions of outputs goes by the task, and by what the loss takes."""
    made = PartsLoss(lossreg.parts(loss=loss, task=task))
    output = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(made.activation(output), activation(output))
    assert torch.equal(made.decodes(activation(output)), decodes(activation(output)))


def test_saving_and_pickling(tmp_path: Path) -> None:
    """Weights and optimizer are saved and loaded; the Learner can be pickled with its parts, as `export` does."""
    made = fit(learn(lossreg.parts(loss="dice", optimizer="adam(lr=0.05)", scheduler="cosine"), path=tmp_path))
    made.save("model")
    again = learn(lossreg.parts(loss="dice", optimizer="adam(lr=0.05)", scheduler="cosine"), path=tmp_path)
    again.load("model", with_opt=True)
    assert torch.equal(again.model.weight, made.model.weight)
    state = again.opt.opt.state_dict()["state"]
    assert torch.equal(state[0]["exp_avg"], made.opt.opt.state_dict()["state"][0]["exp_avg"])
    loss = pickle.loads(pickle.dumps(made.loss_func))  # noqa: S301  # it is our own
    assert loss(INPUTS[:, :3], CLASSES) == made.loss_func(INPUTS[:, :3], CLASSES)
    made.opt, made.dls = None, None
    assert callable(pickle.loads(pickle.dumps(made)).opt_func)  # noqa: S301  # it is our own


@for_each(
    ("use", "wanted"),
    [
        (lambda made: made.fit(1, lr=0.5), r"fastai sets lr=0\.5, but .*write it into the text"),
        (lambda made: made.fit(1, wd=0.5), r"fastai sets wd=0\.5, but"),
        (lambda made: made.fit_one_cycle(1), "fastai sets lr=.*scheduler='one_cycle"),
        (lambda made: made.freeze(), r"write lossreg\.parts\(\.\.\., freeze='PATTERNS'\)"),
    ],
    ids=["lr", "wd", "one_cycle", "freeze"],
)
def test_what_has_no_effect_is_refused(use: Callable[[Any], Any], wanted: str) -> None:
    """A rate of the Learner would be that of all groups; what sets one is told where it belongs."""
    made = learn(lossreg.parts(loss="dice"))
    with made.no_bar(), made.no_logging(), pytest.raises(lossreg.ConfigError, match=wanted):
        use(made)


@for_each(
    ("texts", "settings", "wanted"),
    [
        ({"optimizer": "sgd"}, {"lr": 0.5}, r"fastai sets lr=0\.5"),
        ({"optimizer": "sgd"}, {"wd": 0.5}, r"fastai sets wd=0\.5"),
        ({"optimizer": "lbfgs"}, {}, r"builtin\.lbfgs computes the loss again .* which fastai does not do"),
    ],
)
def test_what_cannot_be_done_is_refused(texts: dict[str, str], settings: dict[str, float], wanted: str) -> None:
    """When the parts are given to the Learner."""
    with pytest.raises(lossreg.ConfigError, match=wanted):
        learn(lossreg.parts(**texts), **settings)  # type: ignore[arg-type]  # texts for several arguments


def test_freezing_by_patterns() -> None:
    """What `freeze` names keeps its weights."""
    made = fit(learn(lossreg.parts(loss="dice", optimizer="sgd(lr=1.0)", freeze="weight")))
    assert torch.equal(made.model.weight, linear().weight)
    assert not torch.equal(made.model.bias, linear().bias)
    assert math.isfinite(made.final_record[0])
    with pytest.raises(lossreg.ConfigError, match=r"call unfreeze\(\) before use_parts"):
        made.unfreeze()


def test_unfreezing_what_is_trained_changes_nothing() -> None:
    """Recipes of fastai call it whether something is frozen or not."""
    made = learn(lossreg.parts(loss="dice", optimizer="sgd(lr=1.0)"))
    made.unfreeze()
    assert [rate for (rate,) in fit(made, 1).noted] == [1.0] * 4


def test_the_example_runs() -> None:
    """A Learner with a metric."""
    made = runpy.run_path(str(ROOT / "docs" / "examples" / "fastai_digits.py"))["main"](epochs=1, samples=64)
    assert 0 <= made.final_record[-1] <= 1
