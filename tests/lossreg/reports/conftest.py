"""Run directories of known numbers, as a run leaves them, and pages on them in a browser."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from lossreg.past_runs.sources import read_sources
from lossreg.reports.comparison import read_comparison
from lossreg.reports.page import render_page
from lossreg.run_spec import RunSpec

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

MADE = datetime(2026, 1, 2, 3, 4)
SETTINGS = {
    **dict(RunSpec().items()),
    "loss": "builtin.dice",
    "optimizer": "builtin.sgd",
    "model": "builtin.mnist_cnn",
    "data": "builtin.digits",
}
WriteRun = Callable[..., Path]


def write(
    directory: Path,
    accuracies: Sequence[float | None] = (0.5, 0.75),
    *,
    record: dict[str, Any] | None = None,
    rows: Sequence[dict[str, Any]] | None = None,
    **spec: Any,
) -> Path:
    """Writes a run directory.

    Args:
        directory: Where.
        accuracies: Of each epoch, on the test split; the loss is 1 less each.
        record: Fields of run.json that replace those of a finished run.
        rows: Rows of metrics.jsonl instead of those of the epochs.
        spec: Settings that replace the default ones.
    """
    epochs = [
        {
            "kind": "epoch", "epoch": epoch, "step": 10 * (epoch + 1), "lr": 0.1, "train_loss": 2.0 - (value or 0),
            "samples_per_second": 100.0, "seconds": 2.0, "weights": "raw",
            "test_loss": 1.0 - (value or 0), "test_accuracy": value,
        }
        for epoch, value in enumerate(accuracies)
    ]  # fmt: skip
    content = {
        "format": 2,
        "status": "finished",
        "repeatable": True,
        "objects": {},
        "spec": {**SETTINGS, "epochs": len(accuracies), **spec},
        "components": {},
        "versions": {"lossreg": "0.1.0", "torch": "2.14.1"},
        "device": "cpu",
        "started": "2026-01-02T03:04:05+00:00",
        "seconds": 75.0,
        "epochs_done": len(accuracies),
        "best_epoch": None,
        "metrics": epochs[-1] if epochs else None,
        **(record or {}),
    }
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "run.json").write_text(json.dumps(content))
    lines = [json.dumps(row) + "\n" for row in (epochs if rows is None else rows)]
    (directory / "metrics.jsonl").write_text("".join(lines))
    return directory


def page(*places: Path) -> str:
    """The page on some directories."""
    source = read_sources(places)
    comparisons = [read_comparison(folder) for folder in source.folders]
    return render_page(source, [one for one in comparisons if one], made=MADE)


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    """Writes a run directory below the test's own; see `write`."""

    def make(name: str, *arguments: Any, **options: Any) -> Path:
        return write(tmp_path / name, *arguments, **options)

    return make


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    """A folder with two cells of three seeds: two losses, whose accuracies are known."""
    folder = tmp_path / "grid"
    for seed in range(3):
        write(folder / f"dice-{seed}", [0.25, 0.5 + seed / 8], seed=seed)
        write(folder / f"l1-{seed}", [0.125, 0.25 + seed / 8], seed=seed, loss="builtin.l1")
    return folder


@attrs.frozen
class Browser:
    """A browser, and what tests do with it.

    Attributes:
        driver: Selenium's.
        folder: Where the pages are written to.
    """

    driver: Chrome
    folder: Path

    def open(self, text: str) -> Chrome:
        """Opens a page from disk, in a window of 1000 by 800 pixels, light and with scripts."""
        file = self.folder / "report.html"
        file.write_text(text, encoding="utf-8")
        self.emulate(scripts=True)
        self.driver.get_log("browser")  # what pages before this one have logged
        self.driver.get(file.as_uri())
        return self.driver

    def emulate(self, *, media: str = "", scheme: str = "light", width: int = 1000, scripts: bool = True) -> None:
        """Has the page shown on paper, in the dark, on a narrow screen, or without scripts."""
        command = self.driver.execute_cdp_cmd
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        command("Emulation.setEmulatedMedia", {"media": media, "features": features})
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        command("Emulation.setDeviceMetricsOverride", size)
        command("Emulation.setScriptExecutionDisabled", {"value": not scripts})

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements that fit a selector."""
        return [element.get_attribute("textContent") or "" for element in self.all(selector)]

    def all(self, selector: str) -> list[Any]:
        """All elements that fit a selector."""
        return list(self.driver.find_elements("css selector", selector))

    def one(self, selector: str) -> Any:
        """The element that fits a selector."""
        return self.driver.find_element("css selector", selector)

    def log(self) -> list[Any]:
        """What the page has logged since it was opened, or since the last call."""
        return list(self.driver.get_log("browser"))


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A Chromium without a window; tests that use it are skipped where it is not installed."""
    pytest.importorskip("selenium", reason="selenium is not installed (pip install 'lossreg[browser]')")
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    names = ("chromium", "chromium-browser", "google-chrome")
    program = next((found for name in names if (found := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed (Debian: chromium and chromium-driver)")
    options = ChromeOptions()
    options.binary_location = program
    # The sandbox and shared memory are not to be had in every container; the pages are ours.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = Chrome(options=options, service=ChromeService(driver))
    try:
        yield Browser(chrome, tmp_path_factory.mktemp("pages"))
    finally:
        chrome.quit()
