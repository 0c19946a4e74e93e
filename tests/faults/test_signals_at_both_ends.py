"""Processes that train together are sent a signal before all of them are there, and after the last epoch."""

from __future__ import annotations

import json
import signal
import socket
from datetime import timedelta
from pathlib import Path

from torch._C._distributed_c10d import TCPStore

from tests.faults.child import Breaking
from tests.faults.runs import KINDS, SMALL, Child, ends, started, until


def test_a_signal_ends_a_process_that_waits_and_its_partner_notices(scratch: Path, warm_python: str) -> None:
    """Of three processes the last is not there: the second ends by SIGTERM with 143, and the first says who is gone."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    meeting = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port), "WORLD_SIZE": "3", "LOCAL_WORLD_SIZE": "3"}
    words = (*SMALL, *KINDS["adam"], "--out", str(scratch / "run"))
    children = [
        Child(
            warm_python,
            Breaking(str(scratch / f"noted-{rank}")),
            words,
            {**meeting, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in (0, 1)
    ]
    with children[0], children[1]:
        store = TCPStore("localhost", port, is_master=False, timeout=timedelta(seconds=60), wait_for_workers=False)
        until(lambda: store.check(["lossreg/meeting/word/1"]))
        children[1].send(signal.SIGTERM)
        assert children[1].wait() == 128 + signal.SIGTERM
        assert children[0].wait() == 2
    assert children[0].said() == [
        "lossreg: error: the 3 processes that were started together cannot meet: rank 1 was ended before all of them "
        "were there"
    ]
    assert not (scratch / "run").exists()


def test_a_signal_in_the_last_hook_ends_all_processes(scratch: Path, warm_python: str) -> None:
    """SIGTERM to the main process after its last epoch: both end with 143, and the run can go on to its end."""
    (scratch / "sends.py").write_text(
        "import os, signal, lossreg\n"
        "@lossreg.hookimpl\n"
        "def lossreg_epoch_finished(run):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    run = scratch / "run"
    words = ("run", "-p", str(scratch / "sends.py"), "--data", "diabetes", "--model", "mlp", "--device", "cpu")
    children = started(warm_python, scratch, (*words, "--epochs", "1", "--no-plots", "--out", str(run)), 2)
    assert ends(children) == [128 + signal.SIGTERM] * 2
    assert children[0].said()[-1] == f"lossreg run --resume {run}"
    record = json.loads((run / "run.json").read_text())
    assert (record["status"], record["epochs_done"]) == ("interrupted", 1)
