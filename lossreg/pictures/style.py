"""How all pictures look, and how they become files.

A picture is as wide as the text of a page and has letters of the size of its small print. Curves are told apart by
colour and by the pattern of the line, so that a print in grey, or eyes that do not tell colours, lose nothing.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from lossreg.errors import ConfigError, describe_error
from lossreg.suggestions import did_you_mean
from lossreg.training.record.outputs import output_file, written
from lossreg.values import one_line, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "svg", "pdf")
WIDTH = 6.5  # inches: the text of a page of A4 or letter
DPI = 200

#: Okabe and Ito's palette (https://jfly.uni-koeln.de/color/), which the colour-blind can tell apart, without yellow,
#: which is invisible on white. In this order curves of one pattern that follow each other differ in brightness.
COLOURS = ("#000000", "#0072B2", "#009E73", "#D55E00", "#CC79A7", "#E69F00", "#56B4E9")
#: Line styles of matplotlib. No divisor in common with the colours: both change from curve to curve.
PATTERNS: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
MAX_CURVES = len(COLOURS) * len(PATTERNS)  # more would repeat a look
FEW_POINTS = 30  # up to so many each point of a curve is marked
MANY_POINTS = 300  # a curve of more is drawn thinner: each of its waves is a mark of its own
GREY = "#595959"
_THICK, _THIN = 1.5, 1.0  # points

_MATPLOTLIB: Mapping[
    Any, Any
] = {  # over matplotlib's own defaults: a person's matplotlibrc, in which TeX may be on, changes nothing
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 8.5,
    "text.parse_math": False,  # a `$` in a name is a `$`
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.7,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "axes.titlepad": 5,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.6,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": "#262626",
    "ytick.labelcolor": "#262626",
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "lines.linewidth": _THICK,
    "lines.markersize": 2.8,
    "agg.path.chunksize": 20_000,  # its renderer fails on a longer line
    "savefig.dpi": DPI,
    "svg.hashsalt": "lossreg",  # the same picture is the same file
    "pdf.fonttype": 42,  # journals refuse type 3
}


@attrs.frozen
class Look:
    """How a curve is told from others.

    Attributes:
        colour: As `#RRGGBB`.
        pattern: A line style of matplotlib.
    """

    colour: str
    pattern: Any

    @classmethod
    def of(cls, number: int) -> Look:
        """The look of the curve of this number, from 0."""
        return cls(COLOURS[number % len(COLOURS)], PATTERNS[number % len(PATTERNS)])

    def line(self, points: int) -> dict[str, Any]:
        """The keyword arguments of `Axes.plot` for a curve of so many points."""
        marker = {"marker": "o"} if points <= FEW_POINTS else {}
        width = _THIN if points > MANY_POINTS else _THICK
        return {"color": self.colour, "linestyle": self.pattern, "linewidth": width, **marker}


def has_matplotlib() -> bool:
    """Whether matplotlib is installed; it may be broken."""
    try:
        with _silent():
            import matplotlib as mpl  # noqa: F401  # whether it is there
    except ModuleNotFoundError:
        return False
    except Exception:  # a broken installation may raise anything; drawing says what
        return True
    return True


def check_matplotlib() -> None:
    """Checks that pictures can be drawn.

    Raises:
        ConfigError: If matplotlib is missing or broken.
    """
    try:
        with _silent():
            import matplotlib.figure  # noqa: F401  # what all pictures begin with
    except Exception as error:  # a broken installation may raise anything
        raise ConfigError(
            f"pictures need matplotlib, which cannot be imported: {describe_error(error)}; "
            "pip install matplotlib brings it"
        ) from error


def check_picture(path: str | os.PathLike[str], option: str) -> Path:
    """Checks, before anything is read or drawn, that a picture can have this name.

    Args:
        path: Where the picture shall be.
        option: What named it, for messages: `--out`.

    Raises:
        ConfigError: If it is of no format that can be written, or no file can be there.
    """
    text = os.fspath(path)
    ending = os.path.splitext(text)[1].removeprefix(".").lower()  # noqa: PTH122  # a Path drops a slash at the end
    known = ", ".join(f".{one}" for one in FORMATS)
    if text and ending not in FORMATS:
        hint = did_you_mean(ending, FORMATS)
        raise ConfigError(f"{option} {shown(text)} is not the name of a picture: it ends in one of {known}.{hint}")
    return output_file(text, option)


def write_picture(figure: Figure, target: Path) -> None:
    """Writes a picture in the format of its name; a file that is there is replaced when the new one is whole.

    Raises:
        ConfigError: If it cannot be written.
    """
    kind = target.suffix.removeprefix(".").lower()
    dateless = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)  # the same picture is the same file
    with drawing(), written(target) as partial:
        figure.savefig(partial, format=kind, metadata=dateless)


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """Within the block matplotlib draws as lossreg does, and says nothing; afterwards it is as it was.

    Raises:
        ConfigError: If matplotlib is missing.
    """
    check_matplotlib()
    import matplotlib as mpl

    with _silent(), mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_MATPLOTLIB)
        yield


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Within the block neither warnings (a letter that the font does not have) nor notes (on a cache) are shown."""
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def new_figure(
    panels: int, height: float, heading: Sequence[str] = (), footing: Sequence[str] = ()
) -> tuple[Figure, list[Axes]]:
    """A figure with panels above each other that have their x in common.

    Args:
        panels: How many.
        height: Of the whole without the footing, in inches.
        heading: Lines above the panels.
        footing: Lines below them.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    below = 0.17 * len(footing) + (0.14 if footing else 0)
    height += below
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(panels, 1, sharex=True, squeeze=False)[:, 0])
    line = 0.17 / height
    for number, text in enumerate(heading):
        figure.text(0.012, 1 - 0.07 / height - number * line, fitted(text, WIDTH - 0.35), va="top", color=GREY)
    for number, text in enumerate(footing):
        figure.text(0.012, (below - 0.06 - 0.17 * number) / height, fitted(text, WIDTH - 0.35), va="top")
    top = 1 - (0.32 / height + len(heading) * line)
    figure.subplots_adjust(left=0.09, right=0.97, bottom=(0.42 + below) / height, top=top, hspace=0.32)
    return figure, axes


def name_axes(axes: Sequence[Axes], x: str, *, whole: bool = False) -> None:
    """Writes what is on x below the lowest panel, and takes numbers as lossreg writes them for the ticks.

    Args:
        axes: The panels.
        x: What is on x.
        whole: Whether x is counted.
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    for panel in axes:
        if panel.get_yscale() == "log":
            _tick_log(panel)
        # matplotlib's own writes powers as TeX, and takes a common offset out of sight.
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number_text(value)))
    axes[-1].set_xlabel(x)
    if whole:
        axes[-1].xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
    axes[-1].xaxis.set_major_formatter(FuncFormatter(lambda value, _: number_text(value)))


def _tick_log(panel: Axes) -> None:
    """Numbers along a logarithmic axis that may have no whole power of 10 in its range."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    low, high = panel.get_ylim()
    decades = math.log10(high / low)
    if decades < 1:
        panel.yaxis.set_major_locator(MaxNLocator(nbins=6))
    elif decades < 3:
        panel.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2 else (1.0, 3.0)))
    panel.yaxis.set_minor_formatter(NullFormatter())


def text_width(text: str, size: float) -> float:
    """The width of a text, in inches.

    Args:
        text: The text.
        size: In points.
    """
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    width, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(size=size), ismath=False)
    return float(width) / 72


def fitted(text: str, width: float) -> str:
    """A text cut in its middle to a width in inches, in the usual size."""
    longest = 120
    text = clipped(text, longest)
    while text_width(text, 8.5) > width:
        longest -= 4
        text = clipped(text, longest)
    return text


def number_text(value: float) -> str:
    """A number at a tick.

    Example:
        >>> number_text(0.0001), number_text(20000), number_text(0.30000000000000004), number_text(-1)
        ('0.0001', '20000', '0.3', '−1')
    """
    text = f"{value:.6g}" if value == 0 or 1e-4 <= abs(value) < 1e6 else f"{value:.4g}"
    mantissa, power, exponent = text.partition("e")
    return (f"{mantissa}e{int(exponent)}" if power else text).replace("-", "−")  # a minus


def clipped(text: str, longest: int) -> str:
    """A text for a picture: printable, on one line, cut in its middle if it is long.

    Example:
        >>> clipped("a_name_that_is_long", 9), clipped("short", 9)
        ('a_na…long', 'short')
    """
    text = one_line(text)
    if len(text) <= longest:
        return text
    tail = (longest - 1) // 2
    return f"{text[: longest - 1 - tail]}…{text[-tail:]}"


def numbers(values: Sequence[Any]) -> list[float]:
    """Values of rows for matplotlib: what is missing, or is no number, is a gap."""
    return [float(value) if isinstance(value, int | float) else math.nan for value in values]
