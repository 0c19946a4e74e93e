"""Model, loss and optimizer that were given as objects, as they were before: a plan changes nothing of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

import torch


@contextlib.contextmanager
def untouched(objects: Iterable[object]) -> Iterator[None]:
    """Gives modules and optimizers back as they were when it began.

    A set-up moves and lays out weights, which it replaces and does not write to; and a scheduler leaves its traces in
    the optimizer that it is built for: a rate, `initial_lr`, a function in place of `step`.

    Args:
        objects: What was given; what is neither a module nor an optimizer is left alone.
    """
    restore = [undo for given in objects for undo in _undoing(given)]
    try:
        yield
    finally:
        for undo in restore:
            undo()


def _undoing(given: object) -> Iterator[Callable[[], None]]:
    if isinstance(given, torch.nn.Module):
        for module in given.modules():
            yield _undoing_module(module)
    elif isinstance(given, torch.optim.Optimizer):
        yield _undoing_mapping(vars(given))
        for group in given.param_groups:
            yield _undoing_mapping(group)


def _undoing_module(module: torch.nn.Module) -> Callable[[], None]:
    training, buffers = module.training, dict(module._buffers)
    lazy = torch.nn.parameter.UninitializedParameter
    own = {name: one for name, one in module._parameters.items() if one is not None and not isinstance(one, lazy)}
    tensors = [(one, one.data, one.requires_grad, one.grad) for one in own.values()]

    def undo() -> None:
        module.training = training
        module._buffers.update(buffers)
        module._parameters.update(own)
        for parameter, data, requires_grad, grad in tensors:
            is_strided = parameter.layout == torch.strided
            if parameter.device != data.device or (is_strided and parameter.stride() != data.stride()):
                parameter.data = data
            parameter.requires_grad_(requires_grad)
            parameter.grad = grad

    return undo


def _undoing_mapping(values: dict[str, object]) -> Callable[[], None]:
    before = dict(values)

    def undo() -> None:
        values.clear()
        values.update(before)

    return undo
