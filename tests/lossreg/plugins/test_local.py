"""Plugins without packaging: files and modules that `-p` names."""

from __future__ import annotations

import hashlib
import json
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

MINE = '''
import torch, lossreg

@lossreg.losses.register("mine", target="dense")
class Mine(torch.nn.Module):
    """The mean of a power of the distance."""

    def __init__(self, power: float = 2.0):
        super().__init__()
        self.power = power

    def forward(self, a, b):
        return (a - b).abs().pow(self.power).mean()
'''

TINY = ("--model", "mlp", "--epochs", "1", "--limit-train", "64", "--limit-test", "32", "--quiet")

if TYPE_CHECKING:
    from tests.conftest import Command
    from tests.lossreg.conftest import CommandWith, LoadWith


def test_a_file_is_a_plugin_for_once(lossreg_command: Command, command_with: CommandWith, tmp_path: Path) -> None:
    """`-p ./file.py` offers what the file registers; the record keeps its path and hash, and repeats with it only."""
    source = tmp_path / "my_losses.py"
    source.write_text(MINE)
    run = ["run", "-p", "./my_losses.py", "--loss", "mine(power=1.5)", *TINY, "--out", "out"]
    result = command_with(*run, path=tmp_path / "none", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    origin = record["components"]["loss"]
    assert origin["id"] == "local.mine"
    assert (origin["file"], origin["sha256"]) == (str(source), hashlib.sha256(source.read_bytes()).hexdigest())
    without = lossreg_command("run", "-c", "out", "--out", "again")
    assert without.code == 2
    assert f"its loss local.mine is missing here; it came from the file {source}: add -p {source}" in without.err
    source.write_text(MINE + "\n# changed\n")
    changed = command_with("plan", "-c", "out", "-p", str(source), path=tmp_path / "none", cwd=tmp_path)
    assert changed.returncode == 0
    assert "has changed since" in changed.stderr


def test_a_module_and_a_file_with_hooks_serve(command_with: CommandWith, tmp_path: Path) -> None:
    """`-p package.module`, and a file with hook functions, offer their components as `local.<name>`."""
    hooks = (
        "import lossreg as lr\n@lr.hookimpl\ndef lossreg_losses():\n"
        "    return [lr.Loss('hooked', 'torch.nn:L1Loss', 'A loss', target='dense')]\n"
    )
    (tmp_path / "hooked.py").write_text(hooks)
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "module.py").write_text(MINE)
    files = ["-p", "./hooked.py", "-p", "package.module"]
    result = command_with("list", "loss", "--of", "local", "--json", *files, path=tmp_path, cwd=tmp_path)
    assert [row["id"] for row in json.loads(result.stdout)] == ["local.hooked", "local.mine"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("nowhere.py", None, "the file does not exist"),
        ("broken.py", "import lossreg\n1 / 0\n", "ZeroDivisionError: division by zero (line 2)"),
        ("unfinished.py", "def f(:\n", "SyntaxError"),
        ("below/json.py", "x = 1\n", "another module is called 'json'"),
        ("my-losses.py", "x = 1\n", "'my-losses' is not the name of a module"),
        ("hook.py", "def lossreg_loses(): return []\n", "there is no hook 'lossreg_loses'"),
        ("ends.py", "import sys\nsys.exit(0)\n", "SystemExit: 0"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_an_error(
    command_with: CommandWith, tmp_path: Path, name: str, content: str | None, said: str
) -> None:
    """A file that was asked for and does not load ends the command with 2, and says why and where."""
    if content is not None:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    result = command_with("list", "-p", f"./{name}", path=tmp_path / "none", cwd=tmp_path)
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.usefixtures("warm_workers")
def test_a_data_set_of_a_file_works_in_spawned_workers(load_with: LoadWith, tmp_path: Path) -> None:
    """A map-style data set from a `-p` file is read by DataLoader workers that are spawned."""
    (tmp_path / "my_data.py").write_text(
        "import torch, lossreg\n"
        "class Squares(torch.utils.data.Dataset):\n"
        "    def __len__(self): return 6\n"
        "    def __getitem__(self, i): return torch.tensor([float(i)]), torch.tensor([float(i * i)])\n"
        "@lossreg.datasets.register('squares', model='mlp')\n"
        "def squares():\n"
        "    return lossreg.Data(Squares(), Squares(), task='regression', in_shape=(1,), out_features=1)\n"
    )
    data = load_with(local=[tmp_path / "my_data.py"]).datasets.build("squares")
    assert isinstance(data.train, Dataset)
    loader = DataLoader(data.train, 3, num_workers=1, multiprocessing_context="spawn")
    assert torch.cat([targets for _, targets in loader]).flatten().tolist() == [float(i * i) for i in range(6)]


@pytest.mark.parametrize("name", ["colorsys", "filelock"])
def test_the_folder_of_a_file_hides_nothing(load_with: LoadWith, tmp_path: Path, name: str) -> None:
    """A file beside one that `-p` names does not take the place of another module of its name."""
    expected = PathFinder.find_spec(name)
    assert expected is not None
    (tmp_path / f"{name}.py").write_text("raise ImportError\n")
    (tmp_path / "mine_beside_others.py").write_text(MINE)
    load_with(local=[tmp_path / "mine_beside_others.py"])
    assert str(tmp_path) in sys.path
    found = PathFinder.find_spec(name)
    assert found is not None
    assert found.origin == expected.origin


def test_a_factory_in_text_has_the_file_that_registers_it(load_with: LoadWith, tmp_path: Path) -> None:
    """A component that a `-p` file registers by the text of another module's factory comes from that file."""
    file = tmp_path / "their_schedules.py"
    file.write_text(
        "import lossreg\n"
        'lossreg.schedulers.register("cosine", "torch.optim.lr_scheduler:CosineAnnealingLR", summary="Cosine")\n'
    )
    provenance = load_with(local=[file]).schedulers["cosine"].provenance
    assert provenance.file == str(file)
    assert provenance.sha256
