"""Texts that are set in a net of skorch that has been trained: the next training obeys them."""

from __future__ import annotations

import copy
import functools
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch import nn

import lossreg
from tests.table import for_each

skorch: Any = pytest.importorskip("skorch", reason="skorch is not installed (pip install 'lossreg[hosts]')")

from lossreg.adapters.skorch import PartsRegressor  # noqa: E402  # behind the check that skorch is there

X = numpy.random.default_rng(0).normal(size=(8, 2)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


class At(skorch.callbacks.Callback):  # type: ignore[misc]  # skorch may be missing where types are checked
    """Notes the rate of each step, and calls a function at one event of an epoch."""

    def __init__(self, event: str = "", epoch: int = 0, then: Callable[[Any], object] | None = None) -> None:
        self.event = event
        self.epoch = epoch
        self.then = then

    def on_batch_begin(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        """Before each step."""
        net.rates = [*getattr(net, "rates", []), net.optimizer_.param_groups[0]["lr"]]

    def _call(self, event: str, net: Any) -> None:
        if (event, len(net.history)) == (self.event, self.epoch) and self.then is not None:
            self.then(net)

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Of an epoch that counts already."""
        self._call("begin", net)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Of an epoch."""
        self._call("end", net)


SGD = functools.partial(torch.optim.SGD, momentum=0.9)  # as lossreg's sgd


def net(*callbacks: Any, **settings: Any) -> Any:
    """Two layers, with one step an epoch."""
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    given = {"optimizer": "sgd(lr=0.5)", "max_epochs": 2, "train_split": None, "verbose": 0, **settings}
    return PartsRegressor(module, callbacks=[At(), *callbacks], **given)


def weights(made: Any) -> list[torch.Tensor]:
    """Copies of those of the module."""
    return [one.detach().clone() for one in made.module_.parameters()]


def stepped(module: nn.Module, optimizer: torch.optim.Optimizer, loss: Any) -> list[torch.Tensor]:
    """The weights after two steps in torch."""
    for _ in range(2):
        optimizer.zero_grad()
        loss(module(torch.from_numpy(X)), torch.from_numpy(Y)).backward()
        optimizer.step()
    return [*module.parameters()]


def grouped(module: Any) -> torch.optim.Optimizer:
    """SGD with another rate for biases."""
    groups: list[dict[str, Any]] = [
        {"params": [layer.weight for layer in module]},
        {"params": [layer.bias for layer in module], "lr": 0.25},
    ]
    return SGD(groups, lr=0.5)


@for_each(
    ("texts", "optimizer", "loss"),
    [
        ({"optimizer": "adamw(lr=0.1)"}, lambda one: torch.optim.AdamW(one.parameters(), lr=0.1), nn.MSELoss()),
        ({"param_groups": {"*.bias": "lr=0.25"}}, grouped, nn.MSELoss()),
        ({"freeze": "0.*"}, lambda one: SGD(one[1].parameters(), lr=0.5), nn.MSELoss()),
        ({"criterion": "l1"}, lambda one: SGD(one.parameters(), lr=0.5), nn.L1Loss()),
        (
            {"criterion": "l1", "optimizer": "sgd(lr=0.125)"},
            lambda one: SGD(one.parameters(), lr=0.125),
            nn.L1Loss(),
        ),
    ],
)
def test_partial_fit_trains_with_texts_that_were_set(texts: dict[str, Any], optimizer: Any, loss: Any) -> None:
    """From the weights that there are, as torch does with the new optimizer."""
    made = net().fit(X, Y)
    module = copy.deepcopy(made.module_)
    assert made.set_params(**texts) is made
    assert all(map(torch.equal, weights(made), module.parameters()))
    made.partial_fit(X, Y)
    expected = stepped(module, optimizer(module), loss)
    assert all(map(torch.equal, weights(made), expected))


def test_a_schedule_that_was_set_is_that_of_all_epochs() -> None:
    """The third and the fourth of four: half a cosine, behind two with a constant rate."""
    made = net().fit(X, Y).set_params(scheduler="cosine").partial_fit(X, Y)
    cosine = [0.25 * (1 + math.cos(math.pi * epoch / 4)) for epoch in (2, 3)]
    assert made.rates == pytest.approx([0.5, 0.5, *cosine])
    made.set_params(scheduler=None).partial_fit(X, Y)
    assert made.rates[4:] == [0.5, 0.5]


def test_what_is_built_anew_is_printed_as_skorch_does(capsys: pytest.CaptureFixture[str]) -> None:
    """Each part once, with the texts; nothing is built for other arguments, nor in a net that is not initialised."""
    made = net(verbose=1).set_params(optimizer="sgd").initialize()
    made.set_params(max_epochs=3)
    assert capsys.readouterr().out == ""
    made.set_params(optimizer="adam", scheduler="cosine", batch_size=4)
    expected = "Re-initializing optimizer because the following parameters were re-set: optimizer, scheduler.\n"
    assert (capsys.readouterr().out, made.batch_size) == (expected, 4)
    made.set_params(criterion="l1", optimizer="sgd")
    criterion = "Re-initializing criterion because the following parameters were re-set: criterion.\n"
    assert capsys.readouterr().out == f"{criterion}Re-initializing optimizer.\n"


def test_another_text_trains_what_was_frozen() -> None:
    """Also with `fit`, where the module is given and stays; what its owner has frozen stays frozen."""
    made = net(freeze="0.*").fit(X, Y)
    made.module_[1].bias.requires_grad_(False)
    for freeze, go_on in (("0.weight", made.partial_fit), (None, made.partial_fit), ("1.weight", made.fit)):
        made.set_params(freeze=freeze)
        before = weights(made)
        go_on(X, Y)
        names = ["0.weight", "0.bias", "1.weight", "1.bias"]
        kept = [name for name, old, now in zip(names, before, weights(made), strict=True) if torch.equal(old, now)]
        assert kept == [name for name in names if name in (freeze, "1.bias")]


@for_each(
    ("given", "wanted"),
    [
        ({"optimizer": "sdg"}, "no optimizer named 'sdg'"),
        ({"scheduler": "one_cycle(max_lr=1.0)", "freeze": "2.*"}, r"'2\.\*'"),
        ({"freeze": "*"}, "nothing is left to train"),
        ({"criterion": "dise"}, "no loss named 'dise'"),
        ({"criterion": "l1", "optimizer": "sgd(lr=-1)"}, "lr"),
        ({"scheduler": nn.Linear(1, 1)}, "scheduler is text"),
        ({"max_epochs": 5, "lr": 0.25}, r"lr=0\.25 has no effect.*optimizer='sgd\(\.\.\., lr=0\.25\)'"),
        ({"optimizer": "adam", "optimizer__eps": 1}, r"optimizer__eps has no effect.*optimizer='adam\(eps=1\)'"),
        ({"criterion__beta": 2}, "criterion__beta has no effect"),
        ({"freeze__x": 2}, "no argument 'freeze__x'. Did you mean 'freeze'"),
        ({"schedulr": "cosine"}, "no argument 'schedulr'. Did you mean 'scheduler'"),
    ],
)
def test_what_is_refused_leaves_the_net_as_it_was(given: dict[str, Any], wanted: str) -> None:
    """It is refused at once, and trains on as if it had never been set."""
    made = net(freeze="0.*", scheduler="cosine").fit(X, Y)
    other = pickle.loads(pickle.dumps(made))  # noqa: S301  # it is our own
    with pytest.raises(lossreg.LossregError, match=wanted):
        made.set_params(**given)
    assert [one.requires_grad for one in made.module_.parameters()] == [False, False, True, True]
    for one in (made, other):
        one.partial_fit(X, Y).set_params(criterion="mse")
    assert all(map(torch.equal, weights(made), weights(other)))
    assert made.rates == other.rates


@for_each("event", ["begin", "end"])
def test_a_callback_sets_texts_between_epochs(event: str) -> None:
    """The schedule stays that of the whole training; within an epoch there is none to begin."""
    callback = At(event, 2, lambda made: made.set_params(optimizer="sgd(lr=0.25)", freeze="0.*"))
    made = net(callback, scheduler="cosine", max_epochs=4)
    if event == "begin":
        with pytest.raises(lossreg.ConfigError, match=r"its schedule begins with one: call set_params in on_epoch_end"):
            made.fit(X, Y)
        made.set_params(freeze="0.*")  # the training is over
        return
    made.fit(X, Y)
    rates = [0.5, 0.5, 0.25, 0.25]
    expected = [rate / 2 * (1 + math.cos(math.pi * epoch / 4)) for epoch, rate in enumerate(rates)]
    assert made.rates[::2] == pytest.approx(expected)
    assert [len(group["params"]) for group in made.optimizer_.param_groups] == [2]


def test_a_loop_of_so_many_epochs_has_a_schedule_of_them() -> None:
    """Of `fit_loop(epochs=...)`, whatever `max_epochs` is."""
    made = net(scheduler="cosine").initialize().fit_loop(X, Y, epochs=4)
    assert made.rates == pytest.approx([0.25 * (1 + math.cos(math.pi * epoch / 4)) for epoch in range(4)])


def test_texts_that_were_set_are_saved_copied_and_checked(tmp_path: Path) -> None:
    """The state of the optimizer is that of the new text, and a clone has the texts."""
    from sklearn.base import clone

    made = net().fit(X, Y).set_params(optimizer="adam(lr=0.1)", scheduler="cosine").partial_fit(X, Y)
    file = str(tmp_path / "optimizer.pt")
    made.save_params(f_optimizer=file)
    with pytest.raises(lossreg.StateError, match=r"optimizer builtin\.adam\(lr=0\.1\), and this one is builtin\.sgd"):
        net(scheduler="cosine").initialize().load_params(f_optimizer=file)
    copied = clone(made)
    assert (copied.optimizer, copied.scheduler) == ("adam(lr=0.1)", "cosine")
    copied.initialize().load_params(f_optimizer=file)
    loaded = pickle.loads(pickle.dumps(made))  # noqa: S301  # it is our own
    for one in (made, loaded):
        one.partial_fit(X, Y)
    assert all(map(torch.equal, weights(made), weights(loaded)))
