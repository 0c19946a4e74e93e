"""What is wrong with a text that is not a spec, and what was probably meant by it."""

from __future__ import annotations

import re

from lossreg.errors import SpecError
from lossreg.names import EXPRESSION_WORDS
from lossreg.values import decimal_comma_hint, one_line, shown

MAX_LENGTH = 100_000  # characters of a spec text; the weights of 1,000 classes take 12,000
_WRITTEN = 10_000  # characters of a text that a person may have written, and that is worth a guess

_CLASS = re.compile(r"[\w./\\~-]+(\.py|:[A-Za-z_][\w.]*)", re.ASCII)
_COMMA = re.compile(r"=\s*([+-]?\d+,\d+(?:[eE][+-]?\d+)?)\s*(?:,\s*\w+\s*=|\)|$)", re.ASCII)
_LAMBDA = re.compile(r"\s*lambda\s+\w+\s*:\s*(.*)", re.DOTALL)


class NaNError(SpecError):
    """NaN was written."""


def not_a_spec(text: str, why: str) -> SpecError:
    """The error of a text that is not a spec.

    Args:
        text: The text.
        why: What is wrong with it, or nothing; it may quote a part that has several lines.
    """
    why = one_line(why)
    return SpecError(
        f"{shown(text)} is not a spec{why and f': {why}'}; write name or name(key=value, ...), such as dice(smooth=1)"
        f"{_guess(text)}",
        text=text,
        why=why,
    )


def _guess(text: str) -> str:
    """What was probably meant by a text that is not a spec, as the end of a message, or nothing."""
    if len(text) > _WRITTEN:
        return ""
    expression = expression_of(text)
    if expression is not None:
        return f". A schedule of the epoch is written lambda_lr(lr_lambda={expression!r})"
    number = _COMMA.search(text)
    return decimal_comma_hint(number[1]) if number else registering_hint(text)


def expression_of(text: str) -> str | None:
    """A text as an expression of `lossreg.expression`, without `lambda epoch:` before it; None if it is something else.

    Example:
        >>> expression_of("lambda epoch: epoch // 2"), expression_of("dice(smooth=1")
        ('epoch // 2', None)
    """
    function = _LAMBDA.fullmatch(text)
    source = (function[1] if function else text).strip()
    names = set(re.findall(r"(?<![\w.'\"])[A-Za-z_]\w*", source))
    known = EXPRESSION_WORDS | {"if", "else", "and", "or", "not"}
    return source if names & {"epoch", "step"} and names <= known else None


def registering_hint(text: str) -> str:
    """How a class in a file gets a name, as the end of a message, where a text is one's path or place; or nothing.

    Example:
        >>> registering_hint("plain.py")
        '. A class of your own gets a name in its file, by @lossreg.models.register("net") above it \
(or losses, optimizers, ...); then -p plain.py loads it'
    """
    if not _CLASS.fullmatch(text.strip()):
        return ""
    file = text.strip().partition(":")[0]
    return (
        '. A class of your own gets a name in its file, by @lossreg.models.register("net") above it '
        f"(or losses, optimizers, ...); then -p {file} loads it"
    )
