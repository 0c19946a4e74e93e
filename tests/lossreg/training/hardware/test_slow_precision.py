"""A request for 16 bits where they are slow is obeyed, with a warning."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import lossreg


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A CPU that has 16 bits in hardware, or not."""
    names = ("_is_amx_tile_supported", "_is_avx512_bf16_supported", "_is_amx_fp16_supported")
    for name in names:
        monkeypatch.setattr(torch.cpu, name, lambda: request.param, raising=False)


def warnings_of(**arguments: Any) -> list[str]:
    """The warnings of a plan on the CPU."""
    return lossreg.plan(data="diabetes", device="cpu", **arguments).warnings


@pytest.mark.parametrize(("precision", "kind"), [("bf16", "bfloat16"), ("16", "float16")])
@pytest.mark.parametrize("cpu", [False], indirect=True)
def test_a_slow_request_warns(cpu: None, precision: str, kind: str) -> None:
    """16 bits on a CPU without them in hardware: about ten times as slow, which a warning says."""
    (warning,) = warnings_of(precision=precision)
    assert f"precision (--precision) {precision}: this CPU has no fast {kind}" in warning


@pytest.mark.parametrize("precision", ["bf16", "16"])
@pytest.mark.parametrize("cpu", [True], indirect=True)
def test_a_fast_request_does_not(cpu: None, precision: str) -> None:
    """16 bits on a CPU that has them are no reason to warn."""
    assert warnings_of(precision=precision) == []


@pytest.mark.parametrize("precision", ["auto", "32"])
@pytest.mark.parametrize("cpu", [False], indirect=True)
def test_float32_never_warns(cpu: None, precision: str) -> None:
    """Nothing is warned of where nothing slow was asked for."""
    assert warnings_of(precision=precision) == []
