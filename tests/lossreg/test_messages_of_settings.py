"""Settings that are refused: the message has the option, and what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import lossreg
from lossreg.errors import ConfigError
from lossreg.run_spec import RunSpec
from lossreg.training.record.saved import read_saved
from tests.table import for_each


@for_each(
    ("settings", "said"),
    [
        ({"keep": 0}, "keep (--keep) is a whole number of at least 1 and at most 1000, not 0"),
        ({"seed": -1}, "seed (--seed) is a whole number"),
        ({"scheduler_interval": "day"}, "scheduler_interval (--sched-interval) is 'epoch' or 'step', not 'day'"),
        ({"checkpoint_every": "99999999999999999999s"}, "from 1 to 1,000,000,000, not '99999999999999999999s'"),
        ({"max_time": "1e-9"}, "a number of seconds without an exponent, from 0.001 to 1000000000 seconds, not '1e-9'"),
        ({"init_from": ""}, "init_from (--init-from) is empty; name a path, or leave it out"),
    ],
)
def test_a_wrong_value_is_named_with_its_option(settings: dict[str, Any], said: str) -> None:
    """By the name of the field and of the option, with the bounds."""
    with pytest.raises(ConfigError) as refused:
        RunSpec(**settings)
    assert said in str(refused.value)


@for_each(
    ("settings", "said"),
    [
        ({"checkpoint_every": None, "keep": 3}, "keep (--keep) has no effect: the run writes no checkpoints"),
        ({"weights": "swa(start=1)", "epochs": 1}, "starts in epoch 1, but the only epoch of the run is 0"),
        ({"freeze": "1.*", "unfreeze": "1.*@2", "epochs": 1}, "the run has 1 epoch, the last is 0"),
        (
            {"freeze": "1.*", "unfreeze": "1.*@1, 1.bias@2", "epochs": 3},
            "unfreeze: '1.bias@2' trains 1.bias from epoch 2 on, and another pattern from epoch 1 on",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(settings: dict[str, Any], said: str) -> None:
    """Before the run."""
    with pytest.raises(ConfigError) as refused:
        lossreg.plan(model="mlp", limit_train=64, **settings)
    assert said in str(refused.value)


def test_patterns_that_agree_may_overlap() -> None:
    """Two patterns with one epoch are no contradiction."""
    plan = lossreg.plan(model="mlp", limit_train=64, freeze="1.*", unfreeze="1.*@1, 1.bias@1", epochs=2)
    assert plan.facts["frozen"]["unfrozen"]["1"]["tensors"] == 2


@pytest.mark.parametrize("content", [b"import lossreg\n", b"{}", b""])
def test_what_holds_no_weights_is_told_in_plain_words(tmp_path: Path, content: bytes) -> None:
    """Not in those of torch's reader; a damaged file of torch has torch's reason."""
    place = tmp_path / "mine.py"
    place.write_bytes(content)
    with pytest.raises(ConfigError, match=r"it is no file of torch\.save, and is not named \.safetensors; name a run"):
        read_saved(place)
    torch.save({"weight": torch.ones(2)}, place)
    assert set(read_saved(place).state) == {"weight"}
    place.write_bytes(place.read_bytes()[:300])
    with pytest.raises(ConfigError, match="cannot be read as weights: RuntimeError"):
        read_saved(place)
