"""LBFGS that can be copied and pickled."""

from __future__ import annotations

from typing import Any

import torch

from lossreg.errors import ConfigError


class LBFGS(torch.optim.LBFGS):
    """Limited-memory BFGS, which computes the loss several times in a step: `torch.optim.LBFGS`.

    Torch's own cannot step any more when it has been copied or pickled, as its list of parameters is lost, and leaves
    parameters untrained that are added later.

    Example:
        >>> import copy
        >>> weight = torch.nn.Parameter(torch.ones(2))
        >>> optimizer = copy.deepcopy(LBFGS([weight], lr=0.5))
        >>> optimizer.step(lambda: torch.zeros((), requires_grad=True))
        tensor(0., requires_grad=True)
    """

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._params = self.param_groups[0]["params"]
        self._numel_cache = None

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Takes the one group that there is when it is built.

        Raises:
            ConfigError: If it has been built.
        """
        if hasattr(self, "_params"):
            raise ConfigError(
                "lbfgs trains its parameters together, so that none can be added; build a new one for all of them",
                setting="optimizer",
            )
        super().add_param_group(param_group)
