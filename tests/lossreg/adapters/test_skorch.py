"""skorch with parts by name: rates, grids, clones, going on, and the bits of a run."""

from __future__ import annotations

import math
import pickle
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch.utils.data import Sampler

import lossreg

skorch: Any = pytest.importorskip("skorch", reason="skorch is not installed (pip install 'lossreg[hosts]')")

from lossreg.adapters.skorch import PartsClassifier, PartsRegressor  # noqa: E402  # behind the check that skorch is there

ROOT = Path(__file__).parents[3]

INPUTS = numpy.random.default_rng(0).normal(size=(32, 4)).astype("float32")
CLASSES = numpy.random.default_rng(1).integers(3, size=32)


class Rates(skorch.callbacks.Callback):  # type: ignore[misc]  # skorch may be missing where types are checked
    """Notes the rate of each step."""

    def on_batch_begin(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        """Before each step."""
        if training:
            net.rates = [*getattr(net, "rates", []), net.optimizer_.param_groups[0]["lr"]]


def linear() -> torch.nn.Linear:
    """Always the same one."""
    torch.manual_seed(1)
    return torch.nn.Linear(4, 3)


def net(**settings: Any) -> Any:
    """A classifier of 8 samples a batch, without a validation split."""
    given = {"max_epochs": 2, "batch_size": 8, "train_split": None, "verbose": 0, "callbacks": [Rates()], **settings}
    return PartsClassifier(settings.pop("module", linear), **{k: v for k, v in given.items() if k != "module"})


class Order(Sampler[int]):
    """The samples of each epoch in the order of a run."""

    epoch = -1

    def __iter__(self) -> Iterator[int]:
        Order.epoch += 1
        return iter(numpy.random.default_rng([3, Order.epoch]).permutation(256).tolist())

    def __len__(self) -> int:
        return 256


def test_a_run_and_skorch_have_nearly_the_same_weights(tmp_path: Path) -> None:
    """The same texts with the same seed, data and order; the optimizers of a run are fused, so that bits may differ."""
    texts: dict[str, Any] = {
        "optimizer": "adamw(lr=0.01)", "param_groups": {"*.bias": "weight_decay=0"}, "scheduler": "cosine",
    }  # fmt: skip
    result = lossreg.run(
        loss="l1", **texts, model="mlp", epochs=2, seed=3, limit_train=256, limit_test=64, device="cpu", precision="32",
        checkpoint_every="none", out=tmp_path / "run", quiet=True,
    )  # fmt: skip
    split = lossreg.datasets.build("digits").train
    assert isinstance(split, tuple)
    torch.manual_seed(3)
    model = lossreg.models.build("mlp", in_features=split[0][0].numel(), out_features=10)
    Order.epoch = -1
    made = net(module=model, criterion="l1", **texts, batch_size=64, iterator_train__sampler=Order(), callbacks=[]).fit(
        split[0][:256].numpy(), split[1][:256].numpy()
    )
    for name, value in result.model.state_dict().items():
        torch.testing.assert_close(made.module_.state_dict()[name], value, atol=1e-6, rtol=0)


def test_schedules_count_epochs_or_steps() -> None:
    """Half a cosine over 2 epochs of 4 steps."""
    by_epoch = net(optimizer="sgd(lr=1.0)", scheduler="cosine").fit(INPUTS, CLASSES)
    assert by_epoch.rates == pytest.approx([1.0] * 4 + [0.5] * 4)
    by_step = net(optimizer="sgd(lr=1.0)", scheduler="one_cycle(max_lr=1.0)").fit(INPUTS, CLASSES)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(()))], lr=1.0, momentum=0.9)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=8)
    expected = []
    for _ in range(8):
        expected.append(cycle.get_last_lr()[0])
        optimizer.step()
        cycle.step() if len(expected) < 8 else None
    assert by_step.rates == pytest.approx(expected)


def test_a_schedule_that_follows_a_metric_is_given_it() -> None:
    """A loss that never gets better by its threshold lowers the rate; a name that there is not is told."""
    plateau = "reduce_lr_on_plateau(monitor='{}', patience=0, threshold=10.0, threshold_mode='abs')"
    made = net(optimizer="sgd(lr=0.1)", scheduler=plateau.format("train_loss"), max_epochs=3, batch_size=32)
    assert made.fit(INPUTS, CLASSES).rates == pytest.approx([0.1, 0.1, 0.01])
    with pytest.raises(lossreg.ConfigError, match=r"'train_los', which .*net has dur, train_loss\. Did you"):
        net(scheduler=plateau.format("train_los")).fit(INPUTS, CLASSES)


def test_going_on_has_the_schedule_of_all_epochs() -> None:
    """2 epochs and then 2 more: the third has the rate of the third of 4, not 0."""
    made = net(optimizer="sgd(lr=1.0)", scheduler="cosine", batch_size=32).fit(INPUTS, CLASSES)
    made = pickle.loads(pickle.dumps(made))  # noqa: S301  # it is our own
    made.partial_fit(INPUTS, CLASSES)
    expected = [1.0, 0.5, *(0.5 * (1 + math.cos(math.pi * epoch / 4)) for epoch in (2, 3))]
    assert made.rates == pytest.approx(expected)


def test_going_on_from_files_has_no_warning(tmp_path: Path) -> None:
    """The optimizer has stepped in another process, also before the second schedule of several begins."""
    texts: dict[str, Any] = {"optimizer": "sgd(lr=1.0)", "scheduler": "warmup(cosine, length=1)", "batch_size": 32}
    files = {f"f_{name}": str(tmp_path / name) for name in ("params", "optimizer", "history")}
    straight = net(**texts).fit(INPUTS, CLASSES)
    straight.save_params(**files)
    resumed = net(**texts).initialize()
    resumed.load_params(**files)
    for one in (straight, resumed):
        one.partial_fit(INPUTS, CLASSES)
    assert resumed.rates == straight.rates[2:]


def test_what_is_frozen_stays_as_it_is() -> None:
    """Its parameters, and the statistics of a normalisation that is frozen as a whole, also of a copy in a grid."""
    from sklearn.base import clone

    module = torch.nn.Sequential(torch.nn.BatchNorm1d(INPUTS.shape[1]), linear())
    made = clone(net(module=module, freeze="0.*", batch_size=32)).fit(INPUTS, CLASSES)
    norm, trained = made.module_
    assert norm.running_mean.eq(0).all()
    assert norm.weight.eq(1).all()
    assert trained.weight.ne(module[1].weight).any()
    assert [len(group["params"]) for group in made.optimizer_.param_groups] == [2]


def test_clones_and_new_texts() -> None:
    """A clone of sklearn's has the texts, and set_params changes them."""
    from sklearn.base import clone

    made = clone(net(criterion="dice", optimizer="adam", scheduler="cosine", param_groups={"*bias": "lr=1"}))
    assert (made.criterion, made.scheduler) == ("dice", "cosine")
    made.set_params(optimizer="sgd(lr=0.25)", scheduler=None).fit(INPUTS, CLASSES)
    assert [group["lr"] for group in made.optimizer_.param_groups] == [0.25, 1]


def test_probabilities_are_those_of_the_logits() -> None:
    """Whatever the loss takes, the module gives logits; l1 takes what it gives."""
    for criterion, changed in (("nll", True), ("dice", True), ("l1", False)):
        made = net(criterion=criterion).fit(INPUTS, CLASSES)
        logits = made.module_(torch.from_numpy(INPUTS)).detach()
        expected = logits.softmax(1) if changed else logits
        numpy.testing.assert_allclose(made.predict_proba(INPUTS), expected.numpy(), atol=1e-6)


def test_a_regressor() -> None:
    """Skorch gives lbfgs its closure, so that a linear function is found."""
    made = PartsRegressor(
        torch.nn.Linear(4, 1), optimizer="lbfgs(lr=1.0, line_search_fn='strong_wolfe')", max_epochs=8, batch_size=-1,
        train_split=None, verbose=0,
    )  # fmt: skip
    made.fit(INPUTS, INPUTS.sum(axis=1, keepdims=True))
    assert abs(made.predict(INPUTS) - INPUTS.sum(axis=1, keepdims=True)).max() < 0.05


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"lr": 0.5}, r"lr=0\.5 has no effect: write it into the text, optimizer='sgd\(lr=0\.5\)'"),
        ({"optimizer__momentum": 0.5}, r"optimizer__momentum has no effect.*'sgd\(momentum=0\.5\)'"),
        ({"criterion__smooth": 2}, "criterion__smooth has no effect"),
        ({"optimizer": "sdg"}, "no optimizer named 'sdg'. Did you mean 'sgd'"),
        ({"criterion": "dise"}, "no loss named 'dise'. Did you mean 'dice'"),
    ],
)
def test_what_has_no_effect_is_refused(settings: dict[str, Any], wanted: str) -> None:
    """There is an lr for every optimizer of skorch: one that is set is told where it belongs."""
    with pytest.raises(lossreg.LossregError, match=wanted):
        net(**settings).fit(INPUTS, CLASSES)


def test_the_example_runs() -> None:
    """A grid over texts finds one of them."""
    search = runpy.run_path(str(ROOT / "docs" / "examples" / "skorch_digits.py"))["main"](epochs=1, samples=64)
    assert search.best_params_["criterion"] in ("cross_entropy", "dice")
