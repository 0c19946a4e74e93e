"""What sets rates beside the texts of a net of skorch is refused, with the text to write."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
import torch

import lossreg
from tests.table import for_each

skorch: Any = pytest.importorskip("skorch", reason="skorch is not installed (pip install 'lossreg[hosts]')")

from skorch.callbacks import LRScheduler  # noqa: E402  # behind the check that skorch is there

from lossreg.adapters.skorch import PartsRegressor  # noqa: E402  # see above

WEIGHT = {"criterion": "cross_entropy"}
X, Y = numpy.ones((4, 1), "float32"), numpy.ones((4, 1), "float32")


def net(**settings: Any) -> Any:
    """A net of one number."""
    given = {"optimizer": "sgd(lr=1.0)", "max_epochs": 2, "train_split": None, "verbose": 0, **settings}
    return PartsRegressor(torch.nn.Linear(1, 1), **given)


def test_a_callback_that_sets_rates_beside_a_schedule_is_refused() -> None:
    """Each would multiply the rates of the other; alone it is skorch's own business."""
    callback = LRScheduler("StepLR", step_size=1, gamma=0.5)
    with pytest.raises(lossreg.ConfigError, match=r"LRScheduler and scheduler='cosine' would both set the rates"):
        net(scheduler="cosine", callbacks=[callback]).fit(X, Y)
    assert net(callbacks=[callback]).fit(X, Y).optimizer_.param_groups[0]["lr"] == pytest.approx(0.25)


@for_each(
    ("settings", "wanted"),
    [
        ({"optimizer__lr": 0.5}, r"optimizer__lr has no effect: .*, optimizer='sgd\(\.\.\., lr=0\.5\)'$"),
        ({"optimizer": "adamw", "optimizer__lr": 0.5}, r"optimizer='adamw\(lr=0\.5\)'$"),
        ({"optimizer": "adamw", "lr": 0.5}, r"^lr=0\.5 has no effect: .*, optimizer='adamw\(lr=0\.5\)'$"),
        ({"optimizer": torch.optim.Adam, "optimizer__lr": 0.5}, r"optimizer='NAME\(lr=0\.5\)'$"),
        ({"criterion": "l1", "criterion__reduction": "sum"}, r"criterion=\"l1\(reduction='sum'\)\"$"),
        (WEIGHT | {"criterion__weight": torch.ones(3)}, r"'cross_entropy\(weight=\[1\.0, 1\.0, 1\.0\]\)'$"),
        (WEIGHT | {"criterion__weight": numpy.arange(3)}, r"'cross_entropy\(weight=\[0, 1, 2\]\)'$"),
        (WEIGHT | {"criterion__weight": torch.ones(99)}, r"'cross_entropy\(weight=\.\.\.\)'$"),
        ({"optimizer": "muon(lr=1.0)", "optimizer__rest": "adamw"}, r"\(\.\.\., rest='adamw'\)\"$"),
    ],
)
def test_what_is_to_be_written_is_a_text(settings: dict[str, Any], wanted: str) -> None:
    """Of the optimizer that is named, with what its text has already."""
    with pytest.raises(lossreg.ConfigError, match=wanted):
        net(**settings).fit(X, Y)


def test_a_parameter_that_there_is_not_is_not_to_be_written() -> None:
    """In place of a text that would be refused in turn, the message has the parameters that there are."""
    trained = net(optimizer="adamw(lr=0.1)").fit(X, Y)
    with pytest.raises(lossreg.ConfigError) as caught:
        trained.set_params(optimizer__momentum=0.1)
    assert str(caught.value).startswith(
        "optimizer__momentum has no effect: parameters of optimizer stand in its text. "
        "adamw has no parameter 'momentum'. adamw(lr: "
    )
