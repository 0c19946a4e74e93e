"""Numbers in quotation marks, which are texts in a file and were meant as numbers."""

from __future__ import annotations

import math
import re
from typing import Any

#: What is said of one, behind the text.
READ_AS_NUMBER = "is a text in the file, and is read as the number that it is"

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_LONGEST = 40  # characters


def unquoted(value: Any) -> Any:
    """The number that a text is, or those of a list of them; None where it is none.

    Example:
        >>> unquoted("3"), unquoted("1e-3"), unquoted(["0.9", 1]), unquoted("auto"), unquoted(3)
        (3, 0.001, [0.9, 1], None, None)
    """
    if isinstance(value, list | tuple):
        made = [unquoted(one) if isinstance(one, str) else one for one in value]
        return made if any(isinstance(one, str) for one in value) and None not in made else None
    if not isinstance(value, str) or len(value) > _LONGEST or not _NUMBER.fullmatch(value.strip()):
        return None
    text = value.strip()
    number = int(text) if text.lstrip("+-").isdecimal() else float(text)
    return number if math.isfinite(number) else None
