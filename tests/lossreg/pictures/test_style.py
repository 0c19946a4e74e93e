"""How pictures look, and how they become files."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from matplotlib.colors import to_rgb

from lossreg.errors import ConfigError
from lossreg.pictures.style import (
    COLOURS,
    MAX_CURVES,
    PATTERNS,
    Look,
    check_picture,
    drawing,
    new_figure,
    write_picture,
)
from tests.table import for_each


def luminance(colour: str) -> float:
    """The relative luminance, as WCAG 2 defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True)))


def test_no_two_curves_look_the_same() -> None:
    """Colour and pattern together are different for as many curves as a picture may have."""
    assert len({Look.of(number) for number in range(MAX_CURVES)}) == MAX_CURVES


def test_curves_of_one_pattern_differ_in_grey() -> None:
    """Curves of the same pattern that follow each other are of contrast 1.3 or more without colour."""
    for number in range(MAX_CURVES - len(PATTERNS)):
        pair = sorted(luminance(Look.of(one).colour) for one in (number, number + len(PATTERNS)))
        assert (pair[1] + 0.05) / (pair[0] + 0.05) > 1.3


def test_every_colour_is_seen_on_white() -> None:
    """Each colour has a contrast of more than 2 to the paper."""
    assert min(1.05 / (luminance(colour) + 0.05) for colour in COLOURS) > 2


def test_drawing_leaves_matplotlib_as_it_was(caplog: pytest.LogCaptureFixture) -> None:
    """The caller's settings and backend hold again afterwards, and warnings and logs are theirs."""
    with mpl.rc_context({"lines.linewidth": 7.25}), caplog.at_level(logging.WARNING, "matplotlib"):
        before = dict(mpl.rcParams)
        with drawing():
            assert mpl.rcParams["lines.linewidth"] == 1.5
            warnings.warn("said to no one", stacklevel=1)
        assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("setting", [{"text.usetex": True}, {"axes.formatter.use_mathtext": True}, {"font.size": 40}])
def test_a_matplotlibrc_changes_nothing(tmp_path: Path, setting: Any) -> None:
    """A person's own settings are not those of our pictures: the file is the same."""

    def made(name: str) -> bytes:
        with drawing():
            figure, (panel,) = new_figure(1, 3.0, ["a $heading$"])
            panel.plot([1, 2], [3e-7, 4e-7])
        write_picture(figure, tmp_path / name)
        return (tmp_path / name).read_bytes()

    plain = made("plain.png")
    with mpl.rc_context(setting):
        assert made("set.png") == plain


@pytest.mark.parametrize(("ending", "begins"), [("png", b"\x89PNG\r\n\x1a\n"), ("svg", b"<?xml"), ("PDF", b"%PDF-")])
def test_a_picture_is_of_the_format_of_its_name(tmp_path: Path, ending: str, begins: bytes) -> None:
    """The file begins as its format does, and is alone in its folder; drawn again it is the same."""
    target = tmp_path / f"picture.{ending}"
    contents = []
    for _ in range(2):
        with drawing():
            figure, (panel,) = new_figure(1, 3.0)
            panel.plot([1, 2], [3, 4])
        write_picture(figure, target)
        contents.append(target.read_bytes())
    assert contents[0].startswith(begins)
    assert contents[0] == contents[1]
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


@for_each("name", ["", "plot", "plot.gif", "a\0.png", ".png", "plot.png/", "x" * 5000 + ".pn"])
def test_a_name_of_no_picture_is_refused(name: str) -> None:
    """A name without a known ending is an error that lists them."""
    with pytest.raises(ConfigError, match=r"\.png, \.svg, \.pdf|is a directory|is empty|null byte"):
        check_picture(name, "--out")


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    """A picture is not written into a folder that is not there."""
    with pytest.raises(ConfigError, match=r"there is no directory .*none; make it first"):
        check_picture(tmp_path / "none" / "x.png", "--out")


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """A name that is too long for the system is one line of our own, and leaves no file."""
    with drawing():
        figure, _ = new_figure(1, 3.0)
    with pytest.raises(ConfigError, match="cannot be written: File name too long; name another file"):
        write_picture(figure, tmp_path / f"{'x' * 300}.png")
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_not_told(tmp_path: Path) -> None:
    """Where matplotlib cannot keep its cache, or its settings are broken, a picture is drawn without a word."""
    (tmp_path / "matplotlibrc").write_text("no such setting: 1\n")
    (tmp_path / "run.json").write_text('{"format": 2, "spec": {}}')
    (tmp_path / "metrics.jsonl").write_text('{"kind": "epoch", "epoch": 0, "step": 1, "train_loss": 1.0}\n')
    code = "from pathlib import Path; from lossreg.pictures.curves import draw_curves; draw_curves(Path())"
    environment = {**os.environ, "MPLCONFIGDIR": "/proc/none"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")
    assert (tmp_path / "curves.png").is_file()
