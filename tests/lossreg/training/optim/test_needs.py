"""What an optimizer needs is data in its record, or found by a trial before the run; the loop gives it that."""

from __future__ import annotations

import gc
import importlib.util
import json
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import lossreg
from lossreg import Data
from tests.table import for_each

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import Run

LR = 0.1


class Plain(torch.optim.Optimizer):
    """Gradient descent, of which the others here are variants."""

    def __init__(self, params: Any, lr: float = LR) -> None:
        super().__init__(params, {"lr": lr})

    @property
    def weights(self) -> list[nn.Parameter]:
        """All parameters."""
        return [one for group in self.param_groups for one in group["params"]]

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """A step."""
        for one in self.weights:
            if one.grad is not None:
                one.sub_(one.grad, alpha=self.param_groups[0]["lr"])


class WithClosure(Plain):
    """Computes the gradients itself, without enabling them, as AliG does."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """A step."""
        if closure is None:
            raise ValueError("it takes a closure")
        loss = closure()
        super().step()
        return loss


class ByLoss(Plain):
    """Steps by the loss where it is told, and as if it were 1 where it is not, as EmoNavi does."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """A step."""
        loss = 1.0
        if closure is not None:
            with torch.enable_grad():
                loss = closure().item()
        for one in self.weights:
            if one.grad is not None:
                one.sub_(one.grad, alpha=loss * self.param_groups[0]["lr"])
        return loss


class ClimbsFirst(Plain):
    """SAM as its authors' code has it: the gradients are there, and the closure computes those of a second place."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """A step."""
        if closure is None:
            raise ValueError("it takes a closure")
        climbs = [None if one.grad is None else 0.05 * one.grad for one in self.weights]
        for one, climb in zip(self.weights, climbs, strict=True):
            if climb is not None:
                one.add_(climb)
        with torch.enable_grad():
            closure()
        for one, climb in zip(self.weights, climbs, strict=True):
            if climb is not None:
                one.sub_(climb)
        super().step()


class Newton(Plain):
    """Divides by the diagonal of the Hessian, which it takes from the gradients; only every second step asks for it."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """A step."""
        self.steps = getattr(self, "steps", 0) + 1
        if self.steps % 2 == 0:
            with torch.enable_grad():
                total = torch.stack([one.grad.sum() for one in self.weights if one.grad is not None]).sum()
                torch.autograd.grad(total, self.weights, allow_unused=True)
        super().step()


class Switching(Plain):
    """Keeps the mean of its weights, which it evaluates; it refuses to step where they are."""

    def __init__(self, params: Any, lr: float = LR) -> None:
        super().__init__(params, lr)
        self.trains = False

    def train(self) -> None:
        """To the weights that are trained."""
        self._switch(to_train=True)

    def eval(self) -> None:
        """To those that are evaluated."""
        self._switch(to_train=False)

    @torch.no_grad()
    def _switch(self, *, to_train: bool) -> None:
        if self.trains != to_train:
            for one in self.weights:
                one.mul_(2.0 if to_train else 0.5)
        self.trains = to_train

    def step(self, closure: Any = None) -> Any:
        """A step."""
        if not self.trains:
            raise RuntimeError("call train() first")
        return super().step()


class Named(Plain):
    """Leaves biases as they are; it goes by names."""

    def __init__(self, named: Iterable[tuple[str, nn.Parameter]], lr: float = LR) -> None:
        super().__init__([one for name, one in named if not name.endswith("bias")], lr)


class OfModel(Plain):
    """Takes the model itself."""

    def __init__(self, model: nn.Module, lr: float = LR) -> None:
        super().__init__([*model.parameters()], lr)


class Queued(Plain):
    """Its state holds a deque, which torch's safe reading refuses."""

    def step(self, closure: Any = None) -> Any:
        """A step."""
        for one in self.weights:
            self.state[one]["last"] = deque([1.0], maxlen=3)
        return super().step()


class Projector:
    """An object, as some optimizers keep in their state."""


class Projecting(Plain):
    """Its state holds an object."""

    def step(self, closure: Any = None) -> Any:
        """A step."""
        for one in self.weights:
            self.state[one]["projector"] = Projector()
        return super().step()


ALL = {
    "plain": Plain, "with_closure": WithClosure, "by_loss": ByLoss, "climbs_first": ClimbsFirst, "newton": Newton,
    "switching": Switching, "named": Named, "of_model": OfModel, "queued": Queued,
    "projecting": Projecting,
}  # fmt: skip


@pytest.fixture
def registries() -> lossreg.Registries:
    """The built-ins, and these optimizers, which declare nothing."""
    made = lossreg.load_registries(allow=[])
    for name, factory in ALL.items():
        made.optimizers.register(name)(factory)
    return made


Planned = Callable[..., lossreg.Plan]


@pytest.fixture
def plan(table: Callable[..., Data], registries: lossreg.Registries) -> Planned:
    """Plans a run of a linear model on the table."""

    def planned(optimizer: Any, **arguments: Any) -> lossreg.Plan:
        usual: dict[str, Any] = {"data": table(), "model": nn.Linear(4, 3), "device": "cpu", "registries": registries}
        return lossreg.plan(optimizer=optimizer, **{**usual, **arguments})

    return planned


@for_each(
    ("name", "found"),
    [
        ("plain", {}),
        ("with_closure", {"closure": True}),
        ("by_loss", {"closure": True}),
        ("climbs_first", {"closure": True, "needs": ["gradients"], "passes": 2}),
        ("newton", {"create_graph": True}),
        ("switching", {"modes": True}),
        ("named", {"needs": ["named_params"]}),
        ("of_model", {"needs": ["model"]}),
        ("queued", {}),
        ("projecting", {"unreadable": f"state.0.projector is a Projector ({__name__}), which is not plain data"}),
    ],
)
def test_what_is_unsaid_is_found_by_a_trial(plan: Planned, name: str, found: dict[str, Any]) -> None:
    """An optimizer that declares nothing is found to need what it needs, and no more."""
    usual = {
        "closure": False, "modes": False, "needs": [], "create_graph": False, "layout": None, "passes": 1,
        "unreadable": None, "found": ["closure", "modes", "needs", "create_graph"],
    }  # fmt: skip
    assert plan(name).facts["optimizer_needs"] == {**usual, **found}


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("named", "of_model")])
@pytest.mark.parametrize("given", ["class", "function"])
def test_objects_are_tried_as_names_are(plan: Planned, name: str, given: str) -> None:
    """A class, and what a function makes, are found to need the same as the component of that class."""
    optimizer = ALL[name] if given == "class" else lambda params: ALL[name](params)
    assert plan(optimizer).facts["optimizer_needs"] == plan(name).facts["optimizer_needs"]


def test_a_trial_leaves_the_weights_of_the_run(plan: Planned) -> None:
    """Neither a model that an optimizer takes, nor the weights that an object holds, are moved or given gradients."""
    model = nn.Linear(4, 3)
    before = model.weight.detach().clone()
    for optimizer in ("of_model", WithClosure(model.parameters())):
        plan(optimizer, model=model)
    assert torch.equal(model.weight, before)
    assert model.weight.grad is None


@pytest.mark.parametrize("name", ["with_closure", "climbs_first", "newton", "of_model"])
def test_an_optimizer_that_declares_nothing_trains_as_in_its_own_loop(
    run: Run, table: Callable[..., Data], registries: lossreg.Registries, name: str
) -> None:
    """Two epochs end with the weights of a loop that gives the optimizer what it needs."""
    data, ours, hand = table(), nn.Linear(4, 3), nn.Linear(4, 3)
    hand.load_state_dict(ours.state_dict())
    run(data=data, model=ours, optimizer=name, epochs=3, batch_size=64, registries=registries)
    assert isinstance(data.train, tuple)
    for _ in range(3):
        for one in hand.parameters():
            one.grad = None
        first = torch.autograd.grad(functional.cross_entropy(hand(data.train[0]), data.train[1]), [*hand.parameters()])
        place = hand
        with torch.no_grad():
            if name == "climbs_first":
                place = nn.Linear(4, 3)
                for there, here, gradient in zip(place.parameters(), hand.parameters(), first, strict=True):
                    there.copy_(here + 0.05 * gradient)
        loss = functional.cross_entropy(place(data.train[0]), data.train[1])
        with torch.no_grad():
            for one, gradient in zip(hand.parameters(), torch.autograd.grad(loss, [*place.parameters()]), strict=True):
                one.sub_(gradient, alpha=LR)
    torch.testing.assert_close(ours.state_dict(), hand.state_dict())


def test_names_reach_an_optimizer_that_goes_by_them(run: Run, table: Callable[..., Data], registries: Any) -> None:
    """An optimizer that leaves biases as they are trains the weight alone, by the model's own names."""
    model = nn.Linear(4, 3)
    bias, weight = model.bias.detach().clone(), model.weight.detach().clone()
    run(data=table(), model=model, optimizer="named", epochs=1, registries=registries)
    assert torch.equal(model.bias, bias)
    assert not torch.equal(model.weight, weight)


def test_runtime_names_of_optimizers_are_supplied(run: Run, table: Callable[..., Data], registries: Any) -> None:
    """`num_samples`, `model` and `named_params` reach the parameters that ask for them, and run.json can be written."""
    seen: dict[str, Any] = {}

    def make(params: Any, samples: int, module: nn.Module, names: Any) -> torch.optim.Optimizer:
        seen.update(samples=samples, module=module, names=[name for name, _ in names])
        return Plain(params)

    registries.optimizers.register(
        "asking", runtime_args={"samples": "num_samples", "module": "model", "names": "named_params"}
    )(make)
    model = nn.Linear(4, 3)
    result = run(data=table(rows=48), model=model, optimizer="asking", epochs=1, registries=registries)
    assert seen == {"samples": 48, "module": model, "names": ["weight", "bias"]}
    assert json.loads((result.directory / "run.json").read_text())["optimizer_needs"]["closure"] is False


def test_gradients_that_can_be_differentiated_are_freed(
    run: Run, table: Callable[..., Data], registries: lossreg.Registries
) -> None:
    """After a step nothing holds the graph: a tensor of the last forward pass is gone without the garbage collector."""
    seen: list[weakref.ref[Tensor]] = []

    class Seen(nn.Linear):
        def forward(self, inputs: Tensor) -> Tensor:
            output = super().forward(inputs).tanh()
            if self.training:
                seen.append(weakref.ref(output))
            return output

    gc.disable()
    try:
        run(data=table(), model=Seen(4, 3), optimizer="newton", epochs=1, batch_size=16, registries=registries)
        assert len(seen) >= 4
        assert all(one() is None for one in seen)
    finally:
        gc.enable()


@pytest.mark.parametrize("cut", [{"batch_size": 16, "accumulate": 4}, {"batch_size": 64}])
def test_gradients_of_gradients_are_accumulated_and_clipped(
    run: Run, table: Callable[..., Data], cut: dict[str, int]
) -> None:
    """Newton's step on the clipped loss of a whole batch, whether it is accumulated or not, in float64."""
    torch.set_default_dtype(torch.float64)
    try:
        registries = lossreg.load_registries(allow=[])
        registries.optimizers.register("diagonal", create_graph=True)(Diagonal)
        data, model = table(), nn.Linear(4, 3)
        start = [one.detach().clone().requires_grad_() for one in model.parameters()]
        run(data=data, model=model, optimizer="diagonal", epochs=1, clip_grad_norm=0.01, registries=registries, **cut)
        assert isinstance(data.train, tuple)
        loss = functional.cross_entropy(functional.linear(data.train[0], *start), data.train[1])
        gradients = torch.autograd.grad(loss, start, create_graph=True)
        share = 0.01 / (torch.cat([one.flatten() for one in gradients]).norm().item() + 1e-6)
        sums = torch.autograd.grad(sum(one.sum() for one in gradients), start)  # type: ignore[arg-type]  # a tensor
        expected = [w - g * share / (1 + h * share) for w, g, h in zip(start, gradients, sums, strict=True)]
        torch.testing.assert_close([*model.parameters()], expected, rtol=0, atol=1e-12, check_dtype=True)
    finally:
        torch.set_default_dtype(torch.float32)


class Diagonal(Plain):
    """w - g / (1 + H 1)."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """A step."""
        with torch.enable_grad():
            total = torch.stack([one.grad.sum() for one in self.weights if one.grad is not None]).sum()
            sums = torch.autograd.grad(total, self.weights)
        for one, rows in zip(self.weights, sums, strict=True):
            assert one.grad is not None
            one.sub_(one.grad / (1 + rows))


def test_what_is_declared_is_not_tried(plan: Planned, registries: lossreg.Registries) -> None:
    """A record that says all is believed: the optimizer is built for the trial step, the schedule and the run."""
    built = []

    def make(params: Any) -> torch.optim.Optimizer:
        built.append(1)
        return Plain(params)

    said: dict[str, Any] = {"closure": False, "modes": False, "needs": (), "create_graph": False, "layout": "any"}
    registries.optimizers.register("said", **said)(make)
    assert plan("said").facts["optimizer_needs"]["found"] == []
    assert len(built) == 3


@pytest.mark.parametrize(
    ("name", "declared", "said"),
    [
        ("plain", {"modes": True}, "optimizer it declares modes=True, but has no train() and eval()"),
        ("with_closure", {"closure": False}, "cannot step on cpu: ValueError: it takes a closure"),
        ("newton", {"create_graph": False}, "cannot step on cpu: RuntimeError"),
    ],
)
def test_a_wrong_declaration_is_one_clear_line(
    plan: Planned, registries: lossreg.Registries, name: str, declared: dict[str, Any], said: str
) -> None:
    """What an optimizer declares and does not have, or denies and needs, is an error before the run."""
    registries.optimizers.register("it", **declared)(ALL[name])
    with pytest.raises(lossreg.LossregError) as caught:
        plan("it")
    assert said in caught.value.message
    assert "\n" not in caught.value.message


@for_each(
    ("name", "settings", "said"),
    [
        ("with_closure", {"precision": "16"}, "precision 16 scales gradients"),
        ("newton", {"precision": "16"}, "that differentiates gradients (newton)"),
        ("newton", {"compile": True}, "torch.compile does not support"),
        ("of_model", {"param_groups": {"bias": "lr=1"}}, "param_groups"),
    ],
)
def test_settings_that_a_need_does_not_allow_are_refused(
    plan: Planned, name: str, settings: dict[str, Any], said: str
) -> None:
    """What was found rules out the same settings as what is declared, before the run."""
    with pytest.raises(lossreg.LossregError) as caught:
        plan(name, **settings)
    assert said in caught.value.message


def test_a_state_that_cannot_be_read_again_is_told_at_once(plan: Planned) -> None:
    """A state that is not plain data is a warning of the plan that names what it holds, and where."""
    assert not plan("queued").warnings
    (warning,) = plan("projecting").warnings
    assert warning == (
        f"the state of the optimizer projecting cannot be kept in a checkpoint: state.0.projector is a Projector "
        f"({__name__}), which is not plain data; checkpoints of this run hold its weights, and it cannot be resumed"
    )


def test_the_plan_and_show_say_what_is_needed(
    plan: Planned, lossreg_command: Callable[..., Any], tmp_path: Any
) -> None:
    """The plan's text has a line for it; `show` has what is declared, and what a trial finds of the rest."""
    assert "optimizer needs     a closure after the gradients; 2 passes a step (found by a trial: " in str(
        plan("climbs_first")
    )
    assert "optimizer needs     nothing but gradients (declared)" in str(plan("sgd"))
    shown = lossreg_command("show", "optimizer", "sam(optimizer=sgd)").out
    assert "found     a closure; 2 passes a step (found by a trial: modes)" in shown
    assert "needs=none: parameters and their gradients alone" in shown
    assert "not tried: lookahead needs optimizer" in lossreg_command("show", "optimizer", "lookahead").out


def test_an_object_with_a_scheduler_and_hooks_is_tried_on_a_copy(plan: Planned) -> None:
    """A scheduler's function in the place of `step`, and hooks of the object, do not reach the weights of the run."""
    model, calls = nn.Linear(4, 3), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer.register_step_post_hook(lambda *_: calls.append(1))
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    before = model.weight.detach().clone()
    assert plan(optimizer, model=model, scheduler=scheduler).facts["optimizer_needs"]["closure"] is False
    assert torch.equal(model.weight, before)
    assert calls == []
    assert optimizer.state == {}


def test_an_optimizer_with_modes_trains_in_the_mode_of_training(
    run: Run, table: Callable[..., Data], registries: lossreg.Registries
) -> None:
    """An optimizer that refuses to step before `train()` is called is trained."""
    assert run(data=table(), model=nn.Linear(4, 3), optimizer="switching", epochs=1, registries=registries).metrics


def test_a_class_for_a_parameter_is_a_nested_optimizer(plan: Planned, registries: lossreg.Registries) -> None:
    """`type[Optimizer]` gets what makes the nested optimizer, with its parameters."""
    made: list[Any] = []

    class Wraps(Plain):
        def __init__(self, params: Any, base: type[torch.optim.Optimizer]) -> None:
            super().__init__(params)
            made.append(base(self.param_groups, momentum=0.5))  # type: ignore[call-arg]  # SGD's

    registries.optimizers.register("wraps")(Wraps)
    plan("wraps(base=sgd(lr=0.25))")
    assert {type(one) for one in made} == {torch.optim.SGD}
    assert made[-1].defaults["momentum"] == 0.5
    assert made[-1].defaults["lr"] == 0.25


def test_an_optimizer_may_take_what_it_wraps_first(plan: Planned, registries: lossreg.Registries) -> None:
    """`needs="optimizer"` makes the first parameter one that is written in the spec."""
    wrapped: list[Any] = []

    def wrap(optimizer: torch.optim.Optimizer, k: int = 2) -> torch.optim.Optimizer:
        wrapped.append((type(optimizer), k))
        return optimizer

    registries.optimizers.register("wrap", needs="optimizer")(wrap)
    plan("wrap(optimizer=adam, k=3)")
    assert set(wrapped) == {(torch.optim.Adam, 3)}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("AdaHessian", {"create_graph": True}),
        ("SophiaH", {"create_graph": True}),
        ("AliG", {"closure": True}),
        ("EmoNavi", {"closure": True}),
        ("AdamMini", {"needs": ["model"]}),
        ("ScheduleFreeAdamW", {"modes": True}),
        ("SAM", {"closure": True, "needs": ["gradients"]}),
        ("AdaShift", {}),
        ("Shampoo", {}),
    ],
)
def test_optimizers_of_pytorch_optimizer_are_found_to_need_what_they_need(
    plan: Planned, registries: lossreg.Registries, name: str, found: dict[str, Any]
) -> None:
    """By class alone, what their documentation says."""
    if importlib.util.find_spec("pytorch_optimizer") is None:
        pytest.skip("pytorch_optimizer is not installed")
    registries.optimizers.register("foreign", f"pytorch_optimizer:{name}")
    needs = plan("foreign(base_optimizer=sgd)" if name == "SAM" else "foreign").facts["optimizer_needs"]
    usual = {"closure": False, "modes": False, "create_graph": False, "needs": [], "unreadable": None}
    assert {key: needs[key] for key in usual} == {**usual, **found}
