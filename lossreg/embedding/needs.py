"""Whether a host does what an optimizer needs; refused by name where it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossreg.errors import ConfigError

if TYPE_CHECKING:
    from lossreg.embedding.host_parts import HostParts


def check_needs(parts: HostParts, host: str, *, closures: bool, modes: bool = False) -> None:
    """Checks that a host's loop gives the optimizer what its step needs.

    Args:
        parts: The parts.
        host: The host in an error message.
        closures: Whether it calls `optimizer.step(closure)`.
        modes: Whether it calls `optimizer.train()` and `optimizer.eval()`.

    Raises:
        ConfigError: That names the optimizer and what it needs.
    """
    needs, optimizer = parts.needs, parts.texts["optimizer"]
    if needs.create_graph:
        what = "differentiates gradients (create_graph)"
    elif needs.modes and not modes:
        what = "switches between the weights that it trains and those that are evaluated (train() and eval())"
    elif needs.gradients:
        what = "takes a closure after the gradients are there"
    elif needs.closure and not closures:
        what = "computes the loss again in its steps (closure)"
    else:
        return
    raise ConfigError(
        f"the optimizer {optimizer} {what}, which {host} does not do; name another one, or train with lossreg.run or a "
        "loop of your own",
        setting="optimizer",
    )
