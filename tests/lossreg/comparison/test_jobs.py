"""How many runs at once, and with what each."""

from __future__ import annotations

import pytest

from lossreg.comparison import jobs
from lossreg.comparison.jobs import Slots, slots_for


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with eight cores, and nothing said of threads."""
    monkeypatch.setattr(jobs, "available_cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.mark.usefixtures("eight_cores")
@pytest.mark.parametrize(
    ("runs", "asked", "expected"),
    [(20, None, (8, 1)), (3, None, (3, 2)), (1, None, (1, 8)), (20, 2, (2, 4)), (20, 16, (16, 1)), (2, 16, (2, 4))],
)
def test_threads_of_all_runs_are_no_more_than_cores(runs: int, asked: int | None, expected: tuple[int, int]) -> None:
    """As many runs as cores, with the cores divided among them."""
    slots = slots_for(runs, asked)
    assert (slots.count, slots.threads) == expected


@pytest.mark.usefixtures("eight_cores")
def test_the_environment_says_the_most_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """OMP_NUM_THREADS is a limit for each run."""
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert [slots_for(20, asked).threads for asked in (1, 2, 8)] == [2, 2, 1]


@pytest.mark.usefixtures("eight_cores")
def test_each_device_has_one_run_unless_more_are_asked_for() -> None:
    """Of two devices, two runs at once; with four jobs two share each."""
    assert slots_for(20, None, ("0", "1")).count == 2
    shared = slots_for(20, 4, ("0", "1"))
    assert [shared.environment(slot)["CUDA_VISIBLE_DEVICES"] for slot in range(4)] == ["0", "1", "0", "1"]


def test_without_devices_the_environment_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is visible to the command is visible to its runs."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert Slots(1, 1).environment(0)["CUDA_VISIBLE_DEVICES"] == "3"


@pytest.mark.parametrize(("visible", "expected"), [("", ("0", "1")), ("4,6", ("4", "6"))])
def test_devices_are_counted_among_the_visible(
    visible: str, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """cuda:1 is the second of those that CUDA_VISIBLE_DEVICES names."""
    from lossreg.comparison.planning import visible_devices

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert visible_devices(["0", "1"]) == expected
