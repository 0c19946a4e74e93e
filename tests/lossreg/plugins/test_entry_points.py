"""Which installed distributions offer plugins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.lossreg.conftest import Install, LoadWith


def test_an_installation_that_is_hidden_by_another_does_not_count(install: Install, load_with: LoadWith) -> None:
    """Of two installations of one distribution on sys.path the first counts, as it does for imports."""
    first, second = install("good-losses", folder="first"), install("good-losses", folder="second")
    reports = load_with(first, second).reports
    assert [r.state for r in reports if r.provenance.distribution == "good-losses"] == ["loaded"]


def test_two_distributions_with_one_name_are_both_refused(install: Install, load_with: LoadWith) -> None:
    """Of two plugins of one name neither is loaded, and each is told of the other."""
    reports = {r.provenance.distribution: r for r in load_with(install("twin-one", "twin-two")).reports}
    assert {reports["twin-one"].state, reports["twin-two"].state} == {"failed"}
    assert "twin-two 1.0 offers a plugin of the same name" in str(reports["twin-one"].problem)
    assert "twin-one 1.0 offers a plugin of the same name" in str(reports["twin-two"].problem)


def test_order_decides_nothing(install: Install, load_with: LoadWith) -> None:
    """The same distributions in another order, or in several folders of sys.path, give the same list and plugins."""
    names = ["good-losses", "all-kinds", "rival-dice", "rival-tversky", "twin-one", "twin-two", "bad-import"]
    one = install(*names, folder="forward")
    other = install(*reversed(names), folder="backward")
    split = [install(name, folder=name) for name in names]
    found = set()
    for folders in ([one], [other], split, split[::-1]):
        registries = load_with(*folders)
        listed = [tuple(registry) for registry in (registries.losses, registries.optimizers, registries.datasets)]
        reports = [(r.provenance, r.state, r.components, r.problem) for r in registries.reports]
        found.add(repr((listed, reports)))
    assert len(found) == 1


def test_without_its_own_entry_points_lossreg_says_that_its_installation_is_broken(tmp_path: Path) -> None:
    """Where lossreg's own metadata is missing, the error says so and how to mend it."""
    code = (
        "import importlib.metadata as m; everything = m.distributions;"
        "m.distributions = lambda: (d for d in everything() if d.name != 'lossreg');"
        "from lossreg.cli.main import main; main(['list'])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.returncode == 2
    assert "the installation of lossreg is broken" in result.stderr
