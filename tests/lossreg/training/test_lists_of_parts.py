"""A list where one part belongs is told in one line, with what to write."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import lossreg
from tests.table import for_each

WEIGHT = nn.Parameter(torch.zeros(2))


@for_each(
    ("field", "given", "said"),
    [
        (
            "optimizer",
            [torch.optim.SGD([WEIGHT], lr=0.1), torch.optim.Adam([WEIGHT])],
            "optimizer is a list; several optimizers are named by optimizer= and param_groups=, such as "
            "optimizer='adam', param_groups={'ndim>=2': 'sgd(lr=0.02)'}",
        ),
        ("optimizer", ("sgd", "adam"), "optimizer is a tuple; several optimizers are named by optimizer= and"),
        ("scheduler", ["linear", "cosine"], "scheduler is a list; several schedulers are one spec, such as 'sequenti"),
        ("loss", [nn.MSELoss(), nn.L1Loss()], "loss is a list; give one, such as a function that adds the others up"),
        ("model", [nn.Flatten(), nn.Linear(4, 2)], "model is a list; give one, such as torch.nn.Sequential(*layers)"),
        ("data", [1, 2], "data is a list; give one lossreg.Data"),
    ],
)
def test_a_list_is_not_a_part(field: str, given: Any, said: str) -> None:
    """The message is one line, whatever is in the list."""
    with pytest.raises(lossreg.ConfigError) as caught:
        lossreg.plan(**{field: given})
    assert caught.value.message.startswith(said)
    assert "\n" not in caught.value.message
