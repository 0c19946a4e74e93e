"""Runs as tasks of Ray, on a real cluster of two nodes."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import lossreg

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own

SPEED: dict[str, Any] = {"model": "mlp", "epochs": 2, "limit_train": 200, "limit_test": 50}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of one core each, on this machine."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.add_node(num_cpus=1)
    made.wait_for_nodes()
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture(scope="module")
def done(cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> lossreg.Comparison:
    """Two cells with two seeds, by the cluster."""
    return lossreg.compare(
        loss=["dice", "cross_entropy"],
        seeds=2,
        ray=cluster.address,
        out=tmp_path_factory.mktemp("ray") / "out",
        quiet=True,
        **SPEED,
    )


def test_the_directory_is_that_of_a_comparison(done: lossreg.Comparison) -> None:
    """Every run's directory is there, whole, with what Ray's nodes wrote."""
    assert done.is_whole
    for cell in done.cells:
        for run in cell.runs:
            files = {file.name for file in (done.directory / run.directory).iterdir()}
            assert files == {"run.json", "metrics.jsonl", "model.safetensors", "checkpoints"}
    assert not list(done.directory.glob(".*"))


def test_both_nodes_take_part(done: lossreg.Comparison) -> None:
    """Each node has one core, and each run asks for one: the runs are those of two processes or more."""
    records = [json.loads(file.read_text()) for file in done.directory.glob("*/run.json")]
    assert len(records) == 4
    assert len({record["process"]["pid"] for record in records}) >= 2
    assert os.getpid() not in {record["process"]["pid"] for record in records}


def test_the_weights_are_those_of_a_run_here(done: lossreg.Comparison, tmp_path: Path) -> None:
    """The same settings and seed give the same weights, bit for bit, with the same number of threads."""
    run = done["dice"].runs[1]
    threads = torch.get_num_threads()
    torch.set_num_threads(json.loads((done.directory / run.directory / "run.json").read_text())["threads"])
    try:
        alone = lossreg.run(loss="dice", seed=1, out=tmp_path / "alone", quiet=True, **SPEED)
    finally:
        torch.set_num_threads(threads)
    weights = load_file(done.directory / run.directory / "model.safetensors")
    assert all(torch.equal(value, alone.model.state_dict()[name]) for name, value in weights.items())


def test_what_is_done_is_not_done_again(done: lossreg.Comparison) -> None:
    """The directory goes on without Ray as well as with it."""
    before = {file: file.stat().st_mtime_ns for file in done.directory.glob("*/run.json")}
    again = lossreg.compare(loss=["dice", "cross_entropy"], seeds=2, out=done.directory, quiet=True, **SPEED)
    assert {file: file.stat().st_mtime_ns for file in done.directory.glob("*/run.json")} == before
    assert again.verdict == done.verdict


def test_a_run_whose_node_dies_is_done_again(cluster: Any, tmp_path: Path) -> None:
    """A node is taken away while it has a run: the run comes to its end on another."""
    extra = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    (raylet,) = extra.all_processes["raylet"]
    taken = []

    def take_away() -> None:
        for _ in range(600):
            children = Path(f"/proc/{raylet.process.pid}/task/{raylet.process.pid}/children").read_text().split()
            if any(b"ray::run_away" in Path(f"/proc/{child}/cmdline").read_bytes() for child in children):
                taken.append(extra)
                break
            time.sleep(0.1)
        cluster.remove_node(extra)

    thread = threading.Thread(target=take_away)
    thread.start()
    comparison = lossreg.compare(
        loss=["dice", "cross_entropy", "mse"], seeds=1, ray=cluster.address, out=tmp_path / "out", quiet=True, **SPEED
    )
    thread.join()
    assert taken
    assert comparison.is_whole, [run.reason for cell in comparison.cells for run in cell.runs]


@pytest.mark.parametrize("address", ["nowhere.invalid:6379", "127.0.0.1:1", "127.0.0.1:99999"])
def test_an_address_without_a_cluster_is_an_error(address: str, tmp_path: Path) -> None:
    """One message, and nothing is written."""
    with pytest.raises(lossreg.ConfigError, match="no cluster can be used"):
        lossreg.compare(loss="dice", seeds=1, ray=address, out=tmp_path / "out", quiet=True, **SPEED)
    assert not (tmp_path / "out").exists()
