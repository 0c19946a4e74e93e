"""Two processes in which a script's functions run, each a fork of the first, so that what is imported is there once."""

from __future__ import annotations

import json
import os
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist


def run_in_two(functions: Mapping[str, Callable[[], Any]]) -> None:
    """Runs functions one after another in two processes with a group of gloo, and ends with the exit code of both.

    The script's argument is a folder: what the functions return is in its files `0.json` and `1.json`.

    Args:
        functions: Name -> a function whose value JSON can hold.
    """
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    child = os.fork()
    rank = "1" if child == 0 else "0"
    os.environ.update(RANK=rank, LOCAL_RANK=rank, WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    code = 0
    try:
        torch.set_num_threads(1)
        dist.init_process_group("gloo")
        values = {name: function() for name, function in functions.items()}
        Path(sys.argv[1], f"{rank}.json").write_text(json.dumps(values), encoding="utf-8")
        dist.destroy_process_group()
    except BaseException:
        traceback.print_exc()
        code = 1
    if child == 0:
        sys.stderr.flush()
        os._exit(code)
    _, status = os.waitpid(child, 0)
    sys.exit(code or os.waitstatus_to_exitcode(status))
