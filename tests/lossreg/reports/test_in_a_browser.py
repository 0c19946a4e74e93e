"""A page in a real browser: it renders, sorts, switches lines on and off, and logs nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lossreg.reports.conftest import Browser, WriteRun, page, write

HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>\"'&"


@pytest.fixture(scope="module")
def grid_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page on two cells of three seeds, whose losses are positive."""
    folder = tmp_path_factory.mktemp("grid")
    for seed in range(3):
        write(folder / f"dice-{seed}", [0.25, 0.5 + seed / 8], seed=seed)
        write(folder / f"l1-{seed}", [0.125, 0.25 + seed / 8], seed=seed, loss="builtin.l1")
    return page(folder)


@pytest.fixture
def opened(browser: Browser, grid_page: str) -> Browser:
    """The browser with that page."""
    browser.open(grid_page)
    return browser


def heads(browser: Browser, table: str) -> list[str]:
    """The heads of the rows of a table, from top to bottom."""
    return browser.texts(f"#{table} tbody th .text")


def choose(browser: Browser, name: str, text: str) -> None:
    """Chooses an entry of a menu by its text."""
    from selenium.webdriver.support.ui import Select

    Select(browser.one(f"#{name}")).select_by_visible_text(text)


def press(browser: Browser, *names: str) -> None:
    """Presses keys while the picture has the focus."""
    from selenium.webdriver.common.keys import Keys

    browser.one("#plot").send_keys(*(getattr(Keys, name) for name in names))


def test_it_logs_nothing(opened: Browser) -> None:
    """Neither an error nor a violation of its own security policy."""
    assert opened.log() == []


def test_it_loads_nothing(opened: Browser) -> None:
    """No resource beside the file itself was asked for."""
    names = opened.driver.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert [name for name in names if not name.startswith("data:")] == []


def test_each_cell_has_a_line(opened: Browser) -> None:
    """The picture has a line and a band for each cell, within its bounds."""
    assert len(opened.all("#drawing .line")) == len(opened.all("#drawing .band")) == 2
    assert opened.one("#drawing .line").rect["width"] > 500


def test_a_table_sorts(opened: Browser) -> None:
    """A click on a head sorts by the numbers of its column, upwards and then downwards, and says so."""
    (button,) = [one for one in opened.all("#results-table thead button") if one.text == "test_accuracy"]
    button.click()
    assert heads(opened, "results-table") == ["l1", "dice"]
    assert opened.texts("#results-table [aria-sort=ascending] button") == ["test_accuracy"]
    button.click()
    assert heads(opened, "results-table") == ["dice", "l1"]
    assert opened.texts("#results-table [aria-sort=descending] button") == ["test_accuracy"]


def test_numbers_sort_by_value(browser: Browser, write_run: WriteRun) -> None:
    """A setting that is a number sorts as one: 9 before 10."""
    places = [write_run(f"run-{size}", batch_size=size) for size in (10, 9, 100)]
    browser.open(page(*places))
    (button,) = [one for one in browser.all("thead button") if one.text == "batch_size"]
    button.click()
    table = button.find_element("xpath", "ancestor::table")
    cells = [one.text for one in table.find_elements("css selector", "tbody td:nth-child(2)")]
    assert cells == ["9", "10", "100"]


def test_a_line_is_switched_off_and_on(opened: Browser) -> None:
    """An entry of the legend is a button that takes its line away and brings it back."""
    button = opened.one("#legend button")
    assert (button.text, button.get_attribute("aria-pressed")) == ("dice", "true")
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert len(opened.all("#drawing .line")) == 1
    assert opened.all("#drawing .line.c0") == []
    button.click()
    assert len(opened.all("#drawing .line")) == 2


def test_the_pointer_shows_values(opened: Browser) -> None:
    """At the right edge the last epoch's means and standard deviations are shown: 0.625 and 0.375, ± 1/8."""
    from selenium.webdriver.common.action_chains import ActionChains

    plot = opened.one("#plot")
    ActionChains(opened.driver).move_to_element_with_offset(plot, int(plot.rect["width"] / 2) - 20, 0).perform()
    assert opened.one("#tip").is_displayed()
    assert opened.one("#tip p").text == "epoch 1"
    assert opened.texts("#tip .name") == ["dice", "l1"]
    assert opened.texts("#tip .value") == ["0.625 ± 0.13", "0.375 ± 0.13"]
    assert len(opened.all("#cursor .cross")) == 1


def test_keys_move_along_the_points(opened: Browser) -> None:
    """Right goes to the next point, down to the next line; what is there is spoken. Escape ends."""
    press(opened, "ARROW_RIGHT")
    assert opened.texts("#spoken") == ["dice, epoch 0: 0.25 ± 0"]
    press(opened, "ARROW_RIGHT", "ARROW_DOWN")
    assert opened.texts("#spoken") == ["l1, epoch 1: 0.375 ± 0.13"]
    press(opened, "ESCAPE")
    assert not opened.one("#tip").is_displayed()


def test_the_axis_is_chosen(opened: Browser) -> None:
    """Over seconds, the second of two epochs of 2 seconds is at 4."""
    choose(opened, "axis", "seconds")
    press(opened, "END")
    assert opened.texts("#spoken") == ["dice, seconds 4: 0.625 ± 0.13"]
    assert opened.texts("#drawing .axis") == ["seconds"]


def test_the_metric_is_chosen(opened: Browser) -> None:
    """Another metric has its own curves, and a note where its values cannot be compared."""
    choose(opened, "metric", "test_loss")
    assert opened.texts("#caption") == ["test_loss over epochs; smaller is better"]
    assert "different scales" in opened.one("#chart-note").text
    press(opened, "END")
    assert opened.texts("#spoken") == ["dice, epoch 1: 0.375 ± 0.13"]


def test_a_log_scale_has_powers(browser: Browser, write_run: WriteRun) -> None:
    """On a log scale equal ratios are equally far apart: 0.001, 0.01, 0.1 and 1."""
    browser.open(page(write_run("a", [0.001, 1.0]), write_run("b", [0.01, 0.1], epochs=9)))
    browser.one("#log").click()
    ticks = {one.text: one.rect["y"] for one in browser.all("#drawing .tick[text-anchor=end]")}
    places = [ticks[text] for text in ("1", "0.1", "0.01", "0.001")]
    assert places == pytest.approx([places[0] + index * (places[3] - places[0]) / 3 for index in range(4)], abs=1)
    assert places[3] - places[0] > 200
    assert browser.log() == []


def test_the_numbers_follow_the_picture(opened: Browser) -> None:
    """The table behind the picture has the numbers of the lines that are on."""
    opened.one("#numbers summary").click()
    opened.one("#legend button").click()
    assert opened.texts("#numbers-table thead th") == ["epoch", "l1"]
    assert opened.texts("#numbers-table tbody tr") == ["00.125", "10.375"]


def test_it_is_whole_without_scripts(browser: Browser, grid_page: str) -> None:
    """Without scripts there is a picture with all lines, and no control that does nothing."""
    browser.emulate(scripts=False)
    (browser.folder / "report.html").write_text(grid_page, encoding="utf-8")
    browser.driver.get((browser.folder / "report.html").as_uri())
    assert len(browser.all("#drawing .line")) == 2
    assert browser.one("#drawing .line").rect["width"] > 500
    assert [one for one in browser.all("button, select, input") if one.is_displayed()] == []
    assert browser.texts("#legend .text") == ["dice", "l1"]


def test_both_drawings_are_one_picture(browser: Browser, grid_page: str) -> None:
    """The picture without scripts has the lines, bands and ticks of the one that the script draws."""
    pictures = []
    for scripts in (False, True):
        (browser.folder / "report.html").write_text(grid_page, encoding="utf-8")
        browser.emulate(scripts=scripts)
        browser.driver.get((browser.folder / "report.html").as_uri())
        plot = browser.one("#inside rect")
        left, top, width, height = (float(plot.get_attribute(name)) for name in ("x", "y", "width", "height"))
        points = [
            [
                ((float(x) - left) / width, (float(y) - top) / height)
                for x, y in re.findall(r"([-\d.]+),([-\d.]+)", path)
            ]
            for path in (one.get_attribute("d") for one in browser.all("#drawing .band, #drawing .line"))
        ]
        styles = [one.get_attribute("class") for one in browser.all("#drawing path")]
        pictures.append((points, styles, browser.texts("#drawing .tick[text-anchor=end]")))
    (static, *rest), (drawn, *others) = pictures
    assert rest == others
    assert [len(path) for path in static] == [len(path) for path in drawn] == [4, 4, 2, 2]
    for before, after in zip(static, drawn, strict=True):
        assert [number for point in before for number in point] == pytest.approx(
            [number for point in after for number in point], abs=0.002
        )


@pytest.mark.parametrize(("scheme", "is_dark"), [("light", False), ("dark", True)])
def test_light_and_dark(opened: Browser, scheme: str, is_dark: bool) -> None:
    """The page is light or dark as its reader has it, and its texts have a contrast of at least 4.5 with it (WCAG)."""
    opened.emulate(scheme=scheme)
    ground = luminance(style(opened, "body", "background-color"))
    assert (ground < 0.1) == is_dark
    for selector, name in (("h1", "color"), (".facts", "color"), (".hint", "color"), (".tick", "fill")):
        text = luminance(style(opened, selector, name))
        assert (max(ground, text) + 0.05) / (min(ground, text) + 0.05) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("colour", range(7))
def test_lines_can_be_seen(opened: Browser, scheme: str, colour: int) -> None:
    """The colour of each line has a contrast of at least 3 with the page (WCAG, for graphics)."""
    opened.emulate(scheme=scheme)
    ground = luminance(style(opened, "body", "background-color"))
    script = f"arguments[0].setAttribute('class', 'line c{colour}')"
    opened.driver.execute_script(script, opened.one("#drawing .line"))
    line = luminance(style(opened, "#drawing .line", "stroke"))
    assert (max(ground, line) + 0.05) / (min(ground, line) + 0.05) >= 3


def test_paper_has_no_controls(opened: Browser) -> None:
    """On paper there are picture and tables, in dark ink on white, and no control."""
    opened.emulate(media="print", scheme="dark")
    assert luminance(style(opened, "body", "color")) < 0.05
    assert opened.one("#chart").is_displayed()
    assert opened.one("#results-table").is_displayed()
    assert [one for one in opened.all("#controls, #all") if one.is_displayed()] == []


def test_a_narrow_screen_scrolls_down_alone(opened: Browser) -> None:
    """On a telephone nothing but the wide tables scrolls to the side, and the picture keeps a readable height."""
    opened.emulate(width=360)
    wait(lambda: opened.one("#chart").rect["height"] >= 240)
    width = "document.documentElement"
    assert opened.driver.execute_script(f"return {width}.scrollWidth - {width}.clientWidth") == 0


def test_hostile_texts_stay_texts(browser: Browser, write_run: WriteRun) -> None:
    """Markup in settings, names, metrics and reasons is shown as it is, and never runs."""
    rows = [
        {"kind": "epoch", "epoch": epoch, "step": epoch + 1, "seconds": 1.0, "test_accuracy": 0.5, HOSTILE: 0.5}
        for epoch in range(2)
    ]
    places = [
        write_run(
            "<b>bold</b>", rows=rows, loss=f"builtin.dice(x={HOSTILE!r})", freeze=HOSTILE,
            record={"status": "failed", "reason": HOSTILE, "command": HOSTILE, "versions": {HOSTILE: HOSTILE}},
        ),
        write_run("other", rows=rows),
    ]  # fmt: skip
    browser.open(page(*places))
    choose(browser, "metric", HOSTILE)
    press(browser, "ARROW_RIGHT", "ARROW_RIGHT")
    browser.one("#numbers summary").click()
    for button in browser.all("thead button")[:4]:
        button.click()
    assert browser.driver.execute_script("return window.hacked") is None
    assert browser.all("img, b, script[src]") == []
    assert HOSTILE in browser.texts(".note")
    assert any(HOSTILE in text for text in browser.texts("#legend .text"))
    assert browser.log() == []


def test_other_scripts_are_refused(opened: Browser) -> None:
    """The page's security policy lets no script run but the page's own."""
    add = (
        "const one = document.createElement('script'); one.textContent = 'window.hacked = 1'; document.body.append(one)"
    )
    opened.driver.execute_script(add)
    assert opened.driver.execute_script("return window.hacked") is None
    assert any("Content Security Policy" in entry["message"] for entry in opened.log())


def test_one_run_has_a_line_for_each_split(browser: Browser, write_run: WriteRun) -> None:
    """A single run begins with its loss, on the training and on the test split."""
    browser.open(page(write_run("alone")))
    assert browser.texts("#legend button") == ["train_loss", "test_loss"]
    assert len(browser.all("#drawing .line")) == 2
    assert browser.log() == []


def test_many_cells_begin_with_the_best(browser: Browser, tmp_path: Path) -> None:
    """Of 40 cells the 8 with the best results are drawn; one click draws them all."""
    for size in range(1, 41):
        write(tmp_path / f"run-{size}", [0.1, size / 50], batch_size=size)
    browser.open(page(tmp_path))
    pressed = [one.get_attribute("title") for one in browser.all("#legend [aria-pressed=true]")]
    assert pressed == [f"batch_size={size}" for size in range(33, 41)]
    browser.one("#show-all").click()
    assert len(browser.all("#drawing .line")) == 40
    browser.one("#show-none").click()
    assert browser.all("#drawing .line") == []
    assert browser.log() == []


def test_gaps_and_missing_numbers(browser: Browser, write_run: WriteRun) -> None:
    """A metric that was not finite leaves a gap, and the values beside it are drawn."""
    browser.open(page(write_run("gaps", [0.5, None, 0.25, 0.5]), write_run("none", [None, None, None], epochs=9)))
    choose(browser, "metric", "test_accuracy")
    assert len(browser.all("#drawing .dot")) == 1
    assert len(browser.all("#drawing .line")) == 1
    press(browser, "ARROW_RIGHT", "ARROW_RIGHT")
    browser.one("#log").click()
    assert browser.log() == []


def style(browser: Browser, selector: str, name: str) -> str:
    """A computed style of the element that fits a selector."""
    script = "return getComputedStyle(arguments[0]).getPropertyValue(arguments[1])"
    return str(browser.driver.execute_script(script, browser.one(selector), name))


def luminance(colour: str) -> float:
    """The relative luminance of a colour such as `rgb(0, 114, 178)`, as WCAG 2 defines it."""
    parts = [float(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def wait(holds: Callable[[], Any]) -> None:
    """Waits until something holds: a browser lays a page out when it comes to it."""
    import time

    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)
