"""The distribution: the wheel, the sdist and the installations carry the same files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OWN_PACKAGES = (
    (ROOT, "lossreg"),
    *((ROOT / "plugins", package.name) for package in sorted((ROOT / "plugins").glob("lossreg_*"))),
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    build = "import sys, hatchling.build as b; b.build_sdist(sys.argv[1]); b.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(folder)], cwd=ROOT, check=True, capture_output=True)
    return folder


def source_files() -> set[str]:
    """The files of the import packages, as they are imported."""
    return {
        path.relative_to(root).as_posix()
        for root, package in OWN_PACKAGES
        for path in (root / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_has_all_files_and_nothing_else(built: Path) -> None:
    """The wheel holds the import packages, py.typed among their files, the licence and its metadata."""
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    info = "lossreg-0.1.0.dist-info/"
    assert {name for name in names if not name.startswith(info)} == source_files()
    assert "lossreg/py.typed" in names
    assert {f"{info}{name}" for name in ("METADATA", "entry_points.txt", "licenses/LICENSE")} <= names


def test_the_sdist_has_all_files(built: Path) -> None:
    """The sdist holds the import packages, the tests and what is needed to build the wheel."""
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2].removeprefix("plugins/") for name in archive.getnames()}
    assert source_files() | {"pyproject.toml", "LICENSE", "README.md", "tests/test_packaging.py"} <= names


def test_an_installed_wheel_works(built: Path, tmp_path: Path) -> None:
    """A plain installation of the wheel lists the built-ins, from its own files."""
    (wheel,) = built.glob("*.whl")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--disable-pip-version-check",
        "--no-compile",
    ]
    subprocess.run([*pip, "--target", str(tmp_path), str(wheel)], check=True)

    def run(*arguments: str) -> str:
        env = {**os.environ, "PYTHONPATH": str(tmp_path)}
        command = [sys.executable, *arguments]
        return subprocess.run(command, env=env, cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    places = run("-c", "import lossreg, lossreg_builtin.plugin as p; print(lossreg.__file__, p.__file__)")
    assert all(place.startswith(str(tmp_path)) for place in places.split())
    assert {row["distribution"] for row in json.loads(run("-m", "lossreg", "list", "--json"))} == {"lossreg"}
    assert (tmp_path / "bin" / "lossreg").exists()


def test_the_version_is_written_once_more_at_most() -> None:
    """`lossreg.__version__` is the version of the distribution."""
    import importlib.metadata

    import lossreg

    assert importlib.metadata.version("lossreg") == lossreg.__version__
