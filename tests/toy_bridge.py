"""A bridge of its own for tests: an installation of lossreg that has one, and the package that it leads to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lossreg

#: What the package has; importing it leaves a trace, and the trial finds what is said of it.
PACKAGE = '''
import torch


class Lion(torch.optim.SGD):
    """Roars. And more."""

    def __init__(self, params, lr=0.1, momentum=0.5):
        super().__init__(params, lr=lr, momentum=momentum)


class Roar(torch.nn.Module):
    def __init__(self, scale=1.0):
        super().__init__()
        self.scale = scale

    def forward(self, input, target):
        return self.scale * torch.nn.functional.cross_entropy(input, target)
'''

INDEXING = """
import {name}
from lossreg_bridges.candidates import candidate

DISTRIBUTION = "{name}"


def candidates():
    yield candidate("optimizer", "lion", "{name}:Lion", {name}.Lion, positional=1)
    yield candidate("loss", "roar", "{name}:Roar", {name}.Roar, input="logits", target="index")
"""

PLUGIN = """
from pathlib import Path

import lossreg as lr
from lossreg_bridges.bridge import Bridge

BRIDGE = Bridge("{name}", "{name}", Path(__file__).parent)


@lr.hookimpl
def lossreg_optimizers():
    return BRIDGE.table("optimizer")


@lr.hookimpl
def lossreg_losses():
    return BRIDGE.table("loss")
"""

LION: Mapping[str, Any] = {
    "factory": "toy:Lion", "summary": "Roars", "defaults": {"lr": 0.1, "momentum": 0.5}, "closure": False,
    "modes": False, "needs": [], "create_graph": False, "layout": "any", "routes": "all",
}  # fmt: skip


def index(name: str = "toy", version: str = "1.0", **changed: Any) -> dict[str, Any]:
    """An index of the package, as JSON has it."""
    lion = {**LION, "factory": f"{name}:Lion"}
    roar = {"factory": f"{name}:Roar", "defaults": {"scale": 1.0}, "input": "logits", "target": "index"}
    return {
        "format": 1, "package": name, "version": version, "lossreg": lossreg.__version__, "common": {},
        "components": {"optimizer": {"lion": lion}, "loss": {"roar": roar}}, "left_out": {}, **changed,
    }  # fmt: skip


def write_distribution(folder: Path, name: str, version: str, entry_points: str = "", requires: str = "") -> None:
    """The metadata of an installed distribution."""
    metadata = folder / f"{name}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}\n")
    if entry_points:
        (metadata / "entry_points.txt").write_text(entry_points)


def write_bridges(folder: Path, *names: str) -> Path:
    """An installation of lossreg with the built-ins and bridges of these names, for the front of sys.path."""
    lines = "".join(f"{name} = lossreg_{name}.plugin\n" for name in names)
    requires = "".join(f"Provides-Extra: {name}\nRequires-Dist: {name}>=1; extra == '{name}'\n" for name in names)
    points = f"[lossreg]\nbuiltin = lossreg_builtin.plugin\n\n[lossreg.bridges]\n{lines}"
    write_distribution(folder, "lossreg", lossreg.__version__, points, requires)
    for name in names:
        plugin = folder / f"lossreg_{name}"
        plugin.mkdir()
        (plugin / "__init__.py").touch()
        (plugin / "plugin.py").write_text(PLUGIN.format(name=name))
        (plugin / "indexing.py").write_text(INDEXING.format(name=name))
        (plugin / "index.json").write_text(json.dumps(index(name)))
    return folder


def write_package(folder: Path, name: str = "toy", version: str = "1.0") -> Path:
    """The package that a bridge leads to, installed."""
    write_distribution(folder, name, version)
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(PACKAGE)
    return folder
