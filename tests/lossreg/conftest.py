"""Real distributions, installed by pip, and the command in a process that sees some of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PACKAGES = Path(__file__).parents[1] / "packages"
Install = Callable[..., Path]
Result = subprocess.CompletedProcess[str]
CommandWith = Callable[..., Result]


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All distributions of tests/packages, installed by pip into one scratch folder."""
    target = tmp_path_factory.mktemp("installed")
    sources = tmp_path_factory.mktemp("sources")
    shutil.copytree(PACKAGES, sources, dirs_exist_ok=True)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-compile"),
            *("--disable-pip-version-check", "--target", str(target)),
            *map(str, sorted(sources.iterdir())),
        ],
        check=True,
    )
    return target


@pytest.fixture
def install(installed: Path, tmp_path: Path) -> Install:
    """Makes a folder for PYTHONPATH that holds the named distributions, put there in the given order."""

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
def command_with() -> CommandWith:
    """Runs `lossreg` in a child process with folders on sys.path, and variables in its environment."""

    def command(*arguments: str, path: Path | list[Path], cwd: Path | None = None, **variables: str) -> Result:
        folders = os.pathsep.join(map(str, path if isinstance(path, list) else [path]))
        return subprocess.run(
            [sys.executable, "-m", "lossreg", *arguments],
            env={**os.environ, "PYTHONPATH": folders, **variables},
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
        )

    return command
