"""What is wrong with a text that is not a spec, and what was probably meant by it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lossreg.errors import SpecError
from lossreg.names import EXPRESSION_WORDS, snake_case
from lossreg.values import decimal_comma_hint, one_line, shortened, shown

MAX_LENGTH = 100_000  # characters of a spec text; the weights of 1,000 classes take 12,000
_WRITTEN = 10_000  # characters of a text that a person may have written, and that is worth a guess

_CLASS = re.compile(r"[\w./\\~-]+(\.py|:[A-Za-z_][\w.]*)", re.ASCII)
_COMMA = re.compile(r"=\s*([+-]?\d+,\d+(?:[eE][+-]?\d+)?)\s*(?:,\s*\w+\s*=|\)|$)", re.ASCII)
_OF_TORCH = re.compile(r"torch\.((?:optim|nn)[a-z_.0-9]*)\.([A-Z]\w*)", re.ASCII)
_PATH = re.compile(r"(?:[A-Za-z_]\w*\.){2,}([A-Za-z_]\w*)", re.ASCII)
#: The names of classes in snake case -> those of their components, where they are others.
_NAMES: Mapping[str, str] = {
    "adam_w": "adamw", "n_adam": "nadam", "r_adam": "radam", "rm_sprop": "rmsprop",
    "multi_label_margin": "multilabel_margin", "multi_label_soft_margin": "multilabel_soft_margin",
}  # fmt: skip
_LAMBDA = re.compile(r"\s*lambda\s+\w+\s*:\s*(.*)", re.DOTALL)


#: Ranges of a search, and how each is written (`lossreg.embedding.ranges`); nothing else takes them.
RANGES: Mapping[str, str] = {
    "uniform": "uniform(low, high)",
    "loguniform": "loguniform(low, high)",
    "quniform": "quniform(low, high, q)",
    "randint": "randint(low, high)",
    "choice": "choice(a, b, ...)",
}


class NaNError(SpecError):
    """NaN was written."""


class RangeError(SpecError):
    """A range of a search was written where there is no search."""


def a_range(what: str, text: str, where: str = "") -> RangeError:
    """The error of a range where a value belongs.

    Args:
        what: The range, behind the parameter that it is for where that is known.
        text: The whole text.
        where: The component, or the text that it stands in, where there is more than the range.
    """
    what = shortened(one_line(what))
    return RangeError(
        f"{where}{where and ': '}{what} is a range of a search, and one value belongs there. A study of Optuna picks "
        "one by lossreg.adapters.optuna.suggest(trial, ...); `lossreg compare` tries those that are listed, such as "
        "--opt.lr 0.1 --opt.lr 0.01",
        text=text,
        why=f"{what} is a range of a search",
    )


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
    return decimal_comma_hint(number[1]) if number else _torch_hint(text) or _path_hint(text) or registering_hint(text)


def _torch_hint(text: str) -> str:
    """The name of the component that a class of torch is, by its path, as the end of a message; or nothing.

    Example:
        >>> _torch_hint("torch.optim.AdamW")
        '. A class of torch is a component with a name of its own: adamw'
    """
    found = _OF_TORCH.fullmatch(text.strip())
    if found is None:
        return ""
    kind = "scheduler" if found[1].endswith("lr_scheduler") else "optimizer" if "optim" in found[1] else "loss"
    if kind == "loss" and not found[2].endswith("Loss"):
        return ""
    name = snake_case(found[2], kind)
    return f". A class of torch is a component with a name of its own: {_NAMES.get(name, name)}"


def _path_hint(text: str) -> str:
    """How a class of another package is had by name, as the end of a message, where a text is its path; or nothing.

    Example:
        >>> _path_hint("timm.optim.Lion")
        '. The path of a class is no name; names come from plugins, and lossreg list --search Lion looks for one. In \
Python the class itself can be given in place of the text; a file with \
lossreg.optimizers.register("lion")(timm.optim.Lion) (or losses, schedulers, ...) names it local.lion, and -p FILE \
loads the file'
    """
    found = _PATH.fullmatch(text.strip())
    if found is None:
        return ""
    path, last = found[0], found[1]
    words = path.lower().replace("lossreg", "")  # which the names of its plugins begin with
    kind = "schedulers" if "sched" in words else "losses" if "loss" in words else "optimizers"
    others = ", ".join(one for one in ("losses", "optimizers", "schedulers") if one != kind)
    name = snake_case(last, "loss" if kind == "losses" else kind.removesuffix("s"))
    return (
        f". The path of a class is no name; names come from plugins, and lossreg list --search {last} looks for one. "
        f'In Python the class itself can be given in place of the text; a file with lossreg.{kind}.register("{name}")'
        f"({path}) (or {others}, ...) names it local.{name}, and -p FILE loads the file"
    )


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
(or losses, optimizers, ...); then -p plain.py loads it, and so does importing it'
    """
    if not _CLASS.fullmatch(text.strip()):
        return ""
    file = text.strip().partition(":")[0]
    return (
        '. A class of your own gets a name in its file, by @lossreg.models.register("net") above it '
        f"(or losses, optimizers, ...); then -p {file} loads it, and so does importing it"
    )
