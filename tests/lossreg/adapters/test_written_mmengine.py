"""Configs that are read and written again: MMEngine makes of both the same options and rates of each parameter."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("mmengine", reason="mmengine is not installed (pip install 'lossreg[hosts]')")

from lossreg.conversion.formats import read_settings
from lossreg.conversion.mmengine import write
from lossreg.run_spec import RunSpec
from tests.lossreg.adapters.test_convert_mmengine import (
    DETECTION,
    RTM,
    SCHEDULES,
    SEGMENTATION,
    SWIN,
    Net,
    loaded,
    mmengine_rates,
    registries,
)
from tests.table import for_each

pytestmark = pytest.mark.filterwarnings("ignore")  # of MMEngine, with the torch that is installed

ALONE = [
    "optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))\ntrain_cfg = dict(max_epochs=12)\n"
    f"param_scheduler = {schedule}\n"
    for schedule in SCHEDULES
    if "OneCycleLR" not in schedule or "convert_to_iter_based" not in schedule  # which counts steps of a known number
]


@for_each("text", [SWIN, DETECTION, SEGMENTATION, RTM, *ALONE], ids=lambda text: text.strip()[-60:])
def test_what_is_read_and_written_is_the_same_to_mmengine(text: str, tmp_path: Path) -> None:
    """As it is published, and with schedules that are an expression in lossreg."""
    settings = read_settings(text, "config.py", "mmengine", registries()).settings
    written, notes = write(RunSpec.from_mapping(settings, "config.py"), registries())
    assert not [one for one in notes if "scheduler" in one or "param_groups" in one], notes
    before, first = mmengine_rates(loaded(text, tmp_path), Net())
    after, second = mmengine_rates(loaded(written, tmp_path), Net())
    for name, options in before.items():
        for key in options.keys() & {"lr", "weight_decay", "momentum", "betas"}:
            assert after[name][key] == pytest.approx(options[key], rel=1e-12), (name, key)
    for one, other in zip(first, second, strict=True):
        assert other == pytest.approx(one, rel=1e-9, abs=1e-14)
