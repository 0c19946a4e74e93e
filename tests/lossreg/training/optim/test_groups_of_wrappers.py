"""Parameter groups of optimizers that wrap another one: whose options they are, and that they have their effect."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import lossreg
from tests.table import for_each

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lossreg.training.conftest import HandLoop, Run, Samples, Weights

SMALL: dict[str, Any] = {"epochs": 1, "limit_train": 128, "limit_test": 8}
ROUNDING = 1e-6


def mlp() -> nn.Module:
    """Weights are 1.weight, 3.weight and 5.weight, with a bias each."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 10))


def split(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Matrices and biases."""
    parameters = [*model.parameters()]
    return parameters[::2], parameters[1::2]


class HandSAM:
    """SAM with a distance for each group, by hand: w + rho_g g / |g|, where |g| is that of all groups."""

    def __init__(self, base: torch.optim.Optimizer, distances: list[float]) -> None:
        self.base = base
        self.param_groups = base.param_groups
        self.distances = distances

    def zero_grad(self) -> None:
        """Of what is wrapped."""
        self.base.zero_grad()

    def step(self, closure: Callable[[], Tensor]) -> Any:
        """Up, and down from where it was."""
        loss = closure()
        with torch.no_grad():
            held = [(one, rho) for group, rho in self._each() for one in group["params"]]
            norm = torch.cat([one.grad.flatten() for one, _ in held if one.grad is not None]).norm()
            before = [one.clone() for one, _ in held]
            for one, rho in held:
                one.add_(rho / norm * one.grad)
        closure()
        with torch.no_grad():
            for (one, _), old in zip(held, before, strict=True):
                one.copy_(old)
        self.base.step()
        return loss

    def _each(self) -> Any:
        return zip(self.param_groups, self.distances, strict=True)


def test_options_reach_what_is_wrapped_and_the_wrapper(run: Run, hand_loop: HandLoop, digits: Samples) -> None:
    """Biases with a rate, a decay and a distance of their own train as in a loop by hand."""
    mine = mlp()
    run(
        model=mine, optimizer="sam(sgd(lr=0.1, weight_decay=0.1), rho=0.05)",
        param_groups={"ndim<2": "lr=x0.5, weight_decay=0, rho=0.2"}, **SMALL,
    )  # fmt: skip
    theirs = mlp()
    matrices, biases = split(theirs)
    groups: list[dict[str, Any]] = [{"params": matrices}, {"params": biases, "lr": 0.05, "weight_decay": 0}]
    base = torch.optim.SGD(
        groups,
        lr=0.1, momentum=0.9, weight_decay=0.1,
    )  # fmt: skip
    hand: Any = HandSAM(base, [0.05, 0.2])
    hand_loop(theirs, functional.cross_entropy, hand, (digits[0][:128], digits[1][:128]))
    for one, other in zip(mine.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=ROUNDING, rtol=1e-5)


@for_each("spec", ["cautious({})", "lookahead({}, k=10000)", "lookahead(cautious({}), k=10000)"])
def test_layers_and_decay_are_those_of_what_is_wrapped(run: Run, spec: str) -> None:
    """The presets give the groups of the innermost optimizer the rates and decays that it has alone."""
    presets = {"no_decay": True, "layer_decay(0.5)": True}
    seen: list[list[Any]] = []

    def groups(optimizer: str) -> list[tuple[Any, ...]]:
        class Watch:
            def lossreg_epoch_finished(self, run: Any, record: Any) -> None:
                seen.append([(group["lr"], group["weight_decay"]) for group in run.optimizer.param_groups])

        run(model=mlp(), optimizer=optimizer, param_groups=presets, observers=[Watch()], **SMALL)
        return seen.pop()

    alone = groups("adamw(lr=0.01, weight_decay=0.1)")
    assert groups(spec.format("adamw(lr=0.01, weight_decay=0.1)")) == alone
    assert (0.0025, 0.0) in alone
    assert (0.01, 0.1) in alone


def test_lookahead_steps_each_group_by_its_own_numbers() -> None:
    """Slow weights follow every k steps by alpha, where k and alpha are the group's."""
    one, two = (nn.Parameter(torch.tensor([1.0], dtype=torch.float64)) for _ in range(2))
    groups = [{"params": [one]}, {"params": [two], "k": 1, "alpha": 0.25, "lr": 0.5}]
    optimizer: Any = lossreg.optimizers.build("lookahead(sgd(lr=0.1, momentum=0.0), k=2, alpha=0.5)", groups)
    hand = [[1.0, 1.0], [1.0, 1.0]]  # fast, slow
    for step in range(1, 6):
        for weight in (one, two):
            weight.grad = 2 * weight.detach()
        optimizer.step()
        for pair, rate, k, alpha in ((hand[0], 0.1, 2, 0.5), (hand[1], 0.5, 1, 0.25)):
            pair[0] -= rate * 2 * pair[0]
            if step % k == 0:
                pair[1] += alpha * (pair[0] - pair[1])
                pair[0] = pair[1]
        assert one.item() == pytest.approx(hand[0][0], rel=1e-12)
        assert two.item() == pytest.approx(hand[1][0], rel=1e-12)


@for_each(
    ("optimizer", "options", "shown"),
    [
        ("sam(sgd(lr=0.1))", "lr=x0.1, rho=0.2", {"sgd.lr": 0.01, "sam.rho": 0.2}),
        ("sam(adadelta)", "sam.rho=x2, adadelta.rho=x0.5", {"adadelta.rho": 0.45, "sam.rho": 0.1}),
        ("lookahead(sam(sgd))", "alpha=0.25, rho=0.2", {"sam.rho": 0.2, "lookahead.alpha": 0.25}),
        ("lookahead(rmsprop)", {"rmsprop": {"alpha": 0.9}}, {"rmsprop.alpha": 0.9}),
        ("sgd", "sgd.lr=0.5", {"lr": 0.5}),
    ],
)
def test_an_option_says_whose_it_is(optimizer: str, options: Any, shown: dict[str, float]) -> None:
    """A plan names the level of each option; what two levels have is written with the name; its text is read again."""
    plan = lossreg.plan(model="mlp", optimizer=optimizer, param_groups={"*.bias": options}, limit_train=64)
    assert plan.facts["groups"][1]["options"] == pytest.approx(shown)
    written = dict(plan.spec.items())["param_groups"]
    again = lossreg.plan(model="mlp", optimizer=optimizer, param_groups=written, limit_train=64)
    assert again.facts["groups"] == plan.facts["groups"]
    assert again.spec == plan.spec


@for_each(
    ("optimizer", "options", "said"),
    [
        ("sam(sgd)", "wieght_decay=0", "neither sam nor sgd has a parameter 'wieght_decay'. Did you mean 'weight_dec"),
        ("sam(adadelta)", "rho=0.1", "have a parameter 'rho' each; say whose is meant: sam.rho=... or adadelta.rho=.."),
        ("sam(sgd)", "sma.rho=0.1", "sma.rho: sma does not train these parameters. Did you mean 'sam'? They are train"),
        ("sam(sgd)", "optimizer=adam", "optimizer of sam, which is sgd, is the same for all groups; for these"),
        ("sam(sgd)", "rho=-1", "rho=-1 is not a distance"),
        ("lookahead(sgd)", "k=0", "k=0 is not a number of steps"),
        ("sam(sgd)", "lr=-1", "Invalid learning rate: -1"),
        ("lookahead(sgd)", "lr='high'", "sgd: lr='high' does not fit"),
        ("sam(sgd)", "sam.rho=0.1, sam.rho=0.2", "sam.rho is given twice; write it once"),
        ("sam(sgd)", "betas=x2", "neither sam nor sgd has a parameter 'betas'"),
    ],
)
def test_wrong_options_are_refused(run: Run, tmp_path: Path, optimizer: str, options: str, said: str) -> None:
    """Each mistake is one line that names the pattern, before there is a directory."""
    with pytest.raises(lossreg.LossregError) as caught:
        run(model="mlp", optimizer=optimizer, param_groups={"*.bias": options}, out=tmp_path / "out", **SMALL)
    assert said in caught.value.message
    assert "'*.bias'" in caught.value.message
    assert not (tmp_path / "out").exists()


def test_what_nothing_decays_has_no_use_for_no_decay() -> None:
    """`no_decay` is an error where no level has weight decay."""
    with pytest.raises(lossreg.ConfigError, match="'no_decay' has no effect: lookahead"):
        lossreg.plan(model="mlp", optimizer="lookahead(rprop)", param_groups={"no_decay": True}, limit_train=64)


def test_a_group_may_have_a_wrapped_optimizer_of_its_own(
    run: Run, weights: Weights, hand_loop: HandLoop, digits: Samples
) -> None:
    """Matrices under lookahead and the rest under plain SGD are what the two do by hand."""
    mine = run(
        model=mlp(), optimizer="sgd(lr=0.05)", param_groups={"ndim>=2": "lookahead(sgd(lr=0.1), k=2)"}, **SMALL
    ).model
    theirs = mlp()
    matrices, biases = split(theirs)
    one = torch.optim.SGD(matrices, lr=0.1, momentum=0.9, fused=True)
    two = torch.optim.SGD(biases, lr=0.05, momentum=0.9, fused=True)
    slow = [matrix.detach().clone() for matrix in matrices]

    class Both:
        param_groups = one.param_groups + two.param_groups
        steps = 0

        def zero_grad(self) -> None:
            one.zero_grad()
            two.zero_grad()

        def step(self, closure: Callable[[], Tensor]) -> None:
            closure()
            one.step()
            two.step()
            self.steps += 1
            if self.steps % 2 == 0:
                with torch.no_grad():
                    for matrix, old in zip(matrices, slow, strict=True):
                        old.lerp_(matrix, 0.5)
                        matrix.copy_(old)

    both: Any = Both()
    hand_loop(theirs, functional.cross_entropy, both, (digits[0][:128], digits[1][:128]))
    assert weights(mine).equal(weights(theirs))


def test_a_schedule_moves_the_rates_of_all_groups(run: Run) -> None:
    """Each group has its own base rate, and the schedule multiplies it."""
    rates: list[list[float]] = []

    class Watch:
        def lossreg_epoch_finished(self, run: Any, record: Any) -> None:
            rates.append([group["lr"] for group in run.optimizer.param_groups])

    run(
        model=mlp(), optimizer="lookahead(sgd(lr=0.1))", param_groups={"*.bias": "lr=x0.1"},
        scheduler="lambda_lr(lr_lambda='1 / (1 + epoch)')", observers=[Watch()], **{**SMALL, "epochs": 2},
    )  # fmt: skip
    assert rates[0] == pytest.approx([0.1, 0.01])
    assert rates[1] == pytest.approx([0.05, 0.005])


def test_the_state_with_groups_is_a_whole_one() -> None:
    """A state with groups goes on, in another object of the same groups, as if nothing had happened."""

    def made() -> tuple[list[nn.Parameter], Any]:
        weights = [nn.Parameter(torch.tensor([1.0, -2.0])), nn.Parameter(torch.tensor([3.0]))]
        groups = [{"params": weights[:1]}, {"params": weights[1:], "lr": 0.3, "rho": 0.5, "k": 1}]
        return weights, lossreg.optimizers.build("lookahead(sam(sgd(lr=0.1)), k=2)", groups)

    def descend(weights: list[nn.Parameter], optimizer: Any, steps: int) -> None:
        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = torch.stack([one.pow(4).sum() for one in weights]).sum() / 40
            loss.backward()
            return loss

        for _ in range(steps):
            optimizer.step(closure)

    weights, optimizer = made()
    descend(weights, optimizer, 3)
    others, resumed = made()
    with torch.no_grad():
        for one, other in zip(others, weights, strict=True):
            one.copy_(other)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for pair in ((weights, optimizer), (others, resumed)):
        descend(*pair, 3)
    assert all(torch.equal(one, other) for one, other in zip(others, weights, strict=True))
    assert [group["lr"] for group in resumed.param_groups] == [0.1, 0.3]


def test_a_wrapper_that_makes_the_other_one_is_given_all_options() -> None:
    """Options of both levels are in the groups of a wrapper whose parameter is annotated as a class."""
    registries = lossreg.load_registries()

    @registries.optimizers.register("makes", nested="base")
    class Makes(torch.optim.Optimizer):
        def __init__(self, params: Any, base: type[torch.optim.Optimizer], strength: float = 1.0) -> None:
            super().__init__(params, {"strength": strength})
            make: Any = base
            self.base = make(self.param_groups)
            self.param_groups = self.base.param_groups

        def step(self, closure: Any = None) -> Any:
            return self.base.step(closure)

    plan = lossreg.plan(
        model="mlp", optimizer="makes(sgd(lr=0.1))", param_groups={"*.bias": "lr=0.5, strength=2"}, limit_train=64,
        registries=registries,
    )  # fmt: skip
    assert plan.facts["groups"][1]["options"] == {"sgd.lr": 0.5, "makes.strength": 2}


def test_an_option_that_a_wrapper_does_not_read_from_its_groups_is_refused() -> None:
    """An option of one group alone that would be without effect is an error."""
    registries = lossreg.load_registries()

    @registries.optimizers.register("deaf", nested="optimizer")
    class Deaf(torch.optim.SGD):
        def __init__(self, params: Any, optimizer: torch.optim.Optimizer, strength: float = 1.0) -> None:
            self.strength = strength
            super().__init__(optimizer.param_groups, lr=0.1)

    with pytest.raises(lossreg.ConfigError, match="strength of deaf cannot differ between groups"):
        lossreg.plan(
            model="mlp", optimizer="deaf(sgd)", param_groups={"*.bias": "strength=2"}, limit_train=64,
            registries=registries,
        )  # fmt: skip
