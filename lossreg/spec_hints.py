"""What is wrong with a text that is not a spec, and what was probably meant by it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lossreg.errors import SpecError
from lossreg.names import EXPRESSION_WORDS, snake_case
from lossreg.values import decimal_comma_hint, one_line, shortened, shown

MAX_LENGTH = 100_000  # characters of a spec text; the weights of 1,000 classes take 12,000
_WRITTEN = 10_000  # characters of a text that a person may have written, and that is worth a guess
_LONGEST = 200  # characters of the path of a class or a file, which a message repeats

_CLASS = re.compile(r"[\w./\\~-]+(\.py|:[A-Za-z_][\w.]*)", re.ASCII)
_COMMA = re.compile(r"=\s*([+-]?\d+,\d+(?:[eE][+-]?\d+)?)\s*(?:,\s*\w+\s*=|\)|$)", re.ASCII)
_OF_TORCH = re.compile(r"torch\.(optim\..*|nn\..*Loss)", re.ASCII)
_PATH = re.compile(r"(?<![\w.:])[A-Za-z_]\w*(?:[.:][A-Za-z_]\w*){2,}(?![\w.:])", re.ASCII)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_BRACKETS: Mapping[str, str] = {"(": ")", "[": "]", "{": "}"}
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


class ClassPathError(SpecError):
    """The path of a class was written where a name belongs.

    Attributes: `path`, with points alone; `hint`, the part of the message that says how a class gets a name.
    """

    path: str
    hint: str


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
    why = one_line(unbalanced(text) or why)
    said = (
        f"{shown(text)} is not a spec{why and f': {why}'}; write name or name(key=value, ...), such as dice(smooth=1)"
        f"{_guess(text)}"
    )
    path = class_path(text)
    if path is None:
        return SpecError(f"{said}{registering_hint(text)}", text=text, why=why)
    hint = _path_hint(path)
    return ClassPathError(f"{said}{hint}", text=text, why=why, path=path, hint=hint)


def class_path_error(error: BaseException | None) -> ClassPathError | None:
    """The error about the path of a class that an error is, or that it was made from; or None."""
    found = error if isinstance(error, ClassPathError) else getattr(error, "__cause__", None)
    return found if isinstance(found, ClassPathError) else None


def unbalanced(text: str) -> str:
    """The first bracket or quote of a text that has no other half, or nothing.

    Example:
        >>> unbalanced("sgd(lr=0.1"), unbalanced("sgd(lr=[0.1)"), unbalanced("sgd(lr='(')")
        ("the '(' at column 4 is not closed", "the '[' at column 8 is closed by ')' at column 12", '')
    """
    if len(text) > _WRITTEN:
        return ""
    opened: list[tuple[str, int]] = []
    quote = ("", 0)
    escaped = False
    for column, character in enumerate(text, 1):
        if quote[0]:
            quote = ("", 0) if character == quote[0] and not escaped else quote
            escaped = character == "\\" and not escaped
        elif character in "'\"":
            quote = (character, column)
        elif character in _BRACKETS:
            opened.append((character, column))
        elif character in _BRACKETS.values():
            if not opened:
                return f"the {character!r} at column {column} closes nothing"
            bracket, where = opened.pop()
            if _BRACKETS[bracket] != character:
                return f"the {bracket!r} at column {where} is closed by {character!r} at column {column}"
    if quote[0]:
        return f"the quote {quote[0]} at column {quote[1]} is not closed"
    return f"the {opened[-1][0]!r} at column {opened[-1][1]} is not closed" if opened else ""


def _guess(text: str) -> str:
    """What was probably meant by a text that is neither a spec nor a class, as the end of a message, or nothing."""
    if len(text) > _WRITTEN:
        return ""
    expression = expression_of(text)
    if expression is not None:
        return f". A schedule of the epoch is written lambda_lr(lr_lambda={expression!r})"
    number = _COMMA.search(text)
    return decimal_comma_hint(number[1]) if number else _sum_hint(text)


def _sum_hint(text: str) -> str:
    """How losses are added up, as the end of a message, where a text is a sum or a multiple of components; or nothing.

    Example:
        >>> _sum_hint("dice + 0.5 * l1")[:72]
        '. A text names one component. A sum of losses is a function of your own:'
    """
    if not _is_sum(text):
        return ""
    return (
        ". A text names one component. A sum of losses is a function of your own: give loss=FUNCTION in Python, or "
        "write @lossreg.losses.register above def NAME(input, target): ... in a file, load it by -p FILE, and name NAME"
    )


def _is_sum(text: str) -> bool:
    """Whether a text is a sum or a multiple of what may be components."""
    if not any(sign in text for sign in "+-*"):
        return False
    import ast  # only errors need them
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # of a number that stands before a word
            tree = ast.parse(text.strip().replace(":", "."), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    leaves, nodes = [], [tree]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub | ast.Mult):
            nodes += [node.left, node.right]
        else:
            leaves.append(node)
    return len(leaves) > 1 and any(isinstance(leaf, ast.Name | ast.Attribute | ast.Call) for leaf in leaves)


def class_path(text: str) -> str | None:
    """The path of the class that a text is, with or without arguments, or that is first in it; None if there is none.

    Within a text that is no sum a path is one with a colon: with points alone it is read as a text of its own.

    A module of one word before a colon, and a file, are as `registering_hint` has them.

    Example:
        >>> class_path("timm.optim:Lion(lr=0.1)"), class_path("dice + torch.nn.L1Loss()"), class_path("plain.py:Net")
        ('timm.optim.Lion', 'torch.nn.L1Loss', None)
    """
    if len(text) > _WRITTEN:
        return None
    whole = _PATH.fullmatch(_head(text))
    within = [one[0] for one in _PATH.finditer(_QUOTED.sub("''", text))]
    paths = [whole[0]] if whole else within if _is_sum(text) else [path for path in within if ":" in path]
    if not paths or len(paths[0]) > _LONGEST or paths[0].count(":") > 1:
        return None
    if ".py:" in paths[0] or paths[0].endswith(".py"):
        return None
    return paths[0].replace(":", ".")


def _head(text: str) -> str:
    """What stands before the arguments."""
    return text.partition("(")[0].strip()


def _path_hint(path: str) -> str:
    """How a class is had by name, as the end of a message.

    Which name a class has is not known here: `lossreg.conversion.class_names` says that.

    Example:
        >>> _path_hint("timm.optim.Lion")
        '. The path of a class is no name; names come from plugins, and lossreg list --search Lion looks for one. In \
Python the class itself can be given in place of the text; a file with \
lossreg.optimizers.register("lion")(timm.optim.Lion) (or losses, schedulers, ...) names it local.lion, and -p FILE \
loads the file'
    """
    if _OF_TORCH.fullmatch(path):
        return (
            ". A class of torch is a component with a name of its own, such as adamw for torch.optim.AdamW; "
            "lossreg list has them"
        )
    last = path.rpartition(".")[2]
    words = path.lower().replace("lossreg", "")  # which the names of its plugins begin with
    is_loss = "loss" in words or words.startswith("torch.nn.functional.")
    kind = "schedulers" if "sched" in words else "losses" if is_loss else "optimizers"
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
    written = _head(text)
    if len(written) > _LONGEST or not _CLASS.fullmatch(written):
        return ""
    file = written.partition(":")[0]
    return (
        '. A class of your own gets a name in its file, by @lossreg.models.register("net") above it '
        f"(or losses, optimizers, ...); then -p {file} loads it, and so does importing it"
    )
