"""What `lossreg.parts` does at once, so that the first object costs what later ones do; what waits for the loop."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import lossreg
from tests.lossreg.embedding.test_built_again import calls_in_lossreg, network
from tests.table import for_each


def test_the_first_objects_of_a_new_text_cost_what_later_ones_do() -> None:
    """What goes by texts is found and checked by `lossreg.parts`: few functions of lossreg are entered after it."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    parts = lossreg.parts(loss="dice(smooth=0.75)", optimizer="sgd(lr=0.7501)", scheduler="cosine", epochs=751)
    assert calls_in_lossreg(lambda: parts.loss) <= 15
    assert calls_in_lossreg(lambda: parts.optimizer(model)) <= 15
    assert calls_in_lossreg(lambda: parts.scheduler(optimizer)) <= 15
    assert calls_in_lossreg(lambda: parts.scheduler(optimizer, each="epoch")) <= 15


@for_each(
    "arguments, wanted",
    [
        ({"scheduler": "step_lr"}, "step_lr needs step_size"),
        ({"scheduler": "one_cycle", "epochs": 2}, "one_cycle_lr needs max_lr"),
        ({"optimizer": "needy"}, "needy needs speed"),
        ({"optimizer": "needy", "param_groups": {"*.bias": "lr=1"}}, "needy needs speed"),
        ({"param_groups": {"*.bias": "needy"}}, "needy needs speed"),
        ({"loss": "needy"}, "needy needs smooth"),
        (
            {"scheduler": "reduce_lr_on_plateau", "scheduler_interval": "step"},
            "reduce_lr_on_plateau follows test_loss, which there is once an epoch",
        ),
    ],
)
def test_what_is_wrong_with_a_text_is_said_at_once(arguments: dict[str, Any], wanted: str) -> None:
    """A parameter that is missing, and a schedule that cannot be stepped so, are refused before anything is built."""
    own = lossreg.load_registries(allow=[], bridges=False)

    @own.optimizers.register("needy", closure=False, modes=False, needs=(), create_graph=False)
    class Needy(torch.optim.SGD):
        def __init__(self, params: Any, speed: float) -> None:
            super().__init__(params, lr=speed)

    @own.losses.register("needy", input="logits", target="index")
    class NeedyLoss(torch.nn.CrossEntropyLoss):
        def __init__(self, smooth: float) -> None:
            super().__init__(label_smoothing=smooth)

    with pytest.raises(lossreg.LossregError, match=wanted):
        lossreg.parts(**arguments, registries=own)


def test_what_the_loop_has_not_said_is_asked_for_when_it_is_needed() -> None:
    """Parts are made without the facts that optimizer, schedule and loss go by; once these are known, each is built."""
    own = lossreg.load_registries(allow=[], bridges=False)

    @own.optimizers.register(
        "counting", closure=False, modes=False, needs=(), create_graph=False, runtime_args={"samples": "num_samples"}
    )
    class Counting(torch.optim.SGD):
        def __init__(self, params: Any, samples: int) -> None:
            super().__init__(params, lr=1 / samples)

    @own.losses.register("sized", input="logits", target="index", runtime_args={"classes": "num_classes"})
    class Sized(torch.nn.CrossEntropyLoss):
        def __init__(self, classes: int) -> None:
            super().__init__(label_smoothing=1 / classes)

    parts = lossreg.parts(loss="sized", optimizer="counting", scheduler="cosine", registries=own)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(2):
        with pytest.raises(lossreg.ConfigError, match=r"sized needs classes.*num_classes=N"):
            _ = parts.loss
        with pytest.raises(lossreg.ConfigError, match=r"cosine_annealing_lr needs T_max.*epochs=N"):
            parts.scheduler(optimizer)
    known = parts.for_loop(num_samples=4, num_classes=8, epochs=2)
    assert known.loss.adapter.criterion.label_smoothing == 1 / 8  # type: ignore[attr-defined]  # a CrossEntropyLoss has it
    assert known.optimizer(model).param_groups[0]["lr"] == 1 / 4
    scheduler = known.scheduler(optimizer)
    assert scheduler is not None
    optimizer.step()
    scheduler.step()
    assert scheduler.get_last_lr() == [0.25]
    alone = lossreg.parts(optimizer="counting", registries=own)
    for _ in range(2):
        with pytest.raises(lossreg.ConfigError, match=r"counting needs samples.*num_samples=N"):
            alone.optimizer(model)
