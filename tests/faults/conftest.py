"""Campaigns of faults. `python -m pytest tests/faults` has the size of CI; `--faults full` the size of the docs.

Each campaign counts its faults with the fixture `campaign`, and the figures are shown as a table at the end. Each has a
control: something that is deliberately broken, which it must catch.
"""

from __future__ import annotations

import os
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.campaign import SIZES, Campaign

_FIGURES: dict[str, str] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    """The size of the campaigns."""
    parser.addoption("--faults", choices=SIZES, default="ci", help="the size of the campaigns in tests/faults")


@pytest.fixture
def campaign(request: pytest.FixtureRequest) -> Iterator[Campaign]:
    """What a test counts its faults with; its seed follows from the name of the test."""
    name = request.node.name.removeprefix("test_").replace("_", " ")
    size = request.config.getoption("--faults", default="ci")
    made = Campaign(name, str(size), zlib.crc32(name.encode()))
    yield made
    request.node.user_properties.append(("campaign", (made.name, made.figures())))


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: a disk would only take time."""
    memory = Path("/dev/shm")  # noqa: S108  # Linux alone has it
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="faults-", dir=memory) as folder:
        yield Path(folder)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keeps the figures of each campaign, which come with the report of its end, also from other processes."""
    if report.when == "teardown":
        _FIGURES.update(value for name, value in report.user_properties if name == "campaign")  # type: ignore[misc]  # a pair of texts


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Shows the figures."""
    if _FIGURES:
        terminalreporter.section("campaigns of faults")
        for name, figures in _FIGURES.items():
            terminalreporter.write_line(f"{name}: {figures}")
