"""Frozen modules in evaluation mode in a loop of one's own: as long as they are frozen."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import nn

import lossreg
from tests.table import for_each


class Blocks(nn.Module):
    """Blocks that are called one by one, so that their list never is; the dropouts belong to what is around them."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.9)) for _ in "12"])
        self.blocks.append(nn.Sequential(nn.Dropout(0.9)))
        self.head = nn.Linear(4, 2)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """The head of the blocks' output."""
        for block in self.blocks:
            inputs = block(inputs)
        return self.head(inputs)  # type: ignore[no-any-return]  # of a module


def frozen(**arguments: str) -> Blocks:
    """A model whose blocks are frozen."""
    model = Blocks()
    lossreg.parts(freeze="blocks.*", **arguments).optimizer(model)  # type: ignore[arg-type]  # texts
    return model


def training(model: nn.Module) -> list[str]:
    """The modules that are in training mode in a forward pass behind `model.train()`: those that do something then."""
    model.train()
    model(torch.randn(8, 4))
    named = model.named_modules()
    return [name for name, module in named if module.training and isinstance(module, nn.BatchNorm1d | nn.Dropout)]


ALL = ["blocks.0.1", "blocks.0.2", "blocks.1.1", "blocks.1.2", "blocks.2.0"]


def unfreeze_all(model: Blocks) -> None:
    """As most do it."""
    model.requires_grad_(True)


def unfreeze_each(model: Blocks) -> None:
    """As others do it, between a call of `train()` and the forward pass."""
    model.train()
    for parameter in model.blocks.parameters():
        parameter.requires_grad_(True)


def unfreeze_block(model: Blocks) -> None:
    """One block, as in gradual unfreezing."""
    model.blocks[1].requires_grad_(True)


def unfreeze_bias(model: Blocks) -> None:
    """One parameter."""
    model.blocks[0][1].bias.requires_grad_(True)  # type: ignore[index]  # a Sequential


def leave(model: Blocks) -> None:
    """Nothing."""


def thaw_by_parts(model: Blocks) -> None:
    """Trained again, and given to parts that freeze nothing."""
    model.requires_grad_(True)
    lossreg.parts().optimizer(model)


def freeze_again(model: Blocks) -> None:
    """Trained again, and frozen again in part."""
    model.requires_grad_(True)
    lossreg.parts(freeze="blocks.0.*").optimizer(model)


def freeze_in_training(model: Blocks) -> None:
    """Frozen by parts that leave modes to the loop."""
    lossreg.parts(freeze="blocks.*", frozen_mode="train").optimizer(model)


def pickled(model: Blocks) -> Blocks:
    """A copy by way of a file."""
    return pickle.loads(pickle.dumps(model))  # type: ignore[no-any-return]  # noqa: S301  # made here


@for_each("copied", [lambda model: model, copy.deepcopy, pickled])
@for_each(
    "done, wanted",
    [
        (leave, []),
        (unfreeze_all, ALL),
        (unfreeze_each, ALL),
        (unfreeze_block, ["blocks.1.1", "blocks.1.2", "blocks.2.0"]),
        (unfreeze_bias, ["blocks.0.1", "blocks.0.2", "blocks.2.0"]),
        (thaw_by_parts, ALL),
        (freeze_again, ["blocks.1.1", "blocks.1.2", "blocks.2.0"]),
        (freeze_in_training, ALL),
    ],
)
def test_a_module_is_evaluated_while_its_parameters_are_frozen(
    done: Callable[[Blocks], None], wanted: list[str], copied: Callable[[Blocks], Blocks]
) -> None:
    """Once a parameter of it is trained again, `train()` is what it is in torch; so in a copy, which is on its own."""
    model = frozen()
    assert training(model) == []
    other = copied(model)
    done(other)
    assert training(other) == wanted
    assert training(model) == (wanted if other is model else [])


def test_a_copied_part_goes_by_its_own_parameters() -> None:
    """A block that is copied out of a frozen model trains as soon as it is trained again itself."""
    model = frozen()
    block = copy.deepcopy(model.blocks[0])
    assert training(block) == []
    block.requires_grad_(True)
    assert training(block) == ["1", "2"]


def test_what_is_put_in_the_place_of_a_frozen_module_trains() -> None:
    """A block with weights of its own has the mode of the loop."""
    model = frozen()
    model.blocks[1] = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.9))
    assert training(model) == ["blocks.1.1", "blocks.1.2", "blocks.2.0"]


def test_replicas_of_data_parallel_are_evaluated() -> None:
    """Their parameters stand in another place than those of other modules."""
    model = frozen()
    replica = model.blocks[0][1]._replicate_for_data_parallel()  # type: ignore[index]  # a Sequential
    own = dict(model.blocks[0][1].named_parameters())  # type: ignore[index]  # see above
    replica._former_parameters = own
    vars(replica).update({name: one.detach() for name, one in own.items()})
    replica(torch.randn(8, 4))
    assert not replica.training


def test_a_frozen_model_is_freed_at_once() -> None:
    """What keeps its modules in their mode does not keep it: it may hold most of a device's memory."""
    gc.disable()
    try:
        seen = weakref.ref(frozen())
        assert seen() is None
    finally:
        gc.enable()


def test_a_frozen_model_is_one_graph() -> None:
    """What is compiled needs no second graph for the mode that the first forward pass has left behind."""
    graphs = []

    def backend(module: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., object]:
        del inputs
        graphs.append(module)
        return module.forward

    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.9), nn.Linear(4, 2))
    lossreg.parts(freeze="0.*").optimizer(model)
    compiled = torch.compile(model, backend=backend, fullgraph=True)
    for _ in range(2):
        model.train()
        compiled(torch.randn(2, 4))
    assert len(graphs) == 1


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_a_scripted_one_is_refused_with_what_to_do() -> None:
    """The deprecated torch.jit.script compiles hooks, and these cannot be compiled."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    lossreg.parts(freeze="0.*").optimizer(model)
    with pytest.raises(AttributeError, match=r"script a new model that has loaded model.state_dict\(\)"):
        torch.jit.script(model)
