"""Arguments of nets of skorch that there are not, or that stand in the wrong place: the message says what to write."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
import torch

import lossreg
from tests.table import for_each

pytest.importorskip("skorch", reason="skorch is not installed (pip install 'lossreg[hosts]')")

from lossreg.adapters.skorch import PartsRegressor  # behind the check that skorch is there

X, Y = numpy.ones((4, 1), "float32"), numpy.ones((4, 1), "float32")

MISSING = [
    ("schedulr", r"Did you mean 'scheduler'\?$"),
    ("lr_scheduler", r"Did you mean 'scheduler'\?$"),
    ("param_group", r"Did you mean 'param_groups'\?$"),
    ("loss", r"Did you mean 'criterion'\?$"),
    ("epochs", r"Did you mean 'max_epochs'\?$"),
    ("max_epoch", r"Did you mean 'max_epochs'\?$"),
    ("optimizers", r"Did you mean 'optimizer'\?$"),
    ("unfreeze", r"To train more than before, call net\.set_params\(freeze=\.\.\.\) between t"),
    (
        "clip_grad_norm",
        r"Its texts are criterion, optimizer, scheduler, param_groups, freeze; what else it takes is of s",
    ),
    ("momentum", r'momentum is a parameter of the optimizer sgd: write optimizer="sgd\(momentum=\.\.\.\)"'),
    ("optimizer_lr", r'lr is a parameter of the optimizer sgd: write optimizer="sgd\(lr=\.\.\.\)"'),
    ("eta_min", r'eta_min is a parameter of the scheduler cosine: write scheduler="cosine\(eta_min=\.\.\.\)"'),
]


def net(**settings: Any) -> Any:
    """A net of one number."""
    return PartsRegressor(
        torch.nn.Linear(1, 1), **{"train_split": None, "verbose": 0, "scheduler": "cosine", **settings}
    )


@for_each(("name", "wanted"), MISSING)
def test_what_there_is_not_is_refused_with_what_was_meant(name: str, wanted: str) -> None:
    """When the net is built, which is when skorch looks; `set_params` looks at once, also before."""
    wanted = f"^PartsRegressor has no argument '{name}'\\. {wanted}"
    with pytest.raises(lossreg.ConfigError, match=wanted):
        net(**{name: 1}).fit(X, Y)
    for made in (net(), net().initialize()):
        with pytest.raises(lossreg.ConfigError, match=wanted):
            made.set_params(**{name: 1})


@for_each(
    ("given", "wanted"),
    [
        ({"scheduler__T_max": 5}, r"scheduler__T_max has no effect: .*, scheduler='cosine\(T_max=5\)'$"),
        ({"optimizer__param_groups": [("bias", {"lr": 1})]}, r"write param_groups=\{'PATTERN': 'OPTION=VALUE'\}$"),
    ],
)
def test_what_belongs_into_a_text_is_told_so(given: dict[str, Any], wanted: str) -> None:
    """Where it is given, and where it is set."""
    with pytest.raises(lossreg.ConfigError, match=wanted):
        net(**given).fit(X, Y)
    with pytest.raises(lossreg.ConfigError, match=wanted):
        net().set_params(**given)


def test_what_skorch_knows_or_says_better_is_its_own() -> None:
    """An underscore that is missing, and the arguments of a module that a subclass adds."""
    with pytest.raises(ValueError, match=r"iterator_train_shuffle, did you mean iterator_train__shuffle"):
        net(iterator_train_shuffle=True).fit(X, Y)

    class Two(PartsRegressor):
        """A net with a second module."""

        def initialize_module(self) -> Any:
            super().initialize_module()
            self.extra_ = torch.nn.Linear(**self.get_params_for("extra"))
            return self

    made = Two(torch.nn.Linear(1, 1), extra__in_features=1, extra__out_features=2, verbose=0).initialize()
    assert made.set_params(extra__out_features=3).extra_.out_features == 3
