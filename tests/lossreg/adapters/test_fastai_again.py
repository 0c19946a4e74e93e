"""A Learner of fastai that is given parts again, or sets rates in another way."""

from __future__ import annotations

import warnings
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
    from fastai.callback.tracker import ReduceLROnPlateau
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader

from lossreg.adapters.fastai import use_parts  # behind the check that fastai is there

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")

PARTS = lossreg.parts(loss="cross_entropy", task="classification", optimizer="sgd(lr=1.0)", scheduler="cosine")


def learn() -> Any:
    """A Learner of one batch."""
    data = TensorDataset(torch.ones(4, 2), torch.zeros(4, dtype=torch.long))
    loaders = DataLoaders(*(DataLoader(data, bs=4) for _ in range(2)))
    return learner.Learner(loaders, torch.nn.Linear(2, 3), loss_func=torch.nn.CrossEntropyLoss())


def fit(made: Any) -> float:
    """The rate of the second of 2 epochs."""
    with made.no_bar(), made.no_logging():
        made.fit(2)
    rate: float = made.opt.opt.param_groups[0]["lr"]
    return rate


def test_a_schedule_steps_once_after_parts_were_used_twice() -> None:
    """Those of now take the place of those before, as it is where a cell of a notebook is run again."""
    made = use_parts(use_parts(learn(), PARTS), PARTS)
    assert fit(made) == pytest.approx(0.5)
    assert fit(use_parts(made, lossreg.parts(loss="dice", optimizer="sgd(lr=0.25)"))) == 0.25


def test_a_callback_that_has_no_effect_is_refused() -> None:
    """It writes into copies of the groups of a torch optimizer."""
    made = use_parts(learn(), PARTS)
    made.add_cb(ReduceLROnPlateau())
    with pytest.raises(lossreg.ConfigError, match=r"ReduceLROnPlateau has no effect .*plateau"):
        fit(made)
