"""LambdaLR with an expression: the rates of torch's own LambdaLR, checked ahead, and a state that is text alone."""

from __future__ import annotations

import copy
import io
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR as TorchLambdaLR

from lossreg.errors import ExpressionError
from lossreg_builtin.lambda_lr import LambdaLR, LrLambda
from tests.table import for_each

Factor = Callable[[int], float]


def sgd(*rates: float) -> torch.optim.Optimizer:
    """SGD over one weight per rate, each in a group of its own."""
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates or (0.01,)]
    return torch.optim.SGD(groups)


def advance(scheduler: TorchLambdaLR, count: int = 1) -> None:
    """Steps the optimizer and its scheduler, in the order that torch asks for."""
    for _ in range(count):
        scheduler.optimizer.step()
        scheduler.step()


def rates(scheduler: TorchLambdaLR, epochs: int) -> list[float]:
    """The learning rate of the first group during each of so many epochs."""
    found = []
    for epoch in range(epochs):
        if epoch:
            advance(scheduler)
        found.append(float(scheduler.optimizer.param_groups[0]["lr"]))
    return found


# Rates


def test_epoch_halved_gives_each_rate_twice() -> None:
    """`epoch // 2` at 0.01 over 20 epochs gives 0, 0, 0.01, 0.01, 0.02, 0.02 ... 0.09, 0.09."""
    found = rates(LambdaLR(sgd(0.01), "epoch // 2", epochs=20), 20)
    assert found == [0.01 * k for k in range(10) for _ in range(2)]


FORMULAS: list[tuple[str, Factor]] = [
    ("epoch // 2", lambda epoch: epoch // 2),
    ("0.95 ** epoch", lambda epoch: 0.95**epoch),
    ("1 / (1 + epoch)", lambda epoch: 1 / (1 + epoch)),
    ("0.5 * (1 + cos(pi * epoch / epochs))", lambda epoch: 0.5 * (1 + math.cos(math.pi * epoch / 20))),
    ("min(1, (epoch + 1) / 5)", lambda epoch: min(1, (epoch + 1) / 5)),
    ("1 if epoch < 10 else 0.1", lambda epoch: 1 if epoch < 10 else 0.1),
    ("0.1 ** (epoch // 7)", lambda epoch: 0.1 ** (epoch // 7)),
    ("3", lambda _: 3),
]


@for_each(("text", "factor"), FORMULAS, ids=[text for text, _ in FORMULAS])
def test_rates_are_those_of_torch_with_the_same_function(text: str, factor: Factor) -> None:
    """An expression gives the rates that torch's LambdaLR gives with the same formula as a Python function."""
    ours = rates(LambdaLR(sgd(0.01), text, epochs=20), 20)
    assert ours == rates(TorchLambdaLR(sgd(0.01), factor), 20)


def test_every_group_keeps_its_own_base_rate() -> None:
    """The factor multiplies the base rate of each parameter group, as in torch."""
    ours = LambdaLR(sgd(0.01, 0.5, 2.0), "1 / (1 + epoch)")
    theirs = TorchLambdaLR(sgd(0.01, 0.5, 2.0), lambda epoch: 1 / (1 + epoch))
    for scheduler in (ours, theirs):
        advance(scheduler, 4)
    assert ours.get_last_lr() == theirs.get_last_lr() == [0.01 / 5, 0.5 / 5, 2.0 / 5]


def test_an_expression_serves_torch_s_own_scheduler() -> None:
    """An LrLambda is a function for torch's LambdaLR."""
    assert rates(TorchLambdaLR(sgd(0.01), LrLambda("epoch // 2")), 20) == rates(LambdaLR(sgd(0.01), "epoch // 2"), 20)


def test_a_python_function_serves_as_lr_lambda() -> None:
    """A Python function is taken as torch takes it."""

    def factor(epoch: int) -> float:
        return 0.9**epoch

    assert rates(LambdaLR(sgd(0.1), factor), 10) == rates(TorchLambdaLR(sgd(0.1), factor), 10)


def test_last_epoch_goes_on_from_there() -> None:
    """`last_epoch` starts the counter at the epoch after it, as in torch."""
    started = []
    for scheduler in (LambdaLR, TorchLambdaLR):
        optimizer = sgd(0.1)
        optimizer.param_groups[0]["initial_lr"] = 0.1
        made: Any = scheduler
        factor = LrLambda("1 / (1 + epoch)") if scheduler is TorchLambdaLR else "1 / (1 + epoch)"
        started.append(made(optimizer, factor, last_epoch=6).get_last_lr())
    assert started == [[0.1 / 8], [0.1 / 8]]


# Counting


def test_counting_steps_the_expression_knows_step_and_epoch() -> None:
    """Counting steps, `step` is the counter and `epoch` the counter // steps_per_epoch."""
    factor = LrLambda("step + 1000 * epoch", "step", epochs=3, steps_per_epoch=5)
    assert [factor(step) for step in range(15)] == [step + 1000 * (step // 5) for step in range(15)]


def test_counting_steps_the_rate_changes_with_every_step() -> None:
    """A warm-up over steps gives the rates of torch's LambdaLR with the same formula."""
    ours = LambdaLR(sgd(0.1), "min(1, (step + 1) / (2 * steps_per_epoch))", "step", epochs=3, steps_per_epoch=4)
    theirs = TorchLambdaLR(sgd(0.1), lambda step: min(1, (step + 1) / 8))
    assert rates(ours, 12) == rates(theirs, 12)


def test_epochs_and_steps_per_epoch_are_those_of_the_run() -> None:
    """`epochs` and `steps_per_epoch` have the values that were given."""
    assert LrLambda("epochs + steps_per_epoch / 1000", epochs=20, steps_per_epoch=938)(3) == 20.938


def test_step_is_refused_while_epochs_are_counted() -> None:
    """An expression that names `step` where epochs are counted is an error that says what to do."""
    with pytest.raises(ExpressionError, match=r"names step, but the schedule counts epochs.*write epoch"):
        LambdaLR(sgd(), "0.99 ** step", epochs=3, steps_per_epoch=5)


@for_each(
    ("text", "interval", "needed"),
    [
        ("epochs - epoch", "epoch", "epochs"),
        ("1 / steps_per_epoch", "epoch", "steps_per_epoch"),
        ("epoch // 2", "step", "steps_per_epoch"),
        ("step / epochs", "step", "epochs"),
        ("step / steps_per_epoch", "step", "steps_per_epoch"),
    ],
)
def test_a_variable_that_is_not_known_is_an_error(text: str, interval: Any, needed: str) -> None:
    """An expression that needs the length of the run or of an epoch is an error where it is not known."""
    with pytest.raises(ExpressionError, match=f"needs {needed}"):
        LrLambda(text, interval)


@for_each("interval", ["batch", "Epoch", "", None])
def test_another_interval_is_refused(interval: Any) -> None:
    """An interval other than `epoch` and `step` is an error, not one of the two."""
    with pytest.raises(ValueError, match="interval"):
        LrLambda("1", interval)


# Errors ahead


def test_an_epoch_without_a_value_is_an_error_at_once() -> None:
    """Where the number of epochs is known, an epoch that has no value is an error when the schedule is made."""
    with pytest.raises(ExpressionError, match="epoch = 7"):
        LambdaLR(sgd(), "1/(7-epoch)", epochs=20)


def test_epochs_that_are_not_trained_need_no_value() -> None:
    """An epoch after the last one need not have a value."""
    assert rates(LambdaLR(sgd(0.1), "1/(7-epoch)", epochs=7), 7) == [0.1 * (1 / (7 - epoch)) for epoch in range(7)]


def test_a_step_without_a_value_is_an_error_at_once() -> None:
    """Where the number of steps is known, a step that has no value is an error when the schedule is made."""
    with pytest.raises(ExpressionError, match="step = 14"):
        LrLambda("1/(14-step)", "step", epochs=3, steps_per_epoch=5)


def test_steps_that_are_not_taken_need_no_value() -> None:
    """A step after the last one need not have a value."""
    assert LrLambda("1/(15-step)", "step", epochs=3, steps_per_epoch=5)(14) == 1.0


def test_an_epoch_without_a_value_is_an_error_when_it_comes() -> None:
    """Where the number of epochs is not known, an epoch that has no value is an error when it comes."""
    scheduler = LambdaLR(sgd(), "1/(7-epoch)")
    advance(scheduler, 6)
    scheduler.optimizer.step()
    with pytest.raises(ExpressionError, match="epoch = 7"):
        scheduler.step()


@for_each("text", ["0 - 1", "9**9**9", "1 / 0", "(-8) ** 0.5"])
def test_a_constant_without_a_use_is_an_error_at_once(text: str) -> None:
    """An expression without variables is evaluated when it is made, whether the epochs are known or not."""
    with pytest.raises(ExpressionError):
        LrLambda(text)


@for_each("text", ["3 - epoch", "log(epoch - 5)", "exp(100 * epoch)"])
def test_a_rate_that_goes_wrong_later_is_an_error_at_once(text: str) -> None:
    """A factor that becomes negative, infinite or undefined at some epoch is an error when the schedule is made."""
    with pytest.raises(ExpressionError, match="epoch = "):
        LrLambda(text, epochs=20)


@for_each("text", ["", "epoch.real", "lambda epoch: epoch", "__import__('os')", "epoc // 2"])
def test_a_text_that_is_no_expression_is_an_error(text: str) -> None:
    """A text that is no expression is an error when the schedule is made."""
    with pytest.raises(ExpressionError):
        LambdaLR(sgd(), text)


# State


def test_the_state_of_an_expression_is_its_text_alone() -> None:
    """Nothing but the text is in the `__dict__` that torch saves and restores, also after calls."""
    factor = LrLambda(" epoch // 2 ", "step", epochs=3, steps_per_epoch=5)
    assert vars(factor) == {"text": "epoch // 2"}
    factor(3)
    assert vars(factor) == {"text": "epoch // 2"}


@for_each("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_an_expression_survives_pickling(protocol: int) -> None:
    """A pickled LrLambda has the same text and values, with the counting that it was made for."""
    factor = LrLambda("step + 100 * epoch + epochs", "step", epochs=3, steps_per_epoch=5)
    back = pickle.loads(pickle.dumps(factor, protocol))  # noqa: S301  # our own bytes
    assert vars(back) == {"text": "step + 100 * epoch + epochs"}
    assert [back(step) for step in range(15)] == [step + 100 * (step // 5) + 3 for step in range(15)]


def test_an_expression_survives_a_deep_copy() -> None:
    """A deep copy of an LrLambda gives the same values."""
    back = copy.deepcopy(LrLambda("epoch // 2"))
    assert [back(epoch) for epoch in range(6)] == [epoch // 2 for epoch in range(6)]


@for_each("make", [LambdaLR, lambda optimizer, text: TorchLambdaLR(optimizer, LrLambda(text))], ids=["ours", "torch's"])
def test_a_state_goes_on_where_it_was_saved(make: Callable[[torch.optim.Optimizer, str], TorchLambdaLR]) -> None:
    """A scheduler that loads the state of another goes on with its counter and rates."""
    saved = make(sgd(0.01), "epoch // 2")
    advance(saved, 5)
    loaded = make(sgd(0.01), "epoch // 2")
    loaded.load_state_dict(saved.state_dict())
    assert (loaded.last_epoch, loaded.get_last_lr()) == (5, [0.01 * (5 // 2)])
    advance(loaded, 3)
    assert loaded.get_last_lr() == [0.01 * (8 // 2)]


def test_a_state_loads_into_a_schedule_of_another_length() -> None:
    """The state does not hold the number of epochs, so a run can be prolonged."""
    saved = LambdaLR(sgd(0.01), "epoch / epochs", epochs=10)
    advance(saved, 5)
    loaded = LambdaLR(sgd(0.01), "epoch / epochs", epochs=20)
    loaded.load_state_dict(saved.state_dict())
    advance(loaded)
    assert loaded.get_last_lr() == [0.01 * (6 / 20)]


def through_file(state: dict[str, Any]) -> dict[str, Any]:
    """A state written by torch.save and read by torch.load, which runs no code from the file."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


@for_each("make", [LambdaLR, lambda optimizer, text: TorchLambdaLR(optimizer, LrLambda(text))], ids=["ours", "torch's"])
def test_a_state_survives_a_file_of_weights_only(make: Callable[[torch.optim.Optimizer, str], TorchLambdaLR]) -> None:
    """The state is plain data, which torch.load(weights_only=True) reads, and it loads again."""
    saved = make(sgd(0.01, 0.5), "epoch // 2")
    advance(saved, 5)
    state = through_file(saved.state_dict())
    assert state["lr_lambdas"] == [{"text": "epoch // 2"}] * 2
    assert state == saved.state_dict()
    loaded = make(sgd(0.01, 0.5), "epoch // 2")
    loaded.load_state_dict(state)
    assert loaded.get_last_lr() == [0.01 * 2, 0.5 * 2]


def test_a_state_of_another_expression_is_an_error_that_names_both() -> None:
    """Loading the state of another expression is an error that names both texts."""
    state = LambdaLR(sgd(), "epoch // 2").state_dict()
    with pytest.raises(ExpressionError, match=r'"epoch // 3".*"epoch // 2"'):
        LambdaLR(sgd(), "epoch // 3").load_state_dict(state)


def test_a_state_that_is_refused_changes_nothing() -> None:
    """After a state was refused, the scheduler and the state are as they were, and the schedule goes on."""
    other = LambdaLR(sgd(0.5), "epoch // 2")
    advance(other, 7)
    state = other.state_dict()
    scheduler = LambdaLR(sgd(0.01), "epoch // 3")
    advance(scheduler, 3)
    before, given = copy.deepcopy(scheduler.state_dict()), copy.deepcopy(state)
    with pytest.raises(ExpressionError):
        scheduler.load_state_dict(state)
    assert scheduler.state_dict() == before
    assert state == given
    advance(scheduler, 3)
    assert scheduler.get_last_lr() == [0.01 * (6 // 3)]


def test_a_state_of_another_expression_in_one_group_is_an_error() -> None:
    """With an expression per group, one that differs is enough for an error."""
    made: Any = LambdaLR
    saved = made(sgd(0.1, 0.1), [LrLambda("epoch"), LrLambda("1")])
    loaded = made(sgd(0.1, 0.1), [LrLambda("epoch"), LrLambda("2")])
    with pytest.raises(ExpressionError, match=r'"2".*"1"'):
        loaded.load_state_dict(saved.state_dict())


def test_a_state_of_a_python_function_is_an_error() -> None:
    """The state of a scheduler with a Python function does not load into one with an expression."""
    state = LambdaLR(sgd(), lambda _: 1.0).state_dict()
    with pytest.raises(ExpressionError, match="epoch // 3"):
        LambdaLR(sgd(), "epoch // 3").load_state_dict(state)


def test_a_state_of_an_expression_does_not_load_into_a_python_function() -> None:
    """The state of a scheduler with an expression is refused by one with a Python function, whose rates differ."""
    state = LambdaLR(sgd(), "epoch // 2").state_dict()
    with pytest.raises(ExpressionError, match="epoch // 2"):
        LambdaLR(sgd(), lambda _: 1.0).load_state_dict(state)


def test_states_of_python_functions_load_as_in_torch() -> None:
    """The state of a scheduler with a Python function loads into one with a Python function."""
    saved = LambdaLR(sgd(0.1), lambda epoch: 0.5**epoch)
    advance(saved, 3)
    loaded = LambdaLR(sgd(0.1), lambda epoch: 0.5**epoch)
    loaded.load_state_dict(saved.state_dict())
    advance(loaded)
    assert loaded.get_last_lr() == [0.1 * 0.5**4]


def test_torch_s_scheduler_with_another_state_fails_at_the_next_step() -> None:
    """Where torch's own LambdaLR takes the state of another expression, the next step is an error that names both."""
    state = LambdaLR(sgd(), "epoch // 2").state_dict()
    scheduler = TorchLambdaLR(sgd(), LrLambda("epoch // 3"))
    scheduler.load_state_dict(state)
    scheduler.optimizer.step()
    with pytest.raises(ExpressionError, match=r'"epoch // 3".*"epoch // 2"'):
        scheduler.step()


def test_an_error_about_a_state_holds_both_texts() -> None:
    """The error about a state of another expression holds both texts as attributes."""
    state = LambdaLR(sgd(), "epoch // 2").state_dict()
    with pytest.raises(ExpressionError) as caught:
        LambdaLR(sgd(), "epoch // 3").load_state_dict(state)
    assert (caught.value.text, vars(caught.value)["other"]) == ("epoch // 3", "epoch // 2")


def test_a_scheduler_survives_pickling() -> None:
    """A scheduler with an expression can be pickled with its optimizer, and goes on."""
    scheduler = LambdaLR(sgd(0.01), "epoch // 2")
    advance(scheduler, 5)
    back = pickle.loads(pickle.dumps(scheduler))  # noqa: S301  # our own bytes
    assert back.get_last_lr() == [0.01 * 2]
    advance(back)
    assert back.get_last_lr() == [0.01 * 3]
