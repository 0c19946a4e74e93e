"""Settings with ranges: what a search tries, and what is checked before it begins."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import lossreg
from lossreg.embedding.ranges import Choices, Range
from lossreg.embedding.search_space import SearchSpace
from lossreg.registry.registries import default
from lossreg.run_spec import RunSpec
from tests.table import for_each

SPACE: dict[str, Any] = {
    "loss": "choice(cross_entropy(label_smoothing=uniform(0, 0.2)), 'dice', l1)",
    "optimizer": "adamw(lr=loguniform(1e-5, 1e-1), weight_decay=choice(0, 0.01), betas=[uniform(0.8, 0.95), 0.999])",
    "scheduler": "warmup(choice(cosine(eta_min=uniform(0, 1e-3)), linear), length=randint(1, 4))",
    "param_groups": {
        "*.bias": "weight_decay=choice(0, 0.1), lr=choice('x1', 'x2')", "layer_decay(quniform(0.5, 0.9, 0.1))": True,
        "ndim>=2": {"lr": "loguniform(1e-3, 1)"},
    },
    "model": "mlp(hidden=[randint(8, 33), 16])",
    "batch_size": "choice(32, 64)",
    "weights": "ema(uniform(0.9, 0.99))",
    "metrics": ["f1", "top_k(k=randint(1, 4))"],
    "epochs": 4,
}  # fmt: skip


def lowest(found: Range) -> float:
    """The lower end, or the first that can be chosen."""
    return 0 if isinstance(found, Choices) else found.low


def test_ranges_are_filled_in_any_setting() -> None:
    """Texts stay texts with values in them; where a range is all there is, its value stands there itself."""
    assert SearchSpace(SPACE).filled(lowest) == {
        "loss": "cross_entropy(label_smoothing=0.0)",
        "optimizer": "adamw(lr=1e-05, weight_decay=0, betas=[0.8, 0.999])",
        "scheduler": "warmup(cosine(eta_min=0.0), length=1)",
        "param_groups": {
            "*.bias": "weight_decay=0, lr='x1'", "layer_decay(0.5)": True, "ndim>=2": {"lr": 0.001},
        },
        "model": "mlp(hidden=[8, 16])",
        "batch_size": 32,
        "weights": "ema(0.9)",
        "metrics": ["f1", "top_k(k=1)"],
        "epochs": 4,
    }  # fmt: skip


def test_what_is_filled_are_settings() -> None:
    """All settings with all ends and choices are settings of a run; a quoted text is one, too."""
    space = SearchSpace(SPACE)
    for pick in (lowest, lambda found: 1 if isinstance(found, Choices) else found.high):
        RunSpec(**space.filled(pick))
    assert space.filled(lambda found: 1 if isinstance(found, Choices) else found.high)["loss"] == "dice"


def test_a_good_space_passes_and_changes_nothing() -> None:
    """The check builds all parts, and leaves the generators and the objects that are given as they are."""
    torch.manual_seed(0)
    state = torch.get_rng_state()
    model = torch.nn.Linear(2, 2)
    after = torch.get_rng_state()
    weights = [one.detach().clone() for one in model.parameters()]
    SearchSpace({**SPACE, "model": model, "observe": [object()]}).check(default)
    assert torch.equal(torch.get_rng_state(), after)
    assert not torch.equal(state, after)
    assert all(map(torch.equal, weights, model.parameters()))


@for_each(
    ("settings", "wanted"),
    [
        (
            {"optimizer": "sgd(lr=uniform(-1, 1))"},
            ["optimizer='sgd(lr=uniform(-1, 1))' allows 'sgd(lr=-1.0)': ", "Invalid learning rate: -1"],
        ),
        (
            {"optimizer": "adamw(betas=[uniform(0.8, 1), 0.999])"},
            ["allows 'adamw(betas=[1.0, 0.999])': ", "Invalid beta parameter"],
        ),
        (
            {"optimizer": "sgd(momentum=choice(0, 'a'))"},
            ["allows \"sgd(momentum='a')\": ", "sgd: momentum='a' does not fit", "choice what it lists"],
        ),
        ({"optimizer": "sgd(nesterov=uniform(0, 1))"}, ["sgd: nesterov=0.0 does not fit nesterov: bool"]),
        ({"optimizer": "sgd(rate=uniform(0, 1))"}, ["sgd has no parameter 'rate'"]),
        (
            {"optimizer": "choice(sgd, sdg(lr=uniform(0, 1)))"},
            ["allows 'sdg(lr=0.0)': no optimizer named 'sdg'. Did you mean 'sgd'"],
        ),
        ({"optimizer": "uniform(0, 1)"}, ["optimizer='uniform(0, 1)' allows '0.0': '0.0' is not a spec"]),
        (
            {"scheduler": "step_lr(step_size=uniform(1, 5))"},
            ["step_lr: step_size=1.0 does not fit step_size: int", "randint whole numbers"],
        ),
        (
            {"scheduler": "warmup(cosine(), length=randint(1, 10))", "epochs": 3},
            ["scheduler='warmup(cosine(), length=randint(1, 10))' allows 'warmup(cosine(), length=9)': "],
        ),
        (
            {"scheduler": "one_cycle(pct_start=uniform(0, 2))", "scheduler_interval": "epoch", "epochs": 3},
            ["scheduler='one_cycle(pct_start=uniform(0, 2))' allows"],
        ),
        (
            {"loss": "cross_entropy(label_smoothing=uniform(0, 2))"},
            ["loss=", "allows 'cross_entropy(label_smoothing=2.0)': "],
        ),
        ({"loss": "dice(smooth=choice(1, none))"}, ["dice: smooth=None does not fit smooth: float"]),
        ({"loss": "dice", "optimizer": "sgd(lr=-1)"}, ["sgd(", "Invalid learning rate: -1"]),
        (
            {"param_groups": {"*.bias": "weight_decay=uniform(-1, 0)"}},
            ["param_groups={'*.bias': 'weight_decay=uniform(-1, 0)'} allows", "Invalid weight_decay value: -1"],
        ),
        ({"param_groups": {"*.bias": "wd=uniform(0, 1)"}}, ["param_groups: '*.bias': ", "no parameter 'wd'"]),
        ({"param_groups": {"*.bias": "adam(lr=uniform(-1, 1))"}}, ["param_groups={", "Invalid learning rate: -1"]),
        ({"param_groups": {"layer_decay(uniform(0.5, 2))": True}}, ["write layer_decay(X)"]),
        ({"batch_size": "choice(32, 0)"}, ["batch_size='choice(32, 0)' allows 0: ", "batch_size"]),
        ({"batch_size": "uniform(1, 8)"}, ["batch_size='uniform(1, 8)' allows 1.0: "]),
        ({"metrics": ["top_k(k=choice('a', 2))"]}, ["top_k: k='a' does not fit"]),
        ({"optimiser": "sgd"}, ["a run has no setting 'optimiser'. Did you mean 'optimizer'?"]),
        ({"lr": "uniform(0, 1)"}, ["a run has no setting 'lr'"]),
    ],
)  # fmt: skip
def test_ends_are_checked(settings: dict[str, Any], wanted: list[str]) -> None:
    """What a range leads to at its ends has to be what the component, or the setting, takes."""
    with pytest.raises(lossreg.LossregError) as told:
        SearchSpace(settings).check(default)
    assert [one for one in wanted if one not in str(told.value)] == []


@for_each(
    "settings",
    [
        {"loss": "cross_entropy(weight=choice(none, [1, 2, 3, 4, 5]), label_smoothing=uniform(0, 1))"},
        {"loss": "cross_entropy(weight=balanced, label_smoothing=uniform(0, 0.1))"},
        {"scheduler": "cosine(eta_min=uniform(0, 1))"},
        {"scheduler": "warmup(cosine(), length=randint(1, 10))"},
        {
            "optimizer": "muon(lr=uniform(0.01, 0.1), rest=adamw(lr=uniform(0, 1)))",
            "param_groups": {"*.bias": "betas=[0.5, 0.9]"},
        },
        {"optimizer": "sgd(lr=uniform(0, 1), scheduler=step_lr(step_size=randint(1, 3)))"},
        {"optimizer": "lookahead(sgd(lr=uniform(0, 1)), k=randint(2, 9))"},
        {"optimizer": "sparse_adam(lr=uniform(0.01, 1))"},
        {"optimizer": "lbfgs(lr=uniform(0.01, 1))"},
        {"scheduler": "choice(none, cosine)"},
        {"loss": "choice([dice, l1])", "optimizer": torch.optim.SGD},
    ],
)  # fmt: skip
def test_what_only_a_loop_or_data_know_is_not_asked_for(settings: dict[str, Any]) -> None:
    """Schedules whose end is not known, balanced weights and the like are left to the run."""
    SearchSpace(settings).check(default)
