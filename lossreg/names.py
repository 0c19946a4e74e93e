"""Names of plugins and components: what is allowed and how they compare."""

from __future__ import annotations

import keyword
import re

from lossreg.errors import ComponentError

_NAME = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")  # between the words of a class's name
_SEPARATORS = re.compile(r"[-_.]+")

#: The words of `lossreg.expression`, which lists them again with their meaning; they stand here too so that names can
#: be checked without loading the language.
EXPRESSION_WORDS = frozenset(
    {"epoch", "step", "epochs", "steps_per_epoch", "pi", "e"}
    | {"min", "max", "abs", "floor", "ceil", "sqrt", "exp", "log", "sin", "cos"}
)

#: Words that say something of their own, so nothing can be called by them.
RESERVED = EXPRESSION_WORDS | {"none", "inf", "nan", "true", "false", "auto"}


def normalize(name: str) -> str:
    """The form under which a name is looked up: lower case, `-` read as `_`.

    Example:
        >>> normalize(" Cross-Entropy ")
        'cross_entropy'
    """
    return name.strip().lower().replace("-", "_")


def canonical(name: str) -> str:
    """The form under which names of plugins and distributions compare, as in packaging: `-`, `_` and `.` are equal.

    Example:
        >>> canonical("Acme.Dot") == canonical("acme-dot") == canonical("acme_dot")
        True
    """
    return _SEPARATORS.sub("_", name.strip().lower())


def with_article(noun: str) -> str:
    """A noun with its article.

    Example:
        >>> with_article("loss"), with_article("observer")
        ('a loss', 'an observer')
    """
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def plural(kind: str) -> str:
    """The word for several of a kind.

    Example:
        >>> plural("loss"), plural("dataset")
        ('losses', 'datasets')
    """
    return f"{kind}es" if kind.endswith("s") else f"{kind}s"


def snake_case(name: str, kind: str) -> str:
    """The name of a class or function as a component's: in snake case, without the word for its kind at its end.

    Example:
        >>> [snake_case(name, "loss") for name in ("CrossEntropyLoss", "MSELoss", "L1Loss", "my_loss", "Loss")]
        ['cross_entropy', 'mse', 'l1', 'my', 'loss']
    """
    words = _WORDS.sub("_", name).lower().strip("_")
    return words.removesuffix(f"_{kind}")


def check_name(name: object, what: str) -> None:
    """Checks that `name` can name a component or a plugin.

    Raises:
        ComponentError: If it is not a lower-case Python identifier, or is a word with a meaning of its own.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or "__" in name:
        raise ComponentError(
            f"{what} is named {name!r}; a name is a lower-case Python identifier such as 'cross_entropy'"
        )
    if keyword.iskeyword(name) or name in RESERVED:
        raise ComponentError(f"{what} is named {name!r}, which is a word of the language of specs and expressions")
