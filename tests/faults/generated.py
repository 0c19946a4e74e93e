"""What generated files are made of, and what is asked of their readers."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lossreg.errors import LossregError
from lossreg.values import one_line
from tests.faults.campaign import Campaign

LIMIT = 2.0  # seconds of the processor for one reader and one small file; most need a thousandth
LONGEST = 3000  # characters of a message

#: Texts that mean something to a reader, or to a shell, a terminal, a file system or Python.
WORDS = (
    "", "none", "builtin.dice(smooth=1)", "builtin.sgd(lr=0.1)", "sgd", "os.system", "os:system", "__import__('os')",
    "../../outside", "/etc/passwd", "\0", "a\nb", "\x1b[31m", "\ud800", "\u202e", "$(touch RAN)", "{0.__class__}",
    "%s%n", "inf", "nan", "1e999", "running", "finished", "cuda:99", "test_loss<0.1", "fold(1/2)", "10m",
    "*.bias: lr=0", "x" * 5000, "[" * 300, "step", "epoch", "2026-01-01T00:00:00", "9999-12-31T23:59:59+23:59",
    "\ufeff", "-p evil.py",
)  # fmt: skip
_CHARACTERS = st.characters(exclude_categories=())  # halves of characters, too
TEXTS = st.sampled_from(WORDS) | st.text(_CHARACTERS, max_size=30)
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, -1, 1 << 63, 10**400, -(10**400), 1e308, -0.0, 5e-324])
    | st.floats()
    | TEXTS
)
VALUES = st.recursive(_LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4))
DEEP = st.integers(150, 20_000).map(lambda depth: "[" * depth + "]" * depth) | st.integers(150, 5_000).map(
    lambda depth: '{"a":' * depth + "1" + "}" * depth
)
_PIECES = st.sampled_from(
    ["{", "}", "[", "]", '"', ",", ":", "\\", "\\u0000", "\\ud800", "NaN", "-Infinity", "1e9999", "9" * 5000, "\ufeff",
     "null", "\n", "\r", "\0", " ", "=", "'", '"""', "#", "[[", "]]", ".", "a.b.c=", "1979-05-27", "0x", "inf", "(",
     ")"]
)  # fmt: skip


def _places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path to each part of a value of JSON."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(found for key, one in inner for found in _places(one, (*place, key)))]


def _with(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    changed = copy.deepcopy(value)
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = new
    return changed


@st.composite
def variants(draw: st.DrawFn, of: Any) -> str:
    """A JSON text in which one or two parts of a value have another one, or are there twice, or are deep."""
    value = of
    for _ in range(draw(st.integers(1, 2))):
        value = _with(value, draw(st.sampled_from(_places(value)[1:] or [()])), draw(VALUES))
        if not isinstance(value, dict | list):
            break
    indent = draw(st.sampled_from([None, 2]))
    text = json.dumps(value, indent=indent)
    if draw(st.integers(0, 9)) == 0:
        deep = draw(DEEP)
        marked = _with(of, draw(st.sampled_from(_places(of)[1:] or [()])), "DEEP")
        text = json.dumps(marked, indent=indent).replace('"DEEP"', deep)
    return text


@st.composite
def disturbed(draw: st.DrawFn, of: st.SearchStrategy[str]) -> bytes:
    """A text of which a piece is missing, or another one is in it; or bytes that are no text."""
    data = draw(of).encode("utf-8", "surrogatepass")
    for _ in range(draw(st.integers(0, 3))):
        begin = draw(st.integers(0, len(data)))
        end = min(len(data), begin + draw(st.sampled_from([0, 0, 1, 3, 50, 10**6])))
        piece = draw(_PIECES | VALUES.map(lambda value: json.dumps(value))).encode("utf-8", "surrogatepass")
        data = data[:begin] + draw(st.sampled_from([piece, piece, b"", b"\xff\xfe", b"\xef\xbb\xbf"])) + data[end:]
    return data


def why_wrong(read: Callable[[], Any], limit: float = LIMIT) -> str | None:
    """What is wrong with how a reader ended: anything but a value, or one error of one line, within a time."""
    begin = time.thread_time()
    try:
        read()
    except LossregError as error:
        message = str(error)
        if message != one_line(message) or len(message) > LONGEST:
            return f"the message {message[:500]!r}"
    except BaseException as error:  # whatever it is, it is not a named error
        return f"{type(error).__name__}: {str(error)[:300]}"
    took = time.thread_time() - begin
    return f"it took {took:.1f} s" if took > limit else None


def examine(
    campaign: Campaign, made: st.SearchStrategy[Any], numbers: tuple[int, int], check: Callable[[Any], Any]
) -> None:
    """Asks a check of many generated values; it returns what is wrong with one, or None.

    Args:
        campaign: Counts them.
        made: The values.
        numbers: How many, by the size of the campaign.
        check: The check.
    """

    @settings(
        max_examples=campaign.of(*numbers),
        database=None,  # nothing is kept from one session for the next
        deadline=None,
        derandomize=True,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(made)
    def one(value: Any) -> None:
        campaign.count("inputs")
        wrong = check(value)
        assert wrong is None, wrong

    one()
