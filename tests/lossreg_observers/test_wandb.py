"""Weights & Biases, offline: what it leaves in the run directory, read by its own protocol."""

from __future__ import annotations

import contextlib
import json
import struct
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("wandb")

DecodeError = pytest.importorskip("google.protobuf.message").DecodeError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lossreg_observers.conftest import Curves, Observed


BLOCK, HEAD = 32768, 7  # bytes, of LevelDB's log format, in which an offline run is written


def entries(content: bytes) -> Iterator[bytes]:
    """The entries of a log: fragments within blocks, each behind checksum, length and type."""
    place, entry = HEAD, b""  # the file begins with a head of the same length
    while place < len(content):
        if BLOCK - place % BLOCK < HEAD:
            place += BLOCK - place % BLOCK
            continue
        length, kind = struct.unpack_from("<HB", content, place + 4)
        entry += content[place + HEAD : place + HEAD + length]
        place += HEAD + length
        if kind in (1, 4):  # whole, or its last fragment
            yield entry
            entry = b""


def records(file: Path) -> list[Any]:
    """The records of an offline run, by W&B's own protocol, when its own process has written the last of them."""
    from wandb.proto.wandb_internal_pb2 import Record

    end = time.monotonic() + 60
    while True:
        with contextlib.suppress(struct.error, DecodeError):  # half an entry
            found = [Record.FromString(entry) for entry in entries(file.read_bytes())]
            if found and found[-1].HasField("exit"):
                return found
        assert time.monotonic() < end
        time.sleep(0.02)


def test_an_offline_run_holds_rows_and_settings(observed: Observed, curves: Curves) -> None:
    """The history has the numbers of each row by step, the config the settings, and the run ends with exit code 0."""
    result = observed("wandb(project='mine', tags=['red'])", optimizer="sgd(lr=0.125)")
    (file,) = (result.directory / "wandb").glob("offline-run-*/*.wandb")
    found = records(file)
    history: dict[str, list[tuple[int, float]]] = {}
    for record in found:
        if record.HasField("history"):
            row = {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item}
            for name, value in row.items():
                if "/" in name:
                    history.setdefault(name, []).append((row["_step"], value))
    assert history == curves(result)
    (run,) = [record.run for record in found if record.HasField("run")][:1]
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert (run.project, run.display_name, list(run.tags)) == ("mine", result.directory.name, ["red"])
    assert (config["optimizer.lr"], config["epochs"]) == (0.125, 2)
    assert [record.exit.exit_code for record in found if record.HasField("exit")] == [0]
