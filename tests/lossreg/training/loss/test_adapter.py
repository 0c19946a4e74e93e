"""How output and target reach a loss."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import lossreg

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import Run


def test_a_loss_record_brings_its_contract(run: Run) -> None:
    """A loss given as a component is adapted to: an NLL loss gets log-probabilities, and equals cross-entropy."""
    nll = lossreg.Loss("nll", "torch.nn:NLLLoss", input="log_probabilities", target="index", averages="sample")
    ours = run(model="mlp", loss=nll, epochs=1, limit_train=128)
    peer = run(model="mlp", loss="cross_entropy", epochs=1, limit_train=128)
    # torch's cross-entropy is log_softmax and nll_loss, so at most roundings of 2**-24 tell them apart.
    assert ours.final["train_loss"] == pytest.approx(peer.final["train_loss"], rel=1e-5)
    assert json.loads((ours.directory / "run.json").read_text())["contract"]["input"] == "log_softmax"
