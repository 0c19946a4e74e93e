"""What is read from the metadata of distributions, however old or damaged they are; how names of them compare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import lossreg
from lossreg.plugins.entry_points import EntryPoint, entry_points
from lossreg.plugins.loader import Installed, reason_not_to_load
from lossreg.plugins.plugin_settings import PluginSettings

if TYPE_CHECKING:
    from tests.lossreg.conftest import CommandWith, Install


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch, **metadata: dict[str, str]) -> dict[str, EntryPoint]:
    """Puts folders of metadata on sys.path; the entry points of other distributions, by name."""
    for path, files in metadata.items():
        where = folder / path
        where.mkdir(parents=True)
        for name, text in files.items():
            (where / name).write_text(text)
        if where.name == "EGG-INFO":
            monkeypatch.syspath_prepend(str(where.parent))
    monkeypatch.syspath_prepend(str(folder))
    return {point.name: point for point in entry_points() if not point.is_own}


def offers(name: str) -> str:
    """The entry points of a distribution that offers one plugin."""
    return f"[lossreg]\n{name} = {name}.plugin\n"


@pytest.mark.parametrize(
    ("requirement", "refused"),
    [
        ("lossreg-focal>=1", False),
        ("lossreg.focal>=1", False),
        ("lossreg_focal>=1", False),
        ("lossregistry>=9", False),
        ("Lossreg>=9", True),
        ("LOSSREG >= 9", True),
        ("lossreg[test]>=9", True),
        ("lossreg [test] (>=9)", True),
        ("Lossreg>=9; extra == 'new'", False),
        ("Lossreg>=9; python_version > '3'", True),
    ],
)
@pytest.mark.parametrize("kind", ["dist-info", "egg-info", "requires.txt"])
def test_requirements_of_lossreg_are_told_from_those_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, requirement: str, refused: bool, kind: str
) -> None:
    """A requirement of lossreg, however it is written, refuses a plugin; one of a similar name does not."""
    head = "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n"
    text = f"{head}Requires-Dist: torch\nRequires-Dist: {requirement}\n\nRequires-Dist: lossreg>=99\n"
    if kind == "dist-info":
        files = {"METADATA": text}
    elif kind == "egg-info":
        files = {"PKG-INFO": text}
    else:  # as setuptools writes it: markers stand in brackets
        name, _, marker = requirement.partition(";")
        section = {"": "", " extra == 'new'": "[new]\n"}.get(marker, f"[:{marker.strip()}]\n")
        files = {"PKG-INFO": head, "requires.txt": f"torch\n{section}{name}\n"}
    folder = "thing-1.0.dist-info" if kind == "dist-info" else "thing.egg-info"
    points = installed(tmp_path, monkeypatch, **{folder: {**files, "entry_points.txt": offers("thing")}})
    reason = reason_not_to_load(points["thing"], Installed.scan(), PluginSettings())
    assert (reason is not None and reason.state == "incompatible") == refused


def test_a_requirement_that_goes_on_in_the_next_line_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fields of metadata may be folded, as those of e-mails."""
    files = {"METADATA": "Name: thing\nRequires-Dist: lossreg\n >=9\n", "entry_points.txt": offers("thing")}
    points = installed(tmp_path, monkeypatch, **{"thing-1.0.dist-info": files})
    assert points["thing"].requirements == ("lossreg >=9",)


def test_distributions_without_metadata_are_all_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of distributions whose metadata are lost each is found, by the name of its folder where that tells one."""
    folders = ["one-1.0.dist-info", "two.egg-info", "three-3.0-py3.11.egg/EGG-INFO", "-.dist-info", "-1.dist-info"]
    names = ["one", "two", "three", "four", "five"]
    metadata = {folder: {"entry_points.txt": offers(name)} for folder, name in zip(folders, names, strict=True)}
    points = installed(tmp_path, monkeypatch, **metadata)
    assert {name: (point.distribution, point.version) for name, point in points.items()} == {
        "one": ("one", "1.0"),
        "two": ("two", "?"),
        "three": ("three", "3.0"),
        "four": ("?", "?"),
        "five": ("?", "1"),
    }


@pytest.mark.parametrize("written", ["acme.dot", "acme-dot", "Acme_Dot", "acme--.dot"])
def test_names_of_distributions_compare_as_packaging_says(
    install: Install, command_with: CommandWith, tmp_path: Path, written: str
) -> None:
    """`-p no:acme-dot` blocks the distribution acme.dot: `-`, `_` and `.` are equal in names of distributions."""
    from packaging.utils import canonicalize_name

    assert canonicalize_name(written) == canonicalize_name("acme.dot")
    result = command_with("plugins", "--json", "-p", f"no:{written}", path=install("acme-dot"), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert {row["distribution"]: row["state"] for row in json.loads(result.stdout)}["acme.dot"] == "blocked"


def test_a_distribution_with_a_dot_is_allowed_by_other_spellings(install: Install, command_with: CommandWith) -> None:
    """`LOSSREG_PLUGINS` and `--of` know a distribution by every spelling of its name."""
    site = install("acme-dot", "good-losses")
    result = command_with("list", "--of", "acme-dot", "--json", path=site, LOSSREG_PLUGINS="Acme-Dot")
    assert result.returncode == 0, result.stderr
    assert [row["id"] for row in json.loads(result.stdout)] == ["acme_dot.pinball"]


def test_two_spellings_of_one_distribution_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second installation of a distribution is hidden by the first also where its name is spelt otherwise."""
    first, second = tmp_path / "first", tmp_path / "second"
    text = {"METADATA": "Name: acme.dot\nVersion: 2\n", "entry_points.txt": offers("thing")}
    installed(second, monkeypatch, **{"acme_dot-1.dist-info": {**text, "METADATA": "Name: Acme-Dot\nVersion: 1\n"}})
    assert installed(first, monkeypatch, **{"acme.dot-2.dist-info": text})["thing"].version == "2"


def test_an_entry_point_with_extras_loads(install: Install, command_with: CommandWith, tmp_path: Path) -> None:
    """A plugin whose entry point is `module [gpu]` loads, and the doctor finds nothing wrong with it."""
    site = install("acme-dot")
    assert "[gpu]" in (site / "acme_dot-1.0.dist-info" / "entry_points.txt").read_text()
    result = command_with("list", "loss", "pinball", "--json", path=site, cwd=tmp_path)
    assert [row["id"] for row in json.loads(result.stdout)] == ["acme_dot.pinball"]
    doctor = command_with("plugins", "doctor", "Acme-Dot", path=site, cwd=tmp_path)
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr


def test_an_entry_point_with_extras_cannot_take_a_reserved_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The module of a built-in plugin is reserved also where extras stand behind it."""
    files = {"METADATA": "Name: thief\nVersion: 1\n", "entry_points.txt": "[lossreg]\nt = lossreg_builtin.plugin [x]\n"}
    points = installed(tmp_path, monkeypatch, **{"thief-1.dist-info": files})
    reason = reason_not_to_load(points["t"], Installed.scan(), PluginSettings())
    assert reason is not None
    assert "belongs to lossreg itself" in reason.problem


def test_the_names_in_the_hint_are_those_of_the_plugins() -> None:
    """A misspelt name in `allow` is answered with the name of the plugin as it is."""
    with pytest.raises(lossreg.ConfigError, match=r"there is no plugin 'builtn' to allow. Did you mean 'builtin'"):
        lossreg.load_registries(allow=["builtn"])
