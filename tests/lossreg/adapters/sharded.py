"""What two processes find of sharded models (FSDP2): sharded.py FOLDER writes it, test_sharded_models.py judges it."""

from __future__ import annotations

import copy
import functools
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.optim import Optimizer

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[3]))

import lossreg
from lossreg.registry.registries import load_registries
from tests.two_processes import run_in_two

STEPS = 4


def without_decay(weights: list[nn.Parameter], biases: list[nn.Parameter]) -> Optimizer:
    """Two groups, of which biases have no decay."""
    groups: list[dict[str, Any]] = [{"params": weights}, {"params": biases, "weight_decay": 0}]
    return torch.optim.AdamW(groups, lr=0.1, weight_decay=0.5)


#: Texts of parts -> the optimizers of torch that they stand for, of weights and biases.
ALIKE: dict[str, tuple[dict[str, Any], Callable[[list[nn.Parameter], list[nn.Parameter]], list[Optimizer]]]] = {
    "sgd": (
        {"optimizer": "sgd(lr=0.1, momentum=0.9)"},
        lambda weights, biases: [torch.optim.SGD([*weights, *biases], lr=0.1, momentum=0.9)],
    ),
    "adamw": (
        {"optimizer": "adamw(lr=0.1)"},
        lambda weights, biases: [torch.optim.AdamW([*weights, *biases], lr=0.1)],
    ),
    "groups": (
        {"optimizer": "adamw(lr=0.1, weight_decay=0.5)", "param_groups": {"*.bias": "weight_decay=0"}},
        lambda weights, biases: [without_decay(weights, biases)],
    ),
    "several": (
        {"optimizer": "sgd(lr=0.1, momentum=0.9)", "param_groups": {"*.bias": "adamw(lr=0.2)"}},
        lambda weights, biases: [torch.optim.SGD(weights, lr=0.1, momentum=0.9), torch.optim.AdamW(biases, lr=0.2)],
    ),
    "muon": (
        {"optimizer": "muon(lr=0.1, rest=adamw(lr=0.1))"},
        lambda weights, biases: [
            torch.optim.Muon(weights[:1], lr=0.1),
            torch.optim.AdamW([*weights[1:], *biases], lr=0.1),
        ],
    ),
    "fused": (
        {"optimizer": "adamw(lr=0.1)", "fused": True},
        lambda weights, biases: [torch.optim.AdamW([*weights, *biases], lr=0.1)],
    ),
    "not fused": (
        {"optimizer": "sgd(lr=0.1, momentum=0.9)", "fused": True},
        lambda weights, biases: [torch.optim.SGD([*weights, *biases], lr=0.1, momentum=0.9)],
    ),
    "object": (
        {"optimizer": torch.optim.AdamW},
        lambda weights, biases: [torch.optim.AdamW([*weights, *biases])],
    ),
}  # fmt: skip


def network() -> nn.Sequential:
    """Always the same one, in float64; 5 rows are no multiple of 2 processes."""
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)).double()


def batches() -> list[tuple[Tensor, Tensor]]:
    """Of 8 samples of 3 classes each."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(STEPS, 8, 4, generator=generator, dtype=torch.float64)
    targets = torch.randint(3, (STEPS, 8), generator=generator)
    return list(zip(inputs, targets, strict=True))


def sharded(model: nn.Sequential, **settings: Any) -> nn.Sequential:
    """Each layer with weights by itself, and the rest."""
    for layer in model:
        if isinstance(layer, nn.Linear):
            fully_shard(layer, **settings)
    fully_shard(model, **settings)
    return model


def full(model: nn.Module) -> dict[str, Tensor]:
    """The whole weights."""
    return {name: one.detach().full_tensor() for name, one in model.named_parameters()}  # type: ignore[attr-defined]  # DTensors


def trained(model: nn.Module, optimizer: Optimizer, parts: lossreg.HostParts, each: Any = None) -> list[float]:
    """Each process has its half of each batch; the rate of each step."""
    scheduler, rates = parts.scheduler(optimizer), []
    for inputs, targets in batches():
        rates.append(optimizer.param_groups[0]["lr"])
        half = slice(4 * dist.get_rank(), 4 * dist.get_rank() + 4)
        optimizer.zero_grad()
        parts.loss(model(inputs[half]), targets[half]).backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    return rates


def expected(make: Callable[[list[nn.Parameter], list[nn.Parameter]], list[Optimizer]]) -> dict[str, Tensor]:
    """What a loop of torch alone makes of a model that is not sharded, with whole batches."""
    model = network()
    named = dict(model.named_parameters())
    optimizers = make(*([named[f"{layer}.{kind}"] for layer in (0, 2)] for kind in ("weight", "bias")))
    for inputs, targets in batches():
        for one in optimizers:
            one.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        for one in optimizers:
            one.step()
    return {name: one.detach() for name, one in named.items()}


def alike(texts: dict[str, Any], make: Any) -> float:
    """The greatest difference between a sharded model and a loop of torch alone."""
    texts = dict(texts)
    fused = texts.pop("fused", False)
    parts = lossreg.parts(loss="cross_entropy", **texts)
    model = sharded(network())
    trained(model, parts.optimizer(model, fused=fused), parts)
    whole = full(model)
    return max((whole[name] - one).abs().max().item() for name, one in expected(make).items())


def rates_of_a_schedule() -> list[float]:
    """Half a cosine, stepped after each step."""
    parts = lossreg.parts(
        loss="cross_entropy", optimizer="sgd(lr=1.0)", scheduler="cosine", scheduler_interval="step",
        total_steps=STEPS,
    )  # fmt: skip
    model = sharded(network())
    return trained(model, parts.optimizer(model), parts)


def names_of_states(texts: dict[str, Any]) -> dict[str, Any]:
    """What torch's own saving of states finds, and whether a state that is loaded goes on as the first did."""
    parts = lossreg.parts(loss="cross_entropy", **texts)
    model = sharded(network())
    optimizer = parts.optimizer(model)
    trained(model, optimizer, parts)
    state: dict[str, Any] = get_optimizer_state_dict(model, optimizer)
    other = sharded(network())
    other.load_state_dict(model.state_dict())
    resumed = parts.optimizer(other)
    set_optimizer_state_dict(other, resumed, copy.deepcopy(state))
    for one, its in ((model, optimizer), (other, resumed)):
        trained(one, its, parts)
    first, second = full(model), full(other)
    return {
        "names": sorted(state["state"]),
        "groups": [list(group["params"]) for group in state["param_groups"]],
        "goes on": all(torch.equal(first[name], second[name]) for name in first),
    }


class Flat(Optimizer):
    """Sees a gradient as one row of numbers, by strides that no sharded tensor has."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, {"lr": lr})

    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # it has none
        """A step."""
        for group in self.param_groups:
            for one in group["params"]:
                row = one.grad.as_strided((one.numel(),), (1,))
                one.data.add_(row.reshape(one.shape), alpha=-group["lr"])


class ByShard(Flat):
    """Divides gradients by their norm, which it takes of the shard."""

    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # it has none
        """A step."""
        for group in self.param_groups:
            for one in group["params"]:
                gradient = getattr(one.grad, "_local_tensor", one.grad)
                getattr(one.data, "_local_tensor", one.data).sub_(group["lr"] * gradient / gradient.norm().clamp(1e-9))


class Noisy(Flat):
    """Adds noise to the gradient."""

    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # it has none
        """A step."""
        for group in self.param_groups:
            for one in group["params"]:
                gradient = getattr(one.grad, "_local_tensor", one.grad)
                noise = torch.randn_like(gradient)
                getattr(one.data, "_local_tensor", one.data).sub_(group["lr"] * (gradient + noise))


def refusals() -> dict[str, str]:
    """What is said of optimizers that do not go on shards, by name and as a class; "" where nothing is."""
    registries = load_registries(allow=[])
    for made in (Flat, ByShard, Noisy):
        registries.optimizers.register(made.__name__.lower(), closure=False, modes=False)(made)
    givens: dict[str, Any] = {
        "flat": "flat",
        "byshard": "byshard",
        "noisy": "noisy",
        "class": Flat,
        "lbfgs": "lbfgs",
        "sparse": "sparse_adam",
    }
    said = {}
    for name, given in givens.items():
        model = sharded(network())
        try:
            lossreg.parts(optimizer=given, registries=registries).optimizer(model)
            said[name] = ""
        except lossreg.LossregError as error:
            said[name] = str(error)
    for name, text in (("partly", "adamw"), ("partly at once", "adamw(foreach=True)")):
        model = network()
        fully_shard(model[0])
        try:
            lossreg.parts(optimizer=text).optimizer(model)
            said[name] = ""
        except lossreg.LossregError as error:
            said[name] = str(error)
    return said


def checks() -> dict[str, str]:
    """What a check says before and after a model is sharded."""
    parts = lossreg.parts(loss="cross_entropy")
    said = {}
    evaluated = network()
    fully_shard(evaluated)
    with torch.no_grad():
        evaluated(batches()[0][0])
    for name, model in (("before", network()), ("after", sharded(network())), ("evaluated", evaluated)):
        try:
            parts.check(model, batches()[0])
            said[name] = ""
        except lossreg.LossregError as error:
            said[name] = str(error)
    return said


def flattened() -> dict[str, str]:
    """What is said of a model of FullyShardedDataParallel; "" where nothing is."""
    texts: dict[str, dict[str, Any]] = {
        "names": {"param_groups": {"*.bias": "lr=1"}},
        "no_decay": {"optimizer": "adamw", "param_groups": {"no_decay": True}},
        "ndim": {"param_groups": {"0.* & ndim>=2": "lr=1"}},
        "muon": {"optimizer": "muon"},
        "check": {},
    }
    said = {}
    for name, text in texts.items():
        model = FullyShardedDataParallel(network(), use_orig_params=True, device_id=torch.device("cpu"))
        parts = lossreg.parts(loss="cross_entropy", **text)
        try:
            if name == "check":
                parts.check(model, batches()[0])
            else:
                parts.optimizer(model)
            said[name] = ""
        except lossreg.LossregError as error:
            said[name] = str(error)
    return said


def alone() -> list[int]:
    """The first process builds an optimizer by itself; the second would be waited for if it took part."""
    model = sharded(network())
    if dist.get_rank():
        return []
    texts: list[Any] = ["adamw", torch.optim.SGD, torch.optim.Adam(model.parameters())]
    return [len(lossreg.parts(optimizer=text).optimizer(model).param_groups[0]["params"]) for text in texts]


def frozen() -> dict[str, bool]:
    """What is frozen once a model is sharded stays, and the rest moves."""
    parts = lossreg.parts(loss="cross_entropy", optimizer="sgd(lr=0.1)", freeze="0.*")
    model = sharded(network())
    before = full(model)
    trained(model, parts.optimizer(model), parts)
    return {name: torch.equal(one, before[name]) for name, one in full(model).items()}


def after_evaluation() -> bool:
    """Whether the optimizer trains the shards where a forward pass has left whole parameters in the model."""
    parts = lossreg.parts(loss="cross_entropy", optimizer="sgd(lr=0.1)")
    model = sharded(network())
    with torch.no_grad():
        model(batches()[0][0])
    optimizer = parts.optimizer(model)
    before = full(model)
    trained(model, optimizer, parts)
    after = full(model)
    return not any(torch.equal(before[name], after[name]) for name in before)


def on_a_mesh_of_two_dimensions() -> float:
    """The greatest difference where shards are replicated, or processes have one each."""
    texts, make = ALIKE["groups"]
    mesh = init_device_mesh("cpu", (2, 1), mesh_dim_names=("replicate", "shard"))
    parts = lossreg.parts(loss="cross_entropy", **texts)
    model = sharded(network(), mesh=mesh)
    trained(model, parts.optimizer(model), parts)
    whole = full(model)
    return max((whole[name] - one).abs().max().item() for name, one in expected(make).items())


def wrapped() -> dict[str, list[list[str]]]:
    """The names in each group of models in wrappers."""
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

    def groups(model: Any) -> list[list[str]]:
        optimizer = lossreg.parts(optimizer="sgd", param_groups={"2.weight": "lr=1"}).optimizer(model)
        own = {id(one): name for name, one in inner.named_parameters()}
        return [[own[id(one)] for one in group["params"]] for group in optimizer.param_groups]

    def compiled(model: nn.Module) -> Any:
        return torch.compile(model, backend="eager")  # nothing is computed: others would be imported in vain

    parallel = nn.parallel.DistributedDataParallel
    found = {}
    makers: dict[str, Callable[[nn.Module], Any]] = {
        "compile(ddp)": lambda model: compiled(parallel(model)),
        "ddp(compile)": lambda model: parallel(compiled(model)),
        "compile(fsdp)": lambda model: compiled(sharded(model)),  # type: ignore[arg-type]  # it is a Sequential
        "ddp(checkpoint)": lambda model: parallel(checkpoint_wrapper(model)),
    }
    for name, make in makers.items():
        inner = network()
        model = make(inner)
        found[name] = groups(model)
    return found


def main() -> None:
    """Writes what is found."""
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", category=FutureWarning)
    functions: dict[str, Callable[[], Any]] = {
        f"alike {name}": functools.partial(alike, texts, make) for name, (texts, make) in ALIKE.items()
    }
    states = ("groups", "several")
    functions |= {f"states {name}": functools.partial(names_of_states, ALIKE[name][0]) for name in states}
    others: Sequence[Callable[[], Any]] = (
        rates_of_a_schedule, refusals, checks, flattened, alone, frozen, after_evaluation,
        on_a_mesh_of_two_dimensions, wrapped,
    )  # fmt: skip
    run_in_two({**functions, **{function.__name__: function for function in others}})


if __name__ == "__main__":
    main()
