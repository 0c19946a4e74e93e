"""Values as Python's own, and as a message shows them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_HEAD, _TAIL = 80, 30  # characters that a message shows of a long value
_MAX_LINE = 2000  # characters of a line on a terminal

_ESCAPED = {  # C0 and C1, and what changes the direction of a text
    code: repr(chr(code))[1:-1]
    for code in (*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A))
}


def plain(value: object) -> object:
    """A number of another library, such as numpy's, as Python's own; anything else as it is.

    Example:
        >>> import numpy
        >>> plain(numpy.int64(3)), plain(numpy.float32(0.5)), plain(numpy.bool_(True)), plain("3")
        (3, 0.5, True, '3')
    """
    if value is None or isinstance(value, bool | int | float | str | bytes | list | tuple | dict):
        return value
    import numbers  # most values are Python's own

    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if type(value).__module__ == "numpy" and type(value).__name__ in ("bool", "bool_"):
        return bool(value)
    return value


def finite(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row, with None for numbers that JSON does not have.

    Example:
        >>> finite({"step": 3, "test_loss": float("nan")})
        {'step': 3, 'test_loss': None}
    """
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}


def counted(count: int, noun: str) -> str:
    """A number of things, of which one is told from several.

    Example:
        >>> counted(1, "row"), counted(2000, "row")
        ('1 row', '2,000 rows')
    """
    return f"{count:,} {noun}{'s' * (count != 1)}"


def changed_number(number: float | None, before: float | None) -> str:
    """A number and what it was before, with as many digits as tell them apart.

    Example:
        >>> changed_number(0.1, 0.05), changed_number(0.005, 0.00500000001), changed_number(0.1, 0.1)
        ('0.1 instead of 0.05', '0.005 instead of 0.00500000001', '0.1')
    """
    if number is None or before is None:
        return f"{number} instead of {before}"
    for digits in range(6, 13):  # what is behind these is rounding
        texts = f"{number:.{digits}g}", f"{before:.{digits}g}"
        if texts[0] != texts[1]:
            return " instead of ".join(texts)
    return f"{number:g}"


def decimal_comma_hint(text: str) -> str:
    """How a number with a decimal comma is written, as the end of a message; nothing for any other text.

    Example:
        >>> decimal_comma_hint("1,5"), decimal_comma_hint("1.5"), decimal_comma_hint("1,2,3")
        ('; a number has a decimal point: write 1.5', '', '')
    """
    whole, comma, decimals = text.strip().partition(",")
    sign, digits = whole[: whole[:1] in ("+", "-")], whole[whole[:1] in ("+", "-") :]
    mantissa, exponent, power = decimals.lower().partition("e")
    is_power = not exponent or power.removeprefix("-").removeprefix("+").isdecimal()
    if not (comma and text.isascii() and digits.isdecimal() and mantissa.isdecimal() and is_power):
        return ""
    return f"; a number has a decimal point: write {sign}{digits}.{decimals}"


def shown(value: object) -> str:
    """The `repr` of a value for a message: a long one is cut in its middle.

    Example:
        >>> shown("dise"), len(shown("x" * 10_000))
        ("'dise'", 113)
    """
    try:
        text = repr(value)
    except Exception:  # of foreign code; also a whole number of more digits than Python writes
        text = f"<{type(value).__name__}>"
    if "\n" in text:  # of an object, such as an optimizer; that of a text has none
        text = " ".join(text.split())
    return shortened(text)


def shortened(text: str) -> str:
    """A text for a message: a long one is cut in its middle."""
    return text if len(text) <= _HEAD + _TAIL + 3 else f"{text[:_HEAD]}...{text[-_TAIL:]}"


def bounded(text: str) -> str:
    """A message for a terminal: very long words and lines are cut."""
    import re  # only errors need it

    text = re.sub(r"\S{200,}", lambda match: shortened(match[0]), text)
    return "\n".join(line if len(line) <= _MAX_LINE else f"{line[:_MAX_LINE]}..." for line in text.split("\n"))


def printable(text: str) -> str:
    r"""A text for a terminal: control characters are escaped.

    A file can hold what moves the cursor or changes what is shown.

    Example:
        >>> print(printable("a\x1b[31mb"))
        a\x1b[31mb
    """
    return text.translate(_ESCAPED)


def one_line(text: str) -> str:
    r"""A text of a file as one printable line: what `printable` escapes, line breaks, tabs and halves of characters.

    Example:
        >>> one_line("a\nb"), one_line("\ud800")
        ('a\\nb', '\\ud800')
    """
    if text.isprintable():
        return text
    whole = text.encode("utf-8", "backslashreplace").decode()  # JSON can hold half a character, which no file can
    return printable(whole).replace("\n", "\\n").replace("\t", "\\t")
