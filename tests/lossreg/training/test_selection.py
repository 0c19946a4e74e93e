"""Objects as parts of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

import lossreg

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import Run


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"scheduler": torch.optim.lr_scheduler.ReduceLROnPlateau}, "its step() needs metrics"),
        ({"optimizer": 5}, "optimizer=5 is neither a torch.optim.Optimizer nor makes one; write a name, such as"),
        ({"scheduler": 5}, "scheduler=5 has no step(), and makes nothing that has; write a name, such as 'cosine', or"),
        ({"loss": nn.CrossEntropyLoss}, "is a class; give an instance"),
        ({"loss": 3}, "loss=3 cannot be called; write a name, such as 'dice', or give a function or module"),
        ({"observers": [object()]}, "no method named like a run hook"),
    ],
)
def test_an_object_that_cannot_serve_is_refused(
    run_table: Run, tmp_path: Path, arguments: dict[str, Any], said: str
) -> None:
    """An object of a wrong type, or one that needs what only a component can ask for, is an error before the run."""
    with pytest.raises(lossreg.ConfigError) as caught:
        run_table(**arguments)
    assert said in str(caught.value)
    assert not (tmp_path / "out").exists()
