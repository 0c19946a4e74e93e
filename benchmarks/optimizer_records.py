"""What the records of some foreign optimizers have to say: what a class alone does not tell, for `optimizers.py`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import torch

Factory = Callable[..., torch.optim.Optimizer]


@attrs.frozen
class Record:
    """What a plugin and its user write for an optimizer.

    Attributes:
        fields: Of its `lossreg.Optimizer`.
        params: Those in its spec.
        factory: Takes the class, and makes the factory; None is the class itself.
        settings: Of the run.
        joined: Whether it takes a group of processes, as torchrun makes it.
        remark: Why, or what the class does that is not to be expected.
    """

    fields: Mapping[str, Any] = attrs.field(factory=dict)
    params: str = ""
    factory: Callable[[type], Factory] | None = None
    settings: Mapping[str, Any] = attrs.field(factory=dict)
    joined: bool = False
    remark: str = ""

    def __str__(self) -> str:
        """What is written, in a cell of a table."""
        words = [f"{name}={value!r}" for name, value in self.fields.items()]
        words += ["a factory of its own"] if self.factory is not None else []
        words += [f"({self.params})"] if self.params else []
        words += [f"{name}={value!r}" for name, value in self.settings.items()]
        return ", ".join(f"`{word}`" for word in words) + (", torchrun" if self.joined else "")


def stepped(kind: type) -> Factory:
    """A factory for LOMO, which updates the weights on the way back: its step has nothing left to do."""

    class Stepped(kind):  # type: ignore[misc]  # a class of another library
        @torch.no_grad()
        def step(self, closure: Any = None) -> None:
            """A step."""

    def make(model: torch.nn.Module, lr: float = 1e-3) -> torch.optim.Optimizer:
        made: torch.optim.Optimizer = Stepped(model, lr=lr)
        return made

    return make


def stepped_ada(kind: type) -> Factory:
    """The same for AdaLOMO: on the way back it updates all weights but the last, and it counts from 1."""

    class Stepped(kind):  # type: ignore[misc]  # a class of another library
        @torch.no_grad()
        def step(self, closure: Any = None) -> None:  # noqa: ARG002  # every step has one
            """A step."""
            self.grad_func(0)
            self.num_steps += 1

    def make(model: torch.nn.Module, lr: float = 1e-3) -> torch.optim.Optimizer:
        made: Any = Stepped(model, lr=lr, loss_scale=0.0)
        made.num_steps = 1
        optimizer: torch.optim.Optimizer = made
        return optimizer

    return make


def gap_guided(kind: type) -> Factory:
    """A factory for GSAM, whose closure returns outputs and loss, and whose radius a scheduler gives."""

    class Guided(kind):  # type: ignore[misc]  # a class of another library
        def step(self, closure: Any = None) -> Any:
            """A step."""
            _, loss = super().step(lambda: (None, closure()))
            return loss

    class Radius:
        def step(self) -> float:
            return 0.05

    def make(params: Any, base_optimizer: torch.optim.Optimizer, model: torch.nn.Module) -> torch.optim.Optimizer:
        made: torch.optim.Optimizer = Guided(params, base_optimizer, model, Radius())
        return made

    return make


_IN_GROUPS = Record(settings={"param_groups": {"ndim>=2": "use_muon=True", "ndim<2": "use_muon=False"}})
_WRAPS = Record({"needs": "optimizer"}, "optimizer=adamw", remark="it wraps an optimizer")
_RISES = Record(remark="with its default rate, in a plain loop too")
_CLIMBS = Record(params="base_optimizer=sgd", remark="it wraps an optimizer")

#: Module -> name of a class -> what is written for it.
RECORDS: Mapping[str, Mapping[str, Record]] = {
    "torch.optim": {"LBFGS": Record(params="line_search_fn='strong_wolfe'", settings={"batch_size": 224})},
    "pytorch_optimizer": {
        **dict.fromkeys(("AdaGO", "AdaMuon", "Muon", "MuonClip", "NorMuon"), _IN_GROUPS),
        "DistributedMuon": attrs.evolve(_IN_GROUPS, joined=True),
        **dict.fromkeys(("Lookahead", "OrthoGrad", "ScheduleFreeWrapper"), _WRAPS),
        # By default it begins with 1e-8 of the other's steps, and it takes more than a hundred to get to all of them.
        "TRAC": attrs.evolve(_WRAPS, params="optimizer=adamw, s_prev=0.01", settings={"model": "mlp"}),
        **dict.fromkeys(("SAM", "FriendlySAM", "LookSAM"), _CLIMBS),
        **dict.fromkeys(("DAdaptAdam", "DAdaptAdan", "EmoNavi", "Kate"), _RISES),
        "WSAM": Record({"needs": "model", "runtime_args": {"params": "params"}}, "base_optimizer=sgd"),
        "SaRA": Record(remark="it trains the weights below a threshold alone"),
        "GSAM": Record({"runtime_args": {"model": "model"}}, "base_optimizer=sgd", gap_guided),
        "BSAM": Record(
            {"runtime_args": {"num_data": "num_samples"}}, remark="it does not go back from where it climbs to"
        ),
        "Ranger21": Record({"runtime_args": {"num_iterations": "total_steps"}}),
        "SpectralSphere": Record({"routes": "matrices"}, settings={"model": "mlp"}),
        "DeMo": Record({"routes": "matrices"}, joined=True, remark="takes `einops`"),
        "LBFGS": Record(params="line_search_fn='strong_wolfe'", settings={"batch_size": 224}),
        "Shampoo": Record(params="preconditioning_compute_steps=10"),
        "Kron": Record(params="memory_save_mode='smart_one_diag'"),
        "LOMO": Record({"needs": "model"}, factory=stepped, remark="updates the weights on the way back"),
        "AdaLOMO": Record({"needs": "model"}, factory=stepped_ada, settings={"model": "mlp"}),
    },
    "timm.optim": {
        "Lookahead": Record({"needs": "optimizer"}, "base_optimizer=adamw", remark="it wraps an optimizer"),
        "Lars": Record(params="lr=0.001"),
        "SGDP": Record(params="lr=0.001"),
    },
    "optimi": {"StableAdamW": Record(params="triton=False")},
}

#: Module -> name of a class -> why it does not run, and what to do.
REFUSED: Mapping[str, Mapping[str, str]] = {
    "torch.optim": {"SparseAdam": "takes sparse gradients alone, of `nn.Embedding(sparse=True)`; use Adam"},
    "pytorch_optimizer": {
        "PCGrad": "is given several losses, one for each task; with one it is the optimizer that it wraps: name that",
        "SafeFP16Optimizer": "scales the loss itself, by a backward() of its own; use `--precision 16`",
    },
}


def factory_of(kind: type, record: Record) -> str | Factory:
    """What the record of an optimizer has as its factory."""
    if record.factory is not None:
        return record.factory(kind)
    return f"{kind.__module__}:{kind.__qualname__}"


def classes(module: str) -> dict[str, type]:
    """The optimizers that a library offers, by the name of the class."""
    found = vars(importlib.import_module(module)).items()
    return {
        name: kind
        for name, kind in sorted(found)
        if isinstance(kind, type)
        and issubclass(kind, torch.optim.Optimizer)
        and kind is not torch.optim.Optimizer
        and not name.startswith("_")
    }
