"""Ranges in texts, read: `adamw(lr=loguniform(1e-5, 1e-1))`. Needs no torch.

The words are those of Ray Tune, with its meaning: the upper end of `randint` is left out, that of the others is in.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal

import attrs

from lossreg.embedding.ranges import Choices, Label, Numbers, Range, Template
from lossreg.errors import SpecError
from lossreg.names import normalize
from lossreg.spec import ComponentSpec, Value, value_text
from lossreg.spec_hints import RANGES
from lossreg.spec_text import parse_value
from lossreg.suggestions import did_you_mean
from lossreg.values import counted, shortened, shown

_TOKEN = re.compile(
    r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\d[\w.]*(?:(?<=[eE])[+-]\d+)?|[A-Za-z_][\w.\-]*|[^\s]""", re.DOTALL
)
_NAME = re.compile(r"[A-Za-z_][\w.\-]*", re.ASCII)
_CLOSING = {"(": ")", "[": "]", "{": "}"}

Tokens = Sequence[re.Match[str]]
Path = tuple[str, ...]


def read_template(text: str, name: str) -> Template:
    """Finds the ranges in a text; whether the rest of it is a spec is not looked at.

    Args:
        text: A spec text, or that of another setting.
        name: What the ranges are for, such as `optimizer`; their names begin with it.

    Raises:
        SpecError: If a range is written wrong.

    Example:
        >>> [one.name for one in read_template("lookahead(sgd(lr=uniform(0, 1)), k=randint(2, 9))", "optimizer").ranges]
        ['optimizer.sgd.lr', 'optimizer.k']
    """
    tokens = [*_TOKEN.finditer(text)]
    return _template(text, tokens, (name,), 0, len(text))


@attrs.define
class _Frame:
    """A call or list that is open where a text is read.

    Attributes:
        path: The names down to it.
        is_root: Whether nothing is open.
        is_list: Whether it is a list.
        key: The parameter whose value comes, if it has a name.
        position: How many arguments there were.
        seen: How often each component stood in it without a name.
    """

    path: Path
    is_root: bool = False
    is_list: bool = False
    key: str | None = None
    position: int = 0
    seen: dict[str, int] = attrs.field(factory=dict)

    def place(self) -> Path:
        """The path of the value that comes."""
        if self.key is not None:
            return (*self.path, self.key)
        is_first = self.is_root or (not self.is_list and not self.position)
        return self.path if is_first else (*self.path, str(self.position))

    def inside(self, component: str) -> Path:
        """The path of what is in a component that comes."""
        if self.key is not None or self.is_root or self.is_list:
            return self.place()
        return (*self.path, self.numbered(component))

    def numbered(self, component: str) -> str:
        """The short name of a component, with a number where it has come before."""
        word = normalize(component).rpartition(".")[2]
        self.seen[word] = self.seen.get(word, 0) + 1
        return word if self.seen[word] == 1 else f"{word}_{self.seen[word]}"


def _template(text: str, tokens: Tokens, path: Path, begin: int, end: int) -> Template:
    """The ranges in `text[begin:end]`, whose tokens these are."""
    pieces: list[str | Range] = []
    frames = [_Frame(path, is_root=True)]
    index = 0
    while index < len(tokens):
        word, following = tokens[index][0], _word(tokens, index + 1)
        frame = frames[-1]
        if following == "(" and _NAME.fullmatch(word):
            close = _close(tokens, index + 1)
            if word in RANGES and close is not None:
                written = text[tokens[index].start() : tokens[close].end()]
                found = _range(text, tokens[index : close + 1], ".".join(frame.place()), written)
                pieces += [text[begin : tokens[index].start()], found]
                begin, index = tokens[close].end(), close + 1
                continue
            is_value = (frame.key is not None or frame.is_list) and word not in RANGES
            if is_value and _is_literal(_word(tokens, index + 2)):
                raise _no_range(text, tokens[index:], ".".join(frame.place()))
            frames.append(_Frame(frame.inside(word)))
            index += 1
        elif word in _CLOSING:
            frames.append(_Frame(frame.place(), is_list=True))
        elif word in _CLOSING.values():
            frames = frames[:-1] or frames  # more may be closed than was opened, which a parser will tell
        elif word == ",":
            frame.position, frame.key = frame.position + 1, None
        elif following == "=" and _NAME.fullmatch(word):
            frame.key = word
        index += 1
    return Template(tuple(piece for piece in (*pieces, text[begin:end]) if piece != ""))


def _word(tokens: Tokens, index: int) -> str:
    return tokens[index][0] if index < len(tokens) else ""


def _is_literal(word: str) -> bool:
    """Whether a value begins with this, which no component takes without a name."""
    return word[:1] in "'\"-+." or word[:1].isdecimal() if word else False


def _no_range(text: str, tokens: Tokens, name: str) -> SpecError:
    """The error of a call that takes values without names, and is not a range."""
    close = _close(tokens, 1)
    written = text[tokens[0].start() : tokens[-1 if close is None else close].end()]
    why = f"there is no range {shown(tokens[0][0])}"
    message = f"{name}={shortened(written)}: {why}.{did_you_mean(normalize(tokens[0][0]), RANGES)}"
    return SpecError(f"{message} Ranges: {', '.join(RANGES.values())}", text=written, why=why)


def _close(tokens: Tokens, index: int) -> int | None:
    """Where the bracket is closed that is opened at an index; None if it is not."""
    depth = 0
    for position in range(index, len(tokens)):
        depth += (tokens[position][0] in _CLOSING) - (tokens[position][0] in _CLOSING.values())
        if depth == 0:
            return position
    return None


def _arguments(tokens: Tokens) -> list[Tokens]:
    """What stands between brackets, cut at its commas."""
    parts: list[list[re.Match[str]]] = [[]]
    depth = 0
    for token in tokens[1:-1]:
        depth += (token[0] in _CLOSING) - (token[0] in _CLOSING.values())
        if token[0] == "," and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return [part for part in parts if part]


def _range(text: str, tokens: Tokens, name: str, written: str) -> Range:
    """A range from its tokens: a word, and what stands in brackets behind it."""
    word, arguments = tokens[0][0], _arguments(tokens[1:])
    if word == "choice":
        return _choices(text, arguments, name, written)
    count = RANGES[word].count(",") + 1
    if len(arguments) != count:
        raise _wrong(name, written, f"it has {counted(len(arguments), 'value')} in place of {count}")
    numbers = [_number(text[part[0].start() : part[-1].end()], word, name, written) for part in arguments]
    return _numbers(word, numbers, name, written)


def _wrong(name: str, written: str, why: str) -> SpecError:
    form = RANGES[written.partition("(")[0].strip()]
    return SpecError(f"{name}={shortened(written)}: {why}; it is written {form}", text=written, why=why)


def _number(text: str, word: str, name: str, written: str) -> float:
    value = _parsed(text, name, written)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(name, written, f"{shown(text)} is not a number")
    if not math.isfinite(value):
        raise _wrong(name, written, f"{text} is not finite")
    if word == "randint" and not isinstance(value, int):
        raise _wrong(name, written, f"{text} is not a whole number")
    return value


def _parsed(text: str, name: str, written: str) -> Value:
    try:
        return parse_value(text)
    except SpecError as error:  # NaN, or a range that stands in another one
        raise _wrong(name, written, error.why or f"{shown(text)} is not a value") from None


def _numbers(word: str, numbers: Sequence[float], name: str, written: str) -> Numbers:
    low, high, *steps = numbers
    if word == "randint":
        if low >= high:
            raise _wrong(name, written, f"no whole number is at least {low} and less than {high}")
        return Numbers(name, written, low, high - 1, whole=True)
    if low >= high:
        raise _wrong(name, written, f"{low} is not less than {high}")
    if word == "loguniform" and low <= 0:
        raise _wrong(name, written, f"{low} has no logarithm; the lower end is greater than 0")
    step = steps[0] if steps else None
    if step is not None:
        span, each = Decimal(str(high)) - Decimal(str(low)), Decimal(str(step))
        if step <= 0 or span % each:
            raise _wrong(name, written, f"the ends are not a whole number of steps of {step} apart")
    return Numbers(name, written, float(low), float(high), log=word == "loguniform", step=step)


def _choices(text: str, arguments: list[Tokens], name: str, written: str) -> Choices:
    if len(arguments) == 1 and arguments[0][0][0] == "[" and _close(arguments[0], 0) == len(arguments[0]) - 1:
        arguments = _arguments(arguments[0])
    if not arguments:
        raise _wrong(name, written, "it names nothing")
    frame = _Frame((name,))
    options, calls, heads = [], [], []
    for position, part in enumerate(arguments):
        is_call = _word(part, 1) == "(" and _close(part, 1) == len(part) - 1 and part[0][0] not in RANGES
        path = (name, frame.numbered(part[0][0]) if is_call else str(position))
        options.append(_template(text, part, path, part[0].start(), part[-1].end()))
        calls.append(is_call)
        heads.append(normalize(part[0][0]) if is_call or len(part) == 1 else "")
    labels: list[Label] = []
    for option, is_call, head in zip(options, calls, heads, strict=True):
        label = head if is_call and heads.count(head) == 1 else _label(option, name, written)
        if label in labels:  # 1 and True are one to a study
            raise _wrong(name, written, f"{shown(label)} is named twice")
        labels.append(label)
    return Choices(name, written, tuple(labels), tuple(options))


def _label(option: Template, name: str, written: str) -> Label:
    """What a study calls something that can be chosen: a plain value itself, anything else by its text."""
    if option.ranges:
        return option.written
    value = _parsed(option.written, name, written)
    if isinstance(value, tuple | ComponentSpec) or (isinstance(value, float) and not math.isfinite(value)):
        return value_text(value)
    return value if isinstance(value, bool | int | float | str | None) else option.written
