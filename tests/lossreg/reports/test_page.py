"""What a page holds, as a parser of HTML reads it: its structure, its texts, and nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.lossreg.reports.conftest import WriteRun, page, write

VOID = {"meta", "link", "input", "img", "br", "hr"}
SCRIPT = "</script><script>alert(1)</script>"
QUOTES = "\"'><b onmouseover=alert(1)>&amp;"
CONTROL = "a\x1b[31mb\x00\u202etxt.exe\u2066"


@attrs.define
class Element:
    """An element with its attributes, the elements around it, and its text."""

    tag: str
    attributes: dict[str, str | None]
    around: tuple[str, ...]
    text: str = ""


class Elements(HTMLParser):
    """All elements of a page; checks that each that is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Element] = []
        self._open: list[Element] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Opens an element."""
        assert len({name for name, _ in attrs}) == len(attrs)
        self.found.append(Element(tag, dict(attrs), tuple(one.tag for one in self._open)))
        if tag not in VOID:
            self._open.append(self.found[-1])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element of SVG without content."""
        self.found.append(Element(tag, dict(attrs), tuple(one.tag for one in self._open)))

    def handle_endtag(self, tag: str) -> None:
        """Closes an element."""
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        """Text of all elements that are open."""
        for one in self._open:
            one.text += data

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """The elements of a tag that have some attributes."""
        return [
            one
            for one in self.found
            if one.tag == tag and all(one.attributes.get(name) == value for name, value in attributes.items())
        ]


def data_of(elements: Elements) -> Any:
    """What the script is given."""
    (data,) = elements.all("script", type="application/json")
    return json.loads(data.text)


def table_of(elements: Elements, label: str) -> list[list[str]]:
    """The rows of the table with a caption, each as its texts."""
    rows: list[list[str]] = []
    is_it = False
    for one in elements.found:
        if one.tag == "caption":
            is_it = one.text == label
        elif is_it and one.tag == "tr":
            rows.append([])
        elif is_it and one.tag in ("td", "th"):
            rows[-1].append(one.text.strip())
    return rows


def test_results_are_means_and_deviations(grid: Path) -> None:
    """Of the last accuracies 0.5, 0.625 and 0.75 of three seeds the mean is 0.625 and the standard deviation 0.125."""
    head, dice, l1 = table_of(Elements(page(grid)), "Results")
    assert head[:3] == ["cell", "runs", "test_accuracygreater is better"]
    assert dice[:3] == ["dice", "3", "0.6250 ± 0.1250"]
    assert l1[:3] == ["l1", "3", "0.3750 ± 0.1250"]


def test_each_run_is_a_row(grid: Path) -> None:
    """With its directory, cell, seed, status, metric, epochs and time."""
    rows = table_of(Elements(page(grid)), "Runs")
    assert len(rows) == 7
    assert rows[2] == ["dice-1", "dice", "1", "finished", "0.6250", "2", "1 min 15 s", "2026-01-02 03:04"]


def test_what_differs_is_apart_from_what_is_shared(grid: Path) -> None:
    """The setting in which cells differ is in a table; those that they share are not in it."""
    elements = Elements(page(grid))
    assert table_of(elements, "What differs between the cells") == [
        ["cell", "loss", "seeds"],
        ["dice", "dice", "0, 1, 2"],
        ["l1", "l1", "0, 1, 2"],
    ]
    shared = dict(zip([one.text for one in elements.all("dt")], [one.text for one in elements.all("dd")], strict=True))
    assert shared["epochs"] == "2"
    assert shared["model"] == "builtin.mnist_cnn"
    assert shared["torch"] == "2.14.1"
    assert "loss" not in shared


def test_a_failed_run_says_why(write_run: WriteRun) -> None:
    """The reason is in the table of runs, and the numbers of a cell are those of the runs that ended."""
    write_run("all/a", [0.5], seed=0)
    failed = write_run("all/b", [0.1], seed=1, record={"status": "failed", "reason": "the loss is not finite"})
    elements = Elements(page(failed.parent))
    assert table_of(elements, "Runs")[2][2] == "failedthe loss is not finite"
    assert table_of(elements, "Results")[1][1:4] == ["1 finished, 1 failed", "2", "0.5000"]


def test_each_run_has_its_commands(grid: Path) -> None:
    """The command with its settings, and the one that reads its directory."""
    commands = [one.text for one in Elements(page(grid)).all("code")]
    assert f"lossreg run -c {grid / 'dice-1'}" in commands
    expected = (
        "lossreg run --loss builtin.dice --opt builtin.sgd --model builtin.mnist_cnn --data builtin.digits "
        "--epochs 2 --seed 1"
    )
    assert expected in commands


def test_a_recorded_command_is_shown(write_run: WriteRun) -> None:
    """A run whose command line is recorded shows it."""
    run = write_run("run", record={"command": ["lossreg", "run", "--loss", "dice(smooth=1)"]})
    assert "lossreg run --loss 'dice(smooth=1)'" in [one.text for one in Elements(page(run)).all("code")]


def test_versions_that_differ_are_counted(write_run: WriteRun) -> None:
    """Where runs have different versions, each is named with its number of runs."""
    runs = [write_run(str(n), seed=n, record={"versions": {"torch": version}}) for n, version in enumerate("112")]
    assert "1 (2 runs), 2 (1 run)" in [one.text for one in Elements(page(*runs)).all("dd")]


def test_choices_on_test_are_told(write_run: WriteRun) -> None:
    """Where something was chosen on the test split, the page says what its metrics are worth."""
    run = write_run("run", record={"chosen_on": "test"})
    (warning,) = [one.text for one in Elements(page(run)).all("li") if "chose" in one.text]
    assert "no measure of new data" in warning


def test_a_torn_line_is_told(write_run: WriteRun) -> None:
    """What could not be read of a run is on the page."""
    run = write_run("run")
    with (run / "metrics.jsonl").open("a") as stream:
        stream.write('{"kind": "epo')
    assert "the last line of metrics.jsonl is cut off" in page(run)


def test_a_run_without_epochs_has_a_page(write_run: WriteRun) -> None:
    """It says that there are no curves, and why it failed."""
    run = write_run("run", [], record={"status": "failed", "reason": "it broke"})
    text = page(run)
    assert "there are no curves" in text
    assert "it broke" in text
    assert "application/json" not in text


def test_nothing_comes_from_elsewhere(grid: Path) -> None:
    """No address is in the file but the namespaces of SVG, no attribute leads out of it, no style imports anything."""
    text = page(grid)
    assert set(re.findall(r"\w+://[^\"' <]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert re.findall(r"@import|@font-face|url\((?!#)", text) == []
    elements = Elements(text)
    for one in elements.found:
        for name in ("src", "srcset", "href", "xlink:href", "action", "data", "poster"):
            assert (one.attributes.get(name) or "#").startswith(("#", "data:,"))


def test_nothing_else_can_run(grid: Path) -> None:
    """The page allows its own style sheet and script by their hashes, and nothing else; no attribute has code."""
    elements = Elements(page(grid))
    (policy,) = elements.all("meta", **{"http-equiv": "Content-Security-Policy"})
    (style,) = elements.all("style")
    (script,) = [one for one in elements.all("script") if "type" not in one.attributes]
    allowed = {
        name: base64.b64encode(hashlib.sha256(one.text.encode()).digest()).decode()
        for name, one in (("style", style), ("script", script))
    }
    assert policy.attributes["content"] == (
        f"default-src 'none'; style-src 'sha256-{allowed['style']}'; script-src 'sha256-{allowed['script']}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    assert [name for one in elements.found for name in one.attributes if name == "style" or name.startswith("on")] == []


@pytest.mark.parametrize("text", [SCRIPT, QUOTES, CONTROL])
def test_hostile_texts_are_texts(write_run: WriteRun, text: str) -> None:
    """Wherever a text of a run directory may be, it adds no element and no attribute to the page."""
    plain, hostile = (
        Elements(
            page(
                *(
                    write_run(
                        f"{folder}/{name}", loss=f"builtin.dice(x={each!r})", freeze=each, device=each,
                        rows=[{"kind": "epoch", "epoch": 0, "step": 1, "test_accuracy": 0.5, each: 1.0}],
                        record={
                            "status": "failed", "reason": each, "command": each, "device": each,
                            "versions": {each: each}, "objects": {"model": each},
                            "metrics": {"test_accuracy": 0.5, f"test_{each}": 1.0},
                        },
                        seed=seed,
                    )
                    for seed, name in enumerate(("a", "b"))
                )
            )
        )
        for folder, each in (("plain", "plain"), ("hostile", text))
    )  # fmt: skip
    assert Counter((one.tag, *sorted(one.attributes)) for one in hostile.found) == Counter(
        (one.tag, *sorted(one.attributes)) for one in plain.found
    )


def test_a_hostile_directory_is_a_text(write_run: WriteRun) -> None:
    """The name of a directory is shown as it is, and quoted for the shell."""
    elements = Elements(page(write_run("<script>alert('1')<")))
    assert len(elements.all("script")) == 2
    assert any(one.text.endswith("""<script>alert('"'"'1'"'"')<'""") for one in elements.all("code"))


def test_control_characters_are_escaped(write_run: WriteRun) -> None:
    """What moves a cursor or turns the direction of a text is not in the page, but its escape."""
    text = page(write_run("run", record={"reason": CONTROL, "status": "failed"}, freeze=CONTROL))
    assert re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text) == []
    assert "a\\x1b[31mb\\x00\\u202etxt.exe\\u2066" in text


def test_numbers_that_json_has_not_are_gaps(write_run: WriteRun) -> None:
    """NaN, infinity and numbers too great to be added are gaps in the data of the curves."""
    run = write_run("run", rows=[])
    values = ["0.5", "NaN", "Infinity", "1e999", "1" + "0" * 400, "true", "[1]", '"0.5"', "0.25"]
    lines = [
        f'{{"kind": "epoch", "epoch": {n}, "step": {n}, "test_accuracy": {value}}}\n' for n, value in enumerate(values)
    ]
    (run / "metrics.jsonl").write_text("".join(lines))
    (chart,) = data_of(Elements(page(run)))["charts"]
    assert chart["curves"][0]["y"] == [0.5, *[None] * 7, 0.25]


def test_great_numbers_are_drawn(write_run: WriteRun) -> None:
    """Numbers whose squares and differences overflow are drawn within the picture."""
    rows = [{"kind": "epoch", "epoch": n, "step": n, "train_loss": value} for n, value in enumerate((9e299, -9e299, 0))]
    text = page(write_run("a", rows=rows, seed=0), write_run("b", rows=rows[:2], seed=1))
    assert "nan" not in text.lower().replace("isnan", "").replace("<dt>nan</dt>", "")  # a setting
    assert "inf," not in text


def test_the_structure_serves_those_who_do_not_see(grid: Path) -> None:
    """One first heading, none that skips a level, a text for the picture, names for tables and controls, unique ids."""
    elements = Elements(page(grid))
    levels = [int(one.tag[1]) for one in elements.found if re.fullmatch("h[1-6]", one.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    (html,) = elements.all("html")
    assert html.attributes["lang"] == "en"
    ids = Counter(one.attributes["id"] for one in elements.found if "id" in one.attributes)
    assert [name for name, count in ids.items() if count > 1] == []
    for one in elements.found:
        for name in ("aria-labelledby", "aria-describedby"):
            assert {*(one.attributes.get(name) or "").split()} <= ids.keys()
    (picture,) = elements.all("svg", role="img")
    assert picture.attributes["aria-labelledby"] == "chart-title chart-description"
    (description,) = elements.all("desc")
    assert "dice: from 0.25 to 0.625; l1: from 0.125 to 0.375" in description.text
    assert all(one.attributes.get("aria-hidden") == "true" for one in elements.all("svg") if one is not picture)
    assert all("label" in one.around for tag in ("select", "input") for one in elements.all(tag))
    assert len(elements.all("caption")) == len(elements.all("table"))
    assert all(one.attributes.get("scope") in ("col", "row") for one in elements.all("th"))


def test_the_numbers_of_the_picture_are_in_a_table(grid: Path) -> None:
    """What the picture shows can be read as numbers."""
    assert table_of(Elements(page(grid)), "The numbers of the picture") == [
        ["epoch", "dice", "l1"],
        ["0", "0.25", "0.125"],
        ["1", "0.625", "0.375"],
    ]


def test_a_large_comparison_stays_small(tmp_path: Path) -> None:
    """100 cells of 3 seeds with 100 epochs each give a page of less than 3 MB."""
    values = [0.123456789 * (1 + epoch / 100) for epoch in range(100)]
    for size in range(100):
        for seed in range(3):
            write(
                tmp_path / f"{size}-{seed}",
                [value * (1 + seed / 50) for value in values],
                seed=seed,
                log_every=size + 1,
            )
    assert len(page(tmp_path)) < 3_000_000
