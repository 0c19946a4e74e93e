"""Which models of transformers compare each output with the next label, as most language models do."""

from __future__ import annotations

import inspect
from typing import Any

from transformers.loss.loss_utils import LOSS_MAPPING, ForCausalLMLoss


def shifts_labels(model: Any, *, said: bool) -> bool:
    """Whether the loss of a model itself is that of the next label: another loss for it has to be so, too.

    The Trainer goes by names of classes, which GPT-2 and others do not follow, and decoders such as Bart's, whose own
    loss does not shift, do. What a class of transformers does is read from its code.

    Args:
        model: The model, also within an adapter of peft.
        said: What the Trainer has found, for models of other packages.
    """
    model = model.get_base_model() if hasattr(model, "get_base_model") else model
    if getattr(getattr(model, "config", None), "is_encoder_decoder", False):  # it is given shifted inputs
        return False
    code = _code_of(type(model))
    if "labels" not in code:
        return said
    if "loss_function" not in code:
        return said and "1:]" in code
    found = getattr(model, "_loss_function", None) or LOSS_MAPPING.get(model.loss_type, ForCausalLMLoss)
    return found is ForCausalLMLoss


def _code_of(kind: type) -> str:
    """The forward pass of the nearest class of transformers; nothing where there is none."""
    for one in kind.__mro__:
        if "forward" in vars(one) and one.__module__.startswith("transformers."):
            try:
                return inspect.getsource(inspect.unwrap(vars(one)["forward"]))
            except OSError:  # without its source
                return ""
    return ""
