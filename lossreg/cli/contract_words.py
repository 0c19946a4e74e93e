"""What a component declares of its contract, in words: the fields of `lossreg show`, as docs/contracts.md has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from lossreg.component import Component
from lossreg.components import NEEDS
from lossreg.names import plural

_OUTPUT = {
    "any": "the model's output, unchanged",
    "logits": "the model's output, unchanged",
    "probabilities": "the output after a softmax; of samples that may have any number of classes, a sigmoid",
    "log_probabilities": "the logarithm of the output after a softmax; of samples of any number of classes, a sigmoid",
    "label_probabilities": "the output after a sigmoid",
    "labels": "the class of the greatest output; of samples that may have any number of classes, a 0 or 1 for each",
}
_TARGET = {
    "index": "class indices (N, *), int64",
    "dense": "numbers of the output's shape; class indices become one-hot",
    "multilabel": "a 0 or 1 for each class",
    "signs": "a -1 or 1 for each class",
    "label_lists": "the indices of a sample's classes and then -1",
    "probabilities": "a probability for each class",
    "any": "what the data set has, unchanged",
    None: "it takes no target",
}
_ROUTES = {
    "matrices": "parameters of two dimensions",
    "weights": "parameters of two or more dimensions",
    "hidden_matrices": "parameters of two dimensions, without embeddings, the last layer and those of the loss",
    "hidden_weights": "parameters of two or more dimensions, without embeddings, the last layer and those of the loss",
}

Say = Callable[[Any], str]

#: Kind -> field -> what its value says. What the parameters of a component show, such as `data_values`, is not there.
WORDS: Mapping[str, Mapping[str, Say]] = {
    "loss": {
        "target": _TARGET.__getitem__,
        "input": _OUTPUT.__getitem__,
        "averages": lambda value: f"its value is a mean over {plural(value)}",
        "takes": lambda _: "what it is called with; a training loop of your own does that, a run does not",
    },
    "optimizer": {
        "closure": lambda value: f"its step takes {'a' if value else 'no'} function that computes the loss again",
        "modes": lambda value: f"it has {'' if value else 'no '}train() and eval(), which switch the weights",
        "needs": lambda value: "; ".join(NEEDS[word] for word in value) or "parameters and their gradients alone",
        "create_graph": lambda value: f"gradients {'can' if value else 'need not'} be differentiated",
        "layout": lambda value: f"weights {'are never' if value == 'contiguous' else 'may be'} laid out channels-last",
        "wrapped": lambda _: "what the optimizers that are its parameters must have",
        "routes": lambda value: f"it is for {_ROUTES[value]}",
    },
    "scheduler": {
        "interval": lambda value: f"it steps after each {'epoch' if value == 'epoch' else 'step of the optimizer'}",
        "monitor": lambda _: "its step is given this metric",
        "composes": lambda _: "it decides how long each nested scheduler runs",
    },
    "model": {},
    "dataset": {"model": lambda _: "what is trained on it unless another model is named"},
    "metric": {
        "better": lambda value: "neither higher nor lower" if value is None else f"{value} values are better",
        "target": _TARGET.__getitem__,
        "input": _OUTPUT.__getitem__,
        "bounds": lambda value: f"its values are {_between(*value)}",
    },
    "observer": {
        "blocking": lambda value: f"the training {'waits' if value else 'does not wait'} for its methods",
        "wait": lambda _: "the seconds that the end of a run waits for it",
    },
}

_ALWAYS = ("interval", "blocking", "wait")  # said also where it is the default; that of other fields says nothing


def contract_lines(component: Component) -> list[str]:
    """A line for each field that a component declares: `target=index: class indices (N, *), int64`.

    Example:
        >>> from lossreg import Loss
        >>> print(*contract_lines(Loss("focal", "my_losses:Focal", target="index")), sep="\\n")
        target=index: class indices (N, *), int64
    """
    defaults = {field.name: field.default for field in attrs.fields(type(component))}
    lines = []
    for name, say in WORDS[component.kind].items():
        value = getattr(component, name)
        default = {} if isinstance(value, Mapping) else defaults[name]  # which attrs has as a factory
        if name in _ALWAYS or default is attrs.NOTHING or value != default:
            lines.append(f"{name}={_written(value)}: {say(value)}")
    return lines


def _written(value: Any) -> str:
    """A value as short as it can be."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={one}" for key, one in value.items())
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def _between(least: float | None, greatest: float | None) -> str:
    if least is None or greatest is None:
        return f"at least {least:g}" if least is not None else f"at most {greatest:g}"
    return f"from {least:g} to {greatest:g}"
