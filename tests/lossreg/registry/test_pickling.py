"""Registries and specs in other processes."""

from __future__ import annotations

import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import pytest

import lossreg


def test_registries_and_specs_survive_pickling() -> None:
    """A registry that is pickled builds the same components, its own registrations among them."""
    registries = lossreg.load_registries(allow=[])
    registries.losses.register("text", "torch.nn:L1Loss", target="dense")
    copy = pickle.loads(pickle.dumps(registries.losses))  # noqa: S301  # our own bytes
    assert list(copy) == list(registries.losses)
    assert pickle.loads(pickle.dumps(lossreg.losses)) is lossreg.losses  # noqa: S301  # our own bytes
    spec = pickle.loads(pickle.dumps(lossreg.ComponentSpec.parse("dice(smooth=2.0)")))  # noqa: S301  # our own bytes
    assert copy.build(spec).smooth == 2.0


@pytest.mark.usefixtures("warm_workers")
def test_a_spawned_process_builds_the_same() -> None:
    """A spawned process that gets a registry and a spec builds what this one builds."""
    spec = lossreg.ComponentSpec.parse("dice(smooth=2.0)")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        built = pool.submit(lossreg.losses.build, spec).result()
    assert repr(built) == repr(lossreg.losses.build(spec)) == "DiceLoss(smooth=2.0, reduction='mean')"
