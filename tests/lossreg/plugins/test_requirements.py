"""What a distribution requires of lossreg."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import lossreg
from lossreg.plugins.requirements import unmet_requirement
from tests.table import for_each

if TYPE_CHECKING:
    from tests.lossreg.conftest import Install, LoadWith


def test_a_plugin_for_another_lossreg_is_not_imported(install: Install, load_with: LoadWith) -> None:
    """A distribution that requires another lossreg is refused with a sentence before it is imported."""
    (report,) = [r for r in load_with(install("needs-newer")).reports if r.provenance.plugin == "newer"]
    assert report.state == "incompatible"
    assert report.problem == f"it requires lossreg>=99; lossreg {lossreg.__version__} is installed"
    assert "needs_newer" not in sys.modules


@for_each(
    ("requirement", "installed", "met"),
    [
        ("lossreg", "0.1.0", True),
        ("lossreg>=0.1", "0.1.0", True),
        ("lossreg>=0.1.0.0", "0.1", True),
        ("lossreg >=0.2", "0.1.9", False),
        ("lossreg (>=0.1,<1)", "0.9", True),
        ("lossreg<1,>=0.1", "1.0", False),
        ("lossreg>=0.10", "0.9", False),
        ("lossreg~=0.1.0", "0.1.7", True),
        ("lossreg~=0.1.0", "0.2", False),
        ("lossreg==0.1.*", "0.1.7", True),
        ("lossreg!=0.1.7", "0.1.7", False),
        ("lossreg>=2 ; python_version < '3'", "0.1.0", True),
        ("lossreg>=2 ; python_version > '3'", "0.1.0", False),
        ("lossreg>=0.2", "0.2.dev1", False),
    ],
)
def test_requirements_are_judged_as_packaging_judges_them(requirement: str, installed: str, met: bool) -> None:
    """What a distribution requires of lossreg means what it means to pip."""
    from packaging.requirements import Requirement

    parsed = Requirement(requirement)
    applies = parsed.marker is None or parsed.marker.evaluate()
    assert met == (not applies or parsed.specifier.contains(installed, prereleases=True))
    assert (unmet_requirement((requirement,), installed) is None) == met
