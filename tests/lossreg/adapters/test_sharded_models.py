"""Parts for models of `fully_shard`, in two processes on gloo: the training of one process, by the original names."""

from __future__ import annotations

import json
import math
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.checkpoint.state_dict_loader import load

from tests.table import for_each

pytest.importorskip("accelerate", reason="it takes seconds; it is run with the tests of other trainers")

ROOT = Path(__file__).parents[3]

#: In float64, of weights of at most 3 after 4 steps. Muon rounds sums to bfloat16, which its five iterations enlarge,
#: in 4 steps of 0.1 (seen is 0.012); of shards taken for whole matrices the weights would be off by 0.1.
ROUNDING = 1e-12
IN_BFLOAT16 = 0.03

ALIKE = ("sgd", "adamw", "groups", "several", "muon", "fused", "not fused", "object")


def environment() -> dict[str, str]:
    """One thread in each process, which finds lossreg and the tests."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "plugins")])
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}


@pytest.fixture(scope="module")
def both(warm_python: str, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of the two processes has found."""
    folder = tmp_path_factory.mktemp("sharded")
    result = subprocess.run(
        [warm_python, str(Path(__file__).with_name("sharded.py")), str(folder)],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return [json.loads((folder / f"{rank}.json").read_text(encoding="utf-8")) for rank in range(2)]


@pytest.fixture(scope="module")
def found(both: list[dict[str, Any]]) -> dict[str, Any]:
    """What the first process has found."""
    return both[0]


@for_each("name", ALIKE)
def test_a_sharded_model_is_trained_as_a_whole_one(both: list[dict[str, Any]], name: str) -> None:
    """Weights are those of a loop of torch alone in one process, with groups, several optimizers and objects.

    What steps on shards only if it is not fused (torch's SGD) is not, whatever is asked for.
    """
    bound = IN_BFLOAT16 if name == "muon" else ROUNDING
    assert [one[f"alike {name}"] <= bound for one in both] == [True, True], both[0][f"alike {name}"]


def test_rates_are_those_of_the_schedule(both: list[dict[str, Any]]) -> None:
    """Half a cosine over 4 steps, in both processes."""
    cosine = [0.5 * (1 + math.cos(math.pi * step / 4)) for step in range(4)]
    assert [one["rates_of_a_schedule"] for one in both] == [pytest.approx(cosine)] * 2


@for_each("name, groups", [
    ("groups", [["0.weight", "2.weight"], ["0.bias", "2.bias"]]),
    ("several", [["0.weight", "2.weight"], ["0.bias", "2.bias"]]),
])  # fmt: skip
def test_states_go_by_the_names_of_the_model(found: dict[str, Any], name: str, groups: list[list[str]]) -> None:
    """torch.distributed.checkpoint finds each parameter by its name, also those of several optimizers.

    What is loaded goes on to the same bits.
    """
    state = found[f"states {name}"]
    assert state["groups"] == groups
    assert state["names"] == ["0.bias", "0.weight", "2.bias", "2.weight"]
    assert state["goes on"]


@for_each("name, wanted", [
    ("flat", "optimizer flat cannot step on parameters of which each process has a shard (DTensor): "),
    ("class", "Flat cannot step on parameters of which each process has a shard (DTensor): "),
    ("byshard", "optimizer byshard takes the shard that a process has of a parameter (DTensor) for the whole of it"),
])  # fmt: skip
def test_an_optimizer_that_does_not_go_on_shards_is_refused(both: list[dict[str, Any]], name: str, wanted: str) -> None:
    """It is named, before the first step, in each process."""
    assert [wanted in one["refusals"][name] for one in both] == [True, True], found_by(both, name)
    assert "name one that goes element by element, such as adamw" in both[0]["refusals"][name]


def found_by(both: list[dict[str, Any]], name: str) -> list[str]:
    """What the processes have said."""
    return [one["refusals"][name] for one in both]


def test_a_model_of_which_a_part_is_sharded(both: list[dict[str, Any]]) -> None:
    """An optimizer goes on both, unless it steps on all at once; then the error says how it need not."""
    assert found_by(both, "partly") == ["", ""]
    assert "some are sharded and some are not: write foreach=False in its text" in found_by(both, "partly at once")[0]


def test_what_fails_on_whole_parameters_is_not_laid_on_shards(both: list[dict[str, Any]]) -> None:
    """An optimizer for sparse gradients alone has the errors that it has without shards; lbfgs goes on them."""
    assert found_by(both, "sparse") == found_by(both, "lbfgs") == ["", ""]


def test_what_goes_by_shapes_is_refused_where_there_are_none(found: dict[str, Any]) -> None:
    """FullyShardedDataParallel has one dimension for all: names may be used, and shapes may not."""
    said = found["flattened"]
    assert said["names"] == ""
    for name, what in (("no_decay", "'no_decay'"), ("ndim", "'0.* & ndim>=2'"), ("muon", "the optimizer muon")):
        assert f"{what} goes by the shapes of parameters" in said[name]
        assert "use torch.distributed.fsdp.fully_shard" in said[name]
    assert "FullyShardedDataParallel has cut them): call parts.check before" in said["check"]


def test_an_optimizer_that_draws_numbers_is_not_taken_for_a_wrong_one(both: list[dict[str, Any]]) -> None:
    """Its steps differ from process to process, and from trial to trial."""
    assert found_by(both, "noisy") == ["", ""]


def test_a_check_comes_before_sharding(both: list[dict[str, Any]]) -> None:
    """A sharded model cannot be copied; the message says what to do, in each process alike."""
    for one in both:
        assert one["checks"]["before"] == ""
        for name in ("after", "evaluated"):
            assert "there can be none of FSDPSequential" in one["checks"][name]
            assert "call parts.check before fully_shard" in one["checks"][name]


def test_trials_wait_for_no_other_process(both: list[dict[str, Any]]) -> None:
    """One process alone can build optimizers that go element by element, from names, classes and objects."""
    assert [one["alone"] for one in both] == [[4, 4, 4], []]


def test_what_is_frozen_after_sharding_stays(found: dict[str, Any]) -> None:
    """The first layer keeps its weights, and the last moves."""
    assert found["frozen"] == {"0.weight": True, "0.bias": True, "2.weight": False, "2.bias": False}


def test_the_optimizer_has_the_shards_after_an_evaluation(found: dict[str, Any]) -> None:
    """A forward pass leaves whole parameters in a model, which training would not use."""
    assert found["after_evaluation"] is True


def test_shards_may_be_replicated(found: dict[str, Any]) -> None:
    """On a mesh of two dimensions weights are those of one process, too."""
    assert found["on_a_mesh_of_two_dimensions"] <= ROUNDING


@for_each("wrappers", ["compile(ddp)", "ddp(compile)", "compile(fsdp)", "ddp(checkpoint)"])
def test_wrapped_models_keep_their_names(found: dict[str, Any], wrappers: str) -> None:
    """A pattern is one over the names of the model itself, in whatever order it is wrapped."""
    assert found["wrapped"][wrappers] == [["0.weight", "0.bias", "2.bias"], ["2.weight"]]


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled:UserWarning")  # that is why it is read here
def test_the_example_runs(warm_python: str, tmp_path: Path) -> None:
    """Two processes of torchrun train with it; their checkpoint has 8 steps, by the names of the model.

    Rates are those of half a cosine in the second of 2 epochs; that of one weight is twice the others'.
    """
    script, folder = ROOT / "docs" / "examples" / "fsdp_digits.py", tmp_path / "checkpoint"
    result = subprocess.run(
        [warm_python, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script), str(folder)],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    names = ("0.1.weight", "0.1.bias", "1.weight", "1.bias")
    steps = {f"optimizer.state.{name}.step": torch.zeros(()) for name in names}
    rates = {f"optimizer.param_groups.{group}.lr": 0.0 for group in range(3)}
    kept: dict[str, Any] = {**steps, **rates}
    load(kept, checkpoint_id=folder, no_dist=True)
    assert [kept[name].item() for name in steps] == [8] * 4
    assert [kept[name] for name in rates] == pytest.approx([0.005, 0.005, 0.01])
