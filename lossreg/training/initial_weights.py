"""The setting `init_from`: a run that starts from the weights of a past one."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from lossreg.errors import LossregError
from lossreg.training.record.saved import read_source
from lossreg.training.state_dicts import StateDifference, load_fitting, load_state
from lossreg.values import one_line

if TYPE_CHECKING:
    from torch import nn

    from lossreg.run_spec import RunSpec

NAMES_KEPT = 100  # names of weights that were left new, in the run record


def start_from(model: nn.Module, spec: RunSpec, label: str) -> dict[str, Any] | None:
    """Gives a new model the weights that the settings name.

    Args:
        model: As it was built.
        spec: Its `init_from` and `init_partial`.
        label: The model in a message.

    Returns:
        For the run record: `from`, `file` and its `sha256`, which `weights` it holds, of which `epoch` and `step`, how
        many tensors were `taken`, and the names of those that stayed `new`. None if the run starts from new weights.

    Raises:
        LossregError: If there are no such weights, or they do not fit.
    """
    if spec.init_from is None:
        return None
    try:
        found = read_source(spec.init_from)
        where = one_line(str(found.file))
        if spec.init_partial:
            difference = load_fitting(model, found.state, where)
        else:
            advice = f"; the model is {label}. init_partial (--init-partial) takes those that fit"
            load_state(model, found.state, where, advice=advice)
            difference = StateDifference.of(model, found.state)
        with found.file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except LossregError as error:
        error.message = f"init_from (--init-from): {error.message}"
        error.setting = "init_from"
        raise
    return {
        "from": spec.init_from,
        "file": str(found.file),
        "sha256": digest,
        "weights": found.held,
        "epoch": found.epoch,
        "step": found.step,
        "taken": len(difference.fitting),
        "new": [*difference.missing, *difference.reshaped][:NAMES_KEPT],
    }
