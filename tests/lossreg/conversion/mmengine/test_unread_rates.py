"""Configs of MMEngine whose learning rate is no literal: what lossreg has in its place is said."""

from __future__ import annotations

import pytest

import lossreg
from lossreg.conversion.mmengine import read
from tests.table import for_each

CONFIG = """
import os
optim_wrapper = dict(optimizer=dict(type='SGD', lr={lr}))
param_scheduler = [dict(type='LinearLR', start_factor=0.1, end=5), dict(type='{kind}', begin=4, {least})]
train_cfg = dict(max_epochs=20)
"""
READ, UNREAD = "0.01", "float(os.environ['LR'])"


@pytest.fixture(scope="module")
def registries() -> lossreg.Registries:
    """Those of lossreg alone."""
    return lossreg.load_registries(allow=[], bridges=False)


@for_each(("lr", "kind", "least", "differs"), [
    (UNREAD, "PolyLR", "eta_min=1e-4", True),
    (UNREAD, "PolyLR", "eta_min_ratio=0.1", False),  # a part of any rate
    (UNREAD, "PolyLR", "", False),
    (UNREAD, "CosineAnnealingLR", "eta_min=1e-4, T_max=16", False),  # by its name, which takes a rate
    (READ, "PolyLR", "eta_min=1e-4", False),
])  # fmt: skip
def test_a_least_rate_by_a_rate_that_is_not_read(
    lr: str, kind: str, least: str, differs: bool, registries: lossreg.Registries
) -> None:
    """Where an expression has it as a part of torch's default, 0.001, a warning has the numbers."""
    found = read(CONFIG.format(lr=lr, kind=kind, least=least), "config.py", registries)
    assert "scheduler" in found.settings
    said = [
        one for one in found.left_out if "eta_min=0.0001 is 0.1 of 0.001, which the optimizer has by default" in one
    ]
    assert bool(said) == differs, found.left_out


def test_the_default_that_an_optimizer_has_is_said(registries: lossreg.Registries) -> None:
    """Beside the warning that its lr is not read."""
    found = read(CONFIG.format(lr=UNREAD, kind="PolyLR", least=""), "config.py", registries)
    assert "optim_wrapper.optimizer.lr: it has the default of the class, 0.001, since it is not read" in found.notes


def test_a_part_of_a_rate_stays_a_part(registries: lossreg.Registries) -> None:
    """Not a number of the default: the optimizer's own rate is not known."""
    config = CONFIG.format(lr=UNREAD, kind="CosineAnnealingLR", least="eta_min_ratio=0.01")
    found = read(config, "config.py", registries)
    assert "0.505 + 0.495*cos(" in found.settings["scheduler"]
