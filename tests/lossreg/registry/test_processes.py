"""Registries of one's own in other processes."""

from __future__ import annotations

import json
import pickle
import subprocess
from pathlib import Path

import pytest

import lossreg

SCRIPT = """
import json, multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
import torch
import lossreg

OUTPUT, TARGET = torch.tensor([3.0, 1.0]), torch.tensor([1.0, 0.0])

def value(parts, registries, spec):
    return parts.loss(OUTPUT, TARGET).item(), registries.losses.build(spec)(OUTPUT, TARGET).item(), list(lossreg.losses)

if __name__ == "__main__":
    own = lossreg.load_registries(allow=[], bridges=False, local=[sys.argv[1]])
    own.losses.register("named", "torch.nn:L1Loss", target="dense")
    parts = lossreg.parts(loss="gap(scale=2.0)", task="regression", registries=own)
    found = {}
    for method in ("spawn", "fork"):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
            *numbers, names = pool.submit(value, parts, own, lossreg.ComponentSpec.parse("named")).result()
            found[method] = [*numbers, any(name.startswith("local.") for name in names)]
    print(json.dumps(found))
"""
FILE = """
import lossreg

@lossreg.losses.register
def gap(input, target, scale: float = 1.0):
    return scale * (input - target).abs().sum()
"""


def test_parts_and_specs_go_to_other_processes_with_their_registries(warm_python: str, tmp_path: Path) -> None:
    """Spawned and forked processes find what a set of one's own has, and have it in no other set.

    2 * (|3 - 1| + |1 - 0|) is 6, and the mean of 2 and 1 is 1.5.
    """
    (tmp_path / "own_losses.py").write_text(FILE)
    (tmp_path / "main.py").write_text(SCRIPT)
    command = [warm_python, str(tmp_path / "main.py"), str(tmp_path / "own_losses.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stderr == ""
    assert json.loads(done.stdout) == {"spawn": [6.0, 1.5, False], "fork": [6.0, 1.5, False]}


def test_what_cannot_go_along_is_named() -> None:
    """A function within a function cannot be found by another process: the error says which it is."""
    registries = lossreg.load_registries(allow=[], bridges=False)

    @registries.losses.register
    def within(input: object, target: object) -> object:  # noqa: A002  # as torch's losses name it
        return input or target

    with pytest.raises((AttributeError, pickle.PicklingError), match=r"local object .*<locals>\.within"):
        pickle.dumps(registries)
