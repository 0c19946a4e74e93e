"""What each of several optimizers needs, and what trials find where gradients are sparse or weights are frozen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import lossreg
from lossreg import Data
from lossreg.registry.build import resolve_params
from lossreg.registry.entry import RegistryEntry
from lossreg.training.loss.gradients import SparseGradient
from lossreg.training.optim.probe import find_needs, plan_alone
from lossreg_builtin.optimizers import OPTIMIZERS
from tests.lossreg.training.optim.test_needs import ALL, LR, Plain
from tests.table import for_each

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import Run

WORDS, CLASSES = 7, 3
CPU = torch.device("cpu")


@pytest.fixture
def registries() -> lossreg.Registries:
    """The built-ins, and optimizers that declare nothing."""
    made = lossreg.load_registries(allow=[])
    for name, factory in ALL.items():
        made.optimizers.register(name)(factory)
    return made


@pytest.fixture
def settings(table: Callable[..., Data], registries: lossreg.Registries) -> dict[str, Any]:
    """Of a run of a linear model on the table."""
    return {"data": table(), "model": nn.Linear(4, 3), "device": "cpu", "registries": registries}


def sentences() -> Data:
    """Twelve sentences of four words."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randint(WORDS, (12, 4), generator=generator)
    targets = torch.randint(CLASSES, (12,), generator=generator)
    return Data((inputs, targets), (inputs, targets), "classification", (4,), num_classes=CLASSES)


class Bag(nn.Module):
    """A bag of words, with a sparse gradient that no module tells of, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.table = nn.Parameter(torch.randn(WORDS, 5))
        self.head = nn.Linear(5, CLASSES)

    def forward(self, words: Tensor) -> Tensor:
        """Logits."""
        used: Tensor = self.head(functional.embedding(words, self.table, sparse=True).sum(1))
        return used


def test_what_any_of_several_needs_is_given(settings: dict[str, Any]) -> None:
    """The needs of a run are those of its optimizers together, whichever of them has them."""
    for one, other in (("newton", "switching"), ("switching", "newton")):
        needs = lossreg.plan(optimizer=one, param_groups={"bias": other}, **settings).facts["optimizer_needs"]
        assert (needs["create_graph"], needs["modes"], needs["closure"], needs["passes"]) == (True, True, False, 1)


def test_several_step_with_gradients_of_gradients(run: Run, settings: dict[str, Any]) -> None:
    """Weights are those of plain gradient descent, which both optimizers are; one of them asks for more gradients."""
    model = settings["model"]
    hand = nn.Linear(4, 3)
    hand.load_state_dict(model.state_dict())
    run(optimizer="plain", param_groups={"bias": "newton"}, epochs=3, batch_size=64, **settings)
    inputs, targets = settings["data"].train
    for _ in range(3):
        loss = functional.cross_entropy(hand(inputs), targets)
        gradients = torch.autograd.grad(loss, [*hand.parameters()])
        with torch.no_grad():
            for one, gradient in zip(hand.parameters(), gradients, strict=True):
                one.sub_(gradient, alpha=LR)
    torch.testing.assert_close(model.state_dict(), hand.state_dict())
    assert all(one.grad is None for one in model.parameters())


@pytest.mark.parametrize(
    ("optimizer", "groups", "setting"),
    [("plain", {"bias": "with_closure"}, "param_groups"), ("climbs_first", {"bias": "plain"}, "optimizer")],
)
def test_a_closure_that_a_trial_finds_cannot_be_one_of_several(
    settings: dict[str, Any], optimizer: str, groups: dict[str, str], setting: str
) -> None:
    """As one that is declared: the error names the optimizer, and the setting that is to be changed."""
    with pytest.raises(lossreg.ConfigError, match="so it cannot be one of several; use it alone") as caught:
        lossreg.plan(optimizer=optimizer, param_groups=groups, **settings)
    assert caught.value.setting == setting


def test_modes_that_one_of_several_declares_and_lacks_are_one_line(settings: dict[str, Any]) -> None:
    """The error names the optimizer of the group."""
    settings["registries"].optimizers.register("stuck", modes=True)(Plain)
    with pytest.raises(lossreg.ConfigError, match=r"optimizer stuck declares modes=True, but has no train\(\)"):
        lossreg.plan(optimizer="adam", param_groups={"bias": "stuck"}, **settings)


def test_an_optimizer_that_takes_the_model_is_none_of_several(settings: dict[str, Any]) -> None:
    """It would train the parameters of the others, too: declared or not, it is refused before the run."""
    settings["registries"].optimizers.register("whole", needs="model")(ALL["of_model"])
    for name, said in (("whole", "whole, which takes the model"), ("of_model", "of_model")):
        with pytest.raises(lossreg.LossregError, match=said):
            lossreg.plan(optimizer="adam", param_groups={"bias": name}, **settings)


@pytest.mark.parametrize("declared", [{}, {"needs": "named_params"}])
def test_names_reach_one_of_several(run: Run, settings: dict[str, Any], declared: dict[str, str]) -> None:
    """An optimizer that goes by names gets those of its own parameters."""
    settings["registries"].optimizers.register("by_name", **declared)(ALL["named"])
    model = settings["model"]
    bias, weight = model.bias.detach().clone(), model.weight.detach().clone()
    for options in ("by_name", "by_name(lr=0.5)"):
        run(optimizer="sgd(lr=0)", param_groups={"*": options}, epochs=1, **settings)
    assert torch.equal(model.bias, bias)
    assert not torch.equal(model.weight, weight)


class Pairs(torch.optim.SGD):
    """Refuses parameters without names."""

    def __init__(self, params: Any, lr: float = LR) -> None:
        first = params[0]["params"][0] if isinstance(params[0], dict) else params[0]
        if not isinstance(first, tuple):
            raise TypeError("it takes pairs")
        super().__init__(params, lr=lr)


@pytest.mark.parametrize("declared", [{}, {"needs": "named_params"}])
def test_groups_with_options_are_groups_of_pairs(run: Run, settings: dict[str, Any], declared: dict[str, str]) -> None:
    """An optimizer that takes pairs alone has groups with options of their own, and each parameter by its name."""
    seen: list[Any] = []

    class Watch:
        def lossreg_run_started(self, run: lossreg.Run) -> None:
            seen.extend((group["param_names"], group["lr"]) for group in run.optimizer.param_groups)

    settings["registries"].optimizers.register("pairs", **declared)(Pairs)
    run(optimizer="pairs", param_groups={"weight": "lr=0.5"}, epochs=1, observers=[Watch()], **settings)
    assert seen == [(["bias"], LR), (["weight"], 0.5)]


def test_a_function_that_makes_one_of_several_is_called_once(settings: dict[str, Any]) -> None:
    """What it made is what is tried, and what trains."""
    made: list[torch.optim.Optimizer] = []

    def make(params: Any) -> torch.optim.Optimizer:
        made.append(Plain(params))
        return made[-1]

    plan = lossreg.plan(optimizer=make, param_groups={"bias": "adam"}, **settings)
    assert len(made) == 1
    assert not any("trains nothing" in one for one in plan.warnings)
    assert [group["names"] for group in plan.facts["groups"]] == [["weight"], ["bias"]]


def test_a_wrapper_is_one_of_several(run: Run, settings: dict[str, Any]) -> None:
    """Lookahead of gradient descent goes half of its way every two steps, the rest all of it."""
    start = {name: one.clone() for name, one in settings["model"].state_dict().items()}
    whole = nn.Linear(4, 3)
    whole.load_state_dict(start)
    first = {**settings, "model": whole}
    run(optimizer="plain(lr=0.001)", epochs=2, batch_size=64, **first)
    groups = {"bias": "lookahead(plain(lr=0.001), k=2)"}
    run(optimizer="plain(lr=0.001)", param_groups=groups, epochs=2, batch_size=64, **settings)
    half = torch.lerp(start["bias"], whole.bias.detach(), 0.5)
    torch.testing.assert_close(settings["model"].bias.detach(), half)
    torch.testing.assert_close(settings["model"].weight, whole.weight)


def test_weights_of_a_wrapped_optimizer_with_modes_are_evaluated(settings: dict[str, Any]) -> None:
    """A wrapper has the modes of what it wraps; the needs and the evaluated weights say so."""
    plan = lossreg.plan(optimizer="lookahead(switching)", **settings)
    assert plan.facts["optimizer_needs"]["modes"] is True
    assert plan.facts["weights"]["used"] == "optimizer"


def test_gradients_of_gradients_of_what_is_frozen_for_now(run: Run, settings: dict[str, Any]) -> None:
    """A parameter that is unfrozen later is left out until then, and trained from then on."""
    bias = settings["model"].bias.detach().clone()
    run(optimizer="newton", freeze="bias", epochs=1, **settings)
    assert torch.equal(settings["model"].bias, bias)
    run(optimizer="newton", freeze="bias", unfreeze="bias@1", epochs=2, **settings)
    assert not torch.equal(settings["model"].bias, bias)


def test_an_optimizer_of_sparse_gradients_is_one_of_several(
    run: Run, table: Callable[..., Data], registries: lossreg.Registries
) -> None:
    """SparseAdam, which takes no others, trains the table, and SGD the rest."""
    model, hand = Bag(), Bag()
    registries.optimizers.register("sparse_only", "torch.optim:SparseAdam")
    run(
        data=sentences(), model=model, optimizer="plain", param_groups={"table": "sparse_only(lr=0.1)"}, epochs=2,
        batch_size=12, registries=registries,
    )  # fmt: skip
    inputs, targets = sentences().train  # type: ignore[misc]  # a pair of tensors
    both = [torch.optim.SparseAdam([hand.table], lr=0.1), torch.optim.SGD(hand.head.parameters(), lr=LR)]
    for _ in range(2):
        hand.zero_grad()
        functional.cross_entropy(hand(inputs), targets).backward()
        for one in both:
            one.step()
    torch.testing.assert_close(model.state_dict(), hand.state_dict())


class Marked(torch.optim.SparseAdam):
    """Needs an attribute of its own in its steps, which torch leaves out where it copies."""

    mark = ""

    def step(self, closure: Any = None) -> Any:
        """A step."""
        if self.mark != "kept":
            raise RuntimeError("the mark is gone")
        return super().step(closure)  # type: ignore[no-untyped-call]  # torch annotates it not


def test_an_object_of_sparse_gradients_is_tried_with_its_own_attributes() -> None:
    """What an object has beyond torch's attributes is there in its copies."""
    model = nn.EmbeddingBag(WORDS, CLASSES, mode="sum", sparse=True)
    optimizer = Marked(model.parameters())
    optimizer.mark = "kept"
    assert lossreg.plan(data=sentences(), model=model, optimizer=optimizer, device="cpu").facts["objects"]
    optimizer.mark = "gone"
    with pytest.raises(lossreg.BuildError, match="cannot step on cpu: RuntimeError: the mark is gone"):
        lossreg.plan(data=sentences(), model=model, optimizer=optimizer, device="cpu")


@pytest.mark.parametrize("error", [GeneratorExit, SystemExit])
def test_what_is_no_exception_fails_a_trial_like_any_error(settings: dict[str, Any], error: type[Exception]) -> None:
    """An error that derives from BaseException alone is told as what the optimizer failed with."""

    class Panics(Plain):
        def step(self, closure: Any = None) -> Any:
            raise error("no step today")

    settings["registries"].optimizers.register("panics")(Panics)
    for optimizer in ("panics", Panics, Panics(settings["model"].parameters())):
        with pytest.raises(lossreg.BuildError, match=f"cannot step on cpu: {error.__name__}: no step today"):
            lossreg.plan(optimizer=optimizer, **settings)


def test_ctrl_c_in_a_trial_is_ctrl_c(settings: dict[str, Any]) -> None:
    """It is not taken for a fault of the optimizer."""

    class Slow(Plain):
        def step(self, closure: Any = None) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lossreg.plan(optimizer=Slow, **settings)


TORCH_S = [one.name for one in OPTIMIZERS if str(one.factory).startswith("torch.optim:")]


@for_each("name", TORCH_S)
def test_what_the_rows_of_torch_s_optimizers_declare_is_what_a_trial_finds(name: str) -> None:
    """The same optimizer, with all of it unsaid, is found to need what its row says."""
    entry: RegistryEntry[Any] = lossreg.optimizers[name]
    said = {key: getattr(entry.component, key) for key in ("closure", "modes", "needs", "create_graph")}
    unsaid = attrs.evolve(entry.component, **dict.fromkeys(said))
    plan = plan_alone(resolve_params({}, RegistryEntry(unsaid, entry.provenance), {}), {})
    if name == "sparse_adam":
        plan = plan.with_sparse([SparseGradient("weight", 1)], {"weight": plan.parameters[0]})
    needs = find_needs(plan, CPU).needs
    assert None not in said.values()
    assert {key: getattr(needs, key) for key in said} == said
