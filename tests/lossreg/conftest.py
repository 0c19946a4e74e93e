"""Real distributions, installed by pip, and lossreg in a process that sees some of them."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import lossreg

if TYPE_CHECKING:
    from tests.conftest import Once

BUILD = """
import os, sys, hatchling.build
for folder in sys.argv[2:]:
    os.chdir(folder)
    hatchling.build.build_wheel(sys.argv[1])
"""
PACKAGES = Path(__file__).parents[1] / "packages"
Install = Callable[..., Path]
Result = subprocess.CompletedProcess[str]
CommandWith = Callable[..., Result]
LoadWith = Callable[..., lossreg.Registries]


@pytest.fixture(scope="session")
def installed(once: Once, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All distributions of tests/packages, installed by pip into one scratch folder."""

    def fill(target: Path) -> None:
        sources, wheels = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("wheels")
        shutil.copytree(PACKAGES, sources, dirs_exist_ok=True)
        # pip would start a process for each of them to build it.
        subprocess.run([sys.executable, "-c", BUILD, str(wheels), *map(str, sources.iterdir())], check=True)
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"),
                *("--disable-pip-version-check", "--target", str(target), *map(str, sorted(wheels.glob("*.whl")))),
            ],
            check=True,
        )

    return once("installed", fill)


COLD = """
import json, sys
seen = ("matplotlib", "rich")
for name in list(sys.modules):
    if name.partition(".")[0] in seen or name.startswith("lossreg"):
        del sys.modules[name]
import lossreg.cli.plot, lossreg.cli.run, lossreg.cli.plan, lossreg.cli.show, lossreg.training.api
import lossreg.pictures.curves, lossreg.pictures.overlay, lossreg.pictures.rates, lossreg.pictures.losses
imported = [name for name in seen if name in sys.modules]
import lossreg
lossreg.run(epochs=1, limit_train=64, limit_test=64, out="run")
print(json.dumps({"imported": imported, "ran": [name for name in seen if name in sys.modules]}))
"""


@pytest.fixture(scope="session")
def cold(once: Once, warm_python: str) -> Mapping[str, Any]:
    """What a process that finds none of lossreg imported has imported: with the commands and the runner, after a run.

    Its stderr, a pipe, has what the run shows.
    """

    def fill(folder: Path) -> None:
        done = subprocess.run([warm_python, "-c", COLD], cwd=folder, capture_output=True, text=True, check=True)
        (folder / "found.json").write_text(json.dumps({**json.loads(done.stdout), "shown": done.stderr}))

    found: dict[str, Any] = json.loads((once("cold", fill) / "found.json").read_text())
    return found


@pytest.fixture
def install(installed: Path, tmp_path: Path) -> Install:
    """Makes a folder for sys.path that holds the named distributions, put there in the given order."""

    def select(*names: str, folder: str = "site") -> Path:
        site = tmp_path / folder
        site.mkdir()
        for name in names:
            module = name.replace("-", "_")
            for part in (module, f"{module}-1.0.dist-info"):
                if (installed / part).is_dir():
                    shutil.copytree(installed / part, site / part)
        return site

    return select


@pytest.fixture
def command_with(warm_python: str) -> CommandWith:
    """Runs `lossreg` in a child process with folders on sys.path, and variables in its environment.

    Without the curves of runs, as `lossreg_command`.
    """

    def command(*arguments: str, path: Path | list[Path], cwd: Path | None = None, **variables: str) -> Result:
        folders = os.pathsep.join(map(str, path if isinstance(path, list) else [path]))
        if arguments[:1] == ("run",):
            arguments = ("run", "--no-plots", *arguments[1:])
        return subprocess.run(
            [warm_python, "-m", "lossreg", *arguments],
            env={**os.environ, "PYTHONPATH": folders, **variables},
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
        )

    return command


@pytest.fixture
def load_with() -> Iterator[LoadWith]:
    """Loads registries in this process, with folders on sys.path.

    The folders stay on sys.path until the next call or the end of the test, for factories that are imported late. What
    was imported from them, or from a local file, is forgotten then.
    """
    path, modules = list(sys.path), set(sys.modules)

    def forget() -> None:
        folders = [Path(folder) for folder in sys.path if folder not in path]
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            file = getattr(sys.modules[name], "__file__", None)
            if file and any(folder in Path(file).parents for folder in folders):
                del sys.modules[name]
        importlib.invalidate_caches()

    def load(*folders: Path, **settings: Any) -> lossreg.Registries:
        forget()
        sys.path[:0] = map(str, folders)
        settings.setdefault("bridges", False)  # which there are depends on what else is installed
        return lossreg.load_registries(**settings)

    yield load
    forget()
