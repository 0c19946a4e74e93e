"""Parts that are made again of the same texts: what they have in common, and what they never have."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import pytest
import torch
from torch import nn

import lossreg
from lossreg.registry.registries import Registries
from tests.lossreg.embedding.test_built_again import calls_in_lossreg, network
from tests.table import for_each

TEXTS: dict[str, Any] = {"loss": "cross_entropy", "optimizer": "sgd(lr=0.5)", "scheduler": "cosine", "epochs": 4}


def own_registries() -> Registries:
    """A set of registries with the built-in components."""
    return lossreg.load_registries(allow=[], bridges=False)


def test_the_first_objects_of_known_texts_cost_what_later_ones_do() -> None:
    """Texts that the process has used are not looked up and checked again: few functions of lossreg are entered."""
    model = network()
    for _ in range(2):
        parts = lossreg.parts(**TEXTS)
        parts.scheduler(parts.optimizer(model))
    parts = lossreg.parts(**TEXTS)
    _ = parts.loss
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    assert calls_in_lossreg(lambda: parts.optimizer(model)) <= 15
    assert calls_in_lossreg(lambda: parts.scheduler(optimizer)) <= 15


GROUPS = {"*.bias": "lr=x2", "0.*": "weight_decay=0"}


@for_each("groups", [{}, GROUPS])
def test_known_texts_are_not_checked_again(groups: dict[str, str]) -> None:
    """A run has many settings, for which more than 200 functions of lossreg are entered."""
    texts = {**TEXTS, "param_groups": groups}
    lossreg.parts(**texts)
    assert calls_in_lossreg(lambda: lossreg.parts(**texts)) <= 60


def test_groups_of_another_order_or_of_no_texts_are_others() -> None:
    """The first pattern that matches counts, and so does whether a value is a text."""
    for groups in (GROUPS, dict(reversed(GROUPS.items()))):
        for _ in range(2):
            parts = lossreg.parts(param_groups=groups)
            assert [*parts.texts["param_groups"]] == [*groups]
    for _ in range(2):
        assert lossreg.parts(param_groups={"*.bias": {"lr": 0.5}}).texts["param_groups"] == {"*.bias": "lr=0.5"}
        with pytest.raises(lossreg.ConfigError, match="losss"):
            lossreg.parts(losss="mse")


def test_a_component_that_is_replaced_is_found() -> None:
    """Registering a class again, under its name, takes effect in the next parts; those that are there have theirs."""
    own = own_registries()

    def register(rate: float) -> type[torch.optim.SGD]:
        class Mine(torch.optim.SGD):
            def __init__(self, params: Any, lr: float = rate) -> None:
                super().__init__(params, lr=lr)

        own.optimizers.register("mine", closure=False, modes=False, needs=(), create_graph=False)(Mine)
        return Mine

    first = register(0.5)
    earlier = [lossreg.parts(optimizer="mine", registries=own) for _ in range(3)]
    second = register(0.25)
    later = [lossreg.parts(optimizer="mine", registries=own) for _ in range(3)]
    for some, kind, rate in ((earlier, first, 0.5), (later, second, 0.25)):
        for parts in some:
            built = parts.optimizer(network())
            assert type(built) is kind
            assert built.param_groups[0]["lr"] == rate


def test_a_name_that_comes_later_is_found() -> None:
    """An unknown name is an error each time, until a component has it."""
    own = own_registries()
    for _ in range(2):
        with pytest.raises(lossreg.UnknownNameError, match="soon"):
            lossreg.parts(loss="soon", registries=own)
    own.losses.register("soon", input="logits", target="index")(nn.CrossEntropyLoss)
    assert isinstance(
        lossreg.parts(loss="soon", task="classification", registries=own).loss.adapter.criterion, nn.Module
    )


def test_each_set_of_registries_has_its_own() -> None:
    """The same text leads to what each set has of this name."""
    sets = [own_registries() for _ in range(2)]
    for own, default in zip(sets, (0.5, 0.25), strict=True):

        @own.schedulers.register("steady")
        def make(optimizer: Any, factor: float = default) -> Any:
            return torch.optim.lr_scheduler.ConstantLR(optimizer, factor)

    for own, factor in [*zip(sets, (0.5, 0.25), strict=True)] * 3:
        parts = lossreg.parts(optimizer="sgd(lr=1)", scheduler="steady", registries=own)
        scheduler = parts.scheduler(parts.optimizer(network()))
        assert scheduler is not None
        assert scheduler.get_last_lr() == [factor]


def test_each_has_a_loss_of_its_own() -> None:
    """Neither modules nor tensors of parameters are those of other parts; new tensors have the default type."""
    text = "cross_entropy(weight=[1, 2, 3])"
    criterions = [lossreg.parts(loss=text).loss.adapter.criterion for _ in range(3)]
    weights = [one.weight for one in criterions]  # type: ignore[attr-defined]  # a CrossEntropyLoss has it
    assert len({id(one) for one in criterions}) == len({one.data_ptr() for one in weights}) == 3
    torch.set_default_dtype(torch.float64)
    try:
        assert lossreg.parts(loss=text).loss.adapter.criterion.weight.dtype is torch.float64  # type: ignore[attr-defined]  # see above
    finally:
        torch.set_default_dtype(torch.float32)


@for_each(
    "changed, rate",
    [
        ({}, 0.5 * (1 + 2**0.5 / 2) / 2),
        ({"epochs": 2}, 0.25),
        ({"optimizer": "sgd(lr=1.0)"}, (1 + 2**0.5 / 2) / 2),
        ({"scheduler": "step_lr(step_size=1)"}, 0.05),
        ({"scheduler": None}, None),
    ],
    ids=lambda value: str(value),
)
def test_what_differs_is_not_mixed_up(changed: dict[str, Any], rate: float | None) -> None:
    """The rate after an epoch is that of the texts and of the epochs: of the cosine lr (1 + cos(pi / epochs)) / 2."""
    for _ in range(3):
        parts = lossreg.parts(**{**TEXTS, **changed})
        optimizer = parts.optimizer(network())
        scheduler = parts.scheduler(optimizer)
        if rate is None:
            assert scheduler is None
            continue
        assert scheduler is not None
        optimizer.step()
        scheduler.step()
        assert scheduler.get_last_lr() == [pytest.approx(rate)]


def test_registries_are_not_kept() -> None:
    """What was looked up in a set of registries goes with it."""
    own = own_registries()
    for _ in range(3):
        lossreg.parts(**TEXTS, registries=own).optimizer(network())
    gone = weakref.ref(own)
    del own
    gc.collect()
    assert gone() is None


def test_a_model_like_a_known_one_is_not_tried_again() -> None:
    """Patterns and trials go by names, classes, shapes, types and devices: a model with the same is like the first."""
    own, built = own_registries(), [0]

    @own.optimizers.register
    class Counting(torch.optim.SGD):
        def __init__(self, params: Any, lr: float = 0.1) -> None:
            super().__init__(params, lr=lr)
            built[0] += 1

    def count(model: nn.Module) -> int:
        built[0] = 0
        optimizer = lossreg.parts(optimizer="counting", param_groups={"*.bias": "lr=0.5"}, registries=own).optimizer(
            model
        )
        held = [one for group in optimizer.param_groups for one in group["params"]]
        assert {id(one) for one in held} == {id(one) for one in model.parameters()}
        assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.5]
        return built[0]

    assert count(network()) > 1
    assert [count(network()) for _ in range(2)] == [1, 1]
    assert count(network().double()) > 1
    assert count(nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 3))) > 1


def test_threads_get_what_they_ask_for() -> None:
    """Parts that several threads make at once of some texts are of these texts."""
    rates, wrong = [0.1, 0.2, 0.3, 0.4], []

    def ask() -> None:
        for rate in rates * 10:
            optimizer = lossreg.parts(
                optimizer=f"adamw(lr={rate})", param_groups={"*.bias": "weight_decay=0"}
            ).optimizer(network())
            if [group["lr"] for group in optimizer.param_groups] != [rate, rate]:
                wrong.append(rate)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_what_is_wrong_is_refused_again_next_to_what_is_equal() -> None:
    """Options of a group that are equal in Python, such as 0 and False, are not the same."""
    for _ in range(2):
        lossreg.parts(optimizer="adamw", param_groups={"*.bias": {"weight_decay": 0}}).optimizer(network())
        with pytest.raises(lossreg.LossregError, match="weight_decay"):
            lossreg.parts(optimizer="adamw", param_groups={"*.bias": {"weight_decay": False}}).optimizer(network())
