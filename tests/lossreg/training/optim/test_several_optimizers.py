"""Several optimizers in one run: by pattern, and by what an optimizer says that it is for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

import lossreg
from tests.table import for_each

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Command
    from tests.lossreg.conftest import CommandWith
    from tests.lossreg.training.conftest import HandLoop, Run, Samples, Weights

SMALL: dict[str, Any] = {"epochs": 1, "limit_train": 128, "limit_test": 8}
MATRICES = "ndim>=2 & !5.*"


def mlp(hidden: int = 8) -> nn.Module:
    """A small network: hidden matrices are 1.weight and 3.weight, the last layer is 5."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 10)
    )


class Pair:
    """Two optimizers by hand."""

    def __init__(self, *optimizers: torch.optim.Optimizer) -> None:
        self.optimizers = optimizers
        self.param_groups = [group for one in optimizers for group in one.param_groups]

    def zero_grad(self) -> None:
        """Of both."""
        for one in self.optimizers:
            one.zero_grad()

    def step(self, closure: Callable[[], Tensor]) -> None:
        """Of both."""
        closure()
        for one in self.optimizers:
            one.step()


@pytest.fixture
def registries() -> lossreg.Registries:
    """With torch's Muon, which says that it is for hidden matrices, and AdamW."""
    found = lossreg.load_registries()
    found.optimizers.register("muon_here", "torch.optim:Muon", routes="hidden_matrices", defaults={"lr": 0.02})
    if "adamw" not in found.optimizers:
        found.optimizers.register("adamw", "torch.optim:AdamW")
    return found


def by_hand(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The hidden matrices, and the rest."""
    named = dict(model.named_parameters())
    hidden = [named["1.weight"], named["3.weight"]]
    return hidden, [one for one in named.values() if all(one is not other for other in hidden)]


def test_a_group_is_trained_by_its_own_optimizer(
    run: Run, weights: Weights, hand_loop: HandLoop, digits: Samples
) -> None:
    """Weights are those of two optimizers by hand, with one norm of all gradients together."""
    result = run(
        model=mlp(), optimizer="adam(lr=0.003)", param_groups={MATRICES: "sgd(lr=0.02, momentum=0.5)"},
        clip_grad_norm=0.5, **SMALL,
    )  # fmt: skip
    model = mlp()
    hidden, rest = by_hand(model)
    pair: Any = Pair(torch.optim.Adam(rest, lr=0.003, fused=True), torch.optim.SGD(hidden, 0.02, 0.5, fused=True))
    samples = (digits[0][:128], digits[1][:128])
    clip = lambda: nn.utils.clip_grad_norm_(model.parameters(), 0.5)  # noqa: E731  # shorter than a function
    hand_loop(model, functional.cross_entropy, pair, samples, after_backward=clip)
    assert weights(result.model).equal(weights(model))


def test_accumulated_batches_make_one_step_of_all(float64: lossreg.Data, run: Run, weights: Weights) -> None:
    """Two batches of 32 are one of 64 for both optimizers; in float64 what differs is rounding."""
    arguments = {"data": float64, "optimizer": "adam(eps=0.01)", "param_groups": {MATRICES: "sgd"}, **SMALL}
    whole = run(model=mlp(), batch_size=64, **arguments)
    cut = run(model=mlp(), batch_size=32, accumulate=2, **arguments)
    assert torch.allclose(weights(whole.model), weights(cut.model), rtol=0, atol=1e-12)


def test_one_schedule_moves_all_rates(run: Run) -> None:
    """Each group's rate is its own times the schedule's factor."""
    seen: list[list[float]] = []

    class Watch:
        def lossreg_epoch_finished(self, run: lossreg.Run, record: dict[str, Any]) -> None:
            seen.append([group["lr"] for group in run.optimizer.param_groups])

    run(
        model=mlp(), optimizer="adam(lr=0.01)", param_groups={MATRICES: "sgd(lr=0.5)", "5.bias": "lr=x0.5"},
        scheduler="lambda_lr(lr_lambda='1 / (1 + epoch)')", epochs=2, limit_train=64, limit_test=8, observers=[Watch()],
    )  # fmt: skip
    assert seen == [[0.01, 0.005, 0.5], [0.005, 0.0025, 0.25]]


def test_a_factor_multiplies_the_optimizer_s_own_rate(run: Run) -> None:
    """`lr=x0.1` is a tenth of what the optimizer has, also of what is its default."""
    plan = lossreg.plan(model=mlp(), optimizer="adam", param_groups={"5.*": "lr=x0.5"}, **SMALL)
    assert [group["options"] for group in plan.facts["groups"]] == [{}, {"lr": 0.0005}]
    assert dict(plan.spec.items())["param_groups"] == {"5.*": "lr=x0.5"}
    with pytest.raises(lossreg.ConfigError, match="nesterov of sgd is False, which cannot be multiplied"):
        lossreg.plan(param_groups={"*.bias": "nesterov=x2"}, **SMALL)


def test_an_optimizer_that_is_for_hidden_matrices_gets_them_alone(
    run: Run, weights: Weights, hand_loop: HandLoop, digits: Samples, registries: lossreg.Registries
) -> None:
    """Biases and the last layer are trained by the one that `rest` names."""
    result = run(
        model=mlp(), optimizer="muon_here(lr=0.01, rest=adamw(lr=0.002))", registries=registries, **SMALL
    )  # fmt: skip
    model = mlp()
    hidden, rest = by_hand(model)
    pair: Any = Pair(torch.optim.Muon(hidden, lr=0.01), torch.optim.AdamW(rest, lr=0.002))
    hand_loop(model, functional.cross_entropy, pair, (digits[0][:128], digits[1][:128]))
    # A run's AdamW may be fused, which rounds otherwise: 2 steps of at most 0.002 to a 24-bit precision.
    assert torch.allclose(weights(result.model), weights(model), rtol=0, atol=1e-6)


def test_the_optimizer_of_the_rest_is_said_aloud_and_written_down(registries: lossreg.Registries) -> None:
    """Where the spec does not name it, a warning says which it is and how much it trains, and the full spec has it."""
    plan = lossreg.plan(model=mlp(), optimizer="muon_here", registries=registries, **SMALL)
    assert any(
        "muon_here trains hidden matrices only: adamw trains the rest, 4 of the 6 parameter tensors" in one
        for one in plan.warnings
    )
    text = str(dict(plan.spec.items())["optimizer"])
    assert re.fullmatch(r"local\.muon_here\(rest=\w+\.adamw\)", text)
    again = lossreg.plan(model=mlp(), optimizer=text, registries=registries, **SMALL)
    assert not any("trains the rest" in one for one in again.warnings)
    assert [group["names"] for group in plan.facts["groups"]] == [
        ["1.weight", "3.weight"],
        ["1.bias", "3.bias", "5.weight", "5.bias"],
    ]


def test_the_rest_is_a_dotted_option_too(command_with: CommandWith, tmp_path: Path) -> None:
    """`--opt.rest` edits it like a parameter."""
    (tmp_path / "muon.py").write_text(
        'import lossreg\nlossreg.optimizers.register("muon_here", "torch.optim:Muon", routes="hidden_matrices")\n'
    )
    options = ("--model", "mlp", "--opt", "muon_here", "--opt.rest", "adam(lr=0.5)", "--limit-train", "64")
    shown = command_with("plan", "-p", "./muon.py", *options, path=tmp_path / "no", cwd=tmp_path)
    assert "parameter group     adam(lr=0.5): 4 tensors" in shown.stdout, shown.stderr
    assert "trains the rest" not in shown.stdout


def test_embeddings_and_parameters_of_a_loss_are_no_hidden_matrices(registries: lossreg.Registries) -> None:
    """They are trained by the rest's optimizer, as are tensors of three dimensions."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(17, 4)
            self.hidden, self.head = nn.Linear(4, 4), nn.Linear(4, 10)
            self.mix = nn.Parameter(torch.ones(1, 1, 4))

        def forward(self, images: Tensor) -> Tensor:
            looked_up = self.table(images.flatten(1).clamp(0, 1).long()).mean(1)
            return self.head(self.hidden(looked_up * self.mix[0]))  # type: ignore[no-any-return]  # nn.Module's call

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Parameter(torch.eye(10))

        def forward(self, output: Tensor, target: Tensor) -> Tensor:
            return functional.cross_entropy(output @ self.mix, target)

    plan = lossreg.plan(model=Net(), loss=Mixed(), optimizer="muon_here", registries=registries, **SMALL)
    assert plan.facts["groups"][0]["names"] == ["hidden.weight"]


def test_a_plan_shows_which_parameter_goes_where(lossreg_command: Command) -> None:
    """Counts, shares and names, with the options that differ."""
    shown = lossreg_command(
        "plan", "--model", "mlp", "--opt", "adam", "--param-groups", "ndim>=2: sgd(lr=0.02)",
        "--param-groups", "no_decay", "--limit-train", "64",
    ).out  # fmt: skip
    assert "adam with weight_decay=0: 3 tensors, 138 parameters (0.3%): 1.bias, 3.bias, 5.bias" in shown
    assert "sgd(lr=0.02): 3 tensors, 54,912 parameters (99.7%): 1.weight, 3.weight, 5.weight" in shown


def test_a_run_of_several_is_repeated_from_its_record(lossreg_command: Command, tmp_path: Path) -> None:
    """run.json has the patterns with full ids, and what each optimizer was built with; a repeat is the same."""
    options = ("--param-groups", "ndim >= 2: sgd(lr=0.02)", "--param-groups", "layer_decay(.5)", "--model", "mlp")
    small = ("--epochs", "1", "--limit-train", "64", "--quiet")
    assert lossreg_command("run", "--opt", "adam", *options, *small, "--out", "first").code == 0
    content = json.loads((tmp_path / "first" / "run.json").read_text())
    assert content["spec"]["param_groups"] == {"ndim>=2": "builtin.sgd(lr=0.02)", "layer_decay(0.5)": True}
    assert content["components"]["optimizer"]["id"] == "builtin.adam"
    assert content["components"]["optimizer.2"]["id"] == "builtin.sgd"
    assert lossreg_command("run", "-c", "first", "--quiet", "--out", "again").code == 0
    first, again = (load_file(tmp_path / name / "model.safetensors") for name in ("first", "again"))
    assert all(first[name].equal(again[name]) for name in first)
    content["components"]["optimizer.2"]["id"] = "gone.sgd"
    (tmp_path / "first" / "run.json").write_text(json.dumps(content))
    assert "its optimizer gone.sgd is missing" in lossreg_command("plan", "-c", "first").err
    assert lossreg_command("plan", "-c", "first", "--param-groups", "none").code == 0


def test_an_optimizer_that_is_left_without_parameters_is_warned_of() -> None:
    """All parameters are in groups with optimizers of their own."""
    plan = lossreg.plan(param_groups={"ndim>=2": "adam", "ndim<2": "sgd(lr=1)"}, optimizer="sgd", **SMALL)
    assert any("the optimizer sgd trains nothing" in one for one in plan.warnings)


@for_each(
    ("arguments", "said"),
    [
        ({"param_groups": {"*.bias": "lbfgs"}}, "lbfgs computes the loss again in each of its steps (closure)"),
        ({"optimizer": "lbfgs", "param_groups": {"*.bias": "adam"}}, "so it cannot be one of several"),
        ({"param_groups": {"*.bias": "sdg(lr=1)"}}, "param_groups: '*.bias': no optimizer named 'sdg'. Did you mean"),
        ({"param_groups": {"*.bias": "sgd(rl=1)"}}, "param_groups: '*.bias': sgd has no parameter 'rl'"),
        ({"param_groups": {"*": "muon_here"}}, "Muon only supports 2D parameters"),
        ({"param_groups": {"*.bias": "sgd(lr=(1)"}}, "param_groups: '*.bias'"),
        ({"param_groups": {"*.bias": "adam", "0.*": "sgd"}}, "the parameter 0.bias is in two groups"),
        ({"param_groups": {"a&b": "lr=1", "a & b": "lr=2"}}, "'a & b' is given twice"),
        ({"param_groups": {"no_decay": "lr=1"}}, "no_decay is a preset; it takes no options"),
        ({"param_groups": {"layer_decay(2)": True}}, "greater than 0 and at most 1"),
        ({"param_groups": {"layer_decay(0.5)": True, "layer_decay(0.6)": True}}, "is given twice"),
        ({"optimizer": "muon_here(rest=3)"}, "muon_here: rest=3 is not an optimizer"),
        ({"optimizer": "sgd(rest=adam)"}, "sgd has no parameter 'rest'"),
        ({"optimizer": "muon_here", "model": "linear"}, "there are none for it in linear; name another optimizer"),
    ],
)
def test_what_cannot_be_is_refused(run: Run, tmp_path: Path, arguments: dict[str, Any], said: str) -> None:
    """Each mistake is one message before the run, and leaves no directory."""
    found = lossreg.load_registries()
    found.optimizers.register("muon_here", "torch.optim:Muon", routes="hidden_matrices")
    if "lbfgs" not in found.optimizers:
        found.optimizers.register("lbfgs", "torch.optim:LBFGS", closure=True)
    if "adamw" not in found.optimizers:
        found.optimizers.register("adamw", "torch.optim:AdamW")
    found.models.register("linear")(lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 10)))
    with pytest.raises(lossreg.LossregError) as caught:
        run(registries=found, out=tmp_path / "out", **arguments, **SMALL)
    assert said in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_function_that_makes_the_optimizer_may_be_one_of_several(run: Run) -> None:
    """It gets the parameters that no other optimizer has."""
    seen: list[Any] = []

    def make(params: Any) -> torch.optim.Optimizer:
        seen.append([tuple(one.shape) for one in params])
        return torch.optim.SGD(params, lr=0.1)

    run(model=mlp(4), optimizer=make, param_groups={"ndim>=2": "adam"}, **SMALL)
    assert seen[-1] == [(4,), (4,), (10,)]
