"""What `lossreg.parts` adds to a loop: microseconds for each object that is built, and the ratio of a step.

The other side is the same loop with hand-made objects. The sides take turns in one process, and one goes first as often
as the other. The fastest turns are printed, which other work on the machine changes least: of the first object of new
parts and a new model, of each later one, and the ratio of a step, for which the median of the ratios of neighbouring
turns stands beside it. A step is that of a bare loop and of one with Accelerate, if that is installed. Before the first
object the same is done on both sides, new parts included, so that the caches of the processor have forgotten as much of
torch on one as on the other. Parts of earlier turns had the same texts, but for those of a new text, and models that
are alike.

    python benchmarks/embedding.py [--repeats 500] [--calls 10] [--steps 20] [--turns 200]
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import itertools
import operator
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader, TensorDataset

import lossreg

BATCH = torch.randn(256, 64), torch.randint(10, (256,))


def model() -> nn.Sequential:
    """Two layers."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


Given = tuple[Any, Any]  # parts, and what an object is built of
Build = Callable[[Any, Any], Any]

PARTS: dict[str, Any] = {"loss": "cross_entropy", "optimizer": "sgd(lr=0.1)", "scheduler": "cosine", "epochs": 10}
GROUPED: dict[str, Any] = {"optimizer": "adamw(lr=0.1)", "param_groups": {"*.bias": "weight_decay=0"}}


def sgd_by_hand(_: Any, trained: nn.Module) -> torch.optim.Optimizer:
    """SGD of all parameters."""
    return torch.optim.SGD(trained.parameters(), lr=0.1)


def cosine_by_hand(_: Any, optimizer: torch.optim.Optimizer) -> CosineAnnealingLR:
    """Cosine over ten epochs."""
    return CosineAnnealingLR(optimizer, 10)


def grouped_by_hand(_: Any, trained: nn.Module) -> torch.optim.Optimizer:
    """AdamW without decay of biases."""
    biases: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in trained.named_parameters():
        (biases if name.endswith(".bias") else others).append(parameter)
    groups: list[dict[str, Any]] = [{"params": others}, {"params": biases, "weight_decay": 0}]
    return torch.optim.AdamW(groups, lr=0.1)


def for_loss() -> Given:
    """Parts, whose loss is built of nothing else."""
    return lossreg.parts(**PARTS), None


def for_optimizer(**texts: Any) -> Given:
    """Parts with a loss that is there, and a model."""
    parts = lossreg.parts(**{**PARTS, **texts})
    _ = parts.loss
    return parts, model()


def for_groups() -> Given:
    """Parts with a pattern for biases, and a model."""
    return lossreg.parts(**GROUPED), model()


def for_scheduler(**texts: Any) -> Given:
    """Parts and their optimizer."""
    parts = lossreg.parts(**{**PARTS, **texts})
    return parts, parts.optimizer(model())


#: Numbers that no parts of this process have had yet.
NUMBERS = itertools.count(1)


def new_text() -> str:
    """An optimizer that no parts of this process have had yet."""
    return f"sgd(lr={next(NUMBERS)})"


def optimizer_by_name(parts: Any, trained: nn.Module) -> torch.optim.Optimizer:
    """The optimizer of the parts."""
    built: torch.optim.Optimizer = parts.optimizer(trained)
    return built


#: Object -> what it is built of, and what builds it by hand and by name.
OBJECTS: dict[str, tuple[Callable[[], Given], Build, Build]] = {
    "loss": (for_loss, lambda _, __: nn.CrossEntropyLoss(), lambda parts, _: parts.loss),
    "optimizer": (for_optimizer, sgd_by_hand, optimizer_by_name),
    "optimizer of a new text": (lambda: for_optimizer(optimizer=new_text()), sgd_by_hand, optimizer_by_name),
    "scheduler": (for_scheduler, cosine_by_hand, lambda parts, optimizer: parts.scheduler(optimizer)),
    "scheduler of a new text": (
        lambda: for_scheduler(epochs=next(NUMBERS)),
        cosine_by_hand,
        lambda parts, optimizer: parts.scheduler(optimizer),
    ),
    "optimizer with groups": (for_groups, grouped_by_hand, optimizer_by_name),
}


def first_and_later(
    prepare: Callable[[], Given], sides: tuple[Build, ...], repeats: int, calls: int
) -> list[list[float]]:
    """Microseconds of the first object and of a later one, on each side."""
    best = [[float("inf")] * 2 for _ in sides]
    for repeat in range(repeats):
        for side in (0, 1) if repeat % 2 else (1, 0):
            build = functools.partial(sides[side], *prepare())
            best[side] = [
                min(old, microseconds(build, count)) for old, count in zip(best[side], (1, calls), strict=True)
            ]
    return best


Loop = Callable[[int], None]  # takes so many steps

STEPS = 1_000_000  # of the schedule, which no loop comes to the end of


def loop(trained: Any, loss: Any, optimizer: Any, scheduler: Any, backward: Callable[[Any], object]) -> Loop:
    """A training loop."""

    def run(steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            backward(loss(trained(BATCH[0]), BATCH[1]))
            optimizer.step()
            scheduler.step()

    return run


def objects_by_hand(trained: nn.Module) -> tuple[torch.optim.Optimizer, CosineAnnealingLR]:
    """Optimizer and schedule."""
    optimizer = torch.optim.SGD(trained.parameters(), lr=0.1)
    return optimizer, CosineAnnealingLR(optimizer, STEPS)


def parts_of_steps() -> Any:
    """The same by name, and the loss."""
    texts: dict[str, Any] = {"loss": "cross_entropy", "optimizer": "sgd(lr=0.1, momentum=0)", "scheduler": "cosine"}
    return lossreg.parts(**texts, scheduler_interval="step", total_steps=STEPS)


def bare_loops() -> tuple[Loop, Loop]:
    """A loop with hand-made objects, and one with parts by name."""
    first, second = model(), model()
    by_hand = loop(first, nn.CrossEntropyLoss(), *objects_by_hand(first), torch.Tensor.backward)
    parts = parts_of_steps()
    named = parts.optimizer(second)
    return by_hand, loop(second, parts.loss, named, parts.scheduler(named), torch.Tensor.backward)


def accelerate_loops() -> tuple[Loop, Loop]:
    """The same with what Accelerate has prepared."""
    from accelerate import Accelerator

    from lossreg.adapters.accelerate import prepare

    accelerator = Accelerator(cpu=True)
    loader = DataLoader(TensorDataset(*BATCH), batch_size=len(BATCH[0]))  # an epoch is a step
    first, second = model(), model()
    prepared, by_hand, schedule = accelerator.prepare(first, *objects_by_hand(first))
    parts = parts_of_steps()
    named, optimizer, _, scheduler = prepare(accelerator, parts, second, loader, epochs=STEPS)
    return (
        loop(prepared, nn.CrossEntropyLoss(), by_hand, schedule, accelerator.backward),
        loop(named, parts.loss, optimizer, scheduler, accelerator.backward),
    )


def in_turns(sides: tuple[Loop, Loop], steps: int, turns: int) -> tuple[float, float]:
    """The ratio of the fastest turns of two loops, and the median of the ratios of neighbouring turns."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(turns):
        for side in (0, 1) if turn % 2 else (1, 0):
            times[side].append(microseconds(functools.partial(sides[side], steps), 1))
    hands, names = times
    return min(names) / min(hands), statistics.median(map(operator.truediv, names, hands))


def microseconds(function: Callable[[], Any], calls: int) -> float:
    """Of one call."""
    started = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - started) / calls * 1e6


def main() -> None:
    """Prints the table, and a line for each loop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=500)
    parser.add_argument("--calls", type=int, default=10)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--turns", type=int, default=200)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'':<36}{'by hand, µs':>14}{'by name, µs':>14}{'added, µs':>12}")
    for name, (prepare, *builds) in OBJECTS.items():
        hands, names = first_and_later(prepare, tuple(builds), options.repeats, options.calls)
        for which, hand, named in zip(("the first", "each later"), hands, names, strict=True):
            print(f"{f'{name}, {which}':<36}{hand:>14.1f}{named:>14.1f}{named - hand:>12.1f}")
    known = min(microseconds(lambda: lossreg.parts(**PARTS), 1) for _ in range(options.repeats))
    new = min(
        microseconds(lambda: lossreg.parts(**{**PARTS, "optimizer": new_text()}), 1) for _ in range(options.repeats)
    )
    print(f"lossreg.parts itself: {known:.0f} µs, and {new:.0f} µs with a new text")
    loops = {"a bare loop": bare_loops}
    if importlib.util.find_spec("accelerate") is None:
        print("left out: Accelerate (pip install accelerate)")
    else:
        loops["one with Accelerate"] = accelerate_loops
    for name, sides in loops.items():
        fastest, median = in_turns(sides(), options.steps, options.turns)
        print(
            f"a step with parts by name in {name}: {fastest:.3f} times one with hand-made objects (the fastest), "
            f"{median:.3f} (median of pairs)"
        )


if __name__ == "__main__":
    main()
