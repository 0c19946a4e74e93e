"""Wrappers around a model, or around each block in it, as trainers put them there: names are those of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper, offload_wrapper

import lossreg
from tests.table import for_each


class Blocks(nn.Module):
    """An embedding, a list of blocks with two layers each, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 4)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)) for _ in range(2))
        self.head = nn.Linear(4, 3)

    def forward(self, indices: torch.Tensor) -> torch.Tensor:
        """The logits."""
        values = self.table(indices)
        for block in self.blocks:
            values = block(values)
        values = self.head(values)
        assert isinstance(values, torch.Tensor)
        return values


def groups(model: nn.Module, **texts: Any) -> list[tuple[list[tuple[int, ...]], float]]:
    """The shapes of the parameters in each group, and its rate."""
    optimizer = lossreg.parts(**texts).optimizer(model)
    return [([tuple(one.shape) for one in group["params"]], group["lr"]) for group in optimizer.param_groups]


WRAPPERS: dict[str, Callable[[nn.Module], Any]] = {
    "compile": lambda block: torch.compile(block, backend="eager"),
    "checkpoint": checkpoint_wrapper,
    "offload": offload_wrapper,
    "parallel": nn.DataParallel,
    "compile(checkpoint)": lambda block: torch.compile(checkpoint_wrapper(block), backend="eager"),
    "checkpoint(compile)": lambda block: checkpoint_wrapper(torch.compile(block, backend="eager")),  # type: ignore[arg-type]  # a compiled module is one
}


#: What goes by the names of parameters.
TEXTS: list[dict[str, Any]] = [
    {"optimizer": "sgd", "param_groups": {"blocks.1.0.weight": "lr=1", "head.*": "lr=2"}},
    {"optimizer": "sgd(lr=1.0)", "param_groups": {"layer_decay(0.5)": True}},
    {"optimizer": "muon(lr=0.5, rest=sgd(lr=1.0))"},
    {"optimizer": "sgd", "freeze": "blocks.0.*"},
]


@pytest.fixture
def group(tmp_path: Path) -> Iterator[None]:
    """A group of this process alone, which DistributedDataParallel asks for."""
    dist.init_process_group("gloo", rank=0, world_size=1, init_method=f"file://{tmp_path}/store")
    yield
    dist.destroy_process_group()


def distributed(model: Any) -> Any:
    """A model as trainers of several processes have it."""
    return nn.parallel.DistributedDataParallel(model, find_unused_parameters=True)


@for_each("texts", TEXTS)
@pytest.mark.usefixtures("group")
def test_a_wrapped_model_keeps_its_names(texts: dict[str, Any]) -> None:
    """All that goes by names is that of the model itself, whatever is around it as a whole."""
    plain = groups(Blocks(), **texts)
    compiled = WRAPPERS["compile"]
    around: list[Callable[[Any], Any]] = [
        *WRAPPERS.values(),
        distributed,
        lambda model: distributed(compiled(model)),
        lambda model: compiled(distributed(model)),
        lambda model: nn.DataParallel(compiled(model)),
    ]
    for wrap in around:
        assert groups(wrap(Blocks()), **texts) == plain, wrap


@for_each("texts", TEXTS)
def test_wrapped_blocks_keep_their_names(texts: dict[str, Any]) -> None:
    """Patterns, layers, routes and freezing are those of the model without wrappers."""
    plain = groups(Blocks(), **texts)
    for one, other in (
        ("compile", "checkpoint"),
        ("offload", "parallel"),
        ("compile(checkpoint)", "checkpoint(compile)"),
    ):
        wrapped = Blocks()
        for number, wrapper in enumerate((one, other)):
            wrapped.blocks[number] = WRAPPERS[wrapper](wrapped.blocks[number])
        assert groups(wrapped, **texts) == plain, (one, other)


def test_a_list_of_parts_is_one_model() -> None:
    """Names begin with the number of the part, whatever is around it."""
    model_parts = nn.ModuleList([checkpoint_wrapper(nn.Linear(2, 3)), nn.Linear(3, 4)])
    found = groups(model_parts, optimizer="sgd(lr=0.5)", param_groups={"0.weight": "lr=1"})
    assert found == [([(3,), (4, 3), (4,)], 0.5), ([(3, 2)], 1)]


def test_a_batch_goes_through_wrapped_blocks() -> None:
    """A check takes copies of the blocks with their wrappers."""
    model = Blocks()
    model.blocks[0] = checkpoint_wrapper(model.blocks[0])
    lossreg.parts(loss="cross_entropy", param_groups={"blocks.0.*": "lr=1"}).check(
        model, (torch.tensor([0, 1]), torch.tensor([0, 2]))
    )


def test_what_has_no_values_yet_is_named() -> None:
    """An optimizer of parameters on the device meta would train none of those that take their place."""
    with torch.device("meta"):
        model = nn.Linear(2, 3)
    with pytest.raises(lossreg.ConfigError, match=r"weight has no values yet.*after to_empty\(\)"):
        lossreg.parts(optimizer="sgd").optimizer(model)


def test_several_optimizers_save_one_state() -> None:
    """Parameters are numbered through, so that what goes by torch's form can name them; loading gives the same back."""
    texts = {"optimizer": "sgd(lr=0.5, momentum=0.5)", "param_groups": {"bias": "adam(lr=0.25)"}}
    model = nn.Linear(2, 1)
    optimizer = lossreg.parts(**texts).optimizer(model)  # type: ignore[arg-type]  # texts alone
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    state = optimizer.state_dict()
    assert [group["params"] for group in state["param_groups"]] == [[0], [1]]
    assert torch.equal(state["state"][0]["momentum_buffer"], torch.ones(1, 2))
    assert state["state"][1]["exp_avg"].item() == pytest.approx(0.1)
    other = lossreg.parts(**texts).optimizer(model)  # type: ignore[arg-type]  # texts alone
    other.load_state_dict(state)
    assert str(other.state_dict()) == str(state)


def test_states_of_several_optimizers_side_by_side_are_read() -> None:
    """What was saved before they were one state, and what wrappers save."""
    texts = {"optimizer": "sgd(lr=0.5, momentum=0.5)", "param_groups": {"bias": "adam(lr=0.25)"}}
    model = nn.Linear(2, 1)
    optimizer = lossreg.parts(**texts).optimizer(model)  # type: ignore[arg-type]  # texts alone
    states = [one.state_dict() for one in optimizer.members]  # type: ignore[attr-defined]  # several have them
    states[0]["param_groups"][0]["lr"] = 0.125
    optimizer.load_state_dict({"members": states})
    assert [group["lr"] for group in optimizer.param_groups] == [0.125, 0.25]


def test_a_state_of_other_optimizers_is_refused() -> None:
    """The message has the numbers of groups."""
    optimizer = lossreg.parts(optimizer="sgd", param_groups={"bias": "adam"}).optimizer(nn.Linear(2, 1))
    with pytest.raises(
        ValueError, match="has 1 parameter group of 2 tensors, and this optimizer has 2 parameter groups"
    ):
        optimizer.load_state_dict(torch.optim.SGD(nn.Linear(2, 1).parameters()).state_dict())
