"""`torch.compile`: the same training, by compiled code."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import lossreg
from lossreg import RunResult
from lossreg.training.hardware.compile import CompiledObjective, check_compiler

Run = Callable[..., RunResult]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # within torch


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """What one test compiled is not another's."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.fixture(params=["eager", pytest.param("inductor", marks=pytest.mark.heavy)])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch.compile makes of a graph: calls of torch, or C++, as for users.

    That is skipped with ATEN_CPU_CAPABILITY=default, where torch 2.14 itself writes C++ that does not compile.
    """
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=request.param))
    if os.environ.get("ATEN_CPU_CAPABILITY") != "default":
        return
    try:
        check_compiler(torch.device("cpu"))
    except lossreg.ConfigError as error:
        pytest.skip(str(error))


@pytest.mark.usefixtures("backend")
def test_compiled_and_eager_runs_agree(run: Run, weights: Callable[[nn.Module], Tensor]) -> None:
    """The rates are the same numbers in each step, and the weights the same to rounding, ragged batch included."""
    usual = {
        "model": "mlp", "scheduler": "lambda_lr(lr_lambda='1 / (1 + step)')", "scheduler_interval": "step", "epochs": 2,
        "limit_train": 200, "limit_test": 50, "log_every": 1, "optimizer": "sgd(lr=0.5)",
    }  # fmt: skip
    eager, compiled = run(**usual), run(compile=True, **usual)
    torch.testing.assert_close(weights(compiled.model), weights(eager.model), atol=1e-5, rtol=1e-4)
    rows = [
        [json.loads(line) for line in (result.directory / "metrics.jsonl").read_text().splitlines()]
        for result in (eager, compiled)
    ]
    rates = [[row["lr"] for row in of_run if row["kind"] == "step"] for of_run in rows]
    assert rates[0] == rates[1] == pytest.approx([0.5 / (1 + step) for step in range(8)])
    still = run(**{**usual, "scheduler": None, "scheduler_interval": None})
    assert not torch.allclose(weights(still.model), weights(eager.model), atol=1e-3)  # the schedule did something


def test_only_batches_of_the_usual_size_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last batch of an epoch is computed as it is, instead of a second compilation."""
    called: list[int] = []

    def compiled(module: nn.Module, **_: object) -> Callable[..., Tensor]:
        def call(*batch: Tensor) -> Tensor:
            called.append(len(batch[0]))
            result: Tensor = module(*batch)
            return result

        return call

    monkeypatch.setattr(torch, "compile", compiled)
    compute = CompiledObjective(nn.PairwiseDistance(), 4, torch.device("cpu"))
    for size in (4, 3, 4):
        compute(torch.zeros(size, 2), torch.zeros(size, 2))
    assert called == [4, 4]


def test_what_cannot_be_compiled_is_said_before_the_run(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """If torch.compile fails, `compile` is an error that says why and what is needed, and nothing is left."""

    def fail(*_: object) -> None:
        raise RuntimeError("no compiler is here")

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=fail))
    with pytest.raises(lossreg.ConfigError, match=r"no compiler is here.*needs a C\+\+ compiler"):
        run(compile=True, epochs=1, limit_train=64, out="left")
    assert not Path("left").exists()


@pytest.mark.heavy
def test_a_machine_without_a_compiler_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same of torch's own compiler of C++."""
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", (None, "no-such-compiler"))
    with (
        torch._inductor.utils.fresh_inductor_cache(),
        pytest.raises(lossreg.ConfigError, match="needs a C\\+\\+ compiler"),
    ):
        run(compile=True, epochs=1, limit_train=64)
